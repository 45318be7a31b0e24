//! The agent definition: every form found in practice is brought to one, or refused with the place that is wrong.

mod agent;
mod canonical;
mod channels;
mod context;
mod diagnostic;
mod error;
mod field;
mod limits;
mod model;
mod near;
mod parse;
mod published;
mod read;
mod response;
mod types;
mod warning;

pub use canonical::{canonical_json, sha256_hex};
pub(crate) use channels::union;
pub use channels::{Channels, Reducer};
pub use diagnostic::{Diagnostic, Severity};
pub use error::DefinitionError;
pub use field::{FieldPath, kind_of};
pub use limits::{
    MAX_CHANNELS, MAX_DESCRIPTION_BYTES, MAX_NAME_CHARS, MAX_NODES, MAX_PATTERN_BYTES, MAX_PATTERNS,
    MAX_PROMPT_BYTES, MAX_RECURSION_LIMIT, MAX_SCRIPT_BYTES, MAX_TOOL_DEFINITIONS, SCHEMA_VERSION,
};
pub use model::PROVIDERS;
pub(crate) use parse::output_pattern;
pub use parse::{Defaults, Examined, Parsed};
pub use published::definition_schema;
pub use response::{ResponseSpec, Strategy};
pub use types::{AgentSpec, Definition, ScriptTool};
pub use warning::Warning;
