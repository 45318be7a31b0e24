//! The runtime over in-memory backends: jobs from admission to the end, without any server.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stand outside of the test functions"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent_checkpoint_store::{JobStatus, MemoryStore, OutboxMessage, Store};
use agent_executor_core::{ModelError, ModelErrorKind, ModelReply, ModelRequest, StopReason};
use agent_executor_runtime::{
    Backends, Executor, JobEnd, PublishError, ResultPublisher, RuntimeSettings, Submission, SystemClock,
};
use agent_langgraph_codec::{Content, Message};
use agent_model_client::{Delta, ModelClient, OnDelta};
use agent_stream_sink::{InProcess, InProcessLimits};
use agent_tool_host::ScriptsOff;
use agent_wire::{JobRequest, stream};
use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::Notify;

/// Answers every question with "hello there"; can break its stream, fail, or wait to be released.
#[derive(Default)]
struct Echo {
    asked: AtomicUsize,
    /// So many calls break after their first piece.
    break_first: usize,
    hold: Option<Arc<Notify>>,
    fail: Option<ModelErrorKind>,
}

#[async_trait]
impl ModelClient for Echo {
    async fn complete(
        &self,
        request: &ModelRequest,
        on_delta: OnDelta<'_>,
    ) -> Result<ModelReply, ModelError> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let error =
            |kind| ModelError { kind, message: "scripted".to_owned(), status: None, request_id: None };
        if let Some(kind) = self.fail {
            return Err(error(kind));
        }
        on_delta(Delta::Text("hello "));
        if asked < self.break_first {
            return Err(error(ModelErrorKind::Interrupted));
        }
        if let Some(hold) = &self.hold {
            hold.notified().await;
        }
        on_delta(Delta::Text("there"));
        let said = format!("hello there, {} messages", request.messages.len());
        Ok(ModelReply {
            message: Message::ai(Content::Text(said), Vec::new(), None),
            stop: StopReason::Stop,
            usage: None,
        })
    }
}

/// Counts what is published; refuses while told to.
#[derive(Default)]
struct Published {
    sent: std::sync::Mutex<Vec<OutboxMessage>>,
    refuse: AtomicUsize,
}

#[async_trait]
impl ResultPublisher for Published {
    async fn publish(&self, message: &OutboxMessage) -> Result<(), PublishError> {
        if self.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(PublishError("not now".to_owned()));
        }
        self.sent.lock().unwrap().push(message.clone());
        Ok(())
    }
}

struct World {
    executor: Executor,
    store: Arc<MemoryStore>,
    sink: Arc<InProcess>,
    published: Arc<Published>,
    model: Arc<Echo>,
}

fn world(model: Echo) -> World {
    world_with(model, Published::default(), Arc::new(MemoryStore::default()), "one")
}

fn world_with(model: Echo, published: Published, store: Arc<MemoryStore>, owner: &str) -> World {
    let sink = Arc::new(InProcess::new(InProcessLimits::default(), stream::gap));
    let (published, model) = (Arc::new(published), Arc::new(model));
    let backends = Backends {
        store: store.clone(),
        sink: sink.clone(),
        models: model.clone(),
        tools: Arc::new(ScriptsOff),
        publisher: published.clone(),
        clock: Arc::new(SystemClock),
    };
    let settings = RuntimeSettings {
        sweep_every: Duration::from_millis(20),
        outbox_after: Duration::ZERO,
        ..RuntimeSettings::new(owner)
    };
    let executor = Executor::new(backends, settings);
    World { executor, store, sink, published, model }
}

fn job(job_id: &str, thread_id: &str, text: &str) -> JobRequest {
    common::job(job_id, thread_id, "You greet.", text)
}

async fn run(world: &World, job: JobRequest) -> JobEnd {
    common::submit(&world.executor, job).await.ended().await
}

async fn events(world: &World, thread: &str) -> Vec<Value> {
    let mut subscription = world.sink.subscribe(thread);
    let mut events = Vec::new();
    while let Some(event) = subscription.next().await {
        let event: Value = serde_json::from_slice(&event.payload).unwrap();
        let last = event["event_type"] == "end";
        events.push(event);
        if last {
            break;
        }
    }
    events
}

