//! The way of one model step from the stored messages to the answer, with a summary in between where one is due. What
//! is sent in it, `plan.rs` says.
//!
//! Nothing of it is stored before the answer is there: the super-step is one, as in Python. A run that is resumed in
//! the middle begins the step again.

mod plan;

use std::sync::Arc;

use agent_langgraph_codec::{ChannelValue, FileData, Message};
use indexmap::IndexMap;
use serde_json::Value;

use super::{Failure, ORCHESTRATOR, Phase, Run, model_code};
use crate::context::event::{self, SummaryEvent};
use crate::effect::{AgentId, Effect};
use crate::graph::Write;
use crate::ids::Ids;
use crate::{ModelError, ModelErrorKind, ModelOptions, ModelReply, ModelRequest, Purpose};

/// Statuses with which a provider says that what it was sent is at fault.
const BAD_INPUT: &[u16] = &[400, 413, 415, 422];

/// A model step that waits for its model.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// Id that the answer's message gets if the provider gives none.
    pub(super) message_id: String,
    /// Stored messages, as indexes of a summary count them.
    stored: usize,
    /// The stored messages with pointers in place of what was moved to files.
    base: Vec<Arc<Message>>,
    stage: Stage,
    /// Whether refused media were taken out already.
    media_taken_out: bool,
    /// What is written together with the answer.
    pub(super) written: Written,
}

/// What the context machinery writes beside the answer.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) files: IndexMap<String, Arc<FileData>>,
    /// Stored messages in their new form: clipped results first, then what was moved or taken out.
    pub(super) clipped: Vec<Arc<Message>>,
    pub(super) replaced: Vec<Arc<Message>>,
    /// A new summary and the name of the thread's history.
    pub(super) summary: Option<(SummaryEvent, String)>,
}

/// How far the step is.
#[derive(Debug)]
enum Stage {
    /// The conversation was sent as it is, or with shortened arguments.
    Plain { sent: Vec<Arc<Message>> },
    /// A summary is being written.
    Summary(Box<Summarising>),
    /// The conversation was sent after what could be done was done.
    Reduced {
        sent: Vec<Arc<Message>>,
        /// A request was rejected before, or results were clipped already: there is no second time.
        exhausted: bool,
    },
}

impl Default for Stage {
    fn default() -> Self {
        Self::Plain { sent: Vec::new() }
    }
}

#[derive(Debug)]
struct Summarising {
    /// Messages that the summary will stand for, as an index of the stored ones.
    cutoff: usize,
    /// The rest.
    kept: Vec<Arc<Message>>,
    /// What was to be summarised, as text.
    conversation: String,
    session: String,
    file_path: String,
    /// Tokens of the request that the provider rejected; `None` where a threshold asked for the summary.
    rejected: Option<u64>,
    /// The middle was cut out already.
    shortened: bool,
}

/// What comes next.
enum Next {
    Ask(Purpose, Box<ModelRequest>),
    Fail(Failure),
}

impl Run {
    /// Asks the agent's model for its next turn; whether it may was decided before.
    pub(super) fn begin_asking(&mut self, id: AgentId, ids: &mut Ids) {
        let options = self.model_options();
        let Some(agent) = self.agents.get(&id) else { return };
        let message_id = format!("lc_run--{}", ids.uuid());
        let (asking, next) = agent.begin_asking(message_id, options, ids);
        self.go_on_asking(id, asking, next, ids);
    }

    /// A model has answered: with the agent's turn, or with a summary, after which the step goes on.
    pub(super) fn model_answered(&mut self, id: AgentId, reply: ModelReply, ids: &mut Ids) {
        let Some((mut asking, state)) = self.take_summarising(id) else {
            self.note_stop(id, &reply);
            return self.model_replied(id, reply, ids);
        };
        self.count_call(id, reply.usage);
        if let Err(failure) = self.budget() {
            return self.end(failure.kind, failure.code, failure.message);
        }
        let options = self.model_options();
        let Some(agent) = self.agents.get(&id) else { return };
        let next = agent.after_summary(&mut asking, *state, &reply.message, options, ids);
        self.go_on_asking(id, asking, next, ids);
    }

