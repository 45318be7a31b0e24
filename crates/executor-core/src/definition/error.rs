//! Why a definition was refused.

use crate::definition::field::FieldPath;

/// Why an agent definition was refused. Nothing has been stored or run when this is returned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// A member has the wrong JSON type.
    #[error("`{at}`: expected {expected}, found {found}")]
    WrongKind {
        /// Where.
        at: FieldPath,
        /// What would have been right.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A member that is needed is not there.
    #[error("`{at}`: expected {expected}, found nothing")]
    Missing {
        /// Where it should be.
        at: FieldPath,
        /// What should be there.
        expected: &'static str,
    },
    /// A number is outside its range.
    #[error("`{at}`: expected {expected}, found {found}")]
    OutOfRange {
        /// Where.
        at: FieldPath,
        /// The range.
        expected: &'static str,
        /// The number.
        found: String,
    },
    /// A model of a provider that we cannot speak to.
    #[error("`{at}`: no provider is called `{provider}`; there are {}", crate::definition::model::PROVIDERS.join(", "))]
    UnknownProvider {
        /// Where.
        at: FieldPath,
        /// As written, cut to 80 characters.
        provider: String,
    },
    /// Two specialists of one name: a call of `task` could mean either. The text is deepagents' own.
    #[error("`{at}`: Duplicate subagent name '{name}'; each subagent must have a unique name.")]
    DuplicateName {
        /// The second one.
        at: FieldPath,
        /// The name.
        name: String,
    },
    /// A pattern that is no regular expression.
    #[error("`{at}`: `{pattern}` is no regular expression: {reason}")]
    BadPattern {
        /// Where.
        at: FieldPath,
        /// As written, cut to 80 characters.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer form of the definition than this program knows.
    #[error("`{at}`: expected a version up to {}, found {found}", crate::definition::SCHEMA_VERSION)]
    NewerSchema {
        /// Where.
        at: FieldPath,
        /// The version.
        found: u64,
    },
    /// Too many, or too long.
    #[error("`{at}`: {found} {unit}, at most {limit} are allowed")]
    TooLarge {
        /// Where.
        at: FieldPath,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
        /// Of what.
        unit: &'static str,
    },
}

impl DefinitionError {
    /// Stable, low-cardinality: label of the metric, `code` in the log and in the result event.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::WrongKind { .. } => "definition.wrong_kind",
            Self::Missing { .. } => "definition.missing",
            Self::OutOfRange { .. } => "definition.out_of_range",
            Self::UnknownProvider { .. } => "definition.unknown_provider",
            Self::DuplicateName { .. } => "definition.duplicate_name",
            Self::BadPattern { .. } => "definition.bad_pattern",
            Self::NewerSchema { .. } => "definition.newer_schema",
            Self::TooLarge { .. } => "definition.too_large",
        }
    }

    /// Where in the document.
    pub const fn at(&self) -> &FieldPath {
        match self {
            Self::WrongKind { at, .. }
            | Self::Missing { at, .. }
            | Self::OutOfRange { at, .. }
            | Self::UnknownProvider { at, .. }
            | Self::DuplicateName { at, .. }
            | Self::BadPattern { at, .. }
            | Self::NewerSchema { at, .. }
            | Self::TooLarge { at, .. } => at,
        }
    }

    /// What the definition's author can do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::WrongKind { expected, .. } => format!("write {expected} here, or leave the member out"),
            Self::Missing { expected, .. } => format!("add {expected}"),
            Self::OutOfRange { expected, .. } => format!("write {expected}, or leave the member out"),
            Self::UnknownProvider { .. } => {
                let known = crate::definition::model::PROVIDERS.join(", ");
                format!("use one of {known}; a server that speaks OpenAI's language is `openai` with OPENAI_BASE_URL")
            }
            Self::DuplicateName { name, .. } => {
                format!("give each specialist a name of its own; the model calls `{name}` by it")
            }
            Self::BadPattern { .. } => {
                "write a regular expression (no look-around, no back-references), or escape its special characters"
                    .to_owned()
            }
            Self::NewerSchema { .. } => "use a newer worker, or write the definition in the older form".to_owned(),
            Self::TooLarge { limit, unit, .. } => format!("bring it down to {limit} {unit}"),
        }
    }
}
