//! What a thread remembers of a summary: channels `_summarization_event` and `_summarization_session_id`, as Python
//! stores them.

use std::sync::Arc;

use agent_langgraph_codec as codec;
use agent_langgraph_codec::{ChannelValue, Content, Kind, Message};
use indexmap::IndexMap;
use serde_json::Value;

use super::SOURCE;

/// Channel of the newest summary.
pub(crate) const EVENT: &str = "_summarization_event";
/// Channel of the name under which the thread's history is kept.
pub(crate) const SESSION: &str = "_summarization_session_id";

const MSGPACK: &str = "msgpack";

/// A summary that stands for the beginning of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SummaryEvent {
    /// Stored messages that it stands for.
    pub(crate) cutoff: usize,
    /// The message that the model is shown in their place.
    pub(crate) message: Arc<Message>,
    /// Where they were written to.
    pub(crate) file_path: Option<String>,
    /// Stored messages when it was made; reasoning of earlier ones belongs to a conversation that is no more.
    pub(crate) created_at: Option<usize>,
}

impl SummaryEvent {
    /// The newest one of a thread. A value that is none is left alone, as in Python: the model gets all messages.
    pub(crate) fn of(values: &IndexMap<String, ChannelValue>) -> Option<Self> {
        let ChannelValue::Raw { type_, blob } = values.get(EVENT)? else { return None };
        let entries = codec::decode_map(type_, blob).ok()?;
        let part = |name: &str| entries.iter().find(|(key, _)| key == name).map(|(_, bytes)| bytes);
        let json = |name: &str| part(name).and_then(|bytes| codec::decode_json(MSGPACK, bytes).ok());
        let number = |name: &str| json(name)?.as_u64().and_then(|number| usize::try_from(number).ok());
        let message =
            codec::decode_messages(MSGPACK, part("summary_message")?).ok()?.messages.into_iter().next()?;
        Some(Self {
            cutoff: number("cutoff_index")?,
            message,
            file_path: json("file_path").and_then(|path| path.as_str().map(str::to_owned)),
            created_at: number("created_at_index"),
        })
    }

    pub(crate) fn value(&self) -> ChannelValue {
        let number = |number: usize| codec::encode_json(&Value::from(number));
        let mut entries = vec![
            ("cutoff_index", number(self.cutoff)),
            ("summary_message", codec::encode_message(&self.message)),
            ("file_path", codec::encode_json(&self.file_path.clone().map_or(Value::Null, Value::String))),
        ];
        entries.extend(self.created_at.map(|at| ("created_at_index", number(at))));
        ChannelValue::Raw { type_: MSGPACK.to_owned(), blob: codec::encode_map(&entries) }
    }

    /// The conversation as the model sees it: the summary, then what it does not stand for.
    pub(crate) fn apply(&self, messages: &[Arc<Message>]) -> Vec<Arc<Message>> {
        let kept_from = self.created_at.unwrap_or(self.cutoff);
        let rest = messages.iter().enumerate().skip(self.cutoff);
        let rest = rest.map(|(place, message)| match place < kept_from {
            true => without_reasoning(message),
            false => message.clone(),
        });
        std::iter::once(self.message.clone()).chain(rest).collect()
    }
}

/// The session's name, where the thread has one.
pub(crate) fn session_of(values: &IndexMap<String, ChannelValue>) -> Option<String> {
    match values.get(SESSION)? {
        ChannelValue::Json(Value::String(name)) if !name.is_empty() => Some(name.clone()),
        ChannelValue::Json(_) | ChannelValue::Messages(_) | ChannelValue::Raw { .. } => None,
    }
}

pub(crate) fn is_summary(message: &Message) -> bool {
    matches!(message.kind, Kind::Human)
        && message.additional_kwargs.get(SOURCE).and_then(Value::as_str) == Some("summarization")
}

/// The message without reasoning that is bound to what came before it (Claude refuses it elsewhere).
pub(crate) fn without_reasoning(message: &Arc<Message>) -> Arc<Message> {
    let (Kind::Ai { .. }, Content::Blocks(blocks)) = (&message.kind, &message.content) else {
        return message.clone();
    };
    let bound: &[&str] = match super::tokens::model_provider(message) {
        None => &["thinking", "redacted_thinking", "reasoning_content"],
        Some("anthropic") => &["thinking", "redacted_thinking", "reasoning_content", "reasoning"],
        Some(_) => return message.clone(),
    };
    let is_bound =
        |block: &Value| block.get("type").and_then(Value::as_str).is_some_and(|kind| bound.contains(&kind));
    if !blocks.iter().any(is_bound) {
        return message.clone();
    }
    let kept = blocks.iter().filter(|block| !is_bound(block)).cloned().collect();
    super::with_content(message, Content::Blocks(kept))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> SummaryEvent {
        let message = super::super::summary::message("S", Some("/conversation_history/session_1.md"));
        let path = "/conversation_history/session_1.md".to_owned();
        SummaryEvent { cutoff: 2, message: Arc::new(message), file_path: Some(path), created_at: Some(4) }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let values = IndexMap::from([(EVENT.to_owned(), event().value())]);
        let read = SummaryEvent::of(&values).unwrap();
        assert_eq!((read.cutoff, read.created_at, &read.file_path), (2, Some(4), &event().file_path));
        assert_eq!(read.value(), event().value());
        assert!(is_summary(&read.message));
        let broken = IndexMap::from([(EVENT.to_owned(), ChannelValue::Json(json!({"cutoff_index": 1})))]);
        assert_eq!(SummaryEvent::of(&broken), None);
    }

    #[test]
    fn the_model_sees_the_summary_and_the_rest_without_old_reasoning() {
        let blocks =
            vec![json!({"type": "thinking", "thinking": "hm"}), json!({"type": "text", "text": "a"})];
        let thought = Arc::new(Message::ai(Content::Blocks(blocks), Vec::new(), None));
        let human = Arc::new(Message::human("q", "h"));
        let messages = [human.clone(), human.clone(), human.clone(), thought.clone(), thought.clone(), human];
        let shown = event().apply(&messages);
        assert_eq!(shown.len(), 5);
        assert_eq!(shown[2].content, Content::Blocks(vec![json!({"type": "text", "text": "a"})]));
        assert_eq!(shown[3], thought, "written after the summary");
        let ahead = SummaryEvent { cutoff: 9, ..event() };
        assert_eq!(ahead.apply(&messages).len(), 1);
    }
}
