//! Built-in tools on the virtual file system, and the texts with which a call is answered that never runs.
//!
//! A tool is one file below this folder and one line in [`BUILT_IN`]. Names, schemas, results and error texts are
//! those of `deepagents` 0.7.32 (recorded in `golden/tool-results`); where ours differ, `tests/tool_cases.rs` lists it.

mod args;
mod braces;
mod delete;
mod edit_file;
pub mod eviction;
mod execute;
mod glob;
mod grep;
mod limits;
mod lines;
mod ls;
mod media;
mod path;
mod pattern;
mod pattern_parse;
mod read_file;
pub mod task;
mod turn;
mod write_file;
mod write_todos;

use std::sync::Arc;

use agent_langgraph_codec::{Content, FileData, Files, ToolStatus};
use serde_json::{Map, Value};

use crate::ToolSpec;

pub use execute::execute_unavailable;
pub(crate) use limits::first_chars;
pub use path::{PathRefused, normalise_path};
pub use turn::{dangling_call_text, malformed_call_text, parallel_conflicts, unknown_tool};
pub(crate) use write_file::record;

/// What a tool may look at.
#[derive(Debug, Clone, Copy)]
pub struct ToolContext<'a> {
    /// The files as of the beginning of the turn; parallel calls do not see each other's changes.
    pub files: &'a Files,
    /// The time of the call as Python's `isoformat` writes it in UTC, `2026-01-31T12:34:56.789012+00:00`.
    pub now: &'a str,
}

/// What a tool answers.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolAnswer {
    /// Text, or content blocks for media.
    pub content: Content,
    /// Whether the tool did what it was asked.
    pub status: ToolStatus,
    /// Changes of the file system in order; `None` deletes.
    pub files: Vec<(String, Option<Arc<FileData>>)>,
    /// The new to-do list, where the tool sets one.
    pub todos: Option<Value>,
    /// Goes into the message's `additional_kwargs`.
    pub additional_kwargs: Map<String, Value>,
}

impl ToolAnswer {
    /// An answer that is only a text.
    pub fn success(text: impl Into<String>) -> Self {
        Self::text(text.into(), ToolStatus::Success)
    }

    /// An answer that is only a text, with status `error`.
    pub fn error(text: impl Into<String>) -> Self {
        Self::text(text.into(), ToolStatus::Error)
    }

    fn text(text: String, status: ToolStatus) -> Self {
        let content = Content::Text(text);
        Self { content, status, files: Vec::new(), todos: None, additional_kwargs: Map::new() }
    }
}

/// The path that a call is going to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Normalised.
    pub path: String,
    /// Whether everything below the path changes too.
    pub with_everything_below: bool,
}

/// One built-in tool.
#[derive(Debug)]
pub struct BuiltIn {
    /// Name by which a model calls it.
    pub name: &'static str,
    /// Description and schema as offered to a model.
    pub spec: fn() -> ToolSpec,
    /// Does the work; problems of any kind are answers with status `error`.
    pub run: fn(&ToolContext<'_>, &Map<String, Value>) -> ToolAnswer,
    /// Whether a call may change files.
    pub mutates: bool,
    /// The path that a call with these arguments changes; `None` where it changes none or is refused
    /// for its arguments or its path. Two calls of one turn with conflicting targets exclude each other.
    pub target: fn(&Map<String, Value>) -> Option<Target>,
}

/// Every built-in tool in the order in which they are offered; `task` goes between `grep` and `write_todos`.
pub const BUILT_IN: &[&BuiltIn] = &[
    &ls::LS,
    &read_file::READ_FILE,
    &write_file::WRITE_FILE,
    &edit_file::EDIT_FILE,
    &delete::DELETE,
    &glob::GLOB,
    &grep::GREP,
    &write_todos::WRITE_TODOS,
];

/// The built-in tool of this name.
pub fn find(name: &str) -> Option<&'static BuiltIn> {
    BUILT_IN.iter().copied().find(|tool| tool.name == name)
}

/// For tools that change nothing.
fn no_target(_args: &Map<String, Value>) -> Option<Target> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_found_by_its_name_and_offers_itself_under_it() {
        for tool in BUILT_IN {
            let spec = (tool.spec)();
            assert_eq!(spec.name, tool.name);
            assert_eq!(spec.description, spec.description.trim(), "{}", tool.name);
            assert_eq!(find(tool.name).map(|found| found.name), Some(tool.name));
        }
        assert!(find("execute").is_none(), "registered in Python, never offered");
    }
}
