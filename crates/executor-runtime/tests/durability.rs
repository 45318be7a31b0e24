//! What survives the death of a worker, and what never happens twice: over in-memory backends, without any server.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests stand outside of the test functions"
)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_checkpoint_store::{
    Begin, BeginRequest, Commit, DeadLetter, DeadLetterRecord, Finished, JobRecord, JobStatus, JobSummary,
    JournalRow, Lease, MemoryStore, OutboxMessage, Retention, Snapshot, Store, StoreError, Terminal,
};
use agent_executor_core::{
    Class, CustomTool, ModelError, ModelErrorKind, ModelReply, ModelRequest, ScriptTool, Stamp, StopReason,
    ToolResult, ToolSpec,
};
use agent_executor_runtime::{
    Backends, Clock, Executor, JobEnd, PublishError, ResultPublisher, RuntimeSettings, Submission,
    SystemClock,
};
use agent_langgraph_codec::{Content, Kind, Message, ToolCall, ToolStatus};
use agent_model_client::{Delta, ModelClient, OnDelta};
use agent_stream_sink::{InProcess, InProcessLimits};
use agent_tool_host::{Invocation, ToolHost, ToolHostError};
use agent_wire::{JobRequest, Limits, stream};
use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, Semaphore};

/// Calls the tools of its list in its first turn, and repeats in its second what it was told.
#[derive(Default)]
struct Model {
    tools: Vec<&'static str>,
    asked: AtomicUsize,
    down: AtomicBool,
    /// The first call takes so long and then breaks.
    breaks_after: Option<Duration>,
    panics: AtomicBool,
    /// Permits to answer; `None`: at once.
    hold: Option<Arc<Semaphore>>,
}

#[async_trait]
impl ModelClient for Model {
    async fn complete(
        &self,
        request: &ModelRequest,
        on_delta: OnDelta<'_>,
    ) -> Result<ModelReply, ModelError> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics.swap(false, Ordering::SeqCst), "the model client has a bug");
        if let Some(hold) = &self.hold {
            hold.acquire().await.unwrap().forget();
        }
        if let Some(after) = self.breaks_after
            && asked == 0
        {
            on_delta(Delta::Text("half"));
            tokio::time::sleep(after).await;
            let kind = ModelErrorKind::Interrupted;
            return Err(ModelError { kind, message: "cut".to_owned(), status: None, request_id: None });
        }
        let answers = request.messages.iter().filter(|message| matches!(message.kind, Kind::Tool { .. }));
        let told: Vec<String> = answers.map(|message| message.text("")).collect();
        let calls = self.tools.iter().enumerate().map(|(n, name)| ToolCall {
            id: Some(format!("call-{n}")),
            name: (*name).to_owned(),
            args: Map::new(),
        });
        let calls: Vec<ToolCall> = if told.is_empty() { calls.collect() } else { Vec::new() };
        let stop = if calls.is_empty() { StopReason::Stop } else { StopReason::ToolCalls };
        let message = Message::ai(Content::Text(told.join(" | ")), calls, None);
        Ok(ModelReply { message, stop, usage: None })
    }

    fn ready(&self) -> bool {
        !self.down.load(Ordering::SeqCst)
    }
}

/// Tools named by their class; `slow` waits for a permit, every call is written down.
struct Tools {
    calls: Mutex<Vec<(String, String)>>,
    called: Notify,
    permits: Semaphore,
}

impl Tools {
    fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self { calls: Mutex::default(), called: Notify::new(), permits: Semaphore::new(permits) })
    }

    fn calls_of(&self, tool: &str) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(name, _)| name == tool).map(|(_, key)| key.clone()).collect()
    }

    async fn until_called(&self, tool: &str, times: usize) {
        while self.calls_of(tool).len() < times {
            self.called.notified().await;
        }
    }
}

#[async_trait]
impl ToolHost for Tools {
    async fn describe(&self, tools: &[ScriptTool]) -> Result<Vec<(String, CustomTool)>, ToolHostError> {
        let described = tools.iter().map(|tool| {
            let class = match tool.name.split('_').next() {
                Some("pure") => Class::Pure,
                Some("idempotent") => Class::Idempotent,
                _ => Class::AtMostOnce,
            };
            let spec = ToolSpec {
                name: tool.name.clone(),
                description: "a tool".to_owned(),
                parameters: json!({ "type": "object", "properties": {} }),
            };
            (tool.name.clone(), CustomTool { spec, class })
        });
        Ok(described.collect())
    }

