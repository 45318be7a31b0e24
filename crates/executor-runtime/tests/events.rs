//! The one event sequence of a thread: what the journal holds, and what readers get of it.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests stand outside of the test functions"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use agent_checkpoint_store::{JobStatus, JournalRow, MemoryStore, Retention, Store};
use agent_executor_core::{ModelError, ModelReply, ModelRequest, StopReason};
use agent_executor_runtime::{
    Backends, Events, Executor, JobEnd, JobHandle, NoPublisher, RuntimeSettings, Since, SystemClock,
};
use agent_langgraph_codec::{Content, Kind, Message, ToolCall};
use agent_model_client::{Delta, ModelClient, OnDelta};
use agent_stream_sink::{InProcess, InProcessLimits};
use agent_tool_host::ScriptsOff;
use agent_wire::journal::StateFold;
use agent_wire::{JobRequest, journal, stream};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// Says `pieces` words; a system prompt with `write` makes it write a file first. Each word takes a permit.
struct Speaker {
    pieces: usize,
    permits: Arc<Semaphore>,
    /// Bytes that make each word longer.
    padding: usize,
}

impl Speaker {
    fn free(pieces: usize) -> Self {
        Self { pieces, permits: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)), padding: 0 }
    }
}

#[async_trait]
impl ModelClient for Speaker {
    async fn complete(
        &self,
        request: &ModelRequest,
        on_delta: OnDelta<'_>,
    ) -> Result<ModelReply, ModelError> {
        let asked = request.messages.iter().rev().find(|message| matches!(message.kind, Kind::Human));
        let asked = asked.map(|message| message.text("")).unwrap_or_default();
        let answered = matches!(request.messages.last().map(|m| &m.kind), Some(Kind::Tool { .. }));
        let mut text = String::new();
        for n in 0..self.pieces {
            self.permits.acquire().await.unwrap().forget();
            let word = format!("w{n} {}", "x".repeat(self.padding));
            on_delta(Delta::Text(&word));
            text.push_str(&word);
            tokio::task::yield_now().await;
        }
        let calls = if asked.contains("write") && !answered {
            let args = json!({ "file_path": format!("/{}.md", asked.len()), "content": "one\ntwo" });
            let args = args.as_object().unwrap().clone();
            vec![ToolCall { name: "write_file".to_owned(), args, id: Some("call-1".to_owned()) }]
        } else {
            Vec::new()
        };
        Ok(ModelReply {
            message: Message::ai(Content::Text(text), calls, None),
            stop: StopReason::Stop,
            usage: None,
        })
    }
}

struct World {
    executor: Executor,
    store: Arc<MemoryStore>,
    sink: Arc<InProcess>,
}

fn world(model: Speaker, store: &Arc<MemoryStore>, owner: &str) -> World {
    let sink = Arc::new(InProcess::new(InProcessLimits::default(), stream::gap));
    let backends = Backends {
        store: store.clone(),
        sink: sink.clone(),
        models: Arc::new(model),
        tools: Arc::new(ScriptsOff),
        publisher: Arc::new(NoPublisher),
        clock: Arc::new(SystemClock),
    };
    let settings = RuntimeSettings { merge_deltas: Duration::ZERO, ..RuntimeSettings::new(owner) };
    World { executor: Executor::new(backends, settings), store: store.clone(), sink }
}

fn job(job_id: &str, thread_id: &str, text: &str) -> JobRequest {
    common::job(job_id, thread_id, "You speak.", text)
}

async fn submit(world: &World, job: JobRequest) -> JobHandle {
    common::submit(&world.executor, job).await
}

async fn run(world: &World, job: JobRequest) {
    assert_eq!(submit(world, job).await.ended().await, JobEnd::Ended(JobStatus::Completed));
}

async fn rows(store: &MemoryStore, thread: &str) -> Vec<JournalRow> {
    store.events(thread, 0, usize::MAX).await.unwrap()
}

