//! A scenario's jobs on an executor in this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use agent_checkpoint_store::{OutboxMessage, Store};
use agent_executor_core::Stamp;
use agent_executor_runtime::{
    Backends, Clock, Executor, PublishError, ResultPublisher, RuntimeSettings, Submission, SystemClock,
};
use agent_langgraph_codec::{decode_json, encode_files_map, encode_message, load_graph};
use agent_model_client::{HttpClient, HttpConfig};
use agent_stream_sink::NoSink;
use agent_tool_host::ScriptsOff;
use agent_wire::{JobRequest, Limits};
use async_trait::async_trait;
use rustix::process::{Signal, getpid, kill_process};
use serde_json::{Map, Value, json};

use crate::model::ScriptedModel;
use crate::scenario::Scenario;

/// What happens beside the run.
pub(crate) enum Hooks {
    None,
    /// This process is killed at the n-th event: what happened is known, nothing was done about it yet.
    KillAt(u64),
}

/// Counts events of runs: each is handled under a stamp of its own, and the last is the result's way out.
struct Events(Option<AtomicU64>);

impl Events {
    fn count(&self) {
        if self.0.as_ref().is_some_and(|left| left.fetch_sub(1, Ordering::SeqCst) == 1) {
            kill_process(getpid(), Signal::KILL).unwrap();
        }
    }
}

impl Clock for Events {
    fn stamp(&self) -> Stamp {
        self.count();
        SystemClock.stamp()
    }
}

#[async_trait]
impl ResultPublisher for Events {
    async fn publish(&self, _: &OutboxMessage) -> Result<(), PublishError> {
        self.count();
        Ok(())
    }
}

pub(crate) struct Runner<'a> {
    executor: Executor,
    store: Arc<dyn Store>,
    scenario: &'a Scenario,
    run: String,
}

impl<'a> Runner<'a> {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        model: &ScriptedModel,
        scenario: &'a Scenario,
        run: &str,
        hooks: Hooks,
    ) -> Self {
        Self::at(store, &model.url(scenario, run), scenario, run, hooks)
    }

    /// As [`Runner::new`], for a process that knows only the model's address.
    pub(crate) fn at(
        store: Arc<dyn Store>,
        url: &str,
        scenario: &'a Scenario,
        run: &str,
        hooks: Hooks,
    ) -> Self {
        // Others of this process may have done so.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut config = HttpConfig::default();
        config.retry.base_delay = Duration::from_millis(1);
        for (provider, base_url) in [("openai", format!("{url}/v1")), ("anthropic", url.to_owned())] {
            let provider = config.provider_mut(provider).unwrap();
            provider.base_url = base_url;
            provider.api_key = Some("scripted".into());
        }
        let events = Arc::new(Events(match hooks {
            Hooks::None => None,
            Hooks::KillAt(event) => Some(AtomicU64::new(event)),
        }));
        let backends = Backends {
            store: store.clone(),
            sink: Arc::new(NoSink),
            models: Arc::new(HttpClient::new(config).unwrap()),
            tools: Arc::new(ScriptsOff),
            publisher: events.clone(),
            clock: events,
        };
        let owner = format!("{}-{}", std::process::id(), uuid::Uuid::new_v4().simple());
        let executor = Executor::new(backends, RuntimeSettings::new(owner));
        Self { executor, store, scenario, run: run.to_owned() }
    }

    /// The thread that this run writes.
    pub(crate) fn thread_id(&self) -> String {
        format!("{}-{}", self.scenario.thread_id, self.run)
    }

    /// Runs a turn's job, or what is left of it; its result event under the recorded ids.
    pub(crate) async fn turn(&self, index: usize) -> Value {
        let turn = &self.scenario.turns[index];
        let job = turn.job(&self.scenario.thread_id, &self.run);
        let request = JobRequest::parse(job.to_string().as_bytes(), &[], &Limits::default(), None).unwrap();
        let slot = self.executor.direct_slot().await.unwrap();
        let job_id = request.job_id.to_string();
        match self.executor.submit(request, slot).await.unwrap() {
            Submission::Running(handle) => drop(handle.ended().await),
            Submission::Done(_) => {}
            other @ (Submission::Queued { .. } | Submission::IdReused) => {
                panic!("{}, turn {index} of {}: {other:?}", self.scenario.name, self.run)
            }
        }
        let record = self.store.job(&job_id).await.unwrap().unwrap();
        let result = record.result.unwrap_or_else(|| panic!("{job_id} has not ended"));
        let text = String::from_utf8(result.to_vec()).unwrap();
        serde_json::from_str(&text.replace(&job_id, &turn.job_id)).unwrap()
    }

    /// The thread as it stands, in the checker's form.
    pub(crate) async fn state(&self) -> Value {
        let rows = self.store.load(&self.thread_id()).await.unwrap().rows;
        let state = load_graph(&rows, "").unwrap().unwrap();
        let (messages, files, channels) = state.current().unwrap();
        let messages: Vec<Value> = messages
            .iter()
            .map(|message| decode_json("msgpack", &encode_message(message)).unwrap())
            .collect();
        let mut values = Map::new();
        values.insert("messages".to_owned(), messages.into());
        values.insert("files".to_owned(), decode_json("msgpack", &encode_files_map(&files)).unwrap());
        for (channel, value) in &channels {
            values.insert(channel.clone(), value.to_json().unwrap());
        }
        json!({ "values": values, "next": state.next() })
    }
}
