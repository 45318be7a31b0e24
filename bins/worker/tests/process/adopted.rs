//! Threads that a Python deep agent left half done, adopted by the worker as a process: the recorded rows are loaded
//! into its PostgreSQL, a job on the thread does what is due and nothing else.

#![expect(clippy::unwrap_used, reason = "helpers of tests stand outside of the test functions")]

use crate::common::{Plan, Stack, http, scripts_path};
use agent_langgraph_codec::GraphState;
use agent_testkit::recording_or_skip;
use serde_json::{Value, json};

/// What the scripted model says to the orchestrator and to its specialist.
const LEAD: &str = "tok0 ";
const RESEARCH: &str = "tok0 tok1 tok2";

/// A worker whose database holds these recorded threads.
async fn stack_with(plan: Plan, names: &[&str]) -> Option<Stack> {
    let folder = recording_or_skip("golden/checkpoint-examples")?;
    let stack = plan.start().await?;
    let postgres = stack.postgres().await;
    for name in names {
        let rows = std::fs::read_to_string(folder.join(format!("{name}.sql"))).unwrap();
        postgres.batch_execute(&rows).await.unwrap();
    }
    Some(stack)
}

/// A job on the thread of its own id.
fn job(thread: &str, text: &str) -> Value {
    let agent = |kind: &str, name: &str, prompt: &str, tools: &[&str]| {
        json!({ "type": kind, "config": { "name": name, "description": "does it", "system_prompt": prompt,
            "tools": tools, "model": "openai:gpt-4o-mini" } })
    };
    json!({
        "job_id": thread,
        "trace_id": "0af76519-16cd-43dd-8448-eb211c80319c",
        "agent_definition": { "nodes": [
            agent("orchestrator", "main", "You lead. [[fake:hello tokens=1]]", &[]),
            agent("specialist", "researcher", "You research. [[fake:hello tokens=3]]", &[]),
        ] },
        "input_payload": { "messages": [{ "role": "user", "content": text }] },
    })
}

/// Runs the job to its end; its result event.
async fn done(stack: &Stack, job: &Value) -> Value {
    let (status, body) = http(stack.port, "POST", "/", &job.to_string()).await.unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

async fn state(stack: &Stack, thread: &str) -> GraphState {
    let rows = agent_checkpoint_store::Store::load(&stack.store().await, thread).await.unwrap().rows;
    let state = agent_langgraph_codec::load_graph(&rows, "").unwrap().unwrap();
    assert!(state.next().is_empty(), "at rest: {:?}", state.next());
    state
}

fn texts(state: &GraphState) -> Vec<String> {
    state.messages.iter().map(|message| message.text("")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn half_done_threads_are_gone_on_with_over_nats_and_nothing_is_done_again() {
    let names = ["09-half-done", "11-model-error", "13-recursion-limit", "16-subagent-half-done"];
    let Some(stack) = stack_with(Plan::default(), &names).await else { return };
    let said = "I will write it.";
    for (thread, asked, input, expected) in [
        (
            "ex-half-done",
            1,
            "Write alpha to /a.txt.",
            vec!["Write alpha to /a.txt.", said, "Updated file /a.txt", LEAD],
        ),
        ("ex-model-error", 1, "Model fails.", vec!["Model fails.", LEAD]),
        (
            "ex-recursion",
            0,
            "Write alpha to /a.txt.",
            vec!["Write alpha to /a.txt.", said, "Updated file /a.txt", "Done."],
        ),
        ("ex-sub-half", 2, "Delegate Y.", vec!["Delegate Y.", "", RESEARCH, LEAD]),
    ] {
        let before = stack.model.requests();
        stack.publish(&job(thread, input)).await;
        assert_eq!(stack.end_of(thread).await, "completed", "{thread}");
        assert_eq!(stack.model.requests() - before, asked, "{thread}: model calls");
        assert_eq!(texts(&state(&stack, thread).await), expected, "{thread}");
    }
    for thread in ["ex-half-done", "ex-recursion"] {
        assert_eq!(state(&stack, thread).await.files["/a.txt"].text(), "alpha\nbeta", "{thread}");
    }
    let files = state(&stack, "ex-sub-half").await.files;
    assert_eq!(files.len(), 1, "what the sub-agent wrote before it failed: {:?}", files.keys());
    stack.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_recorded_tools_only_the_one_that_raised_runs_again() {
    let Some(path) = scripts_path() else { return };
    let plan = Plan::default().env("PATH", path);
    let Some(stack) = stack_with(plan, &["10-tool-error"]).await else { return };
    let script = |name: &str| {
        let source = format!(
            "from langchain_core.tools import tool\n\n@tool\ndef {name}(x: int) -> str:\n    'Do it.'\n    \
             return f'{name} of ours {{x}}'\n"
        );
        json!({ "name": name, "runtime": { "script": source } })
    };
    let mut job = job("ex-tool-error", "Fail one.");
    job["agent_definition"]["tool_definitions"] = json!([script("ok_tool"), script("bad_tool")]);
    job["agent_definition"]["nodes"][0]["config"]["tools"] = json!(["ok_tool", "bad_tool"]);
    let event = done(&stack, &job).await;
    assert_eq!(event["data"]["result"]["output"], LEAD, "{event}");
    let state = state(&stack, "ex-tool-error").await;
    assert_eq!(texts(&state), ["Fail one.", "", "ok 1", "bad_tool of ours 2", LEAD]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_thread_that_waits_for_an_answer_says_so_and_takes_a_new_turn() {
    let Some(stack) = stack_with(Plan::default(), &["07-interrupted", "18-subagent-interrupted"]).await
    else {
        return;
    };
    for (thread, input) in
        [("ex-interrupted", "Write alpha to /a.txt."), ("ex-sub-interrupted", "Delegate it.")]
    {
        let event = done(&stack, &job(thread, input)).await;
        assert_eq!(event["data"]["error"]["code"], "thread.waiting", "{thread}: {event}");
        assert_eq!(stack.model.requests(), 0, "{thread}");
    }
    let mut other = job("another-job", "Never mind.");
    other["thread_id"] = "ex-interrupted".into();
    let event = done(&stack, &other).await;
    assert_eq!(event["data"]["result"]["output"], LEAD, "{event}");
    let texts = texts(&state(&stack, "ex-interrupted").await);
    assert!(texts[2].contains("did not complete"), "{texts:?}");
    assert_eq!(texts[3..], ["Never mind.", LEAD]);
}
