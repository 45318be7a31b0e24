//! JSON as Python's `json.dumps` writes it: `, ` and `: ` between members.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::pyrepr;

/// `json.dumps(map, ensure_ascii=False)`.
pub(crate) fn object(map: &Map<String, Value>) -> String {
    let mut out = String::new();
    push_object(&mut out, map, false);
    out
}

/// `json.dumps(value, ensure_ascii=False)`.
pub(crate) fn value(value: &Value) -> String {
    let mut out = String::new();
    push_value(&mut out, value, false);
    out
}

/// `json.dumps(value)`: everything beyond ASCII is escaped.
pub(crate) fn dumps(value: &Value) -> String {
    let mut out = String::new();
    push_value(&mut out, value, true);
    out
}

/// Characters of `json.dumps(value)`, in which everything beyond ASCII is escaped.
pub(crate) fn ascii_len(value: &Value) -> usize {
    dumps(value).len()
}

fn push_value(out: &mut String, value: &Value, ascii: bool) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => pyrepr::push_number(out, number),
        Value::String(text) => push_text(out, text, ascii),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                push_value(out, item, ascii);
            }
            out.push(']');
        }
        Value::Object(map) => push_object(out, map, ascii),
    }
}

fn push_object(out: &mut String, map: &Map<String, Value>, ascii: bool) {
    out.push('{');
    for (index, (key, item)) in map.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        push_text(out, key, ascii);
        out.push_str(": ");
        push_value(out, item, ascii);
    }
    out.push('}');
}

fn push_text(out: &mut String, text: &str, ascii: bool) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' => push_unit(out, u32::from(letter)),
            _ if ascii && !matches!(letter, ' '..='~') => {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    push_unit(out, u32::from(*unit));
                }
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
}

/// Writing into a string cannot fail.
fn push_unit(out: &mut String, unit: u32) {
    out.write_fmt(format_args!("\\u{unit:04x}")).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_what_python_writes() {
        let all = json!({"a": [1, 1.5, 1e16, null, true], "b": {}, "c": "ä\n\"\\\u{1}😀"});
        assert_eq!(
            value(&all),
            "{\"a\": [1, 1.5, 1e+16, null, true], \"b\": {}, \"c\": \"ä\\n\\\"\\\\\\u0001😀\"}"
        );
        assert_eq!(dumps(&json!(["é𝄞\u{7f}"])), "[\"\\u00e9\\ud834\\udd1e\\u007f\"]");
        assert_eq!(ascii_len(&json!("ä😀")), 2 + 6 + 12);
    }
}
