//! OpenAI's Chat Completions, and everything that speaks them (Ollama, vLLM, gateways).
//!
//! Source of both directions: docs/deepagents-semantics.md section 9 and the recorded conversations.

mod request;

use agent_executor_core::{ModelReply, StopReason, ToolSpec};
use agent_langgraph_codec::Content;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    args::CallDraft,
    codec::{Call, Codec},
    json::{Json, Text},
    providers::openai_error,
    sse::Frame,
    turn::{DecodeError, Deltas, Tally, Turn},
};

/// Parts of one answer: its text, its reasoning; calls keep their own index.
const TEXT: (u32, u32) = (0, 0);
const REASONING: (u32, u32) = (0, 1);
const CALLS: u32 = 2;

/// The codec. One for OpenAI, one for servers that only speak like it.
pub(crate) struct ChatCompletions {
    /// `model_provider` in the metadata of answers.
    pub(crate) provider: &'static str,
    /// OpenAI itself: its reasoning models want the role `developer`, its limit has a newer name.
    pub(crate) vendor: bool,
}

impl Codec for ChatCompletions {
    fn path(&self) -> &'static str {
        "chat/completions"
    }

    fn tools(&self, tools: &[ToolSpec]) -> Vec<u8> {
        let mut json = Json::default();
        json.raw("[");
        for tool in tools {
            json.comma().raw(r#"{"type":"function","function":{"name":"#).value(&tool.name);
            json.raw(r#","description":"#).value(tool.description.trim());
            json.raw(r#","parameters":"#).value(&tool.parameters).raw("}}");
        }
        json.raw("]");
        json.into_bytes()
    }

    fn encode(&self, call: &Call<'_>) -> Vec<u8> {
        request::encode(call, self.vendor)
    }

    fn decode(&self, frame: &Frame<'_>, turn: &mut Turn, deltas: &mut Deltas<'_>) -> Result<(), DecodeError> {
        let data = frame.data.trim();
        if data == "[DONE]" {
            turn.ended = true;
            return Ok(());
        }
        let chunk: Chunk<'_> = serde_json::from_str(data)?;
        if chunk.error.is_some_and(|error| error.get() != "null") || frame.event == "error" {
            return Err(DecodeError::Provider(data.to_owned()));
        }
        note_head(turn, &chunk);
        if let Some(usage) = chunk.usage {
            turn.tally = Some(usage.tally());
        }
        for choice in chunk.choices.into_iter().flatten().filter(|choice| choice.index == 0) {
            if let Some(delta) = choice.delta {
                take_delta(delta, turn, deltas)?;
            }
            if let Some(reason) = choice.finish_reason {
                turn.stop = Some(stop_reason(&reason));
                turn.set("finish_reason", &*reason.0);
            }
        }
        Ok(())
    }

    fn reply(&self, mut turn: Turn) -> ModelReply {
        let text = std::mem::take(turn.text(TEXT).unwrap_or(&mut String::new()));
        let reasoning = turn.thinking(REASONING).map(|(text, _)| std::mem::take(text)).unwrap_or_default();
        let mut kwargs = Map::new();
        for (key, value) in [("reasoning_content", reasoning), ("refusal", turn.refusal.clone())] {
            if !value.is_empty() {
                kwargs.insert(key.to_owned(), Value::from(value));
            }
        }
        // LangChain's order: how it ended, who answered.
        let mut metadata = Map::new();
        for key in ["finish_reason", "model_name", "system_fingerprint", "service_tier"] {
            if let Some(value) = turn.metadata.get(key) {
                metadata.insert(key.to_owned(), value.clone());
            }
        }
        metadata.insert("model_provider".to_owned(), Value::from(self.provider));
        turn.metadata = metadata;
        turn.into_reply(Content::Text(text), kwargs)
    }

    fn error_text(&self, body: &Value) -> Option<String> {
        openai_error(body)
    }
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(borrow, default)]
    system_fingerprint: Option<Text<'a>>,
    #[serde(borrow, default)]
    service_tier: Option<Text<'a>>,
    #[serde(default)]
    usage: Option<ChatUsage>,
    #[serde(borrow, default)]
    error: Option<&'a serde_json::value::RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u32,
    #[serde(borrow, default)]
    delta: Option<ChoiceDelta<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct ChoiceDelta<'a> {
    #[serde(borrow, default)]
    content: Option<Text<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
    /// DeepSeek, vLLM and others.
    #[serde(borrow, default)]
    reasoning_content: Option<Text<'a>>,
    /// Ollama, OpenRouter.
    #[serde(borrow, default)]
    reasoning: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<CallDelta<'a>>>,
}

#[derive(Deserialize)]
struct CallDelta<'a> {
    #[serde(default)]
    index: Option<u32>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    function: Option<FunctionDelta<'a>>,
}

