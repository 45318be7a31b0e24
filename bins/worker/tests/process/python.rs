//! Threads that change hands: begun by the worker and gone on with by a Python process with deepagents and
//! `PostgresSaver`, and the other way, finished and half done each. The scripted model answers by the number of
//! assistant turns, so a thread must come out the same whoever did which part.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests stand outside of the test functions"
)]

use std::path::Path;

use agent_testkit::until;
use serde_json::{Value, json};

use crate::common::{PATIENCE, Stack, http, job, stack};

/// What the job of `tools` leaves after its first turn: the user, five rounds of one tool, the answer.
const MESSAGES: usize = 12;
const FILES: [&str; 2] = ["/notes.md", "/summary.md"];

/// `ask`: a new message. `half`: the same, stopped before the tools of the first round. `resume`: what is pending.
/// Prints the thread as Python then reads it.
const AGENT: &str = r#"
import json, sys
from deepagents import create_deep_agent
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.postgres import PostgresSaver
dsn, base_url, thread, action, prompt, text = sys.argv[1:]
with PostgresSaver.from_conn_string(dsn) as saver:
    model = ChatOpenAI(model="gpt-4o-mini", base_url=base_url, api_key="none", max_retries=0)
    agent = create_deep_agent(model=model, system_prompt=prompt, checkpointer=saver)
    config = {"configurable": {"thread_id": thread}}
    new = {"messages": [{"role": "user", "content": text}]}
    if action == "half":
        agent.invoke(new, config, interrupt_before=["tools"])
    elif action == "ask":
        agent.invoke(new, config)
    elif action == "resume":
        agent.invoke(None, config)
    state = agent.get_state(config)
    print(json.dumps({
        "next": list(state.next),
        "types": [message.type for message in state.values["messages"]],
        "texts": [message.text if isinstance(message.text, str) else message.text() for message in state.values["messages"]],
        "ids": [message.id for message in state.values["messages"]],
        "files": sorted(state.values["files"]),
    }))
"#;

fn prompt(marker: &str) -> String {
    format!("You work. [[fake:{marker}]]")
}

/// The agent above as a command; `marker` is the scripted model's.
fn agent(python: &Path, stack: &Stack, marker: &str, call: [&str; 3]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(python);
    let [thread, action, text] = call;
    let base_url = stack.model.base_url();
    command.args(["-c", AGENT, &stack.dsn, &base_url, thread, action, &prompt(marker), text]);
    command
}

