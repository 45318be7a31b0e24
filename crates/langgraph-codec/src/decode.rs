//! Stored bytes to typed values. Arbitrary bytes give an error, never a panic and never more memory than
//! a small multiple of their length.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::error::CodecError;
use crate::file::FileData;
use crate::message::{Message, ToolCall};
use crate::send::{Interrupt, Send};
use crate::unpack::{Reader, Token};

mod coerce;
mod fields;
mod file;
mod legacy;
mod message;
mod plain;

pub(crate) use message::same_fields;

/// What was written to `messages`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MessagesWrite {
    /// The value replaces the channel's instead of being folded into it.
    pub overwrite: bool,
    /// The messages, in order.
    pub messages: Vec<Arc<Message>>,
}

/// What was written to `files`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FilesWrite {
    /// The value replaces the channel's instead of being folded into it.
    pub overwrite: bool,
    /// Path and record; `None` deletes the path.
    pub files: Vec<(String, Option<Arc<FileData>>)>,
}

/// A channel's value, as far as this crate has a type for it.
#[derive(Debug, Clone, PartialEq)]
pub enum ChannelValue {
    /// A value that JSON says completely.
    Json(Value),
    /// A list of messages.
    Messages(Vec<Arc<Message>>),
    /// Anything else, untouched; [`decode_json`] gives its plain form.
    Raw {
        /// The row's `type`.
        type_: String,
        /// The row's bytes.
        blob: Bytes,
    },
}

impl ChannelValue {
    /// The row type and bytes of this value; what was read comes back byte for byte.
    pub fn encode(&self) -> (Cow<'static, str>, Bytes) {
        let msgpack = Cow::Borrowed("msgpack");
        match self {
            Self::Json(Value::Null) => (Cow::Borrowed("null"), Bytes::new()),
            Self::Json(value) => (msgpack, crate::encode_json(value)),
            Self::Messages(messages) => (msgpack, crate::encode_messages(messages)),
            Self::Raw { type_, blob } => (Cow::Owned(type_.clone()), blob.clone()),
        }
    }

    /// The plain form: messages as their field maps, other objects as [`decode_json`] gives them.
    ///
    /// # Errors
    /// Those of [`decode_json`] for a raw value.
    pub fn to_json(&self) -> Result<Value, CodecError> {
        match self {
            Self::Json(value) => Ok(value.clone()),
            Self::Messages(messages) => decode_json("msgpack", &crate::encode_messages(messages)),
            Self::Raw { type_, blob } => decode_json(type_, blob),
        }
    }
}

/// The value's msgpack, whatever its row type; `None` is Python's None.
fn msgpack<'a>(type_: &str, blob: &'a [u8]) -> Result<Option<Cow<'a, [u8]>>, CodecError> {
    match type_ {
        "msgpack" => Ok(Some(Cow::Borrowed(blob))),
        "null" => Ok(None),
        "json" => legacy::to_msgpack(blob).map(|packed| Some(Cow::Owned(packed))),
        "bytes" | "bytearray" => Ok(Some(Cow::Owned(crate::pack::bin(blob)))),
        _ => Err(CodecError::UnknownType { type_: type_.to_owned() }),
    }
}

/// Reads a value of the channel `messages`: a list, one message, a snapshot or an Overwrite of those. Elements
/// may be stored objects, `{"role": …, "content": …}` maps in OpenAI's or LangChain's form, `[role, content]`
/// pairs, or strings (a user's).
///
/// # Errors
/// Bytes that are no msgpack, an unknown row type, or an element that is no message.
pub fn decode_messages(type_: &str, blob: &[u8]) -> Result<MessagesWrite, CodecError> {
    match msgpack(type_, blob)? {
        Some(packed) => message::messages(&mut Reader::new(&packed)),
        None => Ok(MessagesWrite::default()),
    }
}

/// Reads a value of the channel `files`: a map from path to record, a snapshot or an Overwrite of one.
///
/// # Errors
/// Bytes that are no msgpack, an unknown row type, or a record without readable content.
pub fn decode_files(type_: &str, blob: &[u8]) -> Result<FilesWrite, CodecError> {
    match msgpack(type_, blob)? {
        Some(packed) => file::files(&mut Reader::new(&packed)),
        None => Ok(FilesWrite::default()),
    }
}

/// Reads one Send or a list of them. The call is taken out of today's form (a list of one call) as well as
/// out of the older `tool_call_with_context`.
///
/// # Errors
/// Bytes that are no msgpack, an unknown row type, or a Send that holds no tool call.
pub fn decode_sends(type_: &str, blob: &[u8]) -> Result<Vec<Send>, CodecError> {
    let Some(packed) = msgpack(type_, blob)? else { return Ok(Vec::new()) };
    let mut reader = Reader::new(&packed);
    let Token::Array(count) = reader.peek()? else { return Ok(vec![send(&mut reader)?]) };
    reader.token()?;
    (0..count).map(|_| send(&mut reader)).collect()
}

