//! Objects of `langgraph.types` that checkpoints hold.

use serde_json::Value;

use crate::message::ToolCall;

/// A task that a node asked for: run `node` on one tool call.
#[derive(Debug, Clone, PartialEq)]
pub struct Send {
    /// The node, `tools` in a deep agent.
    pub node: String,
    /// The call.
    pub call: ToolCall,
}

/// A question that a task put to a person, stored on the channel `__interrupt__`.
#[derive(Debug, Clone, PartialEq)]
pub struct Interrupt {
    /// What is asked.
    pub value: Value,
    /// 32 hex digits, see [`crate::interrupt_id`].
    pub id: String,
    /// Schema of the answer, null by default.
    pub response_schema: Value,
}
