//! Calls that leave the machine: models and tools, and what must be durable before a tool may run.

use std::collections::HashSet;
use std::sync::Arc;

use agent_checkpoint_store::{StepRecord, StepState};
use agent_executor_core::{
    AgentId, AgentLabel, CallRef, Class, Effect, Event, ModelRequest, Purpose, StateView, ToolResult,
};
use agent_langgraph_codec::ToolCall;
use agent_model_client::Delta;
use agent_telemetry::metric;
use agent_tool_host::Invocation;
use tokio::time::Instant;
use tracing::{info, warn};
use uuid::{Uuid, uuid};

use crate::deltas::Place;
use crate::driver::{Driver, Happened};

/// Namespace of the keys that tools tell a repeated call by.
const KEYS: Uuid = uuid!("0d0c6f7e-3a52-5a0e-8f5b-6d5f1c0b9a41");

/// A model call that is being made.
pub(crate) struct Asked {
    pub(crate) agent: AgentId,
    pub(crate) label: Option<AgentLabel>,
    pub(crate) step: i64,
    pub(crate) message_id: Arc<str>,
    pub(crate) purpose: Purpose,
    pub(crate) request: Arc<ModelRequest>,
    pub(crate) attempt: u32,
    /// When this attempt began.
    pub(crate) since: Instant,
}

impl Asked {
    /// The first attempt.
    pub(crate) fn new(
        agent: AgentId,
        label: Option<AgentLabel>,
        step: i64,
        message_id: Arc<str>,
        purpose: Purpose,
        request: Arc<ModelRequest>,
    ) -> Self {
        Self { agent, label, step, message_id, purpose, request, attempt: 1, since: Instant::now() }
    }
}

/// A tool call that was handed out.
pub(crate) struct Handed {
    pub(crate) call_ref: CallRef,
    /// The same over restarts.
    pub(crate) task_id: String,
    pub(crate) call: ToolCall,
    pub(crate) class: Class,
    pub(crate) step: i64,
    pub(crate) view: StateView,
}

/// A call that has not been made yet.
pub(crate) enum Start {
    Model(Asked),
    Tool(Box<Handed>),
}

/// Calls on their way to being made.
#[derive(Default)]
pub(crate) struct Calls {
    /// Wait until the lease is known to stand again.
    pub(crate) held_back: Vec<Start>,
    /// At-most-once calls whose intent goes with the next commit.
    pub(crate) intents: Vec<Handed>,
    /// Step records that go with the next commit.
    pub(crate) records: Vec<StepRecord>,
    /// At-most-once calls that an earlier holder of the lease began: nobody can tell what they did.
    pub(crate) begun: HashSet<String>,
}

impl Driver {
    /// Makes a call, or sees that it is made when it may be. Returns what the machine wants instead.
    pub(crate) fn start(&mut self, start: Start) -> Vec<Effect> {
        if self.self_fenced() {
            if self.calls.held_back.is_empty() {
                warn!(
                    event = "self_fenced",
                    epoch = self.lease.epoch,
                    silent_ms = self.signals.pulse.last().elapsed().as_millis(),
                    runbook = "docs/operations.md#self-fenced"
                );
                metric::SELF_FENCED.with(&[]).increment(1);
            }
            self.calls.held_back.push(start);
            return Vec::new();
        }
        match start {
            Start::Model(asked) => self.ask(asked),
            Start::Tool(handed) => return self.hand_out(*handed),
        }
        Vec::new()
    }

    /// Whether the lease was not heard of for so long that nothing new may begin.
    pub(crate) fn self_fenced(&self) -> bool {
        Instant::now() >= self.fence()
    }

    pub(crate) fn fence(&self) -> Instant {
        self.signals.pulse.last() + self.shared.settings.fence_after
    }

    /// The lease stands again: what was held back begins.
    pub(crate) fn lift_fence(&mut self) -> Vec<Effect> {
        if self.self_fenced() {
            return Vec::new();
        }
        let held_back = std::mem::take(&mut self.calls.held_back);
        info!(event = "self_fence_lifted", calls = held_back.len());
        held_back.into_iter().flat_map(|start| self.start(start)).collect()
    }

