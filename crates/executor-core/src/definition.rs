//! The agent definition: every form found in practice is brought to one, or refused with the place that is wrong.

mod agent;
mod canonical;
mod context;
mod error;
mod field;
mod limits;
mod model;
mod parse;
mod read;
mod types;
mod warning;

pub use canonical::{canonical_json, sha256_hex};
pub use error::DefinitionError;
pub use field::{FieldPath, kind_of};
pub use limits::{
    MAX_DESCRIPTION_BYTES, MAX_NAME_CHARS, MAX_NODES, MAX_PROMPT_BYTES, MAX_RECURSION_LIMIT,
    MAX_SCRIPT_BYTES, MAX_TOOL_DEFINITIONS,
};
pub use model::PROVIDERS;
pub use parse::{Defaults, Parsed};
pub use types::{AgentSpec, Definition, ScriptTool};
pub use warning::Warning;
