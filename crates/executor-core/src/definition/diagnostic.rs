//! Everything there is to say about a definition, for its author.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use crate::Compiled;
use crate::definition::field::FieldPath;
use crate::definition::parse::{Defaults, Examined};
use crate::definition::types::Definition;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Jobs with this definition fail.
    Error,
    /// Jobs run, perhaps not as the author thinks.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing about a definition: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Stable.
    pub code: &'static str,
    /// JSON path.
    pub at: FieldPath,
    /// What is the matter.
    pub problem: String,
    /// What to do about it.
    pub fix: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, code, at, problem, fix } = self;
        write!(f, "{} [{code}] {at}: {problem}\n  fix: {fix}", severity.as_str())
    }
}

impl Definition {
    /// Reads a document as a job would, and tells everything about it: errors first. Scripts are not run.
    pub fn diagnose(document: &Value, defaults: &Defaults) -> Vec<Diagnostic> {
        let Examined { definition, problems, warnings } = Self::examine(document, defaults);
        let mut found: Vec<Diagnostic> = Vec::with_capacity(problems.len() + warnings.len());
        for problem in problems {
            let text = problem.to_string();
            // The path has its own place.
            let told = text.split_once("`: ").map_or(text.as_str(), |(_, rest)| rest).to_owned();
            found.push(Diagnostic {
                severity: Severity::Error,
                code: problem.code(),
                at: problem.at().clone(),
                problem: told,
                fix: problem.fix(),
            });
        }
        let compiled =
            definition.map(|definition| Compiled::new(Arc::new(definition), &IndexMap::new(), &[]));
        if let Some(Err(error)) = compiled {
            found.push(Diagnostic {
                severity: Severity::Error,
                code: error.code(),
                at: FieldPath::root("agent_definition").member("nodes"),
                problem: error.to_string(),
                fix: "change what the text names".to_owned(),
            });
        }
        found.extend(warnings.into_iter().map(|warning| Diagnostic {
            severity: Severity::Warning,
            code: warning.code,
            at: warning.at,
            problem: warning.message,
            fix: warning.fix,
        }));
        found
    }
}

#[cfg(test)]
mod tests;
