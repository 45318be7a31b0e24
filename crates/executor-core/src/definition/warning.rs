//! What a definition says that will have no effect, or another than its author may think.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::definition::field::FieldPath;

/// Something to tell the definition's author. The job runs nevertheless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Stable, low-cardinality; goes into the log and may go into `data.result.warnings`.
    pub code: &'static str,
    /// Where in the document.
    pub at: FieldPath,
    /// For people.
    pub message: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}`: {}", self.at, self.message)
    }
}

/// Most warnings of one definition: a body of 1 MiB can hold a hundred thousand unknown members.
const MOST: usize = 100;

/// The warnings so far, and which unknown members were named already.
#[derive(Default)]
pub(super) struct Warnings {
    list: Vec<Warning>,
    unknown: BTreeSet<(&'static str, String)>,
}

impl Warnings {
    pub(super) fn add(&mut self, code: &'static str, at: FieldPath, message: impl Into<String>) {
        if self.list.len() < MOST {
            self.list.push(Warning { code, at, message: message.into() });
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
            if self.list.len() >= MOST {
                return;
            }
            if self.unknown.insert((kind, name.clone())) {
                let message = format!("no member of {kind} has this name; it has no effect");
                self.add("definition.unknown_member", at.member(name), message);
            }
        }
    }

    pub(super) fn into_list(self) -> Vec<Warning> {
        self.list
    }
}
