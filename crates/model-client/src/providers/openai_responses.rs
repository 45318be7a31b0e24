//! OpenAI's Responses API.
//!
//! Source of both directions: docs/deepagents-semantics.md section 9 and the recorded conversations.

mod request;

use agent_executor_core::{ModelReply, StopReason, ToolSpec};
use agent_langgraph_codec::Content;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    args::CallDraft,
    codec::{Call, Codec},
    json::{Json, Text},
    providers::openai_error,
    sse::Frame,
    turn::{DecodeError, Deltas, Part, Placed, Tally, Turn},
};

/// The codec.
pub(crate) struct Responses;

impl Codec for Responses {
    fn path(&self) -> &'static str {
        "responses"
    }

    fn tools(&self, tools: &[ToolSpec]) -> Vec<u8> {
        let mut json = Json::default();
        json.raw("[");
        for tool in tools {
            json.comma().raw(r#"{"type":"function","name":"#).value(&tool.name);
            json.raw(r#","description":"#).value(tool.description.trim());
            json.raw(r#","parameters":"#).value(&tool.parameters).raw("}");
        }
        json.raw("]");
        json.into_bytes()
    }

    fn encode(&self, call: &Call<'_>) -> Vec<u8> {
        request::encode(call)
    }

    fn decode(&self, frame: &Frame<'_>, turn: &mut Turn, deltas: &mut Deltas<'_>) -> Result<(), DecodeError> {
        let event: Event<'_> = serde_json::from_str(&frame.data)?;
        let at = (event.output_index, event.content_index);
        match &*event.kind {
            "response.output_text.delta" => {
                let piece = event.text_of(event.delta)?;
                turn.text(at)?.push_str(&piece);
                if let (Some(placed), Some(item)) = (turn.find(at), &event.item_id)
                    && placed.id.is_none()
                {
                    placed.id = Some(item.0.to_string());
                }
                deltas.text(&piece);
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                deltas.thinking(&event.text_of(event.delta)?);
            }
            "response.refusal.delta" => turn.refusal.push_str(&event.text_of(event.delta)?),
            "response.function_call_arguments.delta" => {
                turn.more_arguments((event.output_index, 0), &event.text_of(event.delta)?, deltas)?;
            }
            "response.output_item.added" => begin_item(&event, turn, deltas)?,
            "response.output_item.done" => end_item(&event, turn, deltas)?,
            "response.completed" | "response.incomplete" => finish(event.response, turn)?,
            "response.failed" | "error" => return Err(DecodeError::Provider(frame.data.to_string())),
            _ => {} // created, in_progress, *.done, and what may come
        }
        Ok(())
    }

    fn is_complete(&self, turn: &Turn) -> bool {
        turn.ended
    }

    fn reply(&self, mut turn: Turn) -> ModelReply {
        let parts = std::mem::take(&mut turn.parts);
        let content = Content::Blocks(parts.iter().enumerate().filter_map(block).collect());
        turn.parts = parts;
        let mut kwargs = Map::new();
        if !turn.refusal.is_empty() {
            kwargs.insert("refusal".to_owned(), Value::from(turn.refusal.clone()));
        }
        turn.into_reply(content, kwargs)
    }

    fn error_text(&self, body: &Value) -> Option<String> {
        openai_error(body)
    }
}

/// A content block as LangChain stores it of a streamed answer.
fn block((index, placed): (usize, &Placed)) -> Option<Value> {
    Some(match &placed.part {
        Part::Text(text) => match &placed.id {
            Some(id) => json!({"type": "text", "text": text, "index": index, "id": id}),
            None => json!({"type": "text", "text": text, "index": index}),
        },
        Part::Call { draft, .. } => {
            let mut value = json!({"type": "function_call", "name": draft.name, "arguments": draft.arguments,
                "call_id": draft.id});
            if let Some(map) = value.as_object_mut() {
                if let Some(item) = &placed.id {
                    map.insert("id".to_owned(), Value::from(item.clone()));
                }
                map.insert("index".to_owned(), Value::from(index));
            }
            value
        }
        Part::Opaque(value) => {
            let mut value = value.clone();
            if let Some(map) = value.as_object_mut() {
                map.insert("index".to_owned(), Value::from(index));
            }
            value
        }
        Part::Thinking { .. } => return None,
    })
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Text<'a>,
    #[serde(default)]
    output_index: u32,
    #[serde(default)]
    content_index: u32,
    #[serde(borrow, default)]
    item_id: Option<Text<'a>>,
    /// A string in the events that we know.
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
}

impl<'a> Event<'a> {
    fn text_of(&self, raw: Option<&'a RawValue>) -> Result<Text<'a>, DecodeError> {
        match raw {
            Some(raw) => Ok(serde_json::from_str(raw.get())?),
            None => Ok(Text::default()),
        }
    }
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    call_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    arguments: Option<Text<'a>>,
}

fn begin_item(event: &Event<'_>, turn: &mut Turn, deltas: &mut Deltas<'_>) -> Result<(), DecodeError> {
    let Some(raw) = event.item else { return Ok(()) };
    let item: Item<'_> = serde_json::from_str(raw.get())?;
    if &*item.kind != "function_call" {
        return Ok(());
    }
    let draft = CallDraft {
        id: item.call_id.map(|id| id.0.into_owned()),
        name: item.name.unwrap_or_default().0.into_owned(),
        arguments: item.arguments.unwrap_or_default().0.into_owned(),
    };
    turn.begin_call((event.output_index, 0), draft, item.id.map(|id| id.0.into_owned()), deltas)
}

/// The finished item has the last word on a call's arguments; reasoning is kept whole, to be sent back.
fn end_item(event: &Event<'_>, turn: &mut Turn, deltas: &mut Deltas<'_>) -> Result<(), DecodeError> {
    let Some(raw) = event.item else { return Ok(()) };
    let item: Item<'_> = serde_json::from_str(raw.get())?;
    let at = (event.output_index, 0);
    match &*item.kind {
        "function_call" => {
            if turn.find(at).is_none() {
                begin_item(event, turn, deltas)?;
            } else if let (Some(Placed { part: Part::Call { draft, .. }, .. }), Some(whole)) =
                (turn.find(at), item.arguments)
                && *draft.arguments != *whole
            {
                draft.arguments = whole.0.into_owned();
            }
        }
        "message" => {}
        _ => turn.opaque(at, serde_json::from_str(raw.get())?)?,
    }
    Ok(())
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    #[serde(default)]
    total_tokens: Option<u64>,
    #[serde(default)]
    input_tokens_details: Option<UsageDetails>,
    #[serde(default)]
    output_tokens_details: Option<UsageDetails>,
}

#[derive(Deserialize, Default)]
struct UsageDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

fn finish(raw: Option<&RawValue>, turn: &mut Turn) -> Result<(), DecodeError> {
    turn.ended = true;
    let mut response: Map<String, Value> =
        raw.map_or_else(|| Ok(Map::new()), |raw| serde_json::from_str(raw.get()))?;
    turn.id = response.get("id").and_then(Value::as_str).map(str::to_owned);
    let reason = response.get("incomplete_details").and_then(|details| details.get("reason")?.as_str());
    turn.stop = Some(match reason {
        None => StopReason::Stop,
        Some("max_output_tokens") => StopReason::Length,
        Some("content_filter") => StopReason::ContentFilter,
        Some(other) => StopReason::Other(other.to_owned()),
    });
    if let Some(usage) = response.remove("usage").filter(|usage| !usage.is_null()) {
        let usage: Usage = serde_json::from_value(usage)?;
        let known = |key, count: Option<u64>| count.map(|count| vec![(key, count)]).unwrap_or_default();
        turn.tally = Some(Tally {
            input: usage.input_tokens,
            output: usage.output_tokens,
            total: usage.total_tokens,
            input_details: known("cache_read", usage.input_tokens_details.unwrap_or_default().cached_tokens),
            output_details: Some(known(
                "reasoning",
                usage.output_tokens_details.unwrap_or_default().reasoning_tokens,
            )),
        });
    }
    turn.set("model_provider", "openai");
    for key in
        ["id", "created_at", "incomplete_details", "metadata", "model", "object", "service_tier", "status"]
    {
        match (key, response.remove(key)) {
            (_, None) | ("incomplete_details", Some(Value::Null)) => {}
            // LangChain's model of the answer has a float here.
            ("created_at", Some(value)) => turn.set(key, value.as_f64().map_or(value, Value::from)),
            (_, Some(value)) => turn.set(key, value),
        }
    }
    if let Some(model) = turn.metadata.get("model").cloned() {
        turn.set("model_name", model);
    }
    Ok(())
}
