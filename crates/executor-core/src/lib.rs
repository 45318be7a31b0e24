//! The pure state machine of an agent run: what happened goes in, what must be done comes out.
//!
//! No I/O, no clock, no randomness: time and fresh ids are handed in with every event.

mod definition;
mod model;
mod pyrepr;
mod stream;
pub mod tools;

pub use definition::{
    AgentSpec, Defaults, Definition, DefinitionError, FieldPath, MAX_DESCRIPTION_BYTES, MAX_NAME_CHARS, MAX_NODES,
    MAX_PROMPT_BYTES, MAX_RECURSION_LIMIT, MAX_SCRIPT_BYTES, MAX_TOOL_DEFINITIONS, PROVIDERS, Parsed, ScriptTool,
    Warning, canonical_json, kind_of, sha256_hex,
};
pub use model::{
    ModelError, ModelErrorKind, ModelRef, ModelReply, ModelRequest, ResponseFormat, StopReason, ToolSpec, Usage,
};
pub use stream::{AgentLabel, StreamEvent};