fn send(reader: &mut Reader<'_>) -> Result<Send, CodecError> {
    let token = reader.token()?;
    let Token::Ext(1, payload) = token else { return Err(fields::wrong("__pregel_tasks", "a Send", &token)) };
    let mut inner = reader.inside(payload)?;
    match plain::object(&mut inner)? {
        Some(("langgraph.types" | "langgraph.constants", "Send")) => {}
        Some(_) | None => return Err(fields::wrong("__pregel_tasks", "a Send", &token)),
    }
    let (Token::Array(2..), Token::Str(node)) = (inner.token()?, inner.token()?) else {
        return Err(fields::wrong("Send", "node and argument", &token));
    };
    Ok(Send { node: node.to_owned(), call: send_argument(&mut inner)? })
}

/// A call, a list that begins with one, or a map that holds one under `tool_call`.
fn send_argument(reader: &mut Reader<'_>) -> Result<ToolCall, CodecError> {
    let start = reader.clone();
    match reader.token()? {
        Token::Array(1..) => fields::tool_call(reader),
        Token::Map(count) => {
            for _ in 0..count {
                if matches!(reader.peek()?, Token::Str("tool_call")) {
                    reader.skip()?;
                    return fields::tool_call(reader);
                }
                reader.skip()?;
                reader.skip()?;
            }
            *reader = start;
            fields::tool_call(reader)
        }
        other => Err(fields::wrong("Send", "a tool call", &other)),
    }
}

/// Reads the value of an `__interrupt__` write.
///
/// # Errors
/// Bytes that are no msgpack, or an unknown row type. What is no interrupt is left out.
pub fn decode_interrupts(type_: &str, blob: &[u8]) -> Result<Vec<Interrupt>, CodecError> {
    let items = match decode_json(type_, blob)? {
        Value::Array(items) => items,
        other => vec![other],
    };
    let interrupt = |item: Value| match item {
        Value::Object(mut map) if map.contains_key("value") => Some(Interrupt {
            value: map.shift_remove("value").unwrap_or_default(),
            id: map.get("id").and_then(Value::as_str).unwrap_or_default().to_owned(),
            response_schema: map.shift_remove("response_schema").unwrap_or_default(),
        }),
        _ => None,
    };
    Ok(items.into_iter().filter_map(interrupt).collect())
}

/// Splits a map into its entries without reading their values: `__start__` of a sub-agent,
/// `_summarization_event`. The inverse of [`crate::encode_map`]; each value's row type is `msgpack`.
///
/// # Errors
/// Bytes that are no msgpack, an unknown row type, or a value that is no map with text keys.
pub fn decode_map(type_: &str, blob: &[u8]) -> Result<Vec<(String, Bytes)>, CodecError> {
    let Some(packed) = msgpack(type_, blob)? else { return Ok(Vec::new()) };
    let mut reader = Reader::new(&packed);
    let count = match reader.token()? {
        Token::Map(count) => count,
        other => return Err(fields::wrong("value", "a map", &other)),
    };
    let mut entries = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        let key = match reader.token()? {
            Token::Str(key) => key.to_owned(),
            other => return Err(fields::wrong("key", "a string", &other)),
        };
        let start = reader.clone();
        reader.skip()?;
        entries.push((key, Bytes::copy_from_slice(reader.since(&start))));
    }
    Ok(entries)
}

/// Reads any value as plain JSON. Models and data classes become their fields, dates and UUIDs text, sets
/// lists, binary base64, NaN and what Python itself reads as None null.
///
/// # Errors
/// Bytes that are no msgpack, or an unknown row type.
pub fn decode_json(type_: &str, blob: &[u8]) -> Result<Value, CodecError> {
    match msgpack(type_, blob)? {
        Some(packed) => plain::value(&mut Reader::new(&packed)),
        None => Ok(Value::Null),
    }
}

/// Reads any channel's value without losing anything: as JSON where that says it all, as messages where it
/// is a list of them, else as it is.
///
/// # Errors
/// Bytes that are no msgpack. An unknown row type is no error here.
pub fn decode_channel(type_: &str, blob: &[u8]) -> Result<ChannelValue, CodecError> {
    let raw = || ChannelValue::Raw { type_: type_.to_owned(), blob: Bytes::copy_from_slice(blob) };
    match type_ {
        "null" => return Ok(ChannelValue::Json(Value::Null)),
        "msgpack" => {}
        _ => return Ok(raw()),
    }
    if message::is_list_of_messages(blob)? {
        return Ok(ChannelValue::Messages(message::messages(&mut Reader::new(blob))?.messages));
    }
    let mut reader = Reader::new(blob);
    let value = plain::value(&mut reader)?;
    Ok(if reader.lossy { raw() } else { ChannelValue::Json(value) })
}
