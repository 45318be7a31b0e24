//! Files given with a job (deepagents-semantics 10, rows 16, 23 and 24): checked here, so that no tool meets a bad one.

use agent_langgraph_codec::{Encoding, FileContent, FileData};
use serde_json::{Map, Value};

use super::InputError;
use crate::definition::{FieldPath, kind_of};
use crate::tools::{PathRefused, normalise_path};

pub(super) fn read(
    value: &Value,
    at: &FieldPath,
    now: &str,
) -> Result<Vec<(String, Option<FileData>)>, InputError> {
    let Value::Object(files) = value else { return Err(wrong(at, "an object of files by path", value)) };
    let read = |(name, value): (&String, &Value)| {
        let at = at.member(name);
        let path = path(name).map_err(|refused| InputError::BadPath { at: at.clone(), refused })?;
        Ok((path, file(value, &at, now)?))
    };
    files.iter().map(read).collect()
}

fn path(name: &str) -> Result<String, PathRefused> {
    let path = normalise_path(name)?;
    if matches!(path.as_str(), "/" | "/.") { Err(PathRefused::Root(name.to_owned())) } else { Ok(path) }
}

/// A text, a record, or null, which deletes.
fn file(value: &Value, at: &FieldPath, now: &str) -> Result<Option<FileData>, InputError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(record(text.clone(), Encoding::Utf8, now))),
        Value::Object(members) => from_members(members.clone(), at, now).map(Some),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            Err(wrong(at, "a file: an object with `content`, or a string", value))
        }
    }
}

fn record(text: String, encoding: Encoding, now: &str) -> FileData {
    FileData {
        content: FileContent::Text(text),
        encoding: Some(encoding),
        created_at: Some(now.to_owned()),
        modified_at: Some(now.to_owned()),
        extra: Map::new(),
    }
}

/// Both stored forms of the content are read, and kept in today's.
fn from_members(mut members: Map<String, Value>, at: &FieldPath, now: &str) -> Result<FileData, InputError> {
    let content_at = at.member("content");
    let text = match members.shift_remove("content") {
        Some(Value::String(text)) => text,
        Some(Value::Array(lines)) => joined(&lines, &content_at)?,
        None => return Err(wrong(&content_at, "a string or a list of lines", &Value::Null)),
        Some(other) => return Err(wrong(&content_at, "a string or a list of lines", &other)),
    };
    let encoding = match members.shift_remove("encoding") {
        None | Some(Value::Null) => Encoding::Utf8,
        Some(Value::String(word)) => match word.as_str() {
            "utf-8" | "utf8" => Encoding::Utf8,
            "base64" => Encoding::Base64,
            other => {
                let found = other.chars().take(80).collect();
                return Err(InputError::BadEncoding { at: at.member("encoding"), found });
            }
        },
        Some(other) => return Err(wrong(&at.member("encoding"), "a string", &other)),
    };
    let mut file = record(text, encoding, now);
    let created = time(&mut members, "created_at", at)?;
    let modified = time(&mut members, "modified_at", at)?;
    // Where one time is given it stands for both: a file is not changed before it is made.
    if let Some(one) = created.clone().or_else(|| modified.clone()) {
        file.created_at = Some(one.clone());
        file.modified_at = Some(modified.unwrap_or(one));
    }
    file.extra = members;
    Ok(file)
}

fn joined(lines: &[Value], at: &FieldPath) -> Result<String, InputError> {
    let mut text = String::new();
    for (nth, line) in lines.iter().enumerate() {
        let Value::String(line) = line else { return Err(wrong(&at.item(nth), "a string", line)) };
        if nth > 0 {
            text.push('\n');
        }
        text.push_str(line);
    }
    Ok(text)
}

fn time(members: &mut Map<String, Value>, name: &str, at: &FieldPath) -> Result<Option<String>, InputError> {
    match members.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(time)) => Ok(Some(time)),
        Some(other) => Err(wrong(&at.member(name), "a string", &other)),
    }
}

fn wrong(at: &FieldPath, expected: &'static str, found: &Value) -> InputError {
    InputError::WrongKind { at: at.clone(), expected, found: kind_of(found) }
}
