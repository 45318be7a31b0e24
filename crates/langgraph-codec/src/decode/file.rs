//! Values of the channel `files`.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{FilesWrite, fields, message, plain};
use crate::checkpoint::kind_of;
use crate::error::CodecError;
use crate::file::{Encoding, FileContent, FileData};
use crate::unpack::{Reader, Token};

/// Reads a map of files, a snapshot or an Overwrite of one.
pub(super) fn files(reader: &mut Reader<'_>) -> Result<FilesWrite, CodecError> {
    if let Some(mut inner) = message::overwritten(reader)? {
        return Ok(FilesWrite { overwrite: true, files: files(&mut inner)?.files });
    }
    let count = match reader.token()? {
        Token::Ext(7, payload) => return files(&mut reader.inside(payload)?),
        Token::Nil => return Ok(FilesWrite::default()),
        Token::Map(count) => count,
        other => return Err(fields::wrong("files", "a map", &other)),
    };
    reader.enter()?;
    let mut files = Vec::with_capacity(count.min(1024));
    for _ in 0..count {
        let path = match reader.token()? {
            Token::Str(path) => path.to_owned(),
            other => return Err(fields::wrong("files", "a path", &other)),
        };
        let record = match reader.token()? {
            Token::Nil => None,
            Token::Map(count) => Some(Arc::new(file(reader, count, &path)?)),
            other => return Err(fields::wrong(&format!("files[{path}]"), "a map", &other)),
        };
        files.push((path, record));
    }
    reader.leave();
    Ok(FilesWrite { overwrite: false, files })
}

/// Fields of another kind than expected are kept among the unknown ones, so they are written again.
fn file(reader: &mut Reader<'_>, count: usize, path: &str) -> Result<FileData, CodecError> {
    let mut map = plain::map(reader, count)?;
    let content = match map.shift_remove("content") {
        Some(Value::String(text)) => FileContent::Text(text),
        Some(Value::Array(lines)) => FileContent::Lines(text_lines(lines, path)?),
        other => return Err(no_content(path, &other.unwrap_or_default())),
    };
    let encoding = match map.get("encoding").and_then(Value::as_str) {
        Some("utf-8") => Some(Encoding::Utf8),
        Some("base64") => Some(Encoding::Base64),
        Some(_) | None => None,
    };
    if encoding.is_some() {
        map.shift_remove("encoding");
    }
    let created_at = text(&mut map, "created_at");
    let modified_at = text(&mut map, "modified_at");
    Ok(FileData { content, encoding, created_at, modified_at, extra: map })
}

fn text_lines(lines: Vec<Value>, path: &str) -> Result<Vec<String>, CodecError> {
    let text = |line: Value| match line {
        Value::String(line) => Ok(line),
        other => Err(no_content(path, &other)),
    };
    lines.into_iter().map(text).collect()
}

fn text(map: &mut Map<String, Value>, key: &str) -> Option<String> {
    let text = map.get(key)?.as_str()?.to_owned();
    map.shift_remove(key);
    Some(text)
}

fn no_content(path: &str, found: &Value) -> CodecError {
    let at = format!("files[{path}].content");
    CodecError::WrongKind { at, expected: "text or a list of lines", found: kind_of(found) }
}
