//! What goes into the machine and what comes out.

use std::sync::Arc;

use agent_langgraph_codec::{Content, Files, Message, Rows, ToolCall, ToolStatus};
use serde_json::{Map, Value};

use crate::{AgentLabel, ModelError, ModelReply, ModelRequest, Purpose, StreamEvent, Usage};

/// An agent of a run: 0 is the orchestrator, every `task` call gets the next number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(pub u32);

/// A call that was handed out by [`Effect::RunTool`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallRef {
    /// Whose call it is.
    pub agent: AgentId,
    /// Position among the calls of its assistant message.
    pub index: usize,
}

/// What may be assumed of a tool's effects when its outcome is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// No effect outside of its answer: it may run again.
    Pure,
    /// Running it again with the same key does nothing more.
    Idempotent,
    /// It must not be tried twice. The default for everything unmarked.
    AtMostOnce,
}

/// What a tool outside of the machine answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolResult {
    /// What the model is shown.
    pub content: Content,
    /// Whether that is a result or an error text.
    pub status: ToolStatus,
    /// Changes to the virtual file system; `None` deletes.
    pub files: Vec<(String, Option<Arc<agent_langgraph_codec::FileData>>)>,
    /// Other channels that it writes.
    pub values: Map<String, Value>,
}

/// What happened. Token deltas do not come here; the complete reply does.
#[derive(Debug, Clone)]
pub enum Event {
    /// A model answered.
    ModelReply(AgentId, Box<ModelReply>),
    /// A model call failed for good, after all retries.
    ModelFailed(AgentId, ModelError),
    /// A tool answered, well or with an error text.
    ToolReturned(CallRef, ToolResult),
    /// Nobody can tell whether an at-most-once call happened.
    ToolOutcomeUnknown(CallRef),
    /// Every commit up to this number is durable.
    Committed(u64),
    /// The job was cancelled.
    Cancelled,
    /// The job's deadline has passed.
    DeadlinePassed,
}

/// A stream event with the place where it happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Emission {
    /// The sub-agent; `None` for the orchestrator.
    pub label: Option<AgentLabel>,
    /// The super-step of that agent's graph.
    pub step: i64,
    /// What happened.
    pub event: StreamEvent,
}

/// Rows that become durable together, and the events that may be told afterwards.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepCommit {
    /// Number of this commit, rising by one; acknowledged by [`Event::Committed`].
    pub number: u64,
    /// LangGraph's rows.
    pub rows: Rows,
    /// Told once the rows are durable.
    pub events: Vec<Emission>,
    /// For the log: what happened that nobody may expect.
    pub notes: Vec<Note>,
}

/// Something for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Stable name, e.g. `state.overwritten`.
    pub code: &'static str,
    /// The sub-agent; `None` for the orchestrator.
    pub label: Option<AgentLabel>,
    /// For people; holds names and paths, never contents.
    pub message: String,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It came to its end.
    Completed {
        /// Content of the last message: a string or blocks; null where there is none.
        output: Value,
        /// The structured answer, where the definition asks for one.
        structured_response: Option<Value>,
        /// The file system at the end, context files included.
        files: Arc<Files>,
        /// Codes of what the caller should know although the job completed.
        warnings: Vec<&'static str>,
    },
    /// It failed, was cancelled or ran out of time.
    Failed {
        /// Class as the Python service names it: `ExecutionError`, `BudgetExceeded`, `Cancelled`, …
        kind: &'static str,
        /// Our stable code.
        code: &'static str,
        /// For people.
        message: String,
    },
}

/// What the runtime must do.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Ask a model; answered by `ModelReply` or `ModelFailed`.
    AskModel {
        /// Who asks.
        agent: AgentId,
        /// Its label in the stream; `None` for the orchestrator.
        label: Option<AgentLabel>,
        /// The super-step that the answer belongs to.
        step: i64,
        /// Id that the answer's message will get if the provider gives none.
        message_id: String,
        /// What for. A summary is no message of the thread.
        purpose: Purpose,
        /// What to ask.
        request: Box<ModelRequest>,
    },
    /// Run a tool outside of the machine; answered by `ToolReturned` or `ToolOutcomeUnknown`.
    RunTool {
        /// Which call.
        call_ref: CallRef,
        /// LangGraph's id of the call's task: the same whenever this call of this step is handed out, over restarts too.
        task_id: String,
        /// The call as the model made it.
        call: ToolCall,
        /// What may be assumed of its effects.
        class: Class,
        /// The super-step that the result belongs to.
        step: i64,
        /// The messages and files that the tool may look at.
        view: StateView,
    },
    /// Make durable; answered by `Committed`.
    Commit(StepCommit),
    /// Tell without waiting for a commit.
    Emit(Emission),
    /// The run is over: make durable, together with the outcome. Nothing follows.
    Finish(Box<Finish>),
}

/// The state as a tool sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct StateView {
    /// The agent's messages.
    pub messages: Vec<Arc<Message>>,
    /// The virtual file system.
    pub files: Arc<Files>,
    /// Todos and other channels.
    pub values: Map<String, Value>,
}

/// The last commit of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// What is still to be written.
    pub commit: StepCommit,
    /// How the run ended.
    pub outcome: Outcome,
    /// Tokens over all agents, as far as the providers told.
    pub usage: Usage,
    /// Model calls that were answered.
    pub model_calls: u64,
}
