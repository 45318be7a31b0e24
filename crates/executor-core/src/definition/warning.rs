//! What a definition says that will have no effect, or another than its author may think.

use crate::definition::field::FieldPath;

/// Something to tell the definition's author. The job runs nevertheless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Stable, low-cardinality; goes into `data.result.warnings` and into the log.
    pub code: &'static str,
    /// Where in the document.
    pub at: FieldPath,
    /// For people.
    pub message: String,
}

impl Warning {
    pub(super) const fn new(code: &'static str, at: FieldPath, message: String) -> Self {
        Self { code, at, message }
    }
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`: {}", self.at, self.message)
    }
}
