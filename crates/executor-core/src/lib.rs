//! The pure state machine of an agent run: what happened goes in, what must be done comes out.
//!
//! No I/O, no clock, no randomness: time and fresh ids are handed in with every event.

pub mod audit;
mod compiled;
mod context;
mod definition;
mod effect;
mod graph;
mod ids;
mod input;
mod model;
pub mod profiles;
mod pyjson;
mod pyrepr;
mod run;
mod schema;
mod stream;
mod structured;
pub mod tools;

pub use compiled::{CompileError, Compiled, CustomTool};
pub use context::{ContextSettings, Size};
pub use definition::{
    AgentSpec, Channels, Defaults, Definition, DefinitionError, Diagnostic, Examined, FieldPath,
    MAX_CHANNELS, MAX_DESCRIPTION_BYTES, MAX_NAME_CHARS, MAX_NODES, MAX_PATTERN_BYTES, MAX_PATTERNS,
    MAX_PROMPT_BYTES, MAX_RECURSION_LIMIT, MAX_SCRIPT_BYTES, MAX_TOOL_DEFINITIONS, PROVIDERS, Parsed,
    Reducer, ResponseSpec, SCHEMA_VERSION, ScriptTool, Severity, Strategy, Warning, canonical_json,
    definition_schema, kind_of, sha256_hex,
};
pub use effect::{
    AgentId, CallRef, Class, Effect, Emission, Event, Finish, Note, Outcome, StateView, StepCommit,
    ToolResult,
};
pub use ids::Stamp;
pub use input::{Input, InputError};
pub use model::{
    ModelError, ModelErrorKind, ModelOptions, ModelRef, ModelReply, ModelRequest, Purpose, ResponseFormat,
    StopReason, ToolSpec, Usage,
};
pub use pyrepr::value as python_repr;
pub use run::{ResumeError, Run, RunInput, RunLimits, RunSetup, has_begun};
pub use stream::{AgentLabel, StreamEvent};
