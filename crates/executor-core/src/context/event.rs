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

    /// The blob of checkpoint example 25, which Python wrote.
    const RECORDED: &str = "\
        84ac6375746f66665f696e64657803af73756d6d6172795f6d657373616765c801d20594bd6c616e67636861696e5f636f72\
        652e6d657373616765732e68756d616eac48756d616e4d65737361676586a7636f6e74656e74da0133596f75206172652069\
        6e20746865206d6964646c65206f66206120636f6e766572736174696f6e207468617420686173206265656e2073756d6d61\
        72697a65642e0a0a5468652066756c6c20636f6e766572736174696f6e20686973746f727920686173206265656e20736176\
        656420746f202f636f6e766572736174696f6e5f686973746f72792f73657373696f6e5f3636656566613139613662313465\
        6436626563643335393232613766623366642e6d642073686f756c6420796f75206e65656420746f20726566657220626163\
        6b20746f20697420666f722064657461696c732e0a0a4120636f6e64656e7365642073756d6d61727920666f6c6c6f77733a\
        0a0a3c73756d6d6172793e0a54686520757365722077726f746520746f202f612e7478742e0a3c2f73756d6d6172793eb161\
        64646974696f6e616c5f6b776172677381a96c635f736f75726365ad73756d6d6172697a6174696f6eb1726573706f6e7365\
        5f6d6574616461746180a474797065a568756d616ea46e616d65c0a26964c0b36d6f64656c5f76616c69646174655f6a736f\
        6ea966696c655f70617468d9412f636f6e766572736174696f6e5f686973746f72792f73657373696f6e5f36366565666131\
        396136623134656436626563643335393232613766623366642e6d64b0637265617465645f61745f696e64657805";

    #[test]
    fn what_python_wrote_is_read_and_written_again_byte_for_byte() {
        let byte = |at: usize| u8::from_str_radix(&RECORDED[at..at + 2], 16).unwrap();
        let blob: bytes::Bytes = (0..RECORDED.len()).step_by(2).map(byte).collect();
        let stored = ChannelValue::Raw { type_: MSGPACK.to_owned(), blob };
        let values = IndexMap::from([(EVENT.to_owned(), stored.clone())]);
        let read = SummaryEvent::of(&values).unwrap();
        assert_eq!((read.cutoff, read.created_at), (3, Some(5)));
        let made = SummaryEvent {
            message: Arc::new(super::super::summary::message(
                "The user wrote to /a.txt.",
                read.file_path.as_deref(),
            )),
            ..read
        };
        assert_eq!(made.value(), stored, "and made anew it is the same");
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