/// Whole events out of the journal; panics at a hole.
async fn journalled(store: &MemoryStore, thread: &str) -> Vec<Bytes> {
    let mut fold = StateFold::default();
    let mut events = Vec::new();
    for row in rows(store, thread).await {
        events.extend(journal::split(&row.events).map(|line| fold.apply(&line).unwrap()));
    }
    events
}

/// What the sink was told up to the `end` of the `jobs`-th job.
async fn told(world: &World, thread: &str, jobs: usize) -> Vec<Bytes> {
    let mut subscription = world.sink.subscribe(thread);
    let (mut events, mut ends) = (Vec::new(), 0);
    while ends < jobs {
        let event = subscription.next().await.unwrap();
        ends += usize::from(event.payload.starts_with(b"{\"event_type\":\"end\""));
        events.push(event.payload);
    }
    events
}

fn value(event: &Bytes) -> Value {
    serde_json::from_slice(event).unwrap()
}

#[tokio::test]
async fn the_journal_gives_back_every_event_as_it_was_told() {
    let world = world(Speaker::free(3), &Arc::default(), "one");
    run(&world, job("j1", "t", "write it")).await;
    run(&world, job("j2", "t", "write another")).await;
    let events = journalled(&world.store, "t").await;
    assert_eq!(events, told(&world, "t", 2).await);
    let numbers: Vec<u64> = events.iter().map(|event| journal::head(event).unwrap().seq).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    let last_state = events.iter().rfind(|event| event.starts_with(b"{\"event_type\":\"on_state_update\""));
    let state = value(last_state.unwrap());
    assert_eq!(state["data"]["files"].as_object().unwrap().len(), 2, "complete before the end: {state}");
    assert_eq!(state["data"]["messages_json"].as_array().unwrap().len(), 8);
}

#[tokio::test]
async fn a_plain_answer_costs_two_commits_with_its_journal() {
    let world = world(Speaker::free(1), &Arc::default(), "one");
    run(&world, job("j1", "t", "hi")).await;
    assert_eq!(rows(&world.store, "t").await.len(), 2, "the input's and the end's");
}

#[tokio::test]
async fn the_journal_grows_with_what_is_said_and_not_with_what_was_said_before() {
    let world = world(Speaker::free(4), &Arc::default(), "one");
    let mut sizes = Vec::new();
    for turn in 0..200 {
        // As long in every turn, whatever its number.
        run(&world, job(&format!("job-{turn:03}"), "t", &format!("say it, {turn:03}"))).await;
        sizes.push(rows(&world.store, "t").await.iter().map(|row| row.events.len()).sum::<usize>());
    }
    let of_turns = |from: usize, to: usize| sizes[to - 1] - sizes[from - 1];
    let (early, late) = (of_turns(10, 50), of_turns(160, 200));
    assert!(late * 100 < early * 110, "40 turns took {early} bytes at first and {late} at last");
    let whole = journalled(&world.store, "t").await;
    let state = value(whole.iter().rfind(|event| event.starts_with(b"{\"event_type\":\"on_state")).unwrap());
    assert_eq!(state["data"]["messages_json"].as_array().unwrap().len(), 400);
}

#[tokio::test]
async fn a_call_that_streams_for_long_is_journalled_before_it_ends() {
    let speaker = Speaker { pieces: 400, permits: Arc::new(Semaphore::new(300)), padding: 4_000 };
    let permits = speaker.permits.clone();
    let world = world(speaker, &Arc::default(), "one");
    let handle = submit(&world, job("j1", "t", "hi")).await;
    // The row of the input, and one for text alone: 300 words are more than may wait.
    while rows(&world.store, "t").await.len() < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    permits.add_permits(100);
    assert_eq!(handle.ended().await, JobEnd::Ended(JobStatus::Completed));
    assert_eq!(journalled(&world.store, "t").await, told(&world, "t", 1).await);
}