    async fn call(&self, _: &Arc<[ScriptTool]>, call: Invocation, _: Class) -> Option<ToolResult> {
        self.calls.lock().unwrap().push((call.tool.clone(), call.idempotency_key));
        self.called.notify_one();
        if call.tool.ends_with("slow") {
            self.permits.acquire().await.unwrap().forget();
        }
        Some(ToolResult {
            content: Content::Text(format!("{} done", call.tool)),
            status: ToolStatus::Success,
            files: Vec::new(),
            values: Map::new(),
        })
    }
}

#[derive(Default)]
struct Published {
    sent: Mutex<Vec<OutboxMessage>>,
    refused: Mutex<Vec<String>>,
}

impl Published {
    fn events(&self) -> Vec<Value> {
        let sent = self.sent.lock().unwrap();
        sent.iter().map(|message| serde_json::from_slice(&message.body).unwrap()).collect()
    }
}

#[async_trait]
impl ResultPublisher for Published {
    async fn publish(&self, message: &OutboxMessage) -> Result<(), PublishError> {
        if self.refused.lock().unwrap().iter().any(|thread| **thread == *message.thread_id) {
            return Err(PublishError("not this one".to_owned()));
        }
        self.sent.lock().unwrap().push(message.clone());
        Ok(())
    }
}

/// A clock that is an hour fast.
struct Fast;

impl Clock for Fast {
    fn stamp(&self) -> Stamp {
        let stamp = SystemClock.stamp();
        Stamp { now_ns: stamp.now_ns + 3_600_000_000_000, ..stamp }
    }
}

/// A store in memory that can be away.
#[derive(Clone, Default)]
struct Shaky {
    inner: MemoryStore,
    away: Arc<AtomicBool>,
}

impl Shaky {
    fn there(&self) -> Result<&MemoryStore, StoreError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("away".to_owned()));
        }
        Ok(&self.inner)
    }
}

#[async_trait]
impl Store for Shaky {
    async fn begin(&self, request: BeginRequest) -> Result<Begin, StoreError> {
        self.there()?.begin(request).await
    }
    async fn acquire(&self, id: &str, owner: &Arc<str>) -> Result<Option<(Lease, JobRecord)>, StoreError> {
        self.there()?.acquire(id, owner).await
    }
    async fn load(&self, thread_id: &str) -> Result<Snapshot, StoreError> {
        self.there()?.load(thread_id).await
    }
    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<(), StoreError> {
        self.there()?.commit(lease, commit).await
    }
    async fn finish(&self, lease: &Lease, commit: Commit, end: Terminal) -> Result<Finished, StoreError> {
        self.there()?.finish(lease, commit, end).await
    }
    async fn renew(&self, leases: &[Lease]) -> Result<Vec<Arc<str>>, StoreError> {
        self.there()?.renew(leases).await
    }
    async fn release(&self, lease: &Lease, last_seq: u64) -> Result<(), StoreError> {
        self.there()?.release(lease, last_seq).await
    }
    async fn job(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
        self.there()?.job(job_id).await
    }
    async fn jobs_of(&self, thread_id: &str) -> Result<Vec<JobRecord>, StoreError> {
        self.there()?.jobs_of(thread_id).await
    }
    async fn recent_jobs(&self, limit: usize) -> Result<Vec<JobSummary>, StoreError> {
        self.there()?.recent_jobs(limit).await
    }
    async fn request_cancel(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
        self.there()?.request_cancel(job_id).await
    }
    async fn cancel_requests(&self, job_ids: &[Arc<str>]) -> Result<Vec<Arc<str>>, StoreError> {
        self.there()?.cancel_requests(job_ids).await
    }
    async fn outbox_due(&self, min_age: Duration, limit: usize) -> Result<Vec<OutboxMessage>, StoreError> {
        self.there()?.outbox_due(min_age, limit).await
    }
    async fn outbox_sent(&self, sent: &[OutboxMessage]) -> Result<(), StoreError> {
        self.there()?.outbox_sent(sent).await
    }
    async fn orphans(
        &self,
        idle: Duration,
        handed_back: Duration,
        limit: usize,
    ) -> Result<Vec<Arc<str>>, StoreError> {
        self.there()?.orphans(idle, handed_back, limit).await
    }
    async fn overdue(&self, limit: usize) -> Result<Vec<JobRecord>, StoreError> {
        self.there()?.overdue(limit).await
    }
    async fn end_queued(&self, terminal: Terminal) -> Result<bool, StoreError> {
        self.there()?.end_queued(terminal).await
    }
    async fn elect(&self, role: &str, owner: &Arc<str>, ttl: Duration) -> Result<bool, StoreError> {
        self.there()?.elect(role, owner, ttl).await
    }
    async fn now_ms(&self) -> Result<i64, StoreError> {
        self.there()?.now_ms().await
    }
    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), StoreError> {
        self.there()?.dead_letter(letter).await
    }
    async fn dead_letters(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<DeadLetterRecord>, StoreError> {
        self.there()?.dead_letters(before, limit).await
    }
    async fn events(&self, thread_id: &str, after: u64, limit: usize) -> Result<Vec<JournalRow>, StoreError> {
        self.there()?.events(thread_id, after, limit).await
    }
    async fn delete_thread(&self, thread_id: &str) -> Result<bool, StoreError> {
        self.there()?.delete_thread(thread_id).await
    }
    async fn purge(&self, retention: &Retention, batch: usize) -> Result<u64, StoreError> {
        self.there()?.purge(retention, batch).await
    }
    async fn health(&self) -> Result<(), StoreError> {
        self.there()?.health().await
    }
}

