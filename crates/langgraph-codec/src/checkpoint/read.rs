//! Reads the JSON columns, tolerant of what older releases left out.

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{COUNTERS, Checkpoint, FORMAT, Metadata, Source};
use crate::error::CodecError;

/// The checkpoint and its format number `v`.
pub(crate) fn read_with_version(text: &str) -> Result<(Checkpoint, i64), CodecError> {
    let mut map = object(text, "checkpoint")?;
    let v = map.get("v").and_then(Value::as_i64).unwrap_or(FORMAT);
    let mut seen = IndexMap::new();
    for (node, versions) in sub_object(&mut map, "versions_seen")? {
        seen.insert(node, versions_of("versions_seen", versions)?);
    }
    let channel_versions = sub_object(&mut map, "channel_versions")?;
    let checkpoint = Checkpoint {
        id: text_field(&mut map, "id"),
        ts: text_field(&mut map, "ts"),
        channel_values: sub_object(&mut map, "channel_values")?,
        channel_versions: versions_of("channel_versions", Value::Object(channel_versions))?,
        versions_seen: seen,
        updated_channels: updated(map.get("updated_channels")),
    };
    Ok((checkpoint, v))
}

#[derive(serde::Deserialize)]
struct ValuesOnly {
    #[serde(default)]
    channel_values: Map<String, Value>,
    #[serde(default)]
    channel_versions: Map<String, Value>,
}

/// The checkpoint without the parts that say what ran: a load reads hundreds of ancestors for one version.
pub(crate) fn read_values_only(text: &str) -> Result<Checkpoint, CodecError> {
    let values: ValuesOnly =
        serde_json::from_str(text).map_err(|source| CodecError::Json { at: "checkpoint", source })?;
    Ok(Checkpoint {
        channel_values: values.channel_values,
        channel_versions: versions_of("channel_versions", Value::Object(values.channel_versions))?,
        ..Checkpoint::default()
    })
}

pub(super) fn metadata(text: &str) -> Result<Metadata, CodecError> {
    let mut map = object(text, "metadata")?;
    let step = map.shift_remove("step").ok_or(CodecError::Missing { at: "metadata.step" })?;
    let step = step.as_i64().ok_or_else(|| wrong("metadata.step", "an integer", &step))?;
    let source = map.get("source").and_then(Value::as_str).and_then(Source::from_str);
    if source.is_some() {
        map.shift_remove("source");
    }
    let parents = versions_of("metadata.parents", Value::Object(sub_object(&mut map, "parents")?))?;
    let mut counters = IndexMap::new();
    for (channel, counts) in sub_object(&mut map, COUNTERS)? {
        let pair = counts.as_array().and_then(|pair| match pair.as_slice() {
            [updates, steps] => Some([updates.as_u64()?, steps.as_u64()?]),
            _ => None,
        });
        let pair =
            pair.ok_or_else(|| wrong("metadata.counters_since_delta_snapshot", "two counts", &counts))?;
        counters.insert(channel, pair);
    }
    Ok(Metadata { source, step, parents, counters, extra: map })
}

fn object(text: &str, at: &'static str) -> Result<Map<String, Value>, CodecError> {
    serde_json::from_str(text).map_err(|source| CodecError::Json { at, source })
}

fn sub_object(map: &mut Map<String, Value>, key: &'static str) -> Result<Map<String, Value>, CodecError> {
    match map.shift_remove(key) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(inner)) => Ok(inner),
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_))) => {
            Err(wrong(key, "an object", &other))
        }
    }
}

fn text_field(map: &mut Map<String, Value>, key: &str) -> String {
    match map.shift_remove(key) {
        Some(Value::String(text)) => text,
        Some(_) | None => String::new(),
    }
}

/// Text values; integers, which the oldest releases used as versions, become their digits.
fn versions_of(at: &str, value: Value) -> Result<IndexMap<String, String>, CodecError> {
    let Value::Object(map) = value else { return Err(wrong(at, "an object", &value)) };
    let text = |(key, value): (String, Value)| match value {
        Value::String(text) => Ok((key, text)),
        Value::Number(number) => Ok((key, number.to_string())),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(wrong(&format!("{at}.{key}"), "a string", &value))
        }
    };
    map.into_iter().map(text).collect()
}

fn updated(value: Option<&Value>) -> Option<Vec<String>> {
    let names = value?.as_array()?;
    Some(names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect())
}

fn wrong(at: &str, expected: &'static str, found: &Value) -> CodecError {
    CodecError::WrongKind { at: at.to_owned(), expected, found: kind_of(found) }
}

/// The kind of a JSON value, for error texts.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