#[tokio::test]
async fn after_a_lost_worker_a_marker_covers_what_was_told_and_not_durable() {
    let store = Arc::new(MemoryStore::default());
    let speaker = Speaker { pieces: 3, permits: Arc::new(Semaphore::new(2)), padding: 0 };
    let first = world(speaker, &store, "one");
    drop(submit(&first, job("j1", "t", "hi")).await);
    let mut live = first.sink.subscribe("t");
    let before = [live.next().await.unwrap(), live.next().await.unwrap()];
    assert_eq!(before.map(|event| event.seq), [1, 2]);
    first.executor.abandon();
    store.expire("t");

    let second = world(Speaker::free(3), &store, "two");
    run(&second, job("j1", "t", "hi")).await;
    let events = journalled(&store, "t").await;
    let marker = value(&events[1]);
    assert_eq!(marker["event_type"], "attempt_superseded");
    assert_eq!(marker["data"]["from_seq"], 2, "only the input's state was durable");
    assert!(marker["data"]["seq"].as_u64().unwrap() > 512, "after the reserved end");
    assert_eq!(marker["data"]["epoch"], 2);
    let later = told(&second, "t", 1).await;
    assert_eq!(events[1..], later[..]);
}

#[tokio::test]
async fn a_worker_that_stops_leaves_no_hole_and_takes_its_open_text_back() {
    let store = Arc::new(MemoryStore::default());
    let speaker = Speaker { pieces: 3, permits: Arc::new(Semaphore::new(2)), padding: 0 };
    let first = world(speaker, &store, "one");
    let handle = submit(&first, job("j1", "t", "hi")).await;
    let mut live = first.sink.subscribe("t");
    live.next().await.unwrap();
    live.next().await.unwrap();
    first.executor.drain(Duration::from_millis(100)).await;
    assert_eq!(handle.ended().await, JobEnd::HandedBack);
    let second = world(Speaker::free(3), &store, "two");
    run(&second, job("j1", "t", "hi")).await;
    let events: Vec<Value> = journalled(&store, "t").await.iter().map(value).collect();
    for (n, event) in (1_u64..).zip(&events) {
        assert_eq!(event["data"]["seq"], n, "{event}");
    }
    let marker = events.iter().find(|event| event["event_type"] == "attempt_superseded").unwrap();
    assert_eq!(marker["data"]["from_seq"], 2);
    assert_eq!(marker["data"]["message_id"], events[1]["data"]["message_id"]);
}

/// Reads until the `jobs`-th end.
async fn read(events: &mut Events, jobs: usize) -> Vec<Bytes> {
    let (mut seen, mut ends) = (Vec::new(), 0);
    while ends < jobs {
        let event = events.next().await.unwrap();
        ends += usize::from(event.payload.starts_with(b"{\"event_type\":\"end\""));
        seen.push(event.payload);
    }
    seen
}

#[tokio::test]
async fn a_reader_elsewhere_and_later_gets_the_very_same_events_from_anywhere() {
    let store = Arc::new(MemoryStore::default());
    let first = world(Speaker::free(3), &store, "one");
    run(&first, job("j1", "t", "write it")).await;
    run(&first, job("j2", "t", "write another")).await;
    let told = told(&first, "t", 2).await;
    let elsewhere = world(Speaker::free(1), &store, "two").executor;
    let ends: Vec<usize> =
        (0..told.len()).filter(|at| told[*at].starts_with(b"{\"event_type\":\"end\"")).collect();
    for from in 0..told.len() {
        let mut events = elsewhere.events("t", Since::Number(from as u64)).await.unwrap();
        let left = ends.iter().filter(|end| **end >= from).count();
        assert_eq!(read(&mut events, left).await, told[from..], "since {from}");
    }
    let mut events = elsewhere.events("t", Since::NewestJob).await.unwrap();
    assert_eq!(read(&mut events, 1).await, told[ends[0] + 1..]);
}

