//! A result that fits a server's `max_payload` (wire contract 3). The stored one stays whole.

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::json::{self, Object};

/// `body` itself where it has at most `max_bytes`. Else without its files, which `files_omitted` says; where that is
/// not enough, with its text cut at a character border and `output_truncated` (after a failure: `message_truncated`).
/// A body that is no result event comes back as it is.
pub fn shorten(body: &Bytes, max_bytes: usize, thread_id: &str) -> Bytes {
    if body.len() <= max_bytes {
        return body.clone();
    }
    let Some(event) = Parts::read(body) else { return body.clone() };
    let without_files = event.render(thread_id, None);
    if without_files.len() <= max_bytes {
        return Bytes::from(without_files);
    }
    let room = max_bytes.saturating_sub(event.render(thread_id, Some("")).len());
    let text = event.text();
    Bytes::from(event.render(thread_id, Some(cut(&text, room))))
}

/// The longest beginning of the inside of a JSON string that has at most `room` bytes and splits neither a character
/// nor an escape, surrogate pairs in escapes included.
fn cut(inner: &str, room: usize) -> &str {
    let bytes = inner.as_bytes();
    let high_surrogate = |at: usize| {
        let Some([b'\\', b'u', b'd' | b'D', second, _, _]) = bytes.get(at..at + 6) else { return false };
        matches!(second, b'8' | b'9' | b'a' | b'b' | b'A' | b'B')
    };
    let mut end = 0;
    while let Some(&byte) = bytes.get(end) {
        let width = match (byte, bytes.get(end + 1)) {
            (b'\\', Some(b'u')) if high_surrogate(end) => 12,
            (b'\\', Some(b'u')) => 6,
            (b'\\', _) => 2,
            (0..=0x7f, _) => 1,
            (0..=0xdf, _) => 2,
            (0..=0xef, _) => 3,
            (0xf0..=0xff, _) => 4,
        };
        if end + width > room {
            break;
        }
        end += width;
    }
    inner.get(..end).unwrap_or(inner)
}

type Raw<'a> = Vec<(String, &'a RawValue)>;

/// A result event, opened as far as it may have to be cut.
struct Parts<'a> {
    event: Raw<'a>,
    data: Raw<'a>,
    /// `result` or `error`.
    inner_name: &'static str,
    inner: Raw<'a>,
}

impl<'a> Parts<'a> {
    fn read(body: &'a [u8]) -> Option<Self> {
        let Members(event) = serde_json::from_slice(body).ok()?;
        let Members(data) = serde_json::from_str(member(&event, "data")?.get()).ok()?;
        let (inner_name, inner) = match (member(&data, "result"), member(&data, "error")) {
            (Some(result), _) => ("result", result),
            (None, Some(error)) => ("error", error),
            (None, None) => return None,
        };
        let Members(inner) = serde_json::from_str(inner.get()).ok()?;
        Some(Self { event, data, inner_name, inner })
    }

    fn text_name(&self) -> &'static str {
        if self.inner_name == "result" { "output" } else { "message" }
    }

    /// The text that can be cut, as the inside of a JSON string. Blocks become their text.
    fn text(&self) -> String {
        let Some(raw) = member(&self.inner, self.text_name()) else { return String::new() };
        if let Some(inner) = raw.get().strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            return inner.to_owned();
        }
        let value: Value = serde_json::from_str(raw.get()).unwrap_or(Value::Null);
        let mut out = Vec::new();
        json::string(&mut out, &text_of(&value));
        String::from_utf8_lossy(&out).trim_matches('"').to_owned()
    }

    /// The event without files; with `text`, an inside of a JSON string, in place of its own where given.
    fn render(&self, thread_id: &str, text: Option<&str>) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        let mut event = Object::open(&mut out);
        for (name, raw) in &self.event {
            if name != "data" {
                event.raw(name, raw.get().as_bytes());
                continue;
            }
            let mut data = Object::open(event.key("data"));
            for (name, raw) in &self.data {
                if name == self.inner_name {
                    self.render_inner(data.key(name), thread_id, text);
                } else {
                    data.raw(name, raw.get().as_bytes());
                }
            }
            data.close();
        }
        event.close();
        out
    }

    fn render_inner(&self, out: &mut Vec<u8>, thread_id: &str, text: Option<&str>) {
        let mut inner = Object::open(out);
        for (name, raw) in &self.inner {
            match (name.as_str(), text) {
                ("files", _) => files_omitted(&mut inner, raw, thread_id),
                ("final_state", _) => {}
                (name, Some(text)) if name == self.text_name() => {
                    let out = inner.key(name);
                    out.push(b'"');
                    out.extend_from_slice(text.as_bytes());
                    out.push(b'"');
                }
                (name, _) => inner.raw(name, raw.get().as_bytes()),
            }
        }
        if text.is_some() {
            inner.raw(&format!("{}_truncated", self.text_name()), b"true");
        }
        inner.close();
    }
}

fn files_omitted(inner: &mut Object<'_>, raw: &RawValue, thread_id: &str) {
    let count = serde_json::from_str::<Members<'_>>(raw.get()).map_or(0, |Members(files)| files.len());
    if count == 0 {
        inner.raw("files", raw.get().as_bytes());
        return;
    }
    let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let mut omitted = Object::open(inner.key("files_omitted"));
    omitted.uint("count", number(count));
    omitted.uint("bytes", number(raw.get().len()));
    omitted.text("href", &format!("/state/{thread_id}"));
    omitted.close();
}

fn member<'a>(members: &Raw<'a>, name: &str) -> Option<&'a RawValue> {
    members.iter().find(|(own, _)| own == name).map(|(_, raw)| *raw)
}

/// All text of a content: itself, or its blocks' one after another.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => blocks.iter().map(text_of).collect::<Vec<_>>().concat(),
        Value::Object(block) => block.get("text").and_then(Value::as_str).unwrap_or_default().to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) => String::new(),
    }
}

/// The members of an object in their order, values unread.
struct Members<'a>(Raw<'a>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    members.push(entry);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}
