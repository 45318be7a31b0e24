//! What an observer of a run may see. The JSON shapes are the `wire` crate's affair.

use std::sync::Arc;

use agent_langgraph_codec::{Files, Message, ToolStatus};
use serde_json::{Map, Value};

/// Which agent of the run an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentLabel {
    /// The sub-agent's name.
    pub agent: Arc<str>,
    /// Its checkpoint namespace without inner nodes: `tools:<task id>`, nested ones joined by `|`.
    pub ns: Arc<str>,
}

/// One event of a run, before it is numbered. Token deltas are not among them: they do not pass the machine.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamEvent {
    /// The state after a super-step. A member that is `None` did not change since the last update.
    StateUpdate {
        /// The whole list of messages.
        messages: Option<Vec<Arc<Message>>>,
        /// The whole file map.
        files: Option<Arc<Files>>,
        /// The whole todo list.
        todos: Option<Value>,
    },
    /// A tool is about to run.
    ToolStart {
        /// The call's id.
        id: String,
        /// The tool's name.
        name: String,
        /// The arguments as the model gave them.
        args: Map<String, Value>,
    },
    /// A tool's result is durable.
    ToolEnd {
        /// The call's id.
        id: String,
        /// The tool's name.
        name: String,
        /// The text as stored in the thread.
        output: String,
        /// Whether it is a result or an error text.
        status: ToolStatus,
        /// Milliseconds from start to result.
        duration_ms: u64,
        /// The output is a sub-agent's text from before its end, since its last message was empty.
        interim: bool,
    },
    /// The job failed.
    Error {
        /// Class of the failure as the Python service names it, e.g. `ExecutionError`.
        kind: &'static str,
        /// Our stable code, e.g. `model.refused`.
        code: String,
        /// For people.
        message: String,
    },
    /// The last event of a job.
    End {
        /// Whether the job completed.
        completed: bool,
    },
}
