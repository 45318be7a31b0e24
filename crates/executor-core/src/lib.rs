//! The pure state machine of an agent run: what happened goes in, what must be done comes out.
//!
//! No I/O, no clock, no randomness: time and fresh ids are handed in with every event.

mod definition;
mod model;
mod pyrepr;
mod stream;
pub mod tools;

pub use definition::{AgentSpec, Definition, ScriptTool};
pub use model::{
    ModelError, ModelErrorKind, ModelRef, ModelReply, ModelRequest, ResponseFormat, StopReason, ToolSpec, Usage,
};
pub use stream::{AgentLabel, StreamEvent};
