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
            | Self::TooLarge { at, .. } => at,
        }
    }
}
