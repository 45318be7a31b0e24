//! Messages given as plain data: LangChain's `convert_to_messages` for the forms that checkpoints hold.

use serde_json::{Map, Value};

use super::fields::{self, Class};
use crate::error::CodecError;
use crate::message::Message;
use crate::pack::Packer;
use crate::unpack::Reader;

/// A `(role, content)` pair.
pub(super) fn pair(role: &str, content: Value) -> Result<Message, CodecError> {
    let mut map = Map::new();
    map.insert("role".to_owned(), Value::from(role));
    map.insert("content".to_owned(), content);
    dict(map)
}

/// A map with `role` or `type`, and `content`. Keys that no message has go into `additional_kwargs`.
pub(super) fn dict(mut map: Map<String, Value>) -> Result<Message, CodecError> {
    let role = map.shift_remove("role").or_else(|| map.get("type").cloned());
    map.shift_remove("type");
    let role = role.ok_or(CodecError::Missing { at: "message.role" })?;
    let role = role.as_str().unwrap_or_default();
    let class = class_of_role(role).ok_or_else(|| CodecError::NoMessage { class: format!("role {role}") })?;
    if role == "developer" {
        extra_kwarg(&mut map, "__openai_role__", Value::from("developer"));
    }
    if class == Class::Chat && !map.contains_key("role") {
        map.insert("role".to_owned(), Value::from(role));
    }
    // LangChain builds the message from its arguments; a null among them means "not given".
    for key in ["additional_kwargs", "response_metadata", "tool_calls", "invalid_tool_calls", "status"] {
        if map.get(key).is_some_and(Value::is_null) {
            map.shift_remove(key);
        }
    }
    if map.get("content").is_none_or(Value::is_null) {
        map.insert("content".to_owned(), Value::from(""));
    }
    if let Some(Value::Array(calls)) = map.get_mut("tool_calls") {
        calls.iter_mut().for_each(langchain_call);
    }
    let unknown: Vec<String> = map.keys().filter(|key| !known(class, key)).cloned().collect();
    for key in unknown {
        if let Some(value) = map.shift_remove(&key) {
            extra_kwarg(&mut map, &key, value);
        }
    }
    from_fields(class, &map)
}

/// Field map to message, through the one reader of fields.
pub(super) fn from_fields(class: Class, map: &Map<String, Value>) -> Result<Message, CodecError> {
    let mut out = Packer::default();
    out.json_map(map);
    fields::message(&mut Reader::new(&out.into_vec()), class)
}

fn class_of_role(role: &str) -> Option<Class> {
    match role {
        "user" => Some(Class::Human),
        "assistant" => Some(Class::Ai),
        "developer" => Some(Class::System),
        other => Class::of_type(other),
    }
}

fn known(class: Class, key: &str) -> bool {
    matches!(key, "content" | "additional_kwargs" | "response_metadata" | "name" | "id")
        || match class {
            Class::Ai => matches!(key, "tool_calls" | "invalid_tool_calls" | "usage_metadata"),
            Class::Tool => matches!(key, "tool_call_id" | "artifact" | "status"),
            Class::Chat => key == "role",
            Class::Human | Class::System | Class::Remove | Class::Function => false,
        }
}

fn extra_kwarg(map: &mut Map<String, Value>, key: &str, value: Value) {
    let kwargs = map.entry("additional_kwargs").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(kwargs) = kwargs {
        kwargs.insert(key.to_owned(), value);
    }
}

/// OpenAI's `{"id", "function": {"name", "arguments": text}}` as LangChain's `{"name", "args", "id"}`.
fn langchain_call(call: &mut Value) {
    let Value::Object(map) = call else { return };
    let Some(Value::Object(function)) = map.get("function") else { return };
    let args = match function.get("arguments") {
        Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        Some(other) => other.clone(),
        None => Value::Null,
    };
    let mut converted = Map::new();
    converted.insert("name".to_owned(), function.get("name").cloned().unwrap_or_default());
    converted.insert("args".to_owned(), if args.is_object() { args } else { Value::Object(Map::new()) });
    converted.insert("id".to_owned(), map.get("id").cloned().unwrap_or_default());
    converted.insert("type".to_owned(), Value::from("tool_call"));
    *map = converted;
}
