//! Any msgpack value as JSON. What JSON cannot say is told to the reader (`lossy`) and gets a plain form;
//! module and class names are looked up in a fixed table, never acted upon.

use base64::Engine as _;
use serde_json::{Map, Number, Value};

use crate::error::CodecError;
use crate::unpack::{Reader, Token};

/// Reads one value.
pub(crate) fn value(reader: &mut Reader<'_>) -> Result<Value, CodecError> {
    match reader.token()? {
        Token::Nil => Ok(Value::Null),
        Token::Bool(value) => Ok(Value::Bool(value)),
        Token::Uint(value) => Ok(Value::from(value)),
        Token::Int(value) => Ok(Value::from(value)),
        Token::Float(value) => Ok(float(value, &mut reader.lossy)),
        Token::Str(text) => Ok(Value::from(text)),
        Token::Bin(bytes) => {
            reader.lossy = true;
            Ok(Value::String(base64_text(bytes)))
        }
        Token::Array(count) => array(reader, count),
        Token::Map(count) => map(reader, count).map(Value::Object),
        Token::Ext(code, payload) => {
            reader.lossy = true;
            extension(reader, code, payload)
        }
    }
}

fn float(value: f64, lossy: &mut bool) -> Value {
    match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None => {
            *lossy = true;
            Value::Null
        }
    }
}

pub(crate) fn base64_text(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Reads the items of an array whose head has been read.
pub(crate) fn array(reader: &mut Reader<'_>, count: usize) -> Result<Value, CodecError> {
    reader.enter()?;
    let mut items = Vec::with_capacity(count.min(1024));
    for _ in 0..count {
        items.push(value(reader)?);
    }
    reader.leave();
    Ok(Value::Array(items))
}

/// Reads the entries of a map whose head has been read.
pub(crate) fn map(reader: &mut Reader<'_>, count: usize) -> Result<Map<String, Value>, CodecError> {
    reader.enter()?;
    let mut map = Map::with_capacity(count.min(1024));
    for _ in 0..count {
        let key = key(reader)?;
        map.insert(key, value(reader)?);
    }
    reader.leave();
    Ok(map)
}

/// A key as text. Other kinds of key become what `json.dumps` makes of them; nothing that holds a map, which Python
/// cannot hash either: as text within text it would double its size at each level.
fn key(reader: &mut Reader<'_>) -> Result<String, CodecError> {
    match value(reader)? {
        Value::String(text) => Ok(text),
        other if holds_map(&other) => Err(CodecError::WrongKind {
            at: "map key".to_owned(),
            expected: "a scalar or a list",
            found: "a map",
        }),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            reader.lossy = true;
            Ok(other.to_string())
        }
    }
}

fn holds_map(key: &Value) -> bool {
    match key {
        Value::Object(_) => true,
        Value::Array(items) => items.iter().any(holds_map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Plain form of an object, as far as JSON has one: dates and UUIDs as text, models and data classes as their
/// fields, sets as lists, everything else as the bare argument (what Python makes of a class it refuses).
fn extension(outer: &Reader<'_>, code: i8, payload: &[u8]) -> Result<Value, CodecError> {
    let mut reader = outer.inside(payload)?;
    match code {
        7 => value(&mut reader),
        0..=5 => match object(&mut reader) {
            Ok(Some((module, class))) => {
                let argument = value(&mut reader)?;
                Ok(known_class(module, class, argument))
            }
            // Python reads an unreadable payload as None.
            Ok(None) | Err(_) => Ok(Value::Null),
        },
        _ => Ok(Value::Null),
    }
}

/// Reads `[module, class, ` of an object's payload; the argument comes next. `None`: it is no such payload.
pub(crate) fn object<'a>(reader: &mut Reader<'a>) -> Result<Option<(&'a str, &'a str)>, CodecError> {
    let Token::Array(3..) = reader.token()? else { return Ok(None) };
    let (Token::Str(module), Token::Str(class)) = (reader.token()?, reader.token()?) else {
        return Ok(None);
    };
    Ok(Some((module, class)))
}

fn known_class(module: &str, class: &str, argument: Value) -> Value {
    match (module, class, &argument) {
        ("uuid", "UUID", Value::String(hex)) if hex.len() == 32 && hex.is_ascii() => {
            let parts = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];
            let parts: Vec<&str> = parts.iter().filter_map(|(from, to)| hex.get(*from..*to)).collect();
            Value::String(parts.join("-"))
        }
        ("datetime", "date", Value::Array(parts)) => match parts.as_slice() {
            [Value::Number(year), Value::Number(month), Value::Number(day)] => {
                Value::String(format!("{year:0>4}-{month:0>2}-{day:0>2}"))
            }
            _ => argument,
        },
        _ => argument,
    }
}
