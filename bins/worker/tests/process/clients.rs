//! The example clients against a worker, and every operation of the OpenAPI document by schemathesis.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests stand outside of the test functions"
)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::{Plan, job};
use agent_testkit::{programs, python_or_skip};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/clients")
}

/// Whether a program runs.
fn answers(program: impl AsRef<OsStr>, arguments: &[&str]) -> bool {
    let ran = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    ran.is_ok_and(|status| status.success())
}

/// Whether a program runs; says so where it does not.
fn runs(program: &str, arguments: &[&str]) -> bool {
    let runs = answers(program, arguments);
    if !runs {
        eprintln!("skipped: `{program} {}` does not run here", arguments.join(" "));
    }
    runs
}

/// Runs an example with a definition that writes files; what it prints.
async fn example(program: &'static str, arguments: Vec<String>) -> Option<String> {
    let stack = Plan::default().env("API_TOKENS", "example=s3cret-of-examples").start().await?;
    let definition = std::env::temp_dir().join(format!("client-{}.json", stack.port));
    std::fs::write(&definition, job("x", "tools delay_ms=5")["agent_definition"].to_string()).unwrap();
    let base = format!("http://127.0.0.1:{}", stack.port);
    let output = tokio::task::spawn_blocking(move || {
        Command::new(program)
            .args(arguments)
            .arg(&definition)
            .arg("Please do the work.")
            .env("AGENTS_URL", base)
            .env("AGENTS_TOKEN", "s3cret-of-examples")
            .output()
            .unwrap()
    });
    let output = output.await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("tok7 "), "it follows the text: {told}");
    assert!(told.contains("write_file"), "and the tools: {told}");
    Some(String::from_utf8(output.stdout).unwrap())
}

fn file(name: &str) -> String {
    folder().join(name).to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_publishes_follows_and_reads() {
    if !runs("python3", &["--version"]) {
        return;
    }
    let Some(printed) = example("python3", vec![file("client.py")]).await else { return };
    assert!(printed.contains("tok0 tok1 "), "{printed}");
}

/// What Node is started with for the TypeScript client. Node 22.6 and newer take the types away themselves; for an older
/// one esbuild does, once fetched from npm into `target/tools`.
fn typescript() -> Option<Vec<String>> {
    let flags = ["--experimental-strip-types", "--no-warnings"];
    if answers("node", &[&flags[..], &["-e", "1"]].concat()) {
        let flags = flags.map(str::to_owned);
        return Some([flags.to_vec(), vec![file("client.ts")]].concat());
    }
    if !runs("node", &["--version"]) || !runs("npm", &["--version"]) {
        return None;
    }
    let folder = programs::tools_folder().join("esbuild-0.25.12");
    let esbuild = folder.join("node_modules/.bin/esbuild");
    let mut fetch = Command::new("npm");
    fetch.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&folder);
    if !answers(&esbuild, &["--version"]) {
        std::fs::create_dir_all(&folder).unwrap();
        let fetched = fetch.arg("esbuild@0.25.12").output().unwrap();
        if !fetched.status.success() {
            eprintln!("skipped: npm gives no esbuild: {}", String::from_utf8_lossy(&fetched.stderr));
            return None;
        }
    }
    let script = Path::new(env!("CARGO_TARGET_TMPDIR")).join("client.mjs");
    let mut strip = Command::new(esbuild);
    strip.arg(file("client.ts")).args(["--format=esm", "--target=node20"]);
    let stripped = strip.arg(format!("--outfile={}", script.display())).output().unwrap();
    assert!(stripped.status.success(), "{}", String::from_utf8_lossy(&stripped.stderr));
    Some(vec![script.display().to_string()])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_client_publishes_follows_and_reads() {
    let Some(arguments) = typescript() else { return };
    let Some(printed) = example("node", arguments).await else { return };
    assert!(printed.contains("tok0 tok1 "), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shell_client_publishes_follows_and_reads() {
    if !runs("curl", &["--version"]) {
        return;
    }
    let Some(printed) = example("sh", vec![file("client.sh")]).await else { return };
    assert!(printed.contains("\"status\":\"completed\""), "{printed}");
}

/// Schemathesis in an environment of its own; `None`, with the reason, where it cannot be had.
fn schemathesis() -> Option<PathBuf> {
    let python = python_or_skip("schemathesis-venv", &["schemathesis==4.4.4", "hypothesis==6.148.0"])?;
    Some(python.with_file_name("schemathesis"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_as_the_openapi_document_says() {
    let Some(program) = schemathesis() else { return };
    let definition = std::env::temp_dir().join(format!("openapi-{}.json", std::process::id()));
    std::fs::write(&definition, job("x", "hello tokens=1")["agent_definition"].to_string()).unwrap();
    let plan = Plan::default().env("DEFAULT_AGENT_DEFINITION_FILE", definition.to_str().unwrap());
    let Some(stack) = plan.start().await else { return };
    let url = format!("http://127.0.0.1:{}/openapi.json", stack.port);
    let output = tokio::task::spawn_blocking(move || {
        Command::new(program)
            // It keeps its examples where it runs.
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .args(["run", &url])
            // Else it makes up tokens that are no HTTP, and the server below us answers.
            .args(["--header", "Authorization: Bearer any"])
            .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"])
            .args(["--checks", "response_schema_conformance"])
            // A WebSocket, and a page of numbers for a person.
            .args(["--exclude-path", "/stream/{thread_id}", "--exclude-path", "/metrics"])
            .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "15", "--seed", "7"])
            .args(["--request-timeout", "20", "--generation-deterministic", "--no-color"])
            .output()
            .unwrap()
    });
    let output = output.await.unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("passed"), "{told}");
}
