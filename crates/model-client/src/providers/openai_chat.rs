//! OpenAI's Chat Completions, and everything that speaks them (Ollama, vLLM, gateways).
//!
//! Source of both directions: docs/deepagents-semantics.md section 9 and the recorded conversations.

use agent_executor_core::{ModelReply, StopReason, ToolSpec};
use agent_langgraph_codec::{Content, InvalidToolCall, Kind, Message, ToolCall};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    args::CallDraft,
    blocks::{Block, Media, assistant_text, blocks},
    codec::{Call, Codec},
    json::{Json, Text},
    profiles::is_o_series,
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
        let request = call.request;
        let mut json = Json::with_capacity(call.tools.len() + 8192);
        json.raw(r#"{"model":"#).value(&request.model.model).raw(r#","stream":true,"messages":["#);
        let system = if self.vendor && is_o_series(&request.model.model) { "developer" } else { "system" };
        if let Some(prompt) = &request.system {
            json.raw(r#"{"content":"#).value(prompt).raw(r#","role":"#).value(system).raw("}");
        }
        for message in &request.messages {
            write_message(&mut json, message, system);
        }
        json.raw("]");
        if call.ask_usage {
            json.raw(r#","stream_options":{"include_usage":true}"#);
        }
        if !call.tools.is_empty() {
            json.raw(r#","tools":"#).raw_bytes(call.tools);
        }
        if let Some(limit) = request.max_output_tokens {
            json.raw(if self.vendor { r#","max_completion_tokens":"# } else { r#","max_tokens":"# })
                .value(&limit);
        }
        if let Some(format) = &request.response_format {
            json.raw(r#","response_format":{"type":"json_schema","json_schema":{"name":"#)
                .value(&format.name);
            json.raw(r#","schema":"#).value(&format.schema).raw(r#","strict":false}}"#);
        }
        json.raw("}");
        json.into_bytes()
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

// --- out ---------------------------------------------------------------------------------------------------------

fn write_message(json: &mut Json, message: &Message, system: &str) {
    let role = match &message.kind {
        Kind::Remove => return,
        Kind::Ai { tool_calls, invalid_tool_calls, .. } => {
            return write_assistant(json, &message.content, tool_calls, invalid_tool_calls);
        }
        Kind::System => system,
        Kind::Tool { .. } => "tool",
        Kind::Chat { role } if ["system", "developer", "assistant"].contains(&role.as_str()) => role,
        Kind::Human | Kind::Chat { .. } | Kind::Function => "user",
    };
    json.comma().raw(r#"{"content":"#);
    match &message.content {
        Content::Text(text) => json.value(text),
        Content::Blocks(_) => write_blocks(json, &blocks(&message.content)),
    };
    json.raw(r#","role":"#).value(role);
    if let Kind::Tool { tool_call_id, .. } = &message.kind {
        json.raw(r#","tool_call_id":"#).value(tool_call_id);
    }
    json.raw("}");
}

/// Never with `name`: agents' names hold blanks, which OpenAI refuses.
fn write_assistant(json: &mut Json, content: &Content, calls: &[ToolCall], invalid: &[InvalidToolCall]) {
    let text = assistant_text(content);
    let answered = invalid.iter().filter(|call| call.id.is_some());
    let none = calls.is_empty() && answered.clone().next().is_none();
    json.comma().raw(r#"{"content":"#);
    if text.is_empty() && !none {
        json.raw("null");
    } else {
        json.value(&*text);
    }
    json.raw(r#","role":"assistant""#);
    if !none {
        json.raw(r#","tool_calls":["#);
        for call in calls {
            open_call(json, call.id.as_deref().unwrap_or_default(), &call.name).quoted(&call.args).raw("}}");
        }
        for call in answered {
            let (id, name) =
                (call.id.as_deref().unwrap_or_default(), call.name.as_deref().unwrap_or("unknown"));
            open_call(json, id, name).value(call.args.as_deref().unwrap_or_default()).raw("}}");
        }
        json.raw("]");
    }
    json.raw("}");
}

fn open_call<'a>(json: &'a mut Json, id: &str, name: &str) -> &'a mut Json {
    json.comma().raw(r#"{"type":"function","id":"#).value(id);
    json.raw(r#","function":{"name":"#).value(name).raw(r#","arguments":"#)
}

fn write_blocks<'a>(json: &'a mut Json, blocks: &[Block<'_>]) -> &'a mut Json {
    json.raw("[");
    for block in blocks {
        json.comma();
        match block {
            Block::Text(text) => json.raw(r#"{"type":"text","text":"#).value(*text).raw("}"),
            Block::Image(media) => {
                json.raw(r#"{"type":"image_url","image_url":{"url":"#).value(&url(*media)).raw("}}")
            }
            Block::File { media, name } => json
                .raw(r#"{"type":"file","file":{"file_data":"#)
                .value(&url(*media))
                .raw(r#","filename":"#)
                .value(name.unwrap_or("LC_AUTOGENERATED"))
                .raw("}}"),
            Block::Unknown(kind) => {
                json.raw(r#"{"type":"text","text":"#).value(&Block::substitute(kind)).raw("}")
            }
        };
    }
    json.raw("]")
}

/// A picture's or file's URL; inline data as a `data:` URL.
pub(crate) fn url(media: Media<'_>) -> String {
    match media {
        Media::Url(url) => url.to_owned(),
        Media::Inline { mime, base64 } => format!("data:{mime};base64,{base64}"),
    }
}

// --- in ----------------------------------------------------------------------------------------------------------

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
