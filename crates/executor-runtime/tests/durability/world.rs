//! What workers of these tests are made of: a model, tools, a publisher, a clock, and the world that they share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_checkpoint_store::{JobRecord, OutboxMessage, Store};
use agent_executor_core::{
    Class, CustomTool, ModelError, ModelErrorKind, ModelReply, ModelRequest, ScriptTool, Stamp, StopReason,
    ToolResult, ToolSpec,
};
use agent_executor_runtime::{
    Backends, Clock, Executor, PublishError, ResultPublisher, RuntimeSettings, SystemClock,
};
use agent_langgraph_codec::{Content, Kind, Message, ToolCall, ToolStatus};
use agent_model_client::{Delta, ModelClient, OnDelta};
use agent_stream_sink::{InProcess, InProcessLimits};
use agent_tool_host::{Invocation, ToolHost, ToolHostError};
use agent_wire::{JobRequest, stream};
use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tokio::sync::{Notify, Semaphore};

use crate::common;
use crate::shaky::Shaky;

/// Calls the tools of its list in its first turn, and repeats in its second what it was told.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) tools: Vec<&'static str>,
    pub(crate) asked: AtomicUsize,
    pub(crate) down: AtomicBool,
    /// The first call takes so long and then breaks.
    pub(crate) breaks_after: Option<Duration>,
    pub(crate) panics: AtomicBool,
    /// Permits to answer; `None`: at once.
    pub(crate) hold: Option<Arc<Semaphore>>,
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
pub(crate) struct Tools {
    pub(crate) calls: Mutex<Vec<(String, String)>>,
    pub(crate) called: Notify,
    pub(crate) permits: Semaphore,
}

impl Tools {
    pub(crate) fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self { calls: Mutex::default(), called: Notify::new(), permits: Semaphore::new(permits) })
    }

    pub(crate) fn calls_of(&self, tool: &str) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(name, _)| name == tool).map(|(_, key)| key.clone()).collect()
    }

    pub(crate) async fn until_called(&self, tool: &str, times: usize) {
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
            (tool.name.clone(), CustomTool { spec, class, return_direct: false })
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
pub(crate) struct Published {
    pub(crate) sent: Mutex<Vec<OutboxMessage>>,
    pub(crate) refused: Mutex<Vec<String>>,
}

impl Published {
    pub(crate) fn events(&self) -> Vec<Value> {
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
pub(crate) struct Fast;

impl Clock for Fast {
    fn stamp(&self) -> Stamp {
        let stamp = SystemClock.stamp();
        Stamp { now_ns: stamp.now_ns + 3_600_000_000_000, ..stamp }
    }
}

/// What workers share.
pub(crate) struct World {
    pub(crate) store: Shaky,
    pub(crate) tools: Arc<Tools>,
    pub(crate) published: Arc<Published>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl World {
    pub(crate) fn new(tools: Arc<Tools>) -> Self {
        Self { store: Shaky::default(), tools, published: Arc::default(), clock: Arc::new(SystemClock) }
    }

    pub(crate) fn worker(&self, owner: &str, model: Arc<Model>) -> Executor {
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
    pub(crate) fn kill(&self, worker: &Executor, thread: &str) {
        worker.abandon();
        self.store.inner.expire(thread);
    }

    pub(crate) async fn job(&self, job_id: &str) -> JobRecord {
        self.store.inner.job(job_id).await.unwrap().unwrap()
    }

    /// The texts of the thread's tool messages.
    pub(crate) async fn told(&self, thread: &str) -> Vec<String> {
        let rows = self.store.inner.load(thread).await.unwrap().rows;
        let state = agent_langgraph_codec::load_graph(&rows, "").unwrap().unwrap();
        let answers = state.messages.iter().filter(|message| matches!(message.kind, Kind::Tool { .. }));
        answers.map(|message| message.text("")).collect()
    }
}

pub(crate) fn job_with(job_id: &str, thread_id: &str, tools: &[&str], more: &Value) -> JobRequest {
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
    common::parsed(&body)
}

pub(crate) fn job(job_id: &str, thread_id: &str, tools: &[&str]) -> JobRequest {
    job_with(job_id, thread_id, tools, &json!({}))
}

pub(crate) fn calling(tools: &[&'static str]) -> Arc<Model> {
    Arc::new(Model { tools: tools.to_vec(), ..Model::default() })
}
