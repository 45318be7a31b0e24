//! A job's `input_payload` as the graph takes it (wire contract 2.4): messages, files, and what is left.

mod files;
mod messages;

use agent_langgraph_codec::{FileData, Message, iso_timestamp};
use serde_json::{Map, Value};

use crate::definition::{Definition, FieldPath};
use crate::ids::{Ids, Stamp};
use crate::tools::PathRefused;

/// Why an input was refused. Nothing has been stored or run when this is returned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
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
    /// A role that no message has. The text is LangChain's own.
    #[error(
        "`{at}`: Unexpected message type: '{role}'. Use one of 'human', 'user', 'ai', 'assistant', 'function', 'tool', 'system', or 'developer'."
    )]
    UnknownRole {
        /// Where.
        at: FieldPath,
        /// As written, cut to 80 characters.
        role: String,
    },
    /// A message without role or content. The text is LangChain's own.
    #[error("`{at}`: Message dict must contain 'role' and 'content' keys, got {got}")]
    NoRoleOrContent {
        /// Where.
        at: FieldPath,
        /// The names of the members that it has.
        got: String,
    },
    /// A member that this kind of message needs.
    #[error("`{at}`: expected {expected}, found nothing")]
    Missing {
        /// Where it should be.
        at: FieldPath,
        /// What should be there.
        expected: &'static str,
    },
    /// Arguments of a tool call in OpenAI's form that are no JSON object.
    #[error("`{at}`: expected a JSON object in a string, found {found}")]
    BadArguments {
        /// Where.
        at: FieldPath,
        /// What was found.
        found: String,
    },
    /// A path that no file can have.
    #[error("`{at}`: {refused}")]
    BadPath {
        /// Where.
        at: FieldPath,
        /// Why.
        refused: PathRefused,
    },
    /// A file's encoding that is none of ours.
    #[error("`{at}`: expected `utf-8` or `base64`, found `{found}`")]
    BadEncoding {
        /// Where.
        at: FieldPath,
        /// As written, cut to 80 characters.
        found: String,
    },
}

impl InputError {
    /// Stable, low-cardinality: label of the metric, `code` in the log and in the result event.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::WrongKind { .. } => "input.wrong_type",
            Self::UnknownRole { .. }
            | Self::NoRoleOrContent { .. }
            | Self::Missing { .. }
            | Self::BadArguments { .. } => "input.bad_message",
            Self::BadPath { .. } | Self::BadEncoding { .. } => "input.bad_file",
        }
    }
}

/// What a job gives to its thread.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Input {
    /// In order, each with an id. May be empty: then the model is asked with its system prompt alone, which not every
    /// provider takes.
    pub messages: Vec<Message>,
    /// In order; `None` deletes. Paths are absolute and normalised.
    pub files: Vec<(String, Option<FileData>)>,
    /// Every other member: input of channels that specialists declare, and what nobody reads.
    pub extra: Map<String, Value>,
}

impl Input {
    /// Reads the payload. `stamp` gives ids to messages without one, and times to files without any.
    ///
    /// # Errors
    /// [`InputError`] with the first thing that is wrong.
    pub fn from_payload(
        payload: &Map<String, Value>,
        definition: &Definition,
        stamp: Stamp,
    ) -> Result<Self, InputError> {
        let root = FieldPath::root("input_payload").member("input_payload");
        let mut ids = Ids::new(stamp);
        let given = payload.get("messages").filter(|value| !value.is_null());
        let mut messages = match given {
            Some(value) => messages::read(value, &root.member("messages"), &mut || ids.uuid())?,
            None => Vec::new(),
        };
        if messages.is_empty()
            && let Some(text) = first_request(payload, definition)
        {
            messages.push(Message::human(text, ids.uuid()));
        }
        let files = match payload.get("files").filter(|value| !value.is_null()) {
            Some(value) => files::read(value, &root.member("files"), &iso_timestamp(stamp.now_ns))?,
            None => Vec::new(),
        };
        let rest = payload.iter().filter(|(name, _)| !matches!(name.as_str(), "messages" | "files"));
        let extra = rest.map(|(name, value)| (name.clone(), value.clone())).collect();
        Ok(Self { messages, files, extra })
    }
}

/// Messages in any accepted form, each with an id.
///
/// # Errors
/// [`InputError`] with the first thing that is wrong.
pub(crate) fn messages(
    value: &Value,
    at: &FieldPath,
    ids: &mut dyn FnMut() -> String,
) -> Result<Vec<Message>, InputError> {
    messages::read(value, at, ids)
}

/// The user message of an input without messages: `instructions`, else the definition's `user_request`; `context`
/// after a blank line.
fn first_request(payload: &Map<String, Value>, definition: &Definition) -> Option<String> {
    let instructions = payload.get("instructions").and_then(as_text);
    let request = instructions.or_else(|| definition.user_request.clone());
    let context = payload.get("context").and_then(as_text);
    match (request, context) {
        (Some(request), Some(context)) => Some(format!("{request}\n\n{context}")),
        (request, context) => request.or(context),
    }
}

/// A text, or a value written as one; blank and empty ones count as absent.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        Value::Array(items) if items.is_empty() => None,
        Value::Object(members) if members.is_empty() => None,
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(value.to_string()),
    }
}

#[cfg(test)]
mod tests;
