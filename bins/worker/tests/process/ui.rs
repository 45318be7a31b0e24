//! The page under `/ui`, in a real headless browser: a running job, a finished one with files, a failed one.
//!
//! `UPDATE_DOCS=1` also writes the pictures of docs/images.

#![expect(clippy::indexing_slicing, reason = "helpers of tests stand outside of the test functions")]

use std::path::Path;
use std::process::Command;

use crate::common::{Plan, http, job};
use agent_testkit::programs::{self, Browser};
use agent_testkit::{ModelFault, python_or_skip};
use serde_json::{Value, json};

const TOKEN: &str = "a-token-of-this-test";

/// The machine's browser; `None`, with the reason, where it has none.
#[expect(clippy::print_stderr, reason = "a skip is said")]
fn browser() -> Option<Browser> {
    let found = programs::browser();
    if found.is_none() {
        eprintln!("skipped: no browser; Debian packages `chromium` and `chromium-driver`");
    }
    found
}

/// An orchestrator with two sub-agents that takes long enough to look at.
fn research() -> Value {
    let mut team = job("ui-live", "research");
    let node = |kind: &str, name: &str, says: &str, marker: &str| {
        let prompt = format!("You are {name}. [[fake:{marker} text=prose delay_ms=60]]");
        json!({ "id": name, "type": kind, "config": { "name": name, "description": says, "system_prompt": prompt,
            "model": { "provider": "openai", "model": "gpt-4o-mini" } } })
    };
    let edge = |to| json!({ "source": "lead", "target": to, "type": "orchestrator" });
    let edges = ["collector", "analyst"].map(edge);
    team["agent_definition"] = json!({
        "nodes": [
            node("orchestrator", "lead", "Shares out the work.", "research"),
            node("specialist", "collector", "Collects sources.", "sub"),
            node("specialist", "analyst", "Compares.", "sub"),
        ],
        "edges": edges,
    });
    team["input_payload"]["messages"][0]["content"] = json!("Which of the two libraries should we take?");
    team
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_a_job_live_its_files_and_its_failure() {
    let Some(browser) = browser() else { return };
    let Some(python) = python_or_skip("selenium-venv", &["selenium==4.40.0"]) else { return };
    let Some(stack) = Plan::default().env("API_TOKENS", format!("test={TOKEN}")).start().await else {
        return;
    };
    stack.publish(&job("ui-files", "tools text=prose")).await;
    assert_eq!(stack.end_of("ui-files").await, "completed");
    stack.model.fail_next([ModelFault::Status(401, None)]);
    stack.publish(&job("ui-failed", "hello")).await;
    assert_eq!(stack.end_of("ui-failed").await, "failed");

    let (status, _) = http(stack.port, "GET", "/threads", "").await.unwrap();
    assert_eq!(status, 401, "the list is data");
    let (status, _) = http(stack.port, "GET", "/ui/", "").await.unwrap();
    assert_eq!(status, 200, "the page is not");

    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pictures = match std::env::var_os("UPDATE_DOCS") {
        Some(_) => root.join("../../docs/images"),
        None => Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui"),
    };
    std::fs::create_dir_all(&pictures).unwrap();
    let base = format!("http://127.0.0.1:{}", stack.port);
    let looked = tokio::task::spawn_blocking(move || {
        let script = root.join("tests/process/browser.py");
        let mut look = Command::new(python);
        look.arg(script).args([base.as_str(), TOKEN]).arg(pictures);
        // The page's own job begins when the browser is there to see it.
        look.arg(research().to_string()).args([browser.program, browser.driver]).output()
    });
    let looked = looked.await.unwrap().unwrap();
    let said =
        String::from_utf8_lossy(&looked.stdout).into_owned() + &String::from_utf8_lossy(&looked.stderr);
    assert!(looked.status.success(), "{said}");
}

#[test]
fn the_pages_own_tests_pass() {
    let folder = tempfile::tempdir().unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/transport-http/ui");
    for name in ["tree.js", "diff.js", "tree.test.js"] {
        std::fs::copy(page.join(name), folder.path().join(name)).unwrap();
    }
    // Older Nodes take a file for a module only where this stands.
    std::fs::write(folder.path().join("package.json"), r#"{"type": "module"}"#).unwrap();
    let Ok(tested) = Command::new("node").arg("--test").current_dir(folder.path()).output() else {
        eprintln!("skipped: no Node.js");
        return;
    };
    let told = String::from_utf8_lossy(&tested.stdout);
    assert!(tested.status.success() && !told.contains("pass 0"), "{told}");
}
