//! The run of one job: a tree of agents, fed with what happened, answering with what must be done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use agent_langgraph_codec::{ChannelValue, Files, Message, Rows, ToolCall};
use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::compiled::{Compiled, CompiledAgent};
use crate::effect::{
    AgentId, CallRef, Effect, Emission, Event, Finish, Note, Outcome, StepCommit, ToolResult,
};
use crate::graph::{Graph, TaskOutput};
use crate::ids::{Ids, Stamp};
use crate::{AgentLabel, ModelErrorKind, ModelRef, StreamEvent, Usage};

mod asking;
mod budget;
mod calls;
mod cancel;
mod channels;
mod finish;
mod model_step;
mod resume;
mod start;
mod stops;
mod stored;
mod subagents;
mod turn;

pub use resume::{ResumeError, has_begun};
pub use start::RunInput;

/// Limits of one job (wire contract 2.2.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunLimits {
    /// Super-steps of the orchestrator, counted as Python counts them; `None`: the definition's.
    pub recursion_limit: Option<u32>,
    /// Model calls over all agents.
    pub max_model_calls: Option<u64>,
    /// Input and output tokens over all agents.
    pub max_tokens: Option<u64>,
}

/// Everything about a job that does not change while it runs.
#[derive(Debug, Clone)]
pub struct RunSetup {
    /// The definition.
    pub compiled: Arc<Compiled>,
    /// The job; recorded in every checkpoint's metadata, so that a resume knows whose turn it finds.
    pub job_id: Arc<str>,
    /// Whether the thread is the job's own (their ids are the same): then a turn that another program began there is
    /// this job's (wire contract 2.2.2).
    pub own_thread: bool,
    /// Its limits.
    pub limits: RunLimits,
    /// Replaces the orchestrator's model.
    pub model: Option<ModelRef>,
}

/// A call of the current tool step.
#[derive(Debug)]
struct Slot {
    call: ToolCall,
    started_ns: u64,
    /// Set when it has ended; its rows are put, or were found in the store.
    output: Option<TaskOutput>,
}

#[derive(Debug)]
enum Phase {
    /// A model was asked, or will be once the commit before is durable.
    AwaitingModel { asking: Box<asking::Asking> },
    /// Tool calls are open.
    Tools(Vec<Slot>),
}

/// One agent of the tree.
#[derive(Debug)]
struct Agent {
    spec: Arc<CompiledAgent>,
    label: Option<AgentLabel>,
    graph: Graph,
    /// The `task` call that this agent works on; `None` for the orchestrator.
    parent: Option<CallRef>,
    /// What it was started with, to tell what it changed.
    given: Given,
    phase: Phase,
    /// Super-steps of this run, counted as Python counts them.
    steps_taken: u32,
    /// The history with answers to unreadable calls put in, written with the next reply.
    patched: Option<Vec<Arc<Message>>>,
    /// Whether files or todos changed since the last published state.
    unpublished: Unpublished,
}

/// The state that a sub-agent gets from its parent.
#[derive(Debug, Clone, Default)]
struct Given {
    files: Arc<Files>,
    /// Declared channels that have a value.
    values: IndexMap<String, ChannelValue>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Unpublished {
    files: bool,
    todos: bool,
}

/// The state machine of one job. See the crate's head for its promises.
#[derive(Debug)]
pub struct Run {
    setup: RunSetup,
    agents: BTreeMap<AgentId, Agent>,
    next_agent: u32,
    usage: Usage,
    model_calls: u64,
    /// What the event in hand has produced so far.
    rows: Rows,
    events: Vec<Emission>,
    notes: Vec<Note>,
    deferred: Vec<Effect>,
    /// Effects that wait for a commit to be durable.
    waiting: VecDeque<(u64, Vec<Effect>)>,
    commits: u64,
    outcome: Option<Outcome>,
    /// Codes of what the caller should know although the job completes.
    warnings: BTreeSet<&'static str>,
    over: bool,
    /// Events that came when nobody waited for them.
    out_of_phase: u64,
    /// The orchestrator's messages and files as the store had them.
    found: (Vec<Arc<Message>>, Files),
}

/// Why an agent cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    kind: &'static str,
    code: &'static str,
    message: String,
}

const ORCHESTRATOR: AgentId = AgentId(0);

impl Run {
    fn empty(setup: RunSetup) -> Self {
        Self {
            setup,
            agents: BTreeMap::new(),
            next_agent: 1,
            usage: Usage::default(),
            model_calls: 0,
            rows: Rows::default(),
            events: Vec::new(),
            notes: Vec::new(),
            deferred: Vec::new(),
            waiting: VecDeque::new(),
            commits: 0,
            outcome: None,
            warnings: BTreeSet::new(),
            over: false,
            out_of_phase: 0,
            found: (Vec::new(), Files::new()),
        }
    }

    /// The orchestrator's messages and files as a resume found them, before anything was added; nothing on a thread
    /// that is new. Can be taken once.
    pub fn take_found(&mut self) -> (Vec<Arc<Message>>, Files) {
        std::mem::take(&mut self.found)
    }