#[tokio::test]
async fn a_reader_that_joins_in_the_middle_of_a_call_hears_its_text_at_once() {
    let speaker = Speaker { pieces: 4, permits: Arc::new(Semaphore::new(2)), padding: 0 };
    let permits = speaker.permits.clone();
    let world = world(speaker, &Arc::default(), "one");
    let handle = submit(&world, job("j1", "t", "hi")).await;
    let mut early = world.sink.subscribe("t");
    let text = [early.next().await.unwrap(), early.next().await.unwrap()].map(|event| event.payload);
    let mut events = world.executor.events("t", Since::NewestJob).await.unwrap();
    let heard = [events.next().await.unwrap(), events.next().await.unwrap()].map(|event| event.payload);
    assert_eq!(heard, text, "the second is in no journal yet");
    permits.add_permits(2);
    assert_eq!(handle.ended().await, JobEnd::Ended(JobStatus::Completed));
    let mut all = heard.to_vec();
    all.extend(read(&mut events, 1).await);
    assert_eq!(all, told(&world, "t", 1).await);
}

/// What is left for a client that does what the markers say.
fn counted(events: &[Bytes]) -> Vec<Value> {
    let mut counted: Vec<Value> = Vec::new();
    for event in events.iter().map(value) {
        if event["event_type"] == "attempt_superseded" {
            let (from, of) = (event["data"]["from_seq"].as_u64(), &event["data"]["message_id"]);
            counted.retain(|old| {
                let covered = old["data"]["seq"].as_u64() >= from;
                let text = old["event_type"] == "on_llm_stream" && old["data"]["message_id"] == *of;
                !(covered && (of.is_null() || text))
            });
        }
        counted.push(event);
    }
    counted
}

#[tokio::test]
async fn a_reader_outlives_the_worker_and_ends_with_what_a_late_one_gets() {
    let store = Arc::new(MemoryStore::default());
    let speaker = Speaker { pieces: 3, permits: Arc::new(Semaphore::new(2)), padding: 0 };
    let first = world(speaker, &store, "one");
    let mut seen = first.executor.events("t", Since::Number(0)).await.unwrap();
    drop(submit(&first, job("j1", "t", "hi")).await);
    let mut list = vec![seen.next().await.unwrap().payload, seen.next().await.unwrap().payload];
    first.executor.abandon();
    store.expire("t");
    let second = world(Speaker::free(3), &store, "two");
    second.executor.start();
    run(&second, job("j1", "t", "hi")).await;
    // The client comes again, to another worker, with the last number that it saw.
    let mut again = second.executor.events("t", Since::Number(2)).await.unwrap();
    list.extend(read(&mut again, 1).await);
    let late = read(&mut second.executor.events("t", Since::Number(0)).await.unwrap(), 1).await;
    assert_ne!(list, late);
    assert_eq!(counted(&list), counted(&late));
}

#[tokio::test]
async fn where_the_journals_beginning_is_gone_the_state_comes_from_the_checkpoint() {
    let store = Arc::new(MemoryStore::default());
    let world = world(Speaker::free(3), &store, "one");
    run(&world, job("j1", "t", "write it")).await;
    let all = Retention { events: Some(Duration::ZERO), ..Retention::default() };
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert!(store.purge(&all, 1_000).await.unwrap() > 0);
    assert!(rows(&store, "t").await.is_empty());
    run(&world, job("j2", "t", "again")).await;
    let told = told(&world, "t", 2).await;
    let mut events = world.executor.events("t", Since::NewestJob).await.unwrap();
    let seen = read(&mut events, 1).await;
    assert_eq!(seen, told[told.len() - seen.len()..]);
    let mut events = world.executor.events("t", Since::Number(0)).await.unwrap();
    let gap = value(&events.next().await.unwrap().payload);
    assert_eq!((&gap["event_type"], &gap["data"]["from_seq"]), (&json!("gap"), &json!(1)));
}
