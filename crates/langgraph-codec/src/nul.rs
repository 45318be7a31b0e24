//! U+0000: legal in JSON text and in Rust strings, refused by PostgreSQL's `jsonb`.

use serde::Serialize;
use serde_json::Value;

/// JSON text of `value` without U+0000 in any string or key. The common case costs one search.
pub(crate) fn json_text(value: &impl Serialize) -> String {
    // Only a map key that is no string can fail, and none of our types has one.
    let text = serde_json::to_string(value).unwrap_or_default();
    if !text.contains("\\u0000") {
        return text;
    }
    let cleaned = serde_json::from_str(&text).map(without_nul);
    cleaned.and_then(|value| serde_json::to_string(&value)).unwrap_or(text)
}

fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(items) => items.into_iter().map(without_nul).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (clean(key), without_nul(value))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

fn clean(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "") } else { text }
}