/// What workers share.
struct World {
    store: Shaky,
    tools: Arc<Tools>,
    published: Arc<Published>,
    clock: Arc<dyn Clock>,
}

impl World {
    fn new(tools: Arc<Tools>) -> Self {
        Self { store: Shaky::default(), tools, published: Arc::default(), clock: Arc::new(SystemClock) }
    }

    fn worker(&self, owner: &str, model: Arc<Model>) -> Executor {
        let backends = Backends {
            store: Arc::new(self.store.clone()),
            sink: Arc::new(InProcess::new(InProcessLimits::default(), stream::gap)),
            models: model,
            tools: self.tools.clone(),
            publisher: self.published.clone(),
            clock: self.clock.clone(),
        };
        let settings = RuntimeSettings {
            sweep_every: Duration::from_millis(20),
            orphan_after: Duration::ZERO,
            handed_back_after: Duration::ZERO,
            outbox_after: Duration::ZERO,
            ..RuntimeSettings::new(owner)
        };
        Executor::new(backends, settings)
    }

    /// The worker dies, and its leases run out.
    fn kill(&self, worker: &Executor, thread: &str) {
        worker.abandon();
        self.store.inner.expire(thread);
    }

    async fn job(&self, job_id: &str) -> JobRecord {
        self.store.inner.job(job_id).await.unwrap().unwrap()
    }

    /// The texts of the thread's tool messages.
    async fn told(&self, thread: &str) -> Vec<String> {
        let rows = self.store.inner.load(thread).await.unwrap().rows;
        let state = agent_langgraph_codec::load_graph(&rows, "").unwrap().unwrap();
        let answers = state.messages.iter().filter(|message| matches!(message.kind, Kind::Tool { .. }));
        answers.map(|message| message.text("")).collect()
    }
}