#[derive(Deserialize)]
struct FunctionDelta<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    arguments: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct ChatUsage {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    completion_tokens: Option<u64>,
    #[serde(default)]
    total_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens_details: Option<TokenDetails>,
    #[serde(default)]
    completion_tokens_details: Option<TokenDetails>,
}

#[derive(Deserialize, Default)]
struct TokenDetails {
    #[serde(default)]
    audio_tokens: Option<u64>,
    #[serde(default)]
    cached_tokens: Option<u64>,
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

impl ChatUsage {
    fn tally(self) -> Tally {
        let present = |list: [(&'static str, Option<u64>); 2]| {
            list.into_iter().filter_map(|(key, count)| Some((key, count?))).collect()
        };
        let input = self.prompt_tokens_details.unwrap_or_default();
        let output = self.completion_tokens_details.unwrap_or_default();
        Tally {
            input: self.prompt_tokens.unwrap_or(0),
            output: self.completion_tokens.unwrap_or(0),
            total: self.total_tokens,
            input_details: present([("audio", input.audio_tokens), ("cache_read", input.cached_tokens)]),
            output_details: Some(present([
                ("audio", output.audio_tokens),
                ("reasoning", output.reasoning_tokens),
            ])),
        }
    }
}

fn stop_reason(word: &str) -> StopReason {
    match word {
        "stop" => StopReason::Stop,
        "tool_calls" | "function_call" => StopReason::ToolCalls,
        "length" => StopReason::Length,
        "content_filter" => StopReason::ContentFilter,
        other => StopReason::Other(other.to_owned()),
    }
}

/// Every chunk repeats who answers; the first one that says so counts.
fn note_head(turn: &mut Turn, chunk: &Chunk<'_>) {
    for (key, value) in [
        ("model_name", &chunk.model),
        ("system_fingerprint", &chunk.system_fingerprint),
        ("service_tier", &chunk.service_tier),
    ] {
        if let Some(value) = value
            && !turn.metadata.contains_key(key)
        {
            turn.set(key, &*value.0);
        }
    }
}

fn take_delta(delta: ChoiceDelta<'_>, turn: &mut Turn, deltas: &mut Deltas<'_>) -> Result<(), DecodeError> {
    if let Some(text) = delta.reasoning_content.or(delta.reasoning).filter(|text| !text.is_empty()) {
        turn.thinking(REASONING)?.0.push_str(&text);
        deltas.thinking(&text);
    }
    if let Some(text) = delta.content.filter(|text| !text.is_empty()) {
        turn.text(TEXT)?.push_str(&text);
        deltas.text(&text);
    }
    if let Some(refusal) = delta.refusal {
        turn.refusal.push_str(&refusal);
    }
    for (position, call) in delta.tool_calls.into_iter().flatten().enumerate() {
        take_call(call, position, turn, deltas)?;
    }
    Ok(())
}

/// Servers differ: some send no index, some send index 0 for every call. A new id together with a name begins a call.
fn take_call(
    delta: CallDelta<'_>,
    position: usize,
    turn: &mut Turn,
    deltas: &mut Deltas<'_>,
) -> Result<(), DecodeError> {
    let at = (CALLS, delta.index.unwrap_or_else(|| u32::try_from(position).unwrap_or(u32::MAX)));
    let function = delta.function.unwrap_or(FunctionDelta { name: None, arguments: None });
    let (name, arguments) = (function.name.unwrap_or_default(), function.arguments.unwrap_or_default());
    let id = delta.id.filter(|id| !id.is_empty());
    let known = turn.find(at).is_some_and(|placed| match (&placed.part, &id) {
        (crate::turn::Part::Call { draft, .. }, Some(id)) => {
            name.is_empty() || draft.id.as_deref() == Some(&**id)
        }
        _ => true,
    });
    if known {
        return turn.more_arguments(at, &arguments, deltas);
    }
    let draft = CallDraft {
        id: Some(id.map_or_else(made_up_id, |id| id.0.into_owned())),
        name: name.0.into_owned(),
        arguments: arguments.0.into_owned(),
    };
    turn.begin_call(at, draft, None, deltas)
}

/// For servers that give none: a call without an id could never be answered.
fn made_up_id() -> String {
    format!("call_{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_of_one_token_is_read_without_copies() {
        let data = serde_json::json!({"id": "x", "model": "m", "usage": null, "new": {"a": [1]},
            "choices": [{"index": 0, "delta": {"content": "tok"}, "logprobs": null, "finish_reason": null}]})
        .to_string();
        let chunk: Chunk<'_> = serde_json::from_str(&data).unwrap();
        let content = chunk.choices.unwrap().remove(0).delta.unwrap().content.unwrap();
        assert!(matches!(content.0, std::borrow::Cow::Borrowed("tok")));
    }
}
