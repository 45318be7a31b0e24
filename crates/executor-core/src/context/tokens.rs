//! Counting tokens without the provider's tokeniser, as `count_tokens_approximately` of langchain-core does.

use agent_langgraph_codec::{Content, Kind, Message, ToolCall};
use serde_json::Value;

use super::Limits;
use crate::{ToolSpec, pyjson, pyrepr};

/// Tokens that a picture counts, whatever its size.
const PICTURE: f64 = 85.0;
/// Tokens of a message beside its text.
const FRAME: f64 = 3.0;
/// The reported count may raise an estimate, by a quarter at most.
const LARGEST_SCALE: f64 = 1.25;

/// Counts for one model.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counter {
    chars_per_token: f64,
}

impl Counter {
    pub(crate) const fn new(limits: &Limits) -> Self {
        Self { chars_per_token: limits.chars_per_token }
    }

    /// A whole request: system prompt, messages, tools (`tool_chars` of [`tool_chars`]); raised to what the provider
    /// reported last, where all answers are of one provider.
    pub(crate) fn request<'a>(
        self,
        system: &str,
        messages: impl Iterator<Item = &'a Message>,
        tool_chars: usize,
    ) -> u64 {
        let start = self.tokens_of(tool_chars) + self.tokens_of(chars(system) + "system".len()) + FRAME;
        self.scaled(start, 1, messages)
    }

    /// Messages alone, raised likewise.
    pub(crate) fn messages<'a>(self, messages: impl Iterator<Item = &'a Message>) -> u64 {
        self.scaled(0.0, 0, messages)
    }

    /// Messages alone, as estimated.
    pub(crate) fn part<'a>(self, messages: impl Iterator<Item = &'a Message>) -> u64 {
        whole(messages.map(|message| self.message(message)).sum())
    }

    /// A text as the one message of a user, as estimated.
    pub(crate) fn text(self, text: &str) -> u64 {
        whole(self.tokens_of(chars(text) + "user".len()) + FRAME)
    }

    fn scaled<'a>(self, start: f64, before: usize, messages: impl Iterator<Item = &'a Message>) -> u64 {
        let mut count = start;
        let mut number = before;
        let mut provider: Option<Option<&str>> = None;
        let mut mixed = false;
        let mut reported: Option<(u64, f64)> = None;
        for message in messages {
            number += 1;
            count += self.message(message);
            let Kind::Ai { usage_metadata, .. } = &message.kind else { continue };
            let own = model_provider(message);
            // An answer without a mark says nothing until one with a mark has come.
            match provider {
                None | Some(None) => provider = Some(own),
                Some(first) => mixed |= first != own,
            }
            if let Some(total) = usage_metadata.as_ref().and_then(|usage| usage.get("total_tokens")?.as_u64())
            {
                reported = Some((total, count));
            }
        }
        if number > 1
            && !mixed
            && provider.flatten().is_some()
            && let Some((total, estimate)) = reported
            && estimate > 0.0
        {
            count *= scale(total, estimate);
        }
        whole(count)
    }

    fn message(self, message: &Message) -> f64 {
        let mut pictures = 0.0;
        let mut length = match &message.content {
            Content::Text(text) => chars(text),
            Content::Blocks(blocks) => blocks.iter().map(|block| block_chars(block, &mut pictures)).sum(),
        };
        if let (Kind::Ai { tool_calls, .. }, Content::Text(_)) = (&message.kind, &message.content)
            && !tool_calls.is_empty()
        {
            length += calls_chars(tool_calls);
        }
        let role = match &message.kind {
            Kind::Human => "user",
            Kind::Ai { .. } => "assistant",
            Kind::System => "system",
            Kind::Tool { tool_call_id, .. } => {
                length += chars(tool_call_id);
                "tool"
            }
            Kind::Function => "function",
            Kind::Chat { role } => role,
            Kind::Remove => "remove",
        };
        length += chars(role) + message.name.as_deref().map_or(0, chars);
        pictures + self.tokens_of(length) + FRAME
    }

    #[expect(clippy::cast_precision_loss, reason = "lengths of texts in memory are far below 2^53")]
    fn tokens_of(self, chars: usize) -> f64 {
        (chars as f64 / self.chars_per_token).ceil()
    }
}

/// `model_provider` of an assistant's message.
pub(crate) fn model_provider(message: &Message) -> Option<&str> {
    message.response_metadata.get("model_provider").and_then(Value::as_str)
}

/// Characters of an agent's tools as they count in every request.
pub(crate) fn tool_chars(tools: &[ToolSpec]) -> usize {
    let one = |tool: &ToolSpec| {
        let mut parameters = tool.parameters.clone();
        if let Some(map) = parameters.as_object_mut() {
            // They stand beside the schema already.
            map.shift_remove("title");
            map.shift_remove("description");
        }
        pyjson::ascii_len(&serde_json::json!({
            "name": tool.name,
            "description": tool.description,
            "parameters": parameters,
        }))
    };
    tools.iter().map(one).sum()
}

