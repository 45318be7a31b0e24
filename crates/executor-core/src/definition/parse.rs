//! From JSON to a definition.

use crate::ModelRef;
use crate::definition::types::Definition;
use crate::definition::warning::Warning;

/// What fills the places that a definition leaves open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Model of the orchestrator where the definition names none (`LLM_MODEL_NAME`).
    pub model: Option<ModelRef>,
}

/// A definition and what its author should know.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The definition.
    pub definition: Definition,
    /// In the order in which they were met.
    pub warnings: Vec<Warning>,
}
