//! Rows of type `json`, which LangGraph no longer writes: JSON with LangChain's constructor objects.

use serde_json::{Map, Value};

use super::fields::Class;
use crate::error::CodecError;
use crate::pack::Packer;

/// Extension of pydantic v2 models.
const EXT_MODEL: u8 = 5;

/// The same value in today's form: constructor objects of message classes become extensions, every other
/// object stays the map that it is.
pub(super) fn to_msgpack(text: &[u8]) -> Result<Vec<u8>, CodecError> {
    let value: Value = serde_json::from_slice(text)
        .map_err(|source| CodecError::Json { at: "a row of type json", source })?;
    let mut out = Packer::with_capacity(text.len());
    pack(&mut out, &value);
    Ok(out.into_vec())
}

fn pack(out: &mut Packer, value: &Value) {
    match value {
        Value::Array(items) => {
            out.array(items.len());
            items.iter().for_each(|item| pack(out, item));
        }
        Value::Object(map) => match constructed_message(map) {
            Some((class, fields)) => out.ext(EXT_MODEL, |out| {
                out.array(3);
                out.str("langchain_core.messages");
                out.str(class);
                pack_map(out, fields);
            }),
            None => pack_map(out, map),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => out.json(value),
    }
}

fn pack_map(out: &mut Packer, map: &Map<String, Value>) {
    out.map(map.len());
    for (key, value) in map {
        out.str(key);
        pack(out, value);
    }
}

/// `{"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"], "kwargs": …}`.
fn constructed_message(map: &Map<String, Value>) -> Option<(&str, &Map<String, Value>)> {
    let is_constructor = map.get("lc").and_then(Value::as_i64) == Some(1)
        && map.get("type").and_then(Value::as_str) == Some("constructor");
    let path = map.get("id").and_then(Value::as_array).filter(|_| is_constructor)?;
    let [Value::String(package), .., Value::String(class)] = path.as_slice() else { return None };
    let ours = matches!(package.as_str(), "langchain" | "langchain_core");
    Class::of_object("langchain_core.messages", class).filter(|_| ours)?;
    Some((class, map.get("kwargs")?.as_object()?))
}