/// Code points; most texts are ASCII, where they are the bytes.
pub(crate) fn chars(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

fn block_chars(block: &Value, pictures: &mut f64) -> usize {
    let Value::Object(map) = block else {
        return block.as_str().map_or_else(|| chars(&pyrepr::value(block)), chars);
    };
    match map.get("type").and_then(Value::as_str) {
        Some("image" | "image_url") => {
            *pictures += PICTURE;
            0
        }
        Some("text") => map.get("text").and_then(Value::as_str).map_or(0, chars),
        Some(_) | None => chars(&pyrepr::value(block)),
    }
}

/// Characters of Python's `repr` of a list of calls.
fn calls_chars(calls: &[ToolCall]) -> usize {
    let mut text = String::new();
    for call in calls {
        text.push_str("{'name': ");
        pyrepr::push_text(&mut text, &call.name);
        text.push_str(", 'args': ");
        text.push_str(&pyrepr::object(&call.args));
        text.push_str(", 'id': ");
        match &call.id {
            Some(id) => pyrepr::push_text(&mut text, id),
            None => text.push_str("None"),
        }
        text.push_str(", 'type': 'tool_call'}");
    }
    chars(&text) + 2 + 2 * (calls.len() - 1)
}

#[expect(clippy::cast_precision_loss, reason = "token counts are far below 2^53")]
fn scale(total: u64, estimate: f64) -> f64 {
    (total as f64 / estimate).clamp(1.0, LARGEST_SCALE)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a sum of positive counts, far below 2^53"
)]
fn whole(count: f64) -> u64 {
    count.ceil() as u64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FOUR: Counter = Counter { chars_per_token: 4.0 };

    fn reported(text: &str, total: u64, provider: &str) -> Message {
        let mut message = Message::ai(Content::Text(text.to_owned()), Vec::new(), None);
        message.response_metadata.insert("model_provider".to_owned(), provider.into());
        if let Kind::Ai { usage_metadata, .. } = &mut message.kind {
            *usage_metadata = Some(json!({"total_tokens": total}));
        }
        message
    }

    // The figures are those of count_tokens_approximately of langchain-core 1.7.2.
    #[test]
    fn messages_count_as_in_python() {
        let human = Message::human("äöü 12345", "h");
        assert_eq!(FOUR.part([&human].into_iter()), 7);
        let args = json!({"file_path": "/a", "content": "it's"}).as_object().unwrap().clone();
        let call = ToolCall { id: Some("c1".to_owned()), name: "write_file".to_owned(), args };
        let ai = Message::ai(Content::Text(String::new()), vec![call], None);
        assert_eq!(FOUR.part([&ai].into_iter()), 32);
        let tool = Message::tool(
            Content::Text("ok".to_owned()),
            "ls",
            "call_1",
            agent_langgraph_codec::ToolStatus::Success,
            "t",
        );
        assert_eq!(FOUR.part([&tool].into_iter()), 7);
        let blocks = vec![
            json!({"type": "text", "text": "abcd"}),
            json!({"type": "image", "base64": "x"}),
            json!("yz"),
        ];
        let picture = Message::new(Kind::Human, Content::Blocks(blocks), None);
        assert_eq!(FOUR.part([&picture].into_iter()), 91);
        assert_eq!(Counter { chars_per_token: 3.3 }.part([&human].into_iter()), 7);
        assert_eq!(FOUR.request("S", [&human].into_iter(), 0), 12);
    }

    #[test]
    fn what_the_provider_reported_raises_the_estimate() {
        let human = Message::human("x".repeat(4000), "h");
        let count = |total, provider| {
            let first = reported("a", 1, "openai");
            let last = reported("b", total, provider);
            FOUR.messages([&human, &first, &last].into_iter())
        };
        let plain = count(10, "openai");
        assert_eq!(plain, 1016);
        assert_eq!(count(1117, "openai"), 1117);
        assert_eq!(count(1_000_000, "openai"), 1270, "by a quarter at most");
        assert_eq!(count(1_000_000, "anthropic"), plain, "two providers count differently");
    }

    #[test]
    fn tools_count_with_every_request() {
        let tool = ToolSpec {
            name: "t".to_owned(),
            description: "ä".to_owned(),
            parameters: json!({"title": "x", "type": "object"}),
        };
        assert_eq!(
            tool_chars(&[tool]),
            "{\"name\": \"t\", \"description\": \"\\u00e4\", \"parameters\": {\"type\": \"object\"}}".len()
        );
    }
}
