//! Anthropic's Messages API.
//!
//! Source of both directions: docs/deepagents-semantics.md section 9 and the recorded conversations.

mod request;

use agent_executor_core::{ModelReply, StopReason, ToolSpec};
use agent_langgraph_codec::Content;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    args::{CallDraft, Settled, settle_all},
    codec::{Call, Codec},
    json::{Json, Text},
    sse::Frame,
    turn::{DecodeError, Deltas, Part, Placed, Tally, Turn},
};

/// Marks what the provider may keep between requests: it pays for the prefix once in five minutes.
const CACHE: &str = r#""cache_control":{"type":"ephemeral","ttl":"5m"}"#;

/// The codec.
pub(crate) struct Messages;

impl Codec for Messages {
    fn path(&self) -> &'static str {
        "v1/messages"
    }

    fn tools(&self, tools: &[ToolSpec]) -> Vec<u8> {
        let mut json = Json::default();
        json.raw("[");
        for tool in tools {
            json.comma()
                .raw(r#"{"name":"#)
                .value(&tool.name)
                .raw(r#","input_schema":"#)
                .value(&tool.parameters);
            json.raw(r#","description":"#).value(tool.description.trim()).raw("}");
        }
        json.raw("]");
        json.into_bytes()
    }

    fn encode(&self, call: &Call<'_>) -> Vec<u8> {
        request::encode(call)
    }

    fn decode(&self, frame: &Frame<'_>, turn: &mut Turn, deltas: &mut Deltas<'_>) -> Result<(), DecodeError> {
        let event: Event<'_> = serde_json::from_str(&frame.data)?;
        let at = (event.index, 0);
        match &*event.kind {
            "message_start" => start_message(event.message, turn),
            "content_block_start" => start_block(event.content_block, at, turn, deltas)?,
            "content_block_delta" => {
                if let Some(raw) = event.delta {
                    take_delta(serde_json::from_str(raw.get())?, at, turn, deltas)?;
                }
            }
            "message_delta" => {
                if let Some(raw) = event.delta {
                    note_stop(&serde_json::from_str(raw.get())?, turn);
                }
                if let Some(usage) = event.usage {
                    note_usage(turn, &usage);
                }
            }
            "message_stop" => turn.ended = true,
            "error" => return Err(DecodeError::Provider(frame.data.to_string())),
            _ => {} // ping, content_block_stop, and what may come
        }
        Ok(())
    }

    /// Only `message_stop` ends a message; a stop reason alone has been seen before a cut.
    fn is_complete(&self, turn: &Turn) -> bool {
        turn.ended
    }

    fn reply(&self, mut turn: Turn) -> ModelReply {
        let cut = turn.stop == Some(StopReason::Length);
        let mut settled = settle_all(turn.drafts(), cut).into_iter();
        let parts = std::mem::take(&mut turn.parts);
        let content = content(&parts, &mut settled);
        let mut metadata = Map::new();
        if let Some(model) = turn.model.take() {
            metadata.insert("model_name".to_owned(), Value::from(model));
        }
        metadata.insert("model_provider".to_owned(), Value::from("anthropic"));
        metadata.append(&mut turn.metadata);
        turn.metadata = metadata;
        turn.parts = parts;
        turn.into_reply(content, Map::new())
    }

    fn error_text(&self, body: &Value) -> Option<String> {
        let error = body.get("error")?;
        let (kind, message) = (error.get("type")?.as_str()?, error.get("message")?.as_str()?);
        Some(format!("{kind}: {message}"))
    }
}

/// A plain string where there is only text; else blocks with the calls' arguments as they were understood.
fn content(parts: &[Placed], settled: &mut dyn Iterator<Item = Settled>) -> Content {
    if parts.is_empty() {
        return Content::Text(String::new());
    }
    if let [Placed { part: Part::Text(text), .. }] = parts {
        return Content::Text(text.clone());
    }
    let block = |placed: &Placed| match &placed.part {
        Part::Text(text) => json!({"text": text, "type": "text"}),
        Part::Thinking { text, signature } => {
            json!({"signature": signature, "thinking": text, "type": "thinking"})
        }
        Part::Opaque(value) => value.clone(),
        Part::Call { draft, .. } => match settled.next() {
            Some(Settled::Valid(call)) => {
                json!({"id": call.id, "input": call.args, "name": call.name, "type": "tool_use"})
            }
            Some(Settled::Invalid(_)) | None => json!({"id": draft.id, "input": {}, "name": draft.name,
                "type": "tool_use", "partial_json": draft.arguments}),
        },
    };
    Content::Blocks(parts.iter().map(block).collect())
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Text<'a>,
    #[serde(default)]
    index: u32,
    #[serde(borrow, default)]
    message: Option<MessageStart<'a>>,
    #[serde(borrow, default)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(default)]
    usage: Option<MessageUsage>,
}

#[derive(Deserialize)]
struct MessageStart<'a> {
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(default)]
    usage: Option<MessageUsage>,
}

