//! A user's message that is too large for the conversation: kept as a file, shown to the model as a pointer.
//!
//! The stored message keeps its content; a mark says where the file is.

use std::sync::Arc;

use agent_langgraph_codec::{Content, Encoding, FileData, Kind, Message};
use serde_json::{Value, json};

use super::HISTORY;
use crate::tools::{eviction, record};

/// Mark of a message that was moved, in its `additional_kwargs`.
const MOVED_TO: &str = "lc_evicted_to";

/// A message that has just been moved.
pub(crate) struct Moved {
    /// The stored message with its mark.
    pub(crate) message: Arc<Message>,
    pub(crate) path: String,
    pub(crate) file: FileData,
}

/// Moves the last message if it is a user's and has more than `limit` characters.
pub(crate) fn move_large(messages: &mut [Arc<Message>], limit: usize, id: &str, now: &str) -> Option<Moved> {
    let last = messages.last_mut()?;
    if !matches!(last.kind, Kind::Human) || moved_to(last).is_some() {
        return None;
    }
    let text = eviction::text_of_content(&last.content);
    if text.len() <= limit || super::tokens::chars(&text) <= limit {
        return None;
    }
    let path = format!("{HISTORY}/{id}.md");
    let marked = Arc::make_mut(last);
    marked.additional_kwargs.insert(MOVED_TO.to_owned(), Value::String(path.clone()));
    Some(Moved { message: last.clone(), path, file: record(text, Some(Encoding::Utf8), None, now) })
}

/// Shows pointers in place of messages that were moved, now or in an earlier turn.
pub(crate) fn show_pointers(messages: &mut [Arc<Message>]) {
    for message in messages.iter_mut().filter(|message| matches!(message.kind, Kind::Human)) {
        let Some(path) = moved_to(message).map(str::to_owned) else { continue };
        let text = eviction::text_of_content(&message.content);
        let note = pointer(&path, &text);
        let shown = Arc::make_mut(message);
        shown.content = match &shown.content {
            Content::Text(_) => Content::Text(note),
            Content::Blocks(blocks) => {
                let others = blocks.iter().filter(|block| eviction::text_of(block).is_none()).cloned();
                let text = json!({"type": "text", "text": note});
                Content::Blocks(std::iter::once(text).chain(others).collect())
            }
        };
    }
}

fn moved_to(message: &Message) -> Option<&str> {
    message.additional_kwargs.get(MOVED_TO).and_then(Value::as_str).filter(|path| !path.is_empty())
}

fn pointer(path: &str, text: &str) -> String {
    let (sentence, sample) = eviction::preview(text, "content");
    format!(
        "Message content too large and was saved to the filesystem at: {path}\n\n\
         You can read the full content using the read_file tool with pagination (offset and limit parameters).\n\n\
         {sentence}\n\n{sample}\n"
    )
}