#[tokio::test]
async fn a_job_leaves_a_result_a_thread_and_a_stream() {
    let world = world(Echo::default());
    assert_eq!(run(&world, job("j1", "t1", "hi")).await, JobEnd::Ended(JobStatus::Completed));

    let sent = world.published.sent.lock().unwrap().clone();
    assert_eq!(sent.len(), 1);
    let event: Value = serde_json::from_slice(&sent[0].body).unwrap();
    assert_eq!(event["data"]["result"]["output"], "hello there, 1 messages");
    assert_eq!(event["traceparent"].as_str().unwrap().split('-').count(), 4);

    let rows = world.store.load("t1").await.unwrap().rows;
    assert_eq!(rows.checkpoints.len(), 5, "the rows that Python writes for a plain answer");

    let events = events(&world, "t1").await;
    let kinds: Vec<&str> = events.iter().map(|event| event["event_type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["on_state_update", "on_llm_stream", "on_state_update", "end"]);
    let numbers: Vec<u64> = events.iter().map(|event| event["data"]["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert_eq!(events[1]["data"]["content"], "hello there", "pieces are merged");
}

#[tokio::test]
async fn a_stream_that_breaks_is_asked_again_and_its_text_taken_back() {
    let world = world(Echo { break_first: 1, ..Echo::default() });
    assert_eq!(run(&world, job("j1", "t1", "hi")).await, JobEnd::Ended(JobStatus::Completed));
    let events = events(&world, "t1").await;
    let superseded = events.iter().find(|event| event["event_type"] == "attempt_superseded").unwrap();
    assert_eq!(superseded["data"]["from_seq"], 2);
    assert_eq!(superseded["data"]["attempt"], 2);
}

#[tokio::test]
async fn a_stream_that_breaks_three_times_fails_the_job() {
    let world = world(Echo { break_first: 3, ..Echo::default() });
    assert_eq!(run(&world, job("j1", "t1", "hi")).await, JobEnd::Ended(JobStatus::Failed));
    assert_eq!(world.model.asked.load(Ordering::SeqCst), 3);
    let sent = world.published.sent.lock().unwrap().clone();
    assert_eq!(sent[0].subject, "agent.status.failed");
    let event: Value = serde_json::from_slice(&sent[0].body).unwrap();
    assert_eq!(event["data"]["error"]["type"], "ExecutionError");
    assert_eq!(event["data"]["error"]["code"], "model.interrupted");
}

#[tokio::test]
async fn a_finished_job_that_comes_again_runs_nothing() {
    let world = world(Echo::default());
    run(&world, job("j1", "t1", "hi")).await;
    let slot = world.executor.direct_slot().await.unwrap();
    let again = world.executor.submit(job("j1", "t1", "hi"), slot).await.unwrap();
    assert!(matches!(again, Submission::Done(_)), "{again:?}");
    let slot = world.executor.direct_slot().await.unwrap();
    let reused = world.executor.submit(job("j1", "t1", "something else"), slot).await.unwrap();
    assert!(matches!(reused, Submission::IdReused), "{reused:?}");
    assert_eq!(world.model.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn jobs_of_one_thread_run_one_after_another_in_one_conversation() {
    let hold = Arc::new(Notify::new());
    let world = world(Echo { hold: Some(hold.clone()), ..Echo::default() });
    let slot = world.executor.direct_slot().await.unwrap();
    let Submission::Running(first) = world.executor.submit(job("j1", "t1", "one"), slot).await.unwrap()
    else {
        panic!()
    };
    let slot = world.executor.direct_slot().await.unwrap();
    let queued = world.executor.submit(job("j2", "t1", "two"), slot).await.unwrap();
    assert!(matches!(queued, Submission::Queued { .. }), "{queued:?}");
    hold.notify_one();
    assert_eq!(first.ended().await, JobEnd::Ended(JobStatus::Completed));
    hold.notify_one();
    let second = world.executor.wait("j2").await.unwrap().unwrap();
    let event: Value = serde_json::from_slice(&second.result.unwrap()).unwrap();
    assert_eq!(
        event["data"]["result"]["output"], "hello there, 3 messages",
        "the first turn and the new message"
    );
}

#[tokio::test]
async fn a_result_that_could_not_leave_is_sent_by_the_sweep_once() {
    let published = Published { refuse: AtomicUsize::new(1), ..Published::default() };
    let world = world_with(Echo::default(), published, Arc::default(), "one");
    world.executor.start();
    run(&world, job("j1", "t1", "hi")).await;
    while world.published.sent.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    let sent = world.published.sent.lock().unwrap().clone();
    assert_eq!(&*sent[0].id, agent_wire::result_event_id("j1").to_string());
}

#[tokio::test(start_paused = true)]
async fn a_drained_worker_hands_its_job_to_another_which_finishes_it() {
    let store = Arc::new(MemoryStore::default());
    let hold = Arc::new(Notify::new());
    let first =
        world_with(Echo { hold: Some(hold), ..Echo::default() }, Published::default(), store.clone(), "one");
    let slot = first.executor.direct_slot().await.unwrap();
    let Submission::Running(handle) = first.executor.submit(job("j1", "t1", "hi"), slot).await.unwrap()
    else {
        panic!()
    };
    assert!(first.executor.drain(Duration::from_millis(500)).await);
    assert_eq!(handle.ended().await, JobEnd::HandedBack);

    let second = world_with(Echo::default(), Published::default(), store.clone(), "two");
    assert_eq!(run(&second, job("j1", "t1", "hi")).await, JobEnd::Ended(JobStatus::Completed));
    let job = store.job("j1").await.unwrap().unwrap();
    assert_eq!(job.unclean_count, 0, "a hand-back is no failure");
    let rows = store.load("t1").await.unwrap().rows;
    let state = agent_langgraph_codec::load_graph(&rows, "").unwrap().unwrap();
    assert_eq!(state.messages.len(), 2, "the user's message once, and the answer");
}

#[tokio::test]
async fn a_cancelled_job_fails_as_cancelled_and_its_model_call_is_dropped() {
    let world = world(Echo { hold: Some(Arc::default()), ..Echo::default() });
    let slot = world.executor.direct_slot().await.unwrap();
    let Submission::Running(handle) = world.executor.submit(job("j1", "t1", "hi"), slot).await.unwrap()
    else {
        panic!()
    };
    world.executor.cancel("j1").await.unwrap().unwrap();
    assert_eq!(handle.ended().await, JobEnd::Ended(JobStatus::Cancelled));
}

#[tokio::test]
async fn a_definition_that_cannot_run_fails_the_job_and_says_why() {
    let world = world(Echo::default());
    let body = json!({ "job_id": "j1", "agent_definition": { "nodes": "none" }, "input_payload": {} });
    let job = common::parsed(&body);
    assert_eq!(run(&world, job).await, JobEnd::Ended(JobStatus::Failed));
    let sent = world.published.sent.lock().unwrap().clone();
    let event: Value = serde_json::from_slice(&sent[0].body).unwrap();
    assert_eq!(event["data"]["error"]["type"], "GraphBuilderError");
    assert!(event["data"]["error"]["message"].as_str().unwrap().contains("nodes"), "{event}");
}

#[tokio::test]
async fn a_summary_is_marked_in_the_stream_and_its_file_is_not_told() {
    let world = world(Echo::default());
    let body = json!({
        "job_id": "j1", "thread_id": "t1",
        "agent_definition": { "nodes": [{ "type": "orchestrator", "config": {
            "name": "main", "system_prompt": "You greet.", "model": "openai:scripted",
            "context": { "summarize": { "at": { "messages": 3 }, "keep": { "messages": 1 } } } } }] },
        "input_payload": { "messages": [{ "role": "user", "content": "one" },
            { "role": "user", "content": "two" }, { "role": "user", "content": "three" }] },
    });
    let job = common::parsed(&body);
    assert_eq!(run(&world, job).await, JobEnd::Ended(JobStatus::Completed));

    let sent = world.published.sent.lock().unwrap().clone();
    let event: Value = serde_json::from_slice(&sent[0].body).unwrap();
    let result = &event["data"]["result"];
    assert_eq!(result["output"], "hello there, 2 messages", "the summary and what stands after it");
    assert_eq!((&result["files"], &result["usage"]["model_calls"]), (&json!({}), &json!(2)));

    let events = events(&world, "t1").await;
    let pieces = events.iter().filter(|event| event["event_type"] == "on_llm_stream");
    let sources: Vec<&Value> = pieces.map(|event| &event["data"]["source"]).collect();
    assert_eq!(sources, [&json!("summarization"), &Value::Null]);
    assert!(events.iter().all(|event| !event["data"]["files"].to_string().contains("conversation_history")));
    let rows = world.store.load("t1").await.unwrap().rows;
    let thread = agent_langgraph_codec::load_graph(&rows, "").unwrap().unwrap();
    assert_eq!(thread.files.len(), 1, "the thread has it");
}