    fn hand_out(&mut self, handed: Handed) -> Vec<Effect> {
        match handed.class {
            Class::Pure | Class::Idempotent => self.run_tool(handed),
            Class::AtMostOnce if self.calls.begun.contains(&handed.task_id) => {
                warn!(event = "tool_outcome_unknown", tool = %handed.call.name,
                    call_id = handed.call.id.as_deref(), step = handed.step);
                metric::TOOL_OUTCOMES_UNKNOWN.with(&[]).increment(1);
                self.note(&handed.task_id, handed.step, StepState::Unknown);
                return self.feed(Event::ToolOutcomeUnknown(handed.call_ref));
            }
            // It runs when it is durable that it may have.
            Class::AtMostOnce => {
                self.note(&handed.task_id, handed.step, StepState::Intent);
                self.calls.intents.push(handed);
            }
        }
        Vec::new()
    }

    fn note(&mut self, task_id: &str, step: i64, state: StepState) {
        let job_id = self.job_id.clone();
        self.calls.records.push(StepRecord { job_id, step, call_id: task_id.to_owned(), state });
    }

    /// A tool has answered. What is known of an at-most-once call goes into the commit that holds its result.
    pub(crate) fn tool_ended(&mut self, ended: Ended) -> Vec<Effect> {
        let Ended { call_ref, task_id, step, class, result } = ended;
        if class == Class::AtMostOnce {
            self.note(&task_id, step, if result.is_some() { StepState::Done } else { StepState::Unknown });
        }
        match result {
            Some(result) => self.feed(Event::ToolReturned(call_ref, result)),
            None => {
                metric::TOOL_OUTCOMES_UNKNOWN.with(&[]).increment(1);
                self.feed(Event::ToolOutcomeUnknown(call_ref))
            }
        }
    }

    pub(crate) fn ask(&mut self, mut asked: Asked) {
        asked.since = Instant::now();
        let models = self.shared.backends.models.clone();
        let deltas = self.outlet.deltas.clone();
        let place = Arc::new(Place {
            label: asked.label.clone(),
            step: asked.step,
            attempt: asked.attempt,
            message_id: asked.message_id.clone(),
            source: asked.purpose.source(),
        });
        self.push(Box::pin(async move {
            let mut on_delta = |delta: Delta<'_>| match delta {
                Delta::Text(text) => deltas.push(&place, text, false),
                Delta::Thinking(text) => deltas.push(&place, text, true),
                Delta::ToolCall { .. } => {}
            };
            let reply = models.complete(&asked.request, &mut on_delta).await;
            Happened::Model(Box::new(asked), Box::new(reply))
        }));
    }

    pub(crate) fn run_tool(&mut self, handed: Handed) {
        let Handed { call_ref, task_id, call, class, step, view } = handed;
        let tools = self.shared.backends.tools.clone();
        let scripts = self.scripts.clone();
        let invocation = Invocation {
            idempotency_key: idempotency_key(&self.lease.thread_id, &self.job_id, step, &task_id),
            tool: call.name,
            call_id: call.id.unwrap_or_default(),
            args: call.args,
            view,
        };
        self.push(Box::pin(async move {
            let result = tools.call(&scripts, invocation, class).await;
            Happened::Tool(Box::new(Ended { call_ref, task_id, step, class, result }))
        }));
    }
}

/// A tool call that has come back.
pub(crate) struct Ended {
    call_ref: CallRef,
    task_id: String,
    step: i64,
    class: Class,
    /// `None`: nobody can tell what it did.
    result: Option<ToolResult>,
}

/// The same for every try of one call of one step, and for no other call. The task's id holds the step, the agent's
/// namespace and the call's place, where a provider's own ids may repeat.
fn idempotency_key(thread_id: &str, job_id: &str, step: i64, task_id: &str) -> String {
    Uuid::new_v5(&KEYS, format!("{thread_id}\n{job_id}\n{step}\n{task_id}").as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_the_same_for_the_same_call_and_for_no_other() {
        let key = idempotency_key("t", "j", 3, "task");
        assert_eq!(key, idempotency_key("t", "j", 3, "task"));
        for other in [("u", "j", 3, "task"), ("t", "k", 3, "task"), ("t", "j", 4, "task"), ("t", "j", 3, "x")]
        {
            assert_ne!(key, idempotency_key(other.0, other.1, other.2, other.3));
        }
    }
}