/// Runs the agent above.
async fn python(python: &Path, stack: &Stack, thread: &str, action: &str, text: &str) -> Value {
    let output = agent(python, stack, "tools", [thread, action, text]).output().await.unwrap();
    assert!(output.status.success(), "{action}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A job of the worker on a thread, to its end; its result.
async fn worker(stack: &Stack, job_id: &str, thread: &str, text: &str) -> Value {
    let mut job = job(job_id, "tools");
    job["thread_id"] = thread.into();
    job["input_payload"]["messages"][0]["content"] = text.into();
    let (status, body) = http(stack.port, "POST", "/", &job.to_string()).await.unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// Types of the thread's messages as the worker's store reads them; every id is there, and once.
async fn types(stack: &Stack, thread: &str) -> (Vec<String>, Vec<String>) {
    let store = stack.store().await;
    let rows = agent_checkpoint_store::Store::load(&store, thread).await.unwrap().rows;
    let state = agent_langgraph_codec::load_graph(&rows, "").unwrap().unwrap();
    assert!(state.next().is_empty(), "{:?}", state.next());
    let mut ids: Vec<_> = state.messages.iter().map(|message| message.id.clone().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), state.messages.len(), "ids differ from each other");
    let types = state.messages.iter().map(|message| message.type_name().to_owned()).collect();
    (types, state.files.keys().cloned().collect())
}

fn assert_whole(types: &[String]) {
    let mut expected = vec!["human"];
    expected.extend(["ai", "tool"].repeat(5));
    expected.push("ai");
    assert_eq!(types, expected);
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn python_goes_on_with_threads_that_the_worker_began() {
    let Some(interpreter) = agent_testkit::langgraph_python_or_skip() else { return };
    let Some(stack) = stack().await else { return };

    // Finished: Python's turn sees all that was said, and the worker's next one sees Python's.
    worker(&stack, "finished-1", "finished", "Please do the work.").await;
    let read = python(&interpreter, &stack, "finished", "ask", "And now?").await;
    assert_eq!(read["next"], json!([]));
    assert_whole(&strings(&read["types"])[..MESSAGES]);
    assert_eq!(strings(&read["types"])[MESSAGES..], ["human", "ai"]);
    assert_eq!(read["texts"][MESSAGES], "And now?");
    assert_eq!(strings(&read["files"]), FILES);
    worker(&stack, "finished-2", "finished", "And then?").await;
    let (types, files) = types(&stack, "finished").await;
    assert_eq!(types[MESSAGES..], ["human", "ai", "human", "ai"]);
    assert_eq!(files, FILES);
}

#[tokio::test(flavor = "multi_thread")]
async fn python_finishes_what_a_killed_worker_left_half_done() {
    let Some(interpreter) = agent_testkit::langgraph_python_or_skip() else { return };
    let Some(stack) = stack().await else { return };
    let slow = job("half", "tools delay_ms=60").to_string();
    let (status, body) = http(stack.port, "POST", "/invoke", &slow).await.unwrap();
    assert_eq!(status, 200, "{body}");
    until("the model is asked again", PATIENCE, async || (stack.model.requests() > 2).then_some(()))
        .await
        .unwrap();
    stack.worker.signal("KILL");
    let before = python(&interpreter, &stack, "half", "read", "").await;
    assert_eq!(before["next"], json!(["model"]), "half done");
    let read = python(&interpreter, &stack, "half", "resume", "").await;
    assert_eq!(read["next"], json!([]));
    assert_whole(&strings(&read["types"]));
    let kept = before["ids"].as_array().unwrap().len();
    assert_eq!(read["ids"].as_array().unwrap()[..kept], before["ids"].as_array().unwrap()[..]);
    assert_eq!(strings(&read["files"]), FILES);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_goes_on_with_a_thread_that_python_finished() {
    let Some(interpreter) = agent_testkit::langgraph_python_or_skip() else { return };
    let Some(stack) = stack().await else { return };
    python(&interpreter, &stack, "theirs", "ask", "Please do the work.").await;
    worker(&stack, "theirs-2", "theirs", "And now?").await;
    let (types, files) = types(&stack, "theirs").await;
    assert_whole(&types[..MESSAGES]);
    assert_eq!(types[MESSAGES..], ["human", "ai"]);
    assert_eq!(files, FILES);
    let read = python(&interpreter, &stack, "theirs", "ask", "And then?").await;
    assert_eq!(strings(&read["types"])[MESSAGES..], ["human", "ai", "human", "ai"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_goes_on_with_threads_that_python_left_half_done() {
    let Some(interpreter) = agent_testkit::langgraph_python_or_skip() else { return };
    let Some(stack) = stack().await else { return };

    // The thread is the job's own and its input the same: what is pending goes on, nothing is said twice.
    let left = python(&interpreter, &stack, "left", "half", "Please do the work.").await;
    assert_eq!((&left["next"], &left["types"]), (&json!(["tools"]), &json!(["human", "ai"])));
    worker(&stack, "left", "left", "Please do the work.").await;
    let (whole, files) = types(&stack, "left").await;
    assert_whole(&whole);
    assert_eq!(files, FILES);
    let read = python(&interpreter, &stack, "left", "read", "").await;
    assert_eq!((&read["next"], strings(&read["ids"])[..2].to_vec()), (&json!([]), strings(&left["ids"])));

    // Another job than the thread's own: a new turn, after the open call was healed.
    python(&interpreter, &stack, "other", "half", "Please do the work.").await;
    worker(&stack, "other-2", "other", "Something else.").await;
    let (types, _) = types(&stack, "other").await;
    assert_eq!(types[..4], ["human", "ai", "tool", "human"], "the open call is answered where it was made");
    let read = python(&interpreter, &stack, "other", "read", "").await;
    assert!(read["texts"][2].as_str().unwrap().contains("did not complete"), "{read}");
    assert_eq!(read["next"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_finishes_what_a_killed_python_process_left_half_done() {
    let Some(interpreter) = agent_testkit::langgraph_python_or_skip() else { return };
    let Some(stack) = stack().await else { return };
    let call = ["killed", "ask", "Please do the work."];
    let mut process = agent(&interpreter, &stack, "tools delay_ms=60", call).spawn().unwrap();
    until("the model is asked again", PATIENCE, async || (stack.model.requests() > 2).then_some(()))
        .await
        .unwrap();
    process.kill().await.unwrap();
    let before = python(&interpreter, &stack, "killed", "read", "").await;
    assert_ne!(before["next"], json!([]), "half done: {before}");
    worker(&stack, "killed", "killed", "Please do the work.").await;
    let (whole, files) = types(&stack, "killed").await;
    assert_whole(&whole);
    assert_eq!(files, FILES);
    let after = python(&interpreter, &stack, "killed", "read", "").await;
    let kept = before["ids"].as_array().unwrap().len();
    assert_eq!(after["ids"].as_array().unwrap()[..kept], before["ids"].as_array().unwrap()[..]);
}
