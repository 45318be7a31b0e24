//! `worker serve` as a process on real servers: a job over NATS and one over HTTP, to everything they must leave.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests stand outside of the test functions"
)]

use std::process::Command;

use agent_testkit::until;
use async_nats::jetstream;
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::common::{PATIENCE, connect, http, job, stack};

fn check_result(event: &Value, job_id: &str) {
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], "dev.my-platform.agent.completed");
    assert_eq!(event["source"], "agent-executor-service");
    assert_eq!(event["subject"], job_id);
    assert_eq!(event["id"], agent_wire::result_event_id(job_id).to_string());
    assert_eq!(event["data"]["job_id"], job_id);
    assert_eq!(event["data"]["result"]["status"], "completed");
    let parts: Vec<&str> = event["traceparent"].as_str().unwrap().split('-').collect();
    assert_eq!(parts.len(), 4);
    assert_eq!(parts[1], "0af7651916cd43dd8448eb211c80319c");
}

/// LangGraph's tables: exactly four, with rows of the thread.
async fn check_rows(dsn: &str, thread: &str, checkpoints: i64) {
    let client = connect(dsn).await;
    let tables = "select count(*) from information_schema.tables where table_name like 'checkpoint%'";
    let count: i64 = client.query_one(tables, &[]).await.unwrap().get(0);
    assert_eq!(count, 4);
    let rows = "select count(*) from checkpoints where thread_id = $1";
    let count: i64 = client.query_one(rows, &[&thread]).await.unwrap().get(0);
    assert_eq!(count, checkpoints);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_over_nats_leaves_its_result_its_checkpoints_and_its_stream() {
    let Some(stack) = stack().await else { return };
    let client = stack.nats.client().await.unwrap();
    let mut results = client.subscribe("agent.status.completed").await.unwrap();
    let mut stream = stack.servers.redis.subscribe("langgraph:stream:nats-1").await.unwrap();
    client.flush().await.unwrap();
    let event = json!({ "specversion": "1.0", "type": "dev.my-platform.agent.execute", "source": "test",
        "id": "1", "data": job("nats-1", "tools") });
    let context = jetstream::new(client.clone());
    context.publish("agent.execute.test", event.to_string().into()).await.unwrap().await.unwrap();

    let result = tokio::time::timeout(PATIENCE, results.next()).await.unwrap().unwrap();
    assert_eq!(
        result.headers.as_ref().unwrap().get("Nats-Msg-Id").unwrap().as_str(),
        agent_wire::result_event_id("nats-1").to_string()
    );
    let event: Value = serde_json::from_slice(&result.payload).unwrap();
    check_result(&event, "nats-1");
    let files = event["data"]["result"]["files"].as_object().unwrap();
    assert_eq!(files.keys().collect::<Vec<_>>(), ["/notes.md", "/summary.md"]);
    assert_eq!(files["/notes.md"]["content"], json!(["# notes", "gamma line", "beta line", ""]));

    let mut kinds = Vec::new();
    let mut last_seq = 0;
    loop {
        let (_, payload) = stream.next(PATIENCE).await.unwrap().unwrap();
        let event: Value = serde_json::from_slice(&payload).unwrap();
        let data = &event["data"];
        assert_eq!(data["seq"].as_u64().unwrap(), last_seq + 1, "{event}");
        last_seq += 1;
        assert_eq!(data["job_id"], "nats-1");
        kinds.push(event["event_type"].as_str().unwrap().to_owned());
        if event["event_type"] == "end" {
            assert_eq!(data["status"], "completed");
            break;
        }
    }
    for kind in ["on_state_update", "on_llm_stream", "on_tool_start", "on_tool_end"] {
        assert!(kinds.iter().any(|seen| seen == kind), "{kind} in {kinds:?}");
    }
    // 2t + 3 super-steps and two checkpoints of the input, with five rounds of tools.
    check_rows(&stack.dsn, "nats-1", 15).await;
    assert_eq!(stack.model.requests(), 6);
    let written = r#"agent_executor_tool_calls_total{tool="write_file",status="success"}"#;
    assert_eq!(stack.metric(written).await, Some(2.0));
    stack.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_over_http_is_answered_with_its_result_and_its_state_is_the_truth() {
    let Some(stack) = stack().await else { return };
    let (status, body) = http(stack.port, "POST", "/", &job("http-1", "hello").to_string()).await.unwrap();
    assert_eq!(status, 200, "{body}");
    check_result(&serde_json::from_str(&body).unwrap(), "http-1");
    check_rows(&stack.dsn, "http-1", 5).await;
    let (status, body) = http(stack.port, "GET", "/deepagents-runtime/state/http-1", "").await.unwrap();
    let state: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &state["status"]), (200, &json!("completed")), "{state}");

    let (status, body) =
        http(stack.port, "POST", "/invoke", &job("http-2", "hello").to_string()).await.unwrap();
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &answer["thread_id"]), (200, &json!("http-2")));
    until("the job has ended", PATIENCE, async || {
        let (_, body) = http(stack.port, "GET", "/state/http-2", "").await?;
        body.contains("\"completed\"").then_some(())
    })
    .await
    .unwrap();

    assert_eq!(http(stack.port, "GET", "/state/nobody", "").await.unwrap().0, 404);
    assert_eq!(http(stack.port, "POST", "/", "{").await.unwrap().0, 400);
    assert_eq!(http(stack.port, "POST", "/invoke", "{\"job_id\": 5}").await.unwrap().0, 422);
    assert_eq!(http(stack.port, "GET", "/health", "").await.unwrap().0, 200);
    let (_, metrics) = http(stack.port, "GET", "/metrics", "").await.unwrap();
    for name in ["nats_messages_processed_total 0", "nats_messages_failed_total 0"] {
        assert!(metrics.lines().any(|line| line == name), "{name}");
    }
    assert!(!metrics.contains("sk-canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_answered_recorded_and_out_of_the_way() {
    let Some(stack) = stack().await else { return };
    let client = stack.nats.client().await.unwrap();
    let mut failed = client.subscribe("agent.status.failed").await.unwrap();
    let mut completed = client.subscribe("agent.status.completed").await.unwrap();
    client.flush().await.unwrap();
    let context = jetstream::new(client.clone());
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let unknown = json!({ "job_id": "bad-provider", "agent_definition": { "nodes": [{ "type": "orchestrator", "config": {
        "name": "m", "model": { "provider": "nobody", "model": "x" } } }] }, "input_payload": {} });
    let bad = [
        ("bad-json", "{".to_owned()),
        ("bad-type", "[1, 2]".to_owned()),
        ("bad-depth", deep),
        ("bad-id", json!({ "job_id": "a.b c*", "agent_definition": {} }).to_string()),
        ("bad-empty", json!({ "job_id": "bad-empty", "agent_definition": {} }).to_string()),
        ("bad-provider", unknown.to_string()),
    ];
    for (subject, body) in &bad {
        context
            .publish(format!("agent.execute.{subject}"), body.clone().into())
            .await
            .unwrap()
            .await
            .unwrap();
    }
    let fine = job("fine-1", "hello").to_string().replace("do the work", "do\\u0000 it");
    context.publish("agent.execute.fine-1", fine.into()).await.unwrap().await.unwrap();

    for _ in &bad {
        let event = tokio::time::timeout(PATIENCE, failed.next()).await.unwrap().unwrap();
        let event: Value = serde_json::from_slice(&event.payload).unwrap();
        assert!(!event["data"]["error"]["message"].as_str().unwrap().is_empty());
        assert!(event["data"]["error"]["code"].as_str().unwrap().contains('.'), "{event}");
    }
    let event = tokio::time::timeout(PATIENCE, completed.next()).await.unwrap().unwrap();
    let event: Value = serde_json::from_slice(&event.payload).unwrap();
    assert_eq!(event["subject"], "fine-1");
    let postgres = stack.postgres().await;
    let letters: i64 =
        postgres.query_one("select count(*) from agent_dead_letters", &[]).await.unwrap().get(0);
    // The last two were jobs: they are in the table of jobs, failed.
    assert_eq!(letters, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_told_to_stop_hands_its_job_to_the_next_one() {
    let Some(mut stack) = stack().await else { return };
    let slow = job("slow-1", "tools delay_ms=60").to_string();
    let (status, _) = http(stack.port, "POST", "/invoke", &slow).await.unwrap();
    assert_eq!(status, 200);
    until("the model is asked", PATIENCE, async || (stack.model.requests() > 1).then_some(())).await.unwrap();
    stack.worker.signal("TERM");
    assert_eq!(stack.worker.ended().await, Some(0));

    let store = stack.store().await;
    let job = agent_checkpoint_store::Store::job(&store, "slow-1").await.unwrap().unwrap();
    assert_eq!(job.unclean_count, 0, "a hand-back is no failure");
    assert_eq!(job.status, agent_checkpoint_store::JobStatus::Running);
    let rows = agent_checkpoint_store::Store::load(&store, "slow-1").await.unwrap().rows;
    let state = agent_langgraph_codec::load_graph(&rows, "").unwrap().unwrap();
    assert!(state.messages.len() >= 2, "what was committed is there");
}

/// Prints, per thread, what LangGraph itself reads of it.
const READER: &str = r#"
import json, sys
from deepagents import create_deep_agent
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langgraph.checkpoint.postgres import PostgresSaver
with PostgresSaver.from_conn_string(sys.argv[1]) as saver:
    agent = create_deep_agent(model=FakeListChatModel(responses=["x"]), checkpointer=saver)
    for thread in sys.argv[2:]:
        config = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
        state = agent.get_state(config)
        print(json.dumps({
            "tuple": saver.get_tuple(config) is not None,
            "history": len(list(saver.list(config))),
            "next": list(state.next),
            "types": [message.type for message in state.values["messages"]],
            "files": sorted(state.values["files"]),
        }))
"#;

#[tokio::test(flavor = "multi_thread")]
async fn pythons_own_saver_reads_what_the_worker_wrote() {
    let Some(python) = agent_testkit::langgraph_python_or_skip() else { return };
    let Some(stack) = stack().await else { return };
    for (job_id, marker) in [("py-hello", "hello"), ("py-tools", "tools")] {
        let (status, body) = http(stack.port, "POST", "/", &job(job_id, marker).to_string()).await.unwrap();
        assert_eq!(status, 200, "{body}");
    }
    let read =
        Command::new(python).args(["-c", READER, &stack.dsn, "py-hello", "py-tools"]).output().unwrap();
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let lines = String::from_utf8(read.stdout).unwrap();
    let read: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let hello = json!({ "tuple": true, "history": 5, "next": [], "types": ["human", "ai"], "files": [] });
    assert_eq!(read[0], hello);
    assert_eq!((&read[1]["history"], &read[1]["next"]), (&json!(15), &json!([])));
    assert_eq!(read[1]["files"], json!(["/notes.md", "/summary.md"]));
    assert_eq!(read[1]["types"].as_array().unwrap().len(), 12);
}

#[test]
fn missing_settings_are_named_and_the_exit_code_says_so() {
    let output = Command::new(env!("CARGO_BIN_EXE_worker")).arg("serve").env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    for name in ["DATABASE_URL", "POSTGRES_HOST", "DRAGONFLY_HOST"] {
        assert!(told.contains(name), "{name} in {told}");
    }
}
