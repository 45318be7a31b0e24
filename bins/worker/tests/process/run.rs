//! `worker run` as a process: the built-in example, a model over HTTP, and a run that is interrupted and gone on with.

#![expect(clippy::unwrap_used, reason = "helpers of tests stand outside of the test functions")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use agent_checkpoint_store::{JobStatus, SqliteStore, Store};
use agent_testkit::{FakeModel, until};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(30);

/// A folder of this test's own, made anew.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("run").join(name);
    std::fs::remove_dir_all(&folder).ok();
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// `worker run FILE …` in `folder`, with nothing in its environment but `environment`.
fn run(folder: &Path, file: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_worker"));
    command.current_dir(folder).env_clear().envs(environment.iter().copied());
    command.arg("run").arg(file).args(arguments).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn assert_ended(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "stdout: {}\nstderr: {}",
        text(&output.stdout),
        text(&output.stderr)
    );
}

/// A definition that the scripted provider answers by this marker.
fn definition(folder: &Path, marker: &str) -> PathBuf {
    let file = folder.join("agent.json");
    let definition = json!({ "nodes": [{ "type": "orchestrator", "config": {
        "name": "main", "system_prompt": format!("You work. [[fake:{marker}]]"),
        "model": { "provider": "openai", "model": "gpt-4o-mini" } } }] });
    std::fs::write(&file, definition.to_string()).unwrap();
    file
}

#[test]
fn without_a_key_the_example_is_played_and_says_so() {
    let folder = folder("example");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/research-team/agent.json");
    let output = run(&folder, &example, &["--input", "Compare two things."], &[]).output().unwrap();
    assert_ended(&output, 0);
    assert!(!text(&output.stdout).trim().is_empty(), "the result stands on stdout");
    assert!(text(&output.stderr).contains("built-in scripted model"), "{}", text(&output.stderr));
    assert!(folder.join(".agent-executor/run.db").is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_goes_on_where_it_stood() {
    let folder = folder("interrupted");
    let model = FakeModel::start().await.unwrap();
    let base = model.base_url();
    let environment = [("OPENAI_BASE_URL", base.as_str()), ("OPENAI_API_KEY", "sk-canary-of-this-test")];
    let file = definition(&folder, "tools delay_ms=40");
    let arguments = ["--thread", "mine", "--input", "Please do the work."];
    let first = run(&folder, &file, &arguments, &environment)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The third call is in flight: two replies and their tools' results are committed.
    until("the model is asked", PATIENCE, async || (model.requests() > 2).then_some(())).await.unwrap();
    let interrupted = Command::new("kill").args(["-INT", &first.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let first = first.wait_with_output().unwrap();
    assert_ended(&first, 130);
    assert!(text(&first.stderr).contains("--thread mine"), "{}", text(&first.stderr));
    let asked_before = model.requests();

    let second = run(&folder, &file, &["--thread", "mine"], &environment).output().unwrap();
    assert_ended(&second, 0);
    assert!(text(&second.stderr).contains("going on with the interrupted job"), "{}", text(&second.stderr));
    // Six calls make the whole run; only the one that was in flight may be made twice.
    assert!(asked_before <= 4 && model.requests() <= 7, "{asked_before}, then {}", model.requests());

    let store = SqliteStore::open(&folder.join(".agent-executor/run.db")).unwrap();
    let jobs = store.jobs_of("mine").await.unwrap();
    assert_eq!(jobs.len(), 1, "the second run brought no job of its own");
    assert_eq!(jobs[0].status, JobStatus::Completed);
    let state =
        agent_langgraph_codec::load_graph(&store.load("mine").await.unwrap().rows, "").unwrap().unwrap();
    assert_eq!(state.messages.len(), 12, "one question, six replies, five results: nothing twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_says_why_and_ends_with_1() {
    let folder = folder("failing");
    let model = FakeModel::start().await.unwrap();
    model.fail_next([agent_testkit::ModelFault::Status(401, None)]);
    let base = model.base_url();
    let environment = [("OPENAI_BASE_URL", base.as_str()), ("OPENAI_API_KEY", "sk-canary-of-this-test")];
    let file = definition(&folder, "hello");
    let output = run(&folder, &file, &["--input", "Hello."], &environment).output().unwrap();
    assert_ended(&output, 1);
    assert!(text(&output.stdout).is_empty());
    assert!(text(&output.stderr).contains("401"), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("sk-canary"), "no key is ever printed");
}
