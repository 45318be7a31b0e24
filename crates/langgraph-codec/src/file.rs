//! The virtual file system of a deep agent (`files` channel of `deepagents` 0.7).

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};

/// How `content` is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Text.
    Utf8,
    /// Bytes in base64.
    Base64,
}

/// Both stored forms of a file's content. New records always use [`FileContent::Text`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileContent {
    /// Today's form: one string.
    Text(String),
    /// Older releases: a list of lines, joined by LF when read.
    Lines(Vec<String>),
}

/// One file of the virtual file system.
#[derive(Debug, Clone, PartialEq)]
pub struct FileData {
    /// The content in the form in which it is stored.
    pub content: FileContent,
    /// Absent in old records; then it counts as UTF-8 text and is not written either.
    pub encoding: Option<Encoding>,
    /// ISO 8601 in UTC, as Python's `isoformat` writes it.
    pub created_at: Option<String>,
    /// ISO 8601 in UTC, as Python's `isoformat` writes it.
    pub modified_at: Option<String>,
    /// Fields that this version does not know, kept and written again.
    pub extra: Map<String, Value>,
}

/// Path to record, in insertion order: an overwritten path keeps its place, a deleted and re-created
/// one moves to the end. The order is visible to the model (grep's cap, glob's ties).
pub type Files = IndexMap<String, Arc<FileData>>;

impl FileData {
    /// The content as one string (lines joined by LF); base64 stays base64.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        match &self.content {
            FileContent::Text(text) => std::borrow::Cow::Borrowed(text),
            FileContent::Lines(lines) => std::borrow::Cow::Owned(lines.join("\n")),
        }
    }
}
