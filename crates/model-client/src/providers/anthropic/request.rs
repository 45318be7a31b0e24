//! The body of a request to the Messages API.

use agent_executor_core::ResponseFormat;
use agent_executor_core::profiles::{DEFAULT_ANTHROPIC_OUTPUT, ModelProfile};
use agent_langgraph_codec::{Content, InvalidToolCall, Kind, Message, ToolCall, ToolStatus};
use serde_json::Map;
use sha2::Digest as _;

use super::CACHE;
use crate::{
    blocks::{Block, Media, Takes, assistant_text, blocks, objects, text},
    codec::Call,
    json::Json,
};

pub(super) fn encode(call: &Call<'_>) -> Vec<u8> {
    let request = call.request;
    let model = &request.model.model;
    let known = ModelProfile::find("anthropic", model).and_then(|profile| profile.max_output_tokens);
    let limit = request.max_output_tokens.or(known).unwrap_or(DEFAULT_ANTHROPIC_OUTPUT);
    let mut json = Json::with_capacity(call.tools.len() + 8192);
    json.raw(r#"{"max_tokens":"#).value(&limit).raw(r#","messages":["#);
    write_messages(&mut json, &request.messages, Takes::of(&request.model, |_| false));
    json.raw(r#"],"model":"#).value(model);
    let cache = request.options.prompt_caching;
    if cache {
        json.raw(",").raw(CACHE);
    }
    json.raw(r#","stream":true"#);
    write_system(&mut json, request.system.as_deref(), &request.messages, cache);
    write_tools(&mut json, call.tools, cache);
    match &request.response_format {
        None => {}
        Some(ResponseFormat::AnyTool) => _ = json.raw(r#","tool_choice":{"type":"any"}"#),
        Some(ResponseFormat::Schema { schema, .. }) => {
            json.raw(r#","output_config":{"format":{"type":"json_schema","schema":"#).value(schema).raw("}}");
        }
    }
    json.raw("}");
    json.into_bytes()
}

/// The system prompt, then every system message of the conversation: this API takes them in one place only.
fn write_system(json: &mut Json, prompt: Option<&str>, messages: &[std::sync::Arc<Message>], cache: bool) {
    let late = messages.iter().filter(|message| is_system(message));
    let texts: Vec<String> = prompt
        .map(str::to_owned)
        .into_iter()
        .chain(late.map(|message| message.text("\n")))
        .filter(|text| !text.is_empty())
        .collect();
    let Some((last, before)) = texts.split_last() else {
        if prompt.is_some() {
            json.raw(r#","system":"""#);
        }
        return;
    };
    json.raw(r#","system":["#);
    for text in before {
        json.comma().raw(r#"{"type":"text","text":"#).value(text).raw("}");
    }
    json.comma().raw(r#"{"type":"text","text":"#).value(last);
    if cache {
        json.raw(",").raw(CACHE);
    }
    json.raw("}]");
}

/// The last tool is marked: everything up to it may be kept.
fn write_tools(json: &mut Json, tools: &[u8], cache: bool) {
    if tools.is_empty() {
        return;
    }
    json.raw(r#","tools":"#);
    match tools.strip_suffix(b"}]").filter(|_| cache) {
        Some(open) => json.raw_bytes(open).raw(",").raw(CACHE).raw("}]"),
        None => json.raw_bytes(tools),
    };
}

fn is_system(message: &Message) -> bool {
    match &message.kind {
        Kind::System => true,
        Kind::Chat { role } => role == "system" || role == "developer",
        Kind::Human | Kind::Ai { .. } | Kind::Tool { .. } | Kind::Remove | Kind::Function => false,
    }
}

/// Consecutive user messages and tool results become one user message; empty assistant messages vanish.
fn write_messages(json: &mut Json, messages: &[std::sync::Arc<Message>], takes: Takes) {
    let mut turn: Vec<&Message> = Vec::new();
    let last = messages.len().saturating_sub(1);
    for (place, message) in messages.iter().enumerate() {
        match &message.kind {
            Kind::Remove => {}
            _ if is_system(message) => {}
            Kind::Ai { tool_calls, invalid_tool_calls, .. } => {
                if is_empty(message, tool_calls, invalid_tool_calls) {
                    continue;
                }
                write_user(json, &std::mem::take(&mut turn), takes);
                write_assistant(json, message, tool_calls, invalid_tool_calls, place == last);
            }
            Kind::Human | Kind::System | Kind::Tool { .. } | Kind::Chat { .. } | Kind::Function => {
                turn.push(message)
            }
        }
    }
    write_user(json, &turn, takes);
}

fn write_user(json: &mut Json, messages: &[&Message], takes: Takes) {
    match messages {
        [] => return,
        [
            Message {
                content: Content::Text(text),
                kind: Kind::Human | Kind::Chat { .. } | Kind::Function,
                ..
            },
        ] => {
            json.comma().raw(r#"{"role":"user","content":"#).value(text);
        }
        _ => {
            json.comma().raw(r#"{"role":"user","content":["#);
            for message in messages {
                match &message.kind {
                    Kind::Tool { tool_call_id, status, .. } => {
                        write_result(json, message, takes, tool_call_id, *status);
                    }
                    Kind::Human
                    | Kind::Ai { .. }
                    | Kind::System
                    | Kind::Remove
                    | Kind::Chat { .. }
                    | Kind::Function => {
                        write_blocks(json, &blocks(message, takes));
                    }
                }
            }
            json.raw("]");
        }
    }
    json.raw("}");
}

fn write_result(json: &mut Json, message: &Message, takes: Takes, call_id: &str, status: ToolStatus) {
    json.comma().raw(r#"{"type":"tool_result","content":"#);
    match &message.content {
        Content::Text(text) => {
            json.value(text);
        }
        Content::Blocks(_) => {
            json.raw("[");
            write_blocks(json, &blocks(message, takes));
            json.raw("]");
        }
    }
    json.raw(r#","tool_use_id":"#).value(&*plain_id(call_id));
    json.raw(r#","is_error":"#).value(&(status == ToolStatus::Error)).raw("}");
}

/// Nothing to send: no text, no call, no thought of its own.
fn is_empty(message: &Message, calls: &[ToolCall], invalid: &[InvalidToolCall]) -> bool {
    let answered = invalid.iter().any(|call| call.id.is_some());
    assistant_text(&message.content).trim().is_empty() && calls.is_empty() && !answered
}

fn write_assistant(
    json: &mut Json,
    message: &Message,
    calls: &[ToolCall],
    invalid: &[InvalidToolCall],
    last: bool,
) {
    let text = assistant_text(&message.content);
    // The API refuses a request whose last message is the assistant's and ends in white space.
    let text = if last { text.trim_end() } else { &text };
    json.comma().raw(r#"{"role":"assistant","content":"#);
    if calls.is_empty() && invalid.is_empty() && matches!(message.content, Content::Text(_)) {
        json.value(text).raw("}");
        return;
    }
    json.raw("[");
    write_thoughts(json, message);
    if !text.trim().is_empty() {
        json.comma().raw(r#"{"text":"#).value(text).raw(r#","type":"text"}"#);
    }
    for call in calls {
        write_call(json, &call.name, call.id.as_deref().unwrap_or_default(), &call.args);
    }
    // Answered like the others, so they must stand here; what they asked for could not be read.
    for call in invalid.iter().filter(|call| call.id.is_some()) {
        let (name, id) = (call.name.as_deref().unwrap_or("unknown"), call.id.as_deref().unwrap_or_default());
        write_call(json, name, id, &Map::new());
    }
    json.raw("]}");
}

fn write_call(json: &mut Json, name: &str, id: &str, args: &Map<String, serde_json::Value>) {
    json.comma().raw(r#"{"type":"tool_use","name":"#).value(name).raw(r#","input":"#).value(args);
    json.raw(r#","id":"#).value(&*plain_id(id)).raw("}");
}

/// Thoughts go back only to the provider that signed them, unchanged.
fn write_thoughts(json: &mut Json, message: &Message) {
    if message.response_metadata.get("model_provider").and_then(serde_json::Value::as_str)
        != Some("anthropic")
    {
        return;
    }
    for block in objects(&message.content) {
        match text(block, "type") {
            Some("thinking") => {
                if let (Some(thinking), Some(signature)) = (text(block, "thinking"), text(block, "signature"))
                    && !signature.is_empty()
                {
                    json.comma()
                        .raw(r#"{"signature":"#)
                        .value(signature)
                        .raw(r#","thinking":"#)
                        .value(thinking);
                    json.raw(r#","type":"thinking"}"#);
                }
            }
            Some("redacted_thinking") => {
                if let Some(data) = text(block, "data") {
                    json.comma().raw(r#"{"data":"#).value(data).raw(r#","type":"redacted_thinking"}"#);
                }
            }
            _ => {}
        }
    }
}

fn write_blocks(json: &mut Json, blocks: &[Block<'_>]) {
    for block in blocks {
        match block {
            // The API refuses empty text blocks.
            Block::Text("") => {}
            Block::Text(text) => {
                json.comma().raw(r#"{"type":"text","text":"#).value(*text).raw("}");
            }
            Block::Image(media) => write_media(json, "image", *media),
            Block::File { media, .. } => write_media(json, "document", *media),
            Block::Left(left) => {
                json.comma().raw(r#"{"type":"text","text":"#).value(&left.to_string()).raw("}");
            }
        }
    }
}

fn write_media(json: &mut Json, kind: &str, media: Media<'_>) {
    json.comma().raw(r#"{"type":"#).value(kind).raw(r#","source":"#);
    match media {
        Media::Url(url) => json.raw(r#"{"type":"url","url":"#).value(url),
        Media::Inline { mime, base64 } => {
            json.raw(r#"{"type":"base64","media_type":"#).value(mime).raw(r#","data":"#).value(base64)
        }
    };
    json.raw("}}");
}

/// Ids of other providers hold letters that this API refuses. The same id always becomes the same, as in LangChain, and
/// two never become one.
fn plain_id(id: &str) -> std::borrow::Cow<'_, str> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if id.is_empty() {
        return "_".into();
    }
    if id.chars().all(fits) {
        return id.into();
    }
    let digest = sha2::Sha256::digest(id.as_bytes());
    let hex: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    format!("toolu_{hex}").into()
}
