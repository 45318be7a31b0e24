//! One message: extension 5 `[module, class, fields, method]`, fields in pydantic's order.

use crate::message::{Content, InvalidToolCall, Kind, Message, ToolCall, ToolStatus};
use crate::pack::Packer;

/// Extension of pydantic v2 models.
const EXT_MODEL: u8 = 5;
/// Fields that every class has.
const COMMON: usize = 6;

/// Module and class under which a reader in strict mode accepts the message.
const fn class_of(kind: &Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Human => ("langchain_core.messages.human", "HumanMessage"),
        Kind::Ai { .. } => ("langchain_core.messages.ai", "AIMessage"),
        Kind::System => ("langchain_core.messages.system", "SystemMessage"),
        Kind::Tool { .. } => ("langchain_core.messages.tool", "ToolMessage"),
        Kind::Remove => ("langchain_core.messages.modifier", "RemoveMessage"),
        Kind::Chat { .. } => ("langchain_core.messages.chat", "ChatMessage"),
        Kind::Function => ("langchain_core.messages.function", "FunctionMessage"),
    }
}

const fn own_fields(kind: &Kind) -> &'static [&'static str] {
    match kind {
        Kind::Human | Kind::System | Kind::Remove | Kind::Function => &[],
        Kind::Ai { .. } => &["tool_calls", "invalid_tool_calls", "usage_metadata"],
        Kind::Tool { .. } => &["tool_call_id", "artifact", "status"],
        Kind::Chat { .. } => &["role"],
    }
}

/// Packs the message, or the stored bytes that say more than its fields can.
pub(super) fn pack_message(out: &mut Packer, message: &Message) {
    match message.raw.as_ref().filter(|raw| crate::decode::same_fields(raw, message)) {
        Some(raw) => out.raw(raw),
        None => pack_fields_of(out, message),
    }
}

/// Packs the message from its fields alone.
pub(super) fn pack_fields_of(out: &mut Packer, message: &Message) {
    let (module, class) = class_of(&message.kind);
    out.ext(EXT_MODEL, |out| {
        out.array(4);
        out.str(module);
        out.str(class);
        pack_fields(out, message);
        out.str("model_validate_json");
    });
}

fn pack_fields(out: &mut Packer, message: &Message) {
    let own = own_fields(&message.kind);
    // A field's name in `extra` would replace the field itself when the map is read.
    let is_extra = |key: &str| !own.contains(&key) && !is_common(key);
    let extras = message.extra.keys().filter(|key| is_extra(key)).count();
    out.map(COMMON + own.len() + extras);
    out.str("content");
    match &message.content {
        Content::Text(text) => out.str(text),
        Content::Blocks(blocks) => {
            out.array(blocks.len());
            blocks.iter().for_each(|block| out.json(block));
        }
    }
    out.str("additional_kwargs");
    out.json_map(&message.additional_kwargs);
    out.str("response_metadata");
    out.json_map(&message.response_metadata);
    out.str("type");
    out.str(message.type_name());
    out.str("name");
    out.opt_str(message.name.as_deref());
    out.str("id");
    out.opt_str(message.id.as_deref());
    pack_own(out, &message.kind);
    for (key, value) in message.extra.iter().filter(|(key, _)| is_extra(key)) {
        out.str(key);
        out.json(value);
    }
}

fn is_common(key: &str) -> bool {
    matches!(key, "content" | "additional_kwargs" | "response_metadata" | "type" | "name" | "id")
}

fn pack_own(out: &mut Packer, kind: &Kind) {
    match kind {
        Kind::Human | Kind::System | Kind::Remove | Kind::Function => {}
        Kind::Ai { tool_calls, invalid_tool_calls, usage_metadata } => {
            out.str("tool_calls");
            out.array(tool_calls.len());
            tool_calls.iter().for_each(|call| pack_call(out, call));
            out.str("invalid_tool_calls");
            out.array(invalid_tool_calls.len());
            invalid_tool_calls.iter().for_each(|call| pack_invalid(out, call));
            out.str("usage_metadata");
            match usage_metadata {
                Some(usage) => out.json(usage),
                None => out.nil(),
            }
        }
        Kind::Tool { tool_call_id, artifact, status } => {
            out.str("tool_call_id");
            out.str(tool_call_id);
            out.str("artifact");
            out.json(artifact);
            out.str("status");
            out.str(match status {
                ToolStatus::Success => "success",
                ToolStatus::Error => "error",
            });
        }
        Kind::Chat { role } => {
            out.str("role");
            out.str(role);
        }
    }
}

/// A tool call as a plain map, also the argument of a Send.
pub(super) fn pack_call(out: &mut Packer, call: &ToolCall) {
    out.map(4);
    out.str("name");
    out.str(&call.name);
    out.str("args");
    out.json_map(&call.args);
    out.str("id");
    out.opt_str(call.id.as_deref());
    out.str("type");
    out.str("tool_call");
}

/// Its fields stand in another order than a valid call's: the one of LangChain's type definition.
fn pack_invalid(out: &mut Packer, call: &InvalidToolCall) {
    out.map(5);
    out.str("type");
    out.str("invalid_tool_call");
    for (key, text) in [("id", &call.id), ("name", &call.name), ("args", &call.args), ("error", &call.error)]
    {
        out.str(key);
        out.opt_str(text.as_deref());
    }
}