    /// A model call failed for good: the request is made smaller or plainer where that may help, else the agent fails.
    pub(super) fn model_failed(&mut self, id: AgentId, error: ModelError, ids: &mut Ids) {
        let options = self.model_options();
        let Some(agent) = self.agents.get_mut(&id) else {
            self.out_of_phase += 1;
            return;
        };
        let Phase::AwaitingModel { asking } = &mut agent.phase else {
            self.out_of_phase += 1;
            return;
        };
        let mut asking = std::mem::take(&mut **asking);
        agent.phase = Phase::Tools(Vec::new());
        let next = match error.kind {
            ModelErrorKind::ContextOverflow => agent.after_overflow(&mut asking, options, ids),
            ModelErrorKind::Refused if error.status.is_some_and(|status| BAD_INPUT.contains(&status)) => {
                agent.after_refusal(&mut asking, options, ids)
            }
            ModelErrorKind::Refused
            | ModelErrorKind::Auth
            | ModelErrorKind::RateLimited
            | ModelErrorKind::Unavailable
            | ModelErrorKind::Interrupted
            | ModelErrorKind::UnknownProvider => None,
        };
        let next = next.unwrap_or_else(|| {
            let code = model_code(error.kind);
            Next::Fail(Failure { kind: "ExecutionError", code, message: error.message })
        });
        self.go_on_asking(id, asking, next, ids);
    }

    fn go_on_asking(&mut self, id: AgentId, asking: Asking, next: Next, ids: &mut Ids) {
        let (purpose, request) = match next {
            Next::Ask(purpose, request) => (purpose, request),
            Next::Fail(failure) => return self.agent_failed(id, failure, ids),
        };
        let Some(agent) = self.agents.get_mut(&id) else { return };
        let message_id = match purpose {
            Purpose::Answer => asking.message_id.clone(),
            Purpose::Summary => format!("lc_run--{}", ids.uuid()),
        };
        agent.phase = Phase::AwaitingModel { asking: Box::new(asking) };
        self.deferred.push(Effect::AskModel {
            agent: id,
            label: agent.label.clone(),
            step: agent.graph.step() + 1,
            message_id,
            purpose,
            request,
        });
    }

    /// The step of an agent that waits for a summary, and what the summary is of; the agent waits for nothing then.
    fn take_summarising(&mut self, id: AgentId) -> Option<(Asking, Box<Summarising>)> {
        let agent = self.agents.get_mut(&id)?;
        let Phase::AwaitingModel { asking } = &mut agent.phase else { return None };
        match std::mem::take(&mut asking.stage) {
            Stage::Summary(state) => {
                let asking = std::mem::take(&mut **asking);
                agent.phase = Phase::Tools(Vec::new());
                Some((asking, state))
            }
            other @ (Stage::Plain { .. } | Stage::Reduced { .. }) => {
                asking.stage = other;
                None
            }
        }
    }

    /// One choice of OpenAI's two interfaces for all agents of the job.
    fn model_options(&self) -> ModelOptions {
        let own = self.agents.get(&ORCHESTRATOR).is_some_and(|agent| agent.spec.needs_responses());
        ModelOptions { responses_api: self.setup.compiled.responses_api || own, ..ModelOptions::default() }
    }
}

impl Written {
    /// Writes that stand before the answer.
    pub(super) fn before(&mut self) -> Option<Write> {
        let files = std::mem::take(&mut self.files);
        let files: Vec<_> = files.into_iter().map(|(path, file)| (path, Some(file))).collect();
        (!files.is_empty()).then_some(Write::Files(files))
    }

    /// Writes that stand after it.
    pub(super) fn after(self) -> Vec<Write> {
        let mut writes = Vec::new();
        if let Some((event, session)) = self.summary {
            writes.push(Write::Value(event::EVENT.to_owned(), event.value()));
            let session = ChannelValue::Json(Value::String(session));
            writes.push(Write::Value(event::SESSION.to_owned(), session));
        }
        for replaced in [self.clipped, self.replaced] {
            if !replaced.is_empty() {
                writes.push(Write::Messages(replaced));
            }
        }
        writes
    }
}
