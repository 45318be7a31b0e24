//! What a definition says that will have no effect, or another than its author may think.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::definition::error::DefinitionError;
use crate::definition::field::FieldPath;
use crate::definition::near::meant;

/// Something to tell the definition's author. The job runs nevertheless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Stable, low-cardinality; goes into the log and may go into `data.result.warnings`.
    pub code: &'static str,
    /// Where in the document.
    pub at: FieldPath,
    /// What is the matter, for people.
    pub message: String,
    /// What to do about it, for people.
    pub fix: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`: {}", self.at, self.message)
    }
}

/// Most warnings, and most problems, of one definition: a body of 1 MiB can hold a hundred thousand of either.
const MOST: usize = 100;

/// What was found so far, and which unknown members were named already.
#[derive(Default)]
pub(super) struct Notes {
    warnings: Vec<Warning>,
    problems: Vec<DefinitionError>,
    unknown: BTreeSet<(&'static str, String)>,
}

impl Notes {
    pub(super) fn warn(
        &mut self,
        code: &'static str,
        at: FieldPath,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) {
        if self.warnings.len() < MOST {
            self.warnings.push(Warning { code, at, message: message.into(), fix: fix.into() });
        }
    }

    /// Notes a problem and goes on with nothing in its place, so that all problems are told at once.
    pub(super) fn keep<T: Default>(&mut self, read: Result<T, DefinitionError>) -> T {
        read.unwrap_or_else(|problem| {
            self.problem(problem);
            T::default()
        })
    }

    pub(super) fn problem(&mut self, problem: DefinitionError) {
        if self.problems.len() < MOST {
            self.problems.push(problem);
        }
    }

    /// Warns about members that nobody reads, each name once per kind of object.
    pub(super) fn unknown(
        &mut self,
        kind: &'static str,
        map: &Map<String, Value>,
        at: &FieldPath,
        known: &[&str],
    ) {
        for name in map.keys().filter(|name| !known.contains(&name.as_str())) {
            if self.warnings.len() >= MOST {
                return;
            }
            if self.unknown.insert((kind, name.clone())) {
                let message = format!("no member of {kind} has this name; it is kept and has no effect");
                let fix = match meant(name, known) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => "remove it if it was meant to do something here".to_owned(),
                };
                self.warn("definition.unknown_member", at.member(name), message, fix);
            }
        }
    }

    pub(super) fn into_parts(self) -> (Vec<DefinitionError>, Vec<Warning>) {
        (self.problems, self.warnings)
    }

    #[cfg(test)]
    pub(super) fn into_warnings(self) -> Vec<Warning> {
        self.warnings
    }
}