    /// The only way in. Total: a late or repeated event is counted and yields nothing; redelivery, retries
    /// and fencing make such events normal, so this never panics.
    pub fn handle(&mut self, event: Event, stamp: Stamp) -> Vec<Effect> {
        if self.over {
            self.out_of_phase += 1;
            return Vec::new();
        }
        let mut ids = Ids::new(stamp);
        match event {
            Event::Committed(number) => return self.committed(number),
            Event::ModelReply(agent, reply) => self.model_answered(agent, *reply, &mut ids),
            Event::ModelFailed(agent, error) => self.model_failed(agent, error, &mut ids),
            Event::ToolReturned(call, result) => self.tool_returned(call, result, &mut ids),
            Event::ToolOutcomeUnknown(call) => self.tool_returned(call, unknown_outcome(), &mut ids),
            Event::Cancelled => self.cancel(&mut ids),
            Event::DeadlinePassed => {
                self.end("DeadlineExceeded", "job.deadline", "the job's deadline has passed".to_owned());
            }
        }
        self.flush()
    }

    /// How many events came when nobody waited for them.
    pub const fn out_of_phase(&self) -> u64 {
        self.out_of_phase
    }

    fn committed(&mut self, number: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        while self.waiting.front().is_some_and(|(waits_for, _)| *waits_for <= number) {
            if let Some((_, released)) = self.waiting.pop_front() {
                effects.extend(released);
            }
        }
        effects
    }

    /// Turns what the event has produced into effects: a commit first, and what depends on it afterwards.
    fn flush(&mut self) -> Vec<Effect> {
        let commit = StepCommit {
            number: self.commits + 1,
            rows: std::mem::take(&mut self.rows),
            events: std::mem::take(&mut self.events),
            notes: std::mem::take(&mut self.notes),
        };
        let deferred = std::mem::take(&mut self.deferred);
        if let Some(outcome) = self.outcome.take() {
            self.over = true;
            self.commits += 1;
            self.waiting.clear();
            let finish = Finish { commit, outcome, usage: self.usage, model_calls: self.model_calls };
            return vec![Effect::Finish(Box::new(finish))];
        }
        if commit.rows.checkpoints.is_empty() && commit.rows.writes.is_empty() && commit.events.is_empty() {
            return deferred;
        }
        self.commits += 1;
        if !deferred.is_empty() {
            self.waiting.push_back((commit.number, deferred));
        }
        vec![Effect::Commit(commit)]
    }

    /// Notes something for the log.
    fn note(&mut self, id: AgentId, code: &'static str, message: String) {
        let label = self.agents.get(&id).and_then(|agent| agent.label.clone());
        self.notes.push(Note { code, label, message });
    }

    /// Notes an event of the agent, to be told with the coming commit.
    fn emit(&mut self, id: AgentId, event: StreamEvent) {
        let Some(agent) = self.agents.get(&id) else { return };
        let (label, step) = (agent.label.clone(), agent.graph.step());
        self.events.push(Emission { label, step, event });
    }

    /// Notes the agent's state; members that did not change since the last time are left out.
    fn emit_state(&mut self, id: AgentId, messages_changed: bool, complete: bool) {
        let Some(agent) = self.agents.get_mut(&id) else { return };
        let unpublished = std::mem::take(&mut agent.unpublished);
        if !(messages_changed || complete || unpublished.files || unpublished.todos) {
            return;
        }
        let event = StreamEvent::StateUpdate {
            messages: (messages_changed || complete).then(|| agent.graph.messages.clone()),
            files: (unpublished.files || complete).then(|| agent.graph.files.clone()),
            todos: (unpublished.todos || complete).then(|| agent.graph.todos()).flatten(),
        };
        self.emit(id, event);
    }
}

impl Agent {
    /// Whether one more super-step may run.
    fn step_allowed(&self) -> Result<(), Failure> {
        if self.steps_taken < self.spec.recursion_limit {
            return Ok(());
        }
        Err(recursion_failure(self.spec.recursion_limit))
    }
}

/// The text that LangGraph gives; people search for it.
fn recursion_failure(limit: u32) -> Failure {
    Failure {
        kind: "ExecutionError",
        code: "run.recursion_limit",
        message: format!(
            "Recursion limit of {limit} reached without hitting a stop condition. You can increase the limit by \
             setting the `recursion_limit` config key.\nFor troubleshooting, visit: \
             https://docs.langchain.com/oss/python/langgraph/errors/GRAPH_RECURSION_LIMIT"
        ),
    }
}

const fn model_code(kind: ModelErrorKind) -> &'static str {
    match kind {
        ModelErrorKind::ContextOverflow => "model.context_overflow",
        ModelErrorKind::Refused => "model.refused",
        ModelErrorKind::Auth => "model.auth",
        ModelErrorKind::RateLimited => "model.rate_limited",
        ModelErrorKind::Unavailable => "model.unavailable",
        ModelErrorKind::Interrupted => "model.interrupted",
        ModelErrorKind::UnknownProvider => "model.unknown_provider",
    }
}

fn unknown_outcome() -> ToolResult {
    let text = "Error: the outcome of this call is unknown. It was started and may or may not have taken effect; \
                it was not tried again.";
    ToolResult {
        content: agent_langgraph_codec::Content::Text(text.to_owned()),
        status: agent_langgraph_codec::ToolStatus::Error,
        files: Vec::new(),
        values: Map::new(),
    }
}

/// Tags of a checkpoint's metadata.
fn tags(job_id: &str, more: &[(&str, &str)]) -> Map<String, Value> {
    let mut tags = Map::new();
    for (key, value) in more {
        tags.insert((*key).to_owned(), Value::String((*value).to_owned()));
    }
    tags.insert(JOB_TAG.to_owned(), Value::String(job_id.to_owned()));
    tags
}

/// Metadata key under which a checkpoint names its job.
pub(crate) const JOB_TAG: &str = "agent_executor_job_id";
