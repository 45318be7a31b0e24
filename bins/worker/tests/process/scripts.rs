//! Jobs whose definitions bring Python tools along, over the worker as a process: over HTTP on real servers, and on the
//! embedded store.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests stand outside of the test functions"
)]

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::common::{PATIENCE, Plan, Stack, http, job, scripts_path};
use agent_testkit::{FakeModel, until};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

const HEAD: &str = "
from typing import Annotated
from langchain_core.messages import ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.prebuilt import InjectedState
from langgraph.types import Command
";
const WORD_STATS: &str = "
@tool
def word_stats(text: str, top: int = 2) -> dict:
    'Count the words of a text.'
    words = text.lower().split()
    ranked = sorted(set(words), key=lambda w: (-words.count(w), w))
    return {'words': len(words), 'top': [[w, words.count(w)] for w in ranked[:top]]}
";
const SAVE_NOTE: &str = "
@tool
def save_note(path: str, text: str, files: Annotated[dict, InjectedState('files')],
              call: Annotated[str, InjectedToolCallId]) -> Command:
    'Keep a text in a file.'
    answer = ToolMessage(f'{len(files)} files before', tool_call_id=call)
    return Command(update={'files': {path: text, '/old.md': None}, 'messages': [answer]})
";
const FAILING: &str = "
import os

@tool
def failing():
    'Fail.'
    raise RuntimeError('boom ' + os.environ.get('OPENAI_API_KEY', 'without a key'))
";

fn scripted(job_id: &str, scripts: &[(&str, &str)]) -> Value {
    let mut job = job(job_id, "scripts tokens=3");
    let tools = scripts
        .iter()
        .map(|(name, source)| json!({"name": name, "runtime": {"script": format!("{HEAD}{source}")}}));
    job["agent_definition"]["tool_definitions"] = tools.collect();
    let names = scripts.iter().map(|(name, _)| json!(name));
    job["agent_definition"]["nodes"][0]["config"]["tools"] = names.collect();
    job["input_payload"]["files"] = json!({"/old.md": {"content": ["old"]}});
    job
}

const SCRIPTS: [(&str, &str); 3] =
    [("word_stats", WORD_STATS), ("save_note", SAVE_NOTE), ("failing", FAILING)];

/// What the model was told by the definition's tools, in order, from its last request.
fn told(model: &FakeModel) -> Vec<String> {
    let last = model.bodies().pop().unwrap();
    let messages = last["messages"].as_array().unwrap().iter();
    let of_tools = messages.filter(|message| message["role"] == "tool");
    of_tools.map(|message| message["content"].as_str().unwrap().to_owned()).collect()
}