#[derive(Deserialize)]
struct BlockStart<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Text<'a>>,
    #[serde(borrow, default)]
    signature: Option<Text<'a>>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct BlockDelta<'a> {
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Text<'a>>,
    #[serde(borrow, default)]
    signature: Option<Text<'a>>,
    #[serde(borrow, default)]
    partial_json: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct MessageEnd<'a> {
    #[serde(borrow, default)]
    stop_reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    stop_sequence: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct MessageUsage {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    cache_creation_input_tokens: Option<u64>,
    #[serde(default)]
    cache_read_input_tokens: Option<u64>,
}

fn start_message(message: Option<MessageStart<'_>>, turn: &mut Turn) {
    let Some(message) = message else { return };
    turn.model = message.model.map(|model| model.0.into_owned());
    if let Some(usage) = message.usage {
        note_usage(turn, &usage);
    }
}

fn start_block(
    raw: Option<&RawValue>,
    at: (u32, u32),
    turn: &mut Turn,
    deltas: &mut Deltas<'_>,
) -> Result<(), DecodeError> {
    let Some(raw) = raw else { return Ok(()) };
    let block: BlockStart<'_> = serde_json::from_str(raw.get())?;
    match &*block.kind {
        "text" => {
            let text = block.text.unwrap_or_default();
            turn.text(at)?.push_str(&text);
            deltas.text(&text);
        }
        "thinking" => {
            let (thinking, signature) =
                (block.thinking.unwrap_or_default(), block.signature.unwrap_or_default());
            let (text, mark) = turn.thinking(at)?;
            text.push_str(&thinking);
            mark.push_str(&signature);
            deltas.thinking(&thinking);
        }
        "tool_use" => {
            // Gateways that do not stream arguments send them whole, here.
            let whole = block.input.map(RawValue::get).filter(|json| json.len() > 2 && json.starts_with('{'));
            let draft = CallDraft {
                id: block.id.map(|id| id.0.into_owned()),
                name: block.name.unwrap_or_default().0.into_owned(),
                arguments: whole.unwrap_or_default().to_owned(),
            };
            turn.begin_call(at, draft, None, deltas)?;
        }
        _ => turn.opaque(at, serde_json::from_str(raw.get())?)?, // redacted_thinking, server tools
    }
    Ok(())
}

fn take_delta(
    delta: BlockDelta<'_>,
    at: (u32, u32),
    turn: &mut Turn,
    deltas: &mut Deltas<'_>,
) -> Result<(), DecodeError> {
    if turn.find(at).is_some_and(|placed| matches!(placed.part, Part::Opaque(_))) {
        return Ok(());
    }
    if let Some(text) = delta.text {
        turn.text(at)?.push_str(&text);
        deltas.text(&text);
    }
    if let Some(thinking) = delta.thinking {
        turn.thinking(at)?.0.push_str(&thinking);
        deltas.thinking(&thinking);
    }
    if let Some(signature) = delta.signature {
        turn.thinking(at)?.1.push_str(&signature);
    }
    if let Some(piece) = delta.partial_json {
        turn.more_arguments(at, &piece, deltas)?;
    }
    Ok(())
}

fn note_stop(end: &MessageEnd<'_>, turn: &mut Turn) {
    let Some(word) = &end.stop_reason else { return };
    turn.stop = Some(match &**word {
        "end_turn" | "stop_sequence" => StopReason::Stop,
        "tool_use" => StopReason::ToolCalls,
        "max_tokens" | "model_context_window_exceeded" => StopReason::Length,
        "refusal" => StopReason::Refusal,
        other => StopReason::Other(other.to_owned()),
    });
    turn.set("stop_reason", &*word.0);
    turn.set("stop_sequence", end.stop_sequence.as_ref().map_or(Value::Null, |text| Value::from(&*text.0)));
}

/// Counts of a later event replace those of an earlier one; cached tokens count as input, as in LangChain.
fn note_usage(turn: &mut Turn, usage: &MessageUsage) {
    let mut tally = turn.tally.take().unwrap_or_default();
    let known =
        |tally: &Tally, key: &str| tally.input_details.iter().find(|(k, _)| *k == key).map(|(_, n)| *n);
    let creation = usage.cache_creation_input_tokens.or_else(|| known(&tally, "cache_creation"));
    let read = usage.cache_read_input_tokens.or_else(|| known(&tally, "cache_read"));
    let cached_before = tally.input_details.iter().map(|(_, count)| count).sum::<u64>();
    let fresh = usage.input_tokens.unwrap_or(tally.input.saturating_sub(cached_before));
    tally.input = fresh.saturating_add(creation.unwrap_or(0)).saturating_add(read.unwrap_or(0));
    tally.output = usage.output_tokens.unwrap_or(tally.output);
    tally.input_details = [("cache_creation", creation), ("cache_read", read)]
        .into_iter()
        .filter_map(|(key, count)| Some((key, count?)))
        .collect();
    turn.tally = Some(tally);
}
