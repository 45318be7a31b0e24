//! Values of the channel `messages`.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::fields::{self, Class};
use super::{MessagesWrite, coerce, plain};
use crate::error::CodecError;
use crate::message::Message;
use crate::unpack::{Reader, Token};

/// Reads a list, one message, a snapshot or an Overwrite.
pub(super) fn messages(reader: &mut Reader<'_>) -> Result<MessagesWrite, CodecError> {
    if let Some(mut inner) = overwritten(reader)? {
        let write = messages(&mut inner)?;
        return Ok(MessagesWrite { overwrite: true, messages: write.messages });
    }
    match reader.peek()? {
        Token::Ext(7, payload) => messages(&mut reader.inside(payload)?),
        Token::Nil => Ok(MessagesWrite::default()),
        Token::Array(count) => {
            reader.token()?;
            reader.enter()?;
            let mut messages = Vec::with_capacity(count.min(1024));
            for _ in 0..count {
                messages.push(Arc::new(element(reader)?));
            }
            reader.leave();
            Ok(MessagesWrite { overwrite: false, messages })
        }
        _ => Ok(MessagesWrite { overwrite: false, messages: vec![Arc::new(element(reader)?)] }),
    }
}

/// The value inside an Overwrite: LangGraph's object or one of its two map forms.
pub(super) fn overwritten<'a>(reader: &Reader<'a>) -> Result<Option<Reader<'a>>, CodecError> {
    let mut inner = reader.clone();
    match inner.token()? {
        Token::Ext(2, payload) => {
            inner = reader.inside(payload)?;
            if !matches!(plain::object(&mut inner), Ok(Some(("langgraph.types", "Overwrite")))) {
                return Ok(None);
            }
            let Token::Map(count) = inner.token()? else { return Ok(None) };
            Ok(entry(&mut inner, count, "value")?)
        }
        Token::Map(count) => {
            inner.enter()?;
            if count == 1 {
                return entry(&mut inner, count, "__overwrite__");
            }
            let marked = match entry(&mut inner.clone(), count, "type")? {
                Some(mut type_) => matches!(type_.token()?, Token::Str("__overwrite__")),
                None => false,
            };
            if marked { entry(&mut inner, count, "value") } else { Ok(None) }
        }
        _ => Ok(None),
    }
}

/// The value of a key among a map's entries.
fn entry<'a>(reader: &mut Reader<'a>, count: usize, key: &str) -> Result<Option<Reader<'a>>, CodecError> {
    for _ in 0..count {
        let found = matches!(reader.peek()?, Token::Str(name) if name == key);
        reader.skip()?;
        if found {
            return Ok(Some(reader.clone()));
        }
        reader.skip()?;
    }
    Ok(None)
}

/// Reads one message. If its fields cannot say all that is stored, the bytes are kept beside them.
pub(super) fn element(reader: &mut Reader<'_>) -> Result<Message, CodecError> {
    let before = std::mem::replace(&mut reader.lossy, false);
    let start = reader.clone();
    let mut message = match reader.token()? {
        Token::Ext(2 | 4 | 5, payload) => {
            let mut inner = reader.inside(payload)?;
            let message = object(&mut inner)?;
            reader.lossy |= inner.lossy;
            message
        }
        Token::Str(text) => coerce::pair("human", Value::from(text))?,
        Token::Map(count) => coerce::dict(plain::map(reader, count)?)?,
        Token::Array(2) => match (plain::value(reader)?, plain::value(reader)?) {
            (Value::String(role), content) => coerce::pair(&role, content)?,
            _ => return Err(fields::wrong("message", "a role and a content", &start.peek()?)),
        },
        other => return Err(fields::wrong("messages", "a message", &other)),
    };
    if reader.lossy {
        message.raw = Some(Bytes::copy_from_slice(reader.since(&start)));
    }
    reader.lossy |= before;
    Ok(message)
}

/// Reads the payload `[module, class, fields, …]`.
fn object(reader: &mut Reader<'_>) -> Result<Message, CodecError> {
    let Some((module, class)) = plain::object(reader)? else {
        return Err(CodecError::NoMessage { class: "(none)".to_owned() });
    };
    match Class::of_object(module, class) {
        Some((class, exact)) => {
            let message = fields::message(reader, class)?;
            reader.lossy |= !exact;
            Ok(message)
        }
        // A class of the user's own, derived from a message class: the `type` field tells which.
        None => {
            let own = || CodecError::NoMessage { class: format!("{module}.{class}") };
            let class = type_field(reader.clone())?.ok_or_else(own)?;
            let message = fields::message(reader, class)?;
            reader.lossy = true;
            Ok(message)
        }
    }
}

fn type_field(mut reader: Reader<'_>) -> Result<Option<Class>, CodecError> {
    let Token::Map(count) = reader.token()? else { return Ok(None) };
    match entry(&mut reader, count, "type")? {
        Some(mut value) => match value.token()? {
            Token::Str(name) => Ok(Class::of_type(name)),
            _ => Ok(None),
        },
        None => Ok(None),
    }
}

/// Whether the value is a list (or a snapshot of one) of nothing but message objects, at least one.
pub(super) fn is_list_of_messages(blob: &[u8]) -> Result<bool, CodecError> {
    let mut reader = Reader::new(blob);
    let Token::Array(count @ 1..) = reader.token()? else { return Ok(false) };
    for _ in 0..count {
        let Token::Ext(5, payload) = reader.peek()? else { return Ok(false) };
        let named = plain::object(&mut reader.inside(payload)?);
        if !matches!(named, Ok(Some((module, class))) if Class::of_object(module, class).is_some()) {
            return Ok(false);
        }
        reader.skip()?;
    }
    Ok(true)
}

/// Whether the stored bytes still say what the message's fields say, so that they may be written for it.
pub(crate) fn same_fields(raw: &[u8], message: &Message) -> bool {
    let Ok(stored) = element(&mut Reader::new(raw)) else { return false };
    stored.content == message.content
        && stored.additional_kwargs == message.additional_kwargs
        && stored.response_metadata == message.response_metadata
        && stored.name == message.name
        && stored.id == message.id
        && stored.kind == message.kind
        && stored.extra == message.extra
}