fn check_told(model: &FakeModel) {
    let expected = [
        r#"{"words": 6, "top": [["be", 2]]}"#,
        "1 files before",
        "Error: RuntimeError: boom without a key (line 13 of the script)",
    ];
    assert_eq!(told(model), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_scripts_run_confined_and_change_its_files() {
    let Some(path) = scripts_path() else { return };
    let Some(stack) = Plan::default().env("PATH", path).start().await else { return };
    let (status, body) =
        http(stack.port, "POST", "/", &scripted("scripts-1", &SCRIPTS).to_string()).await.unwrap();
    assert_eq!(status, 200, "{body}");
    let event: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(event["data"]["result"]["status"], "completed", "{event}");
    let files = event["data"]["result"]["files"].as_object().unwrap();
    assert_eq!(files.keys().collect::<Vec<_>>(), ["/note.md"], "one written, one deleted");
    assert_eq!(files["/note.md"]["content"], json!(["kept"]));
    check_told(&stack.model);
    let offered = &stack.model.bodies()[0]["tools"];
    let stats =
        offered.as_array().unwrap().iter().find(|tool| tool["function"]["name"] == "word_stats").unwrap();
    let parameters = json!({"properties": {"text": {"type": "string"}, "top": {"default": 2, "type": "integer"}},
        "required": ["text"], "type": "object"});
    assert_eq!(stats["function"]["parameters"], parameters);
    assert_eq!(stats["function"]["description"], "Count the words of a text.");
    let replies = stack.metric(r#"agent_executor_tool_script_runs_total{outcome="reply"}"#).await;
    assert_eq!(replies, Some(3.0));
    let good = r#"agent_executor_tool_calls_total{tool="custom",status="success"}"#;
    assert_eq!(stack.metric(good).await, Some(2.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tools_return_directly_is_the_jobs_answer() {
    let Some(path) = scripts_path() else { return };
    let Some(stack) = Plan::default().env("PATH", path).start().await else { return };
    let direct = |source: &str| source.replace("@tool", "@tool(return_direct=True)");
    let (stats, note) = (direct(WORD_STATS), direct(SAVE_NOTE));
    let both = [("word_stats", stats.as_str()), ("save_note", note.as_str()), ("failing", FAILING)];
    let one = [("word_stats", stats.as_str()), ("save_note", SAVE_NOTE), ("failing", FAILING)];
    for (job_id, scripts, calls) in [("direct-1", both, 1), ("direct-2", one, 3)] {
        let before = stack.model.requests();
        let job = scripted(job_id, &scripts).to_string();
        let (_, body) = http(stack.port, "POST", "/", &job).await.unwrap();
        let event: Value = serde_json::from_str(&body).unwrap();
        let result = &event["data"]["result"];
        assert_eq!(stack.model.requests() - before, calls, "{job_id}: {event}");
        assert_eq!(result["output"] == "1 files before", calls == 1, "{job_id}: {event}");
        assert_eq!(result["files"]["/note.md"]["content"], json!(["kept"]), "{job_id}: {event}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_cannot_be_offered_fails_the_job_before_it_begins() {
    let Some(path) = scripts_path() else { return };
    let Some(stack) = Plan::default().env("PATH", path).start().await else { return };
    for (job_id, source, reason) in [
        ("broken-1", "def word_stats(:", "SyntaxError"),
        ("broken-2", SAVE_NOTE, "no tool called `word_stats`; its tools: 'save_note'"),
    ] {
        let job = scripted(job_id, &[("word_stats", source)]).to_string();
        let (_, body) = http(stack.port, "POST", "/", &job).await.unwrap();
        assert!(body.contains("Graph building failed: `tool_definitions[0]` (`word_stats`)"), "{body}");
        assert!(body.contains(reason), "{body}");
        let failed = stack.metric(r#"agent_executor_jobs_failed_total{code="tools.unusable"}"#).await;
        assert!(failed >= Some(1.0), "{failed:?}");
    }
    assert_eq!(stack.model.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_wants_no_scripts_gets_none() {
    let Some(stack) = Plan::default().env("TOOL_SCRIPTS", "off").start().await else { return };
    let job = scripted("off-1", &SCRIPTS).to_string();
    let (_, body) = http(stack.port, "POST", "/", &job).await.unwrap();
    assert!(body.contains("TOOL_SCRIPTS=off"), "{body}");
    assert_eq!(stack.model.requests(), 0);
}

/// Processes that work below this folder.
fn working_in(folder: &Path) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let places = processes.filter_map(|entry| std::fs::read_link(entry.path().join("cwd")).ok());
    places.filter(|place| place.starts_with(folder)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_takes_its_scripts_with_it() {
    let Some(path) = scripts_path() else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scripts-killed");
    std::fs::remove_dir_all(&folder).ok();
    std::fs::create_dir_all(&folder).unwrap();
    let folder = folder.canonicalize().unwrap();
    let plan = Plan::default().env("PATH", path).env("TMPDIR", folder.to_str().unwrap());
    let Some(mut stack) = plan.start().await else { return };
    // One sleeps by itself, one through a process that has left its group.
    let asleep = "\n    import time\n    time.sleep(600)\n    return {}";
    let away =
        "import subprocess\n    subprocess.run(['/bin/sleep', '600'], start_new_session=True)\n    answer";
    let job = scripted(
        "killed-1",
        &[
            ("word_stats", &WORD_STATS.replace("\n    words", &format!("{asleep}\n    words"))),
            ("save_note", &SAVE_NOTE.replacen("answer", away, 1)),
            ("failing", FAILING),
        ],
    );
    stack.publish(&job).await;
    until("both scripts run", PATIENCE, async || (working_in(&folder) >= 3).then_some(())).await.unwrap();
    stack.worker.signal("KILL");
    stack.worker.ended().await;
    until("all of them have ended", PATIENCE, async || (working_in(&folder) == 0).then_some(()))
        .await
        .unwrap();
    let left = async || std::fs::read_dir(&folder).unwrap().next().is_none().then_some(());
    until("nothing is left of them", PATIENCE, left).await.unwrap();
}

/// Says its name and key to a listener, and waits for what that says.
const CALLING: &str = "
import os, socket

@tool
def failing() -> str:
    'Tell somebody.'
    line = socket.create_connection(('127.0.0.1', PORT))
    line.sendall(f\"NAME {os.environ['IDEMPOTENCY_KEY']}\\n\".encode())
    return line.recv(100).decode()
";

/// What scripts have said to a listener. The first of one text is left waiting, each later one is answered.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    async fn listen() -> (Self, u16) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Self::default();
        let lines = heard.0.clone();
        tokio::spawn(async move {
            let mut waiting = Vec::new();
            while let Ok((client, _)) = listener.accept().await {
                let (mut client, mut line) = (BufReader::new(client), String::new());
                client.read_line(&mut line).await.unwrap();
                let known = lines.lock().unwrap().contains(&line);
                lines.lock().unwrap().push(line);
                if known {
                    client.write_all(b"told again").await.unwrap();
                } else {
                    waiting.push(client);
                }
            }
        });
        (heard, port)
    }

    fn of(&self, name: &str) -> Vec<String> {
        let all = self.0.lock().unwrap().clone();
        all.into_iter().filter(|line| line.starts_with(&format!("{name} "))).collect()
    }
}

/// The text of the thread's answer to the tool `failing`.
async fn answer_of_failing(stack: &Stack, thread: &str) -> String {
    let rows = agent_checkpoint_store::Store::load(&stack.store().await, thread).await.unwrap().rows;
    let state = agent_langgraph_codec::load_graph(&rows, "").unwrap().unwrap();
    let answer = state.messages.iter().find(|message| message.name.as_deref() == Some("failing"));
    answer.unwrap().text("")
}

/// A worker leaves in the middle of two calls, and another one goes on.
async fn left_during_calls(signal: &str, expected_code: Option<i32>, unclean: u32) {
    let Some(path) = scripts_path() else { return };
    let (heard, port) = Heard::listen().await;
    let plan = Plan::default().quick().env("PATH", path).env("TOOL_SCRIPTS_NETWORK", "true");
    // Longer than it may take until both are there.
    let plan = plan.env("TOOL_SCRIPT_WALL_SECONDS", "300").env("DRAIN_BUDGET_SECONDS", "6");
    let Some(mut stack) = plan.start().await else { return };
    for (job_id, effect) in [("once-1", Value::Null), ("again-1", json!("idempotent"))] {
        let source = CALLING.replace("PORT", &port.to_string()).replace("NAME", job_id);
        let mut job =
            scripted(job_id, &[("word_stats", WORD_STATS), ("save_note", SAVE_NOTE), ("failing", &source)]);
        job["agent_definition"]["tool_definitions"][2]["effect"] = effect;
        stack.publish(&job).await;
    }
    let both = async || (heard.of("once-1").len() + heard.of("again-1").len() == 2).then_some(());
    until("both scripts are in the middle of their call", PATIENCE, both).await.unwrap();
    stack.worker.signal(signal);
    assert_eq!(stack.worker.ended().await, expected_code);

    let _second = stack.another(&[]);
    for job_id in ["once-1", "again-1"] {
        assert_eq!(stack.end_of(job_id).await, "completed", "{job_id}");
        let job = agent_checkpoint_store::Store::job(&stack.store().await, job_id).await.unwrap().unwrap();
        assert_eq!(job.unclean_count, unclean, "{job_id}");
    }
    assert_eq!(heard.of("once-1").len(), 1, "at most once");
    let unknown = "the outcome of this call is unknown";
    let once = answer_of_failing(&stack, "once-1").await;
    assert!(once.contains(unknown), "{once}");
    let shown = stack.model.bodies().iter().filter(|body| body.to_string().contains(unknown)).count();
    assert_eq!(shown, 1, "the model is told, and goes on");

    let again = heard.of("again-1");
    assert_eq!((again.len(), &again[0]), (2, &again[1]), "the same key");
    assert_eq!(answer_of_failing(&stack, "again-1").await, "told again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_whose_worker_is_killed_runs_again_only_if_it_says_that_it_may() {
    left_during_calls("KILL", None, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_hangs_does_not_keep_a_worker_from_leaving() {
    left_during_calls("TERM", Some(0), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_run_on_the_embedded_store_too() {
    let Some(path) = scripts_path() else { return };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scripts-embedded");
    std::fs::remove_dir_all(&folder).ok();
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("agent.json");
    std::fs::write(&file, scripted("unused", &SCRIPTS)["agent_definition"].to_string()).unwrap();
    let model = FakeModel::start().await.unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_worker"));
    command.current_dir(&folder).env_clear().env("PATH", path).env("OPENAI_BASE_URL", model.base_url());
    command.env("OPENAI_API_KEY", "sk-canary-of-this-test").arg("run").arg(&file).args(["--input", "Go."]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    assert_eq!(told(&model)[1], "0 files before");
    assert_eq!(told(&model)[0], r#"{"words": 6, "top": [["be", 2]]}"#);
}