fn job_with(job_id: &str, thread_id: &str, tools: &[&str], more: &Value) -> JobRequest {
    let definitions: Vec<Value> =
        tools.iter().map(|name| json!({ "name": name, "runtime": { "script": "pass" } })).collect();
    let mut body = json!({
        "job_id": job_id, "thread_id": thread_id,
        "agent_definition": {
            "tool_definitions": definitions,
            "nodes": [{ "type": "orchestrator", "config": {
                "name": "main", "system_prompt": "You work.", "tools": tools,
                "model": { "provider": "openai", "model": "scripted" } } }],
        },
        "input_payload": { "messages": [{ "role": "user", "content": "go" }] },
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    JobRequest::parse(body.to_string().as_bytes(), &[], &Limits::default(), None).unwrap()
}

fn job(job_id: &str, thread_id: &str, tools: &[&str]) -> JobRequest {
    job_with(job_id, thread_id, tools, &json!({}))
}

async fn submit(worker: &Executor, job: JobRequest) -> agent_executor_runtime::JobHandle {
    let slot = worker.direct_slot().await.unwrap();
    match worker.submit(job, slot).await.unwrap() {
        Submission::Running(handle) => handle,
        other => panic!("{other:?}"),
    }
}

fn calling(tools: &[&'static str]) -> Arc<Model> {
    Arc::new(Model { tools: tools.to_vec(), ..Model::default() })
}

#[tokio::test]
async fn an_at_most_once_call_is_never_made_twice_and_the_model_is_told() {
    let world = World::new(Tools::new(0));
    let first = world.worker("one", calling(&["once_slow"]));
    submit(&first, job("j", "t", &["once_slow"])).await;
    world.tools.until_called("once_slow", 1).await;
    world.kill(&first, "t");

    let second = world.worker("two", calling(&["once_slow"]));
    let end = submit(&second, job("j", "t", &["once_slow"])).await.ended().await;

    assert_eq!(end, JobEnd::Ended(JobStatus::Completed));
    assert_eq!(world.tools.calls_of("once_slow").len(), 1);
    let told = world.told("t").await;
    assert!(told.len() == 1 && told[0].contains("outcome of this call is unknown"), "{told:?}");
    assert_eq!(world.job("j").await.unclean_count, 1);
}

#[tokio::test]
async fn a_call_that_may_run_again_does_so_under_the_same_key() {
    for tool in ["pure_slow", "idempotent_slow"] {
        let world = World::new(Tools::new(0));
        let first = world.worker("one", calling(&[tool]));
        submit(&first, job("j", "t", &[tool])).await;
        world.tools.until_called(tool, 1).await;
        world.kill(&first, "t");

        let second = world.worker("two", calling(&[tool]));
        let handle = submit(&second, job("j", "t", &[tool])).await;
        world.tools.permits.add_permits(1);

        assert_eq!(handle.ended().await, JobEnd::Ended(JobStatus::Completed));
        let keys = world.tools.calls_of(tool);
        assert_eq!((keys.len(), &keys[0]), (2, &keys[1]), "{tool}");
        assert_eq!(world.told("t").await, [format!("{tool} done")]);
    }
}

#[tokio::test]
async fn a_finished_parallel_call_is_not_repeated() {
    let names = ["once_quick", "pure_quick", "pure_slow"];
    let world = World::new(Tools::new(0));
    let first = world.worker("one", calling(&names));
    submit(&first, job("j", "t", &names)).await;
    for name in names {
        world.tools.until_called(name, 1).await;
    }
    // Both results are rows of their own.
    loop {
        let writes = world.store.inner.load("t").await.unwrap().rows.writes;
        if writes.iter().filter(|row| row.channel == "messages" && row.task_path.contains("push")).count()
            == 2
        {
            break;
        }
        tokio::task::yield_now().await;
    }
    world.kill(&first, "t");

    let second = world.worker("two", calling(&names));
    let handle = submit(&second, job("j", "t", &names)).await;
    world.tools.permits.add_permits(1);

    assert_eq!(handle.ended().await, JobEnd::Ended(JobStatus::Completed));
    let counts = names.map(|name| world.tools.calls_of(name).len());
    assert_eq!(counts, [1, 1, 2]);
    assert_eq!(world.told("t").await, names.map(|name| format!("{name} done")));
}

#[tokio::test(start_paused = true)]
async fn no_call_begins_while_the_lease_is_not_heard_of() {
    let world = World::new(Tools::new(0));
    let breaks_after = Some(Duration::from_secs(30));
    let model = Arc::new(Model { breaks_after, ..Model::default() });
    let worker = world.worker("one", model.clone());
    worker.start();
    let handle = submit(&worker, job("j", "t", &[])).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(model.asked.load(Ordering::SeqCst), 1);

    world.store.away.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(model.asked.load(Ordering::SeqCst), 1, "its stream broke, and it is not asked again");

    world.store.away.store(false, Ordering::SeqCst);
    assert_eq!(handle.ended().await, JobEnd::Ended(JobStatus::Completed));
    assert_eq!(model.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_store_stays_away_is_handed_back() {
    let world = World::new(Tools::new(0));
    let breaks_after = Some(Duration::from_secs(30));
    let worker = world.worker("one", Arc::new(Model { breaks_after, ..Model::default() }));
    worker.start();
    let handle = submit(&worker, job("j", "t", &[])).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.store.away.store(true, Ordering::SeqCst);
    assert_eq!(handle.ended().await, JobEnd::HandedBack, "after ten minutes");
}

#[tokio::test]
async fn a_queued_job_is_cancelled_at_once_and_a_running_one_where_it_runs() {
    let world = World::new(Tools::new(0));
    let hold = Arc::new(Semaphore::new(0));
    let worker = world.worker("one", Arc::new(Model { hold: Some(hold), ..Model::default() }));
    let first = submit(&worker, job("j1", "t", &[])).await;
    let slot = worker.direct_slot().await.unwrap();
    let queued = worker.submit(job("j2", "t", &[]), slot).await.unwrap();
    assert!(matches!(queued, Submission::Queued { .. }), "{queued:?}");

    let cancelled = worker.cancel("j2").await.unwrap().unwrap();
    assert_eq!(cancelled.status, JobStatus::Cancelled);
    worker.cancel("j1").await.unwrap();
    assert_eq!(first.ended().await, JobEnd::Ended(JobStatus::Cancelled));

    assert!(worker.cancel("nobody").await.unwrap().is_none());
    let events = world.published.events();
    let types: Vec<_> = events.iter().map(|event| &event["data"]["error"]["type"]).collect();
    assert_eq!(types, ["Cancelled", "Cancelled"]);
    let rows = world.store.inner.load("t").await.unwrap().rows;
    let state = agent_langgraph_codec::load_graph(&rows, "").unwrap().unwrap();
    assert!(state.tasks.is_empty(), "the thread is at rest: {:?}", state.tasks);
    assert_eq!(state.messages.len(), 1, "the queued job left no trace");
}

#[tokio::test]
async fn a_cancelled_call_is_dropped_and_its_transcript_healed() {
    let world = World::new(Tools::new(0));
    let worker = world.worker("one", calling(&["once_slow"]));
    let handle = submit(&worker, job("j", "t", &["once_slow"])).await;
    world.tools.until_called("once_slow", 1).await;
    worker.cancel("j").await.unwrap();
    assert_eq!(handle.ended().await, JobEnd::Ended(JobStatus::Cancelled));
    let told = world.told("t").await;
    assert!(told.len() == 1 && told[0].contains("did not complete"), "{told:?}");
    assert_eq!(world.published.events()[0]["data"]["error"]["code"], "job.cancelled");
}

#[tokio::test]
async fn a_job_whose_worker_vanished_is_cancelled_by_whoever_is_asked() {
    let world = World::new(Tools::new(0));
    let first = world.worker("one", calling(&["once_slow"]));
    submit(&first, job("j", "t", &["once_slow"])).await;
    world.tools.until_called("once_slow", 1).await;
    world.kill(&first, "t");

    let second = world.worker("two", calling(&[]));
    second.cancel("j").await.unwrap();
    let ended = second.wait("j").await.unwrap().unwrap();
    assert_eq!(ended.status, JobStatus::Cancelled);
    assert!(world.told("t").await[0].contains("did not complete"));
    assert_eq!(world.tools.calls_of("once_slow").len(), 1);
}

#[tokio::test]
async fn deadlines_are_the_stores_and_not_the_workers() {
    let mut world = World::new(Tools::new(0));
    world.clock = Arc::new(Fast);
    let deadline = json!({ "deadline_seconds": 1800 });
    let first = world.worker("one", calling(&["pure_slow"]));
    submit(&first, job_with("j", "t", &["pure_slow"], &deadline)).await;
    world.tools.until_called("pure_slow", 1).await;
    world.kill(&first, "t");

    let second = world.worker("two", calling(&["pure_slow"]));
    world.tools.permits.add_permits(1);
    let end = submit(&second, job_with("j", "t", &["pure_slow"], &deadline)).await.ended().await;
    assert_eq!(
        end,
        JobEnd::Ended(JobStatus::Completed),
        "half an hour is left, whatever the worker's clock says"
    );
}

#[tokio::test]
async fn a_deadline_is_kept_for_a_job_that_nobody_holds() {
    let world = World::new(Tools::new(0));
    let deadline = json!({ "deadline_seconds": 0.05 });
    let first = world.worker("one", calling(&["pure_slow"]));
    submit(&first, job_with("j", "t", &["pure_slow"], &deadline)).await;
    world.tools.until_called("pure_slow", 1).await;
    world.kill(&first, "t");

    let second = world.worker("two", calling(&[]));
    second.start();
    let ended = second.wait("j").await.unwrap().unwrap();
    assert_eq!(ended.status, JobStatus::Failed);
    assert_eq!(world.published.events()[0]["data"]["error"]["type"], "DeadlineExceeded");
}

#[tokio::test]
async fn a_job_whose_message_never_comes_back_is_picked_up_by_the_one_that_is_elected() {
    let world = World::new(Tools::new(0));
    let first = world.worker("one", calling(&["pure_slow"]));
    submit(&first, job("j", "t", &["pure_slow"])).await;
    world.tools.until_called("pure_slow", 1).await;
    world.kill(&first, "t");
    world.tools.permits.add_permits(1);

    let others = ["two", "three"].map(|owner| world.worker(owner, calling(&[])));
    others.iter().for_each(Executor::start);
    let ended = others[0].wait("j").await.unwrap().unwrap();
    assert_eq!(ended.status, JobStatus::Completed);
    assert_eq!(world.tools.calls_of("pure_slow").len(), 2, "taken over once");
}

#[tokio::test]
async fn a_run_that_panics_is_left_to_another_worker() {
    let world = World::new(Tools::new(0));
    let buggy = Arc::new(Model { panics: AtomicBool::new(true), ..Model::default() });
    let first = world.worker("one", buggy);
    assert_eq!(submit(&first, job("j", "t", &[])).await.ended().await, JobEnd::HandedBack);
    assert_eq!(first.in_work(), 0, "it renews nothing");
    world.store.inner.expire("t");

    let second = world.worker("two", calling(&[]));
    let end = submit(&second, job("j", "t", &[])).await.ended().await;
    assert_eq!(end, JobEnd::Ended(JobStatus::Completed));
    assert_eq!(world.job("j").await.unclean_count, 1, "it counts as a loss");
}

#[tokio::test]
async fn a_job_that_loses_too_many_workers_fails_and_says_so() {
    let world = World::new(Tools::new(0));
    for n in 0..6 {
        let worker = world.worker(&format!("worker-{n}"), calling(&["pure_slow"]));
        submit(&worker, job("j", "t", &["pure_slow"])).await;
        world.tools.until_called("pure_slow", n + 1).await;
        world.kill(&worker, "t");
    }
    let last = world.worker("last", calling(&["pure_slow"]));
    let end = submit(&last, job("j", "t", &["pure_slow"])).await.ended().await;
    assert_eq!(end, JobEnd::Ended(JobStatus::Failed));
    assert_eq!(world.tools.calls_of("pure_slow").len(), 6);
    let event = &world.published.events()[0];
    assert_eq!(event["data"]["error"]["type"], "PoisonJob");
    assert_eq!(event["data"]["error"]["code"], "job.poison");
}

#[tokio::test]
async fn a_deleted_thread_has_its_job_cancelled_first() {
    let world = World::new(Tools::new(0));
    let worker = world.worker("one", calling(&["once_slow"]));
    submit(&worker, job("j", "t", &["once_slow"])).await;
    world.tools.until_called("once_slow", 1).await;

    assert!(worker.delete_thread("t").await.unwrap());

    assert_eq!(world.published.events()[0]["data"]["error"]["type"], "Cancelled");
    assert_eq!(world.store.inner.load("t").await.unwrap(), Snapshot::default());
    assert!(world.store.inner.job("j").await.unwrap().is_none());
    assert!(!worker.delete_thread("t").await.unwrap());
}

#[tokio::test]
async fn no_job_is_fetched_while_the_providers_are_down() {
    let world = World::new(Tools::new(0));
    let model = calling(&[]);
    let worker = world.worker("one", model.clone());
    assert!(worker.slot().await.is_some());
    model.down.store(true, Ordering::SeqCst);
    assert_eq!(worker.obstacle(), Some("provider_down"));
    let waiting = tokio::time::timeout(Duration::from_millis(50), worker.slot()).await;
    assert!(waiting.is_err(), "the fetch is paused");
    model.down.store(false, Ordering::SeqCst);
    assert!(worker.slot().await.is_some());
    model.down.store(true, Ordering::SeqCst);
    let ((), slot) =
        tokio::join!(async { assert!(worker.drain(Duration::from_millis(50)).await) }, worker.slot());
    assert!(slot.is_none(), "a paused fetch does not keep a worker from stopping");
}

#[tokio::test]
async fn one_result_that_cannot_leave_does_not_keep_the_others() {
    let world = World::new(Tools::new(0));
    world.published.refused.lock().unwrap().push("stuck".to_owned());
    let worker = world.worker("one", calling(&[]));
    for thread in ["stuck", "a", "b"] {
        submit(&worker, job(thread, thread, &[])).await.ended().await;
    }
    worker.start();
    while world.published.sent.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    world.published.refused.lock().unwrap().clear();
    while world.published.sent.lock().unwrap().iter().all(|message| *message.thread_id != *"stuck") {
        tokio::task::yield_now().await;
    }
    let ids = world
        .published
        .sent
        .lock()
        .unwrap()
        .iter()
        .map(|message| message.id.clone())
        .collect::<BTreeSet<_>>();
    assert_eq!(ids.len(), 3, "one id for each result");
}
