//! Reads the recorded cases: where they lie, and their abbreviations (`$repeat`, `$lines`, `$long`, …).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent_langgraph_codec::{Encoding, FileContent, FileData, Files};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// Time of every run here; recorded as `$now`.
pub(crate) const NOW: &str = "2026-02-03T04:05:06.000007+00:00";

/// A place among the recordings; says so where they are absent.
pub(crate) fn golden(name: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("AGENT_EXECUTOR_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let place = shared.join("golden").join(name);
    if place.exists() {
        return Some(place);
    }
    println!("skipped: no recordings at {} (AGENT_EXECUTOR_SHARED says where they are)", place.display());
    None
}

pub(crate) fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn array(path: &Path) -> Vec<Value> {
    read(path).as_array().cloned().unwrap_or_default()
}

/// A value with its abbreviations written out.
pub(crate) fn expand(value: &Value) -> Value {
    match value {
        Value::Object(map) if map.contains_key("$repeat") => {
            json!(
                map["$repeat"]
                    .as_str()
                    .unwrap()
                    .repeat(usize::try_from(map["times"].as_u64().unwrap()).unwrap())
            )
        }
        Value::Object(map) if map.contains_key("$lines") => {
            let line = expand(&map["$lines"]);
            let line = line.as_str().unwrap();
            let count = map["count"].as_u64().unwrap();
            let lines = (1..=count).map(|number| line.replace("{n}", &number.to_string()) + "\n");
            json!(lines.collect::<String>())
        }
        Value::Object(map) if map.contains_key("$concat") => {
            let parts = map["$concat"].as_array().unwrap().iter().map(expand);
            json!(parts.map(|part| part.as_str().unwrap().to_owned()).collect::<String>())
        }
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), expand(value))).collect(),
        Value::Array(items) => items.iter().map(expand).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// The file system before a case.
pub(crate) fn files(recorded: &Value) -> Files {
    let mut files = Files::new();
    for (path, record) in recorded.as_object().expect("a map of files") {
        if path == "$files" {
            let time = "2026-01-01T00:00:00+00:00";
            for number in 0..recorded["count"].as_u64().unwrap() {
                let name = record.as_str().unwrap().replace("{n}", &format!("{number:05}"));
                let file = json!({"content": recorded["content"], "encoding": "utf-8", "created_at": time, "modified_at": time});
                files.insert(name, Arc::new(file_data(&file)));
            }
            break;
        }
        files.insert(path.clone(), Arc::new(file_data(&expand(record))));
    }
    files
}

fn file_data(record: &Value) -> FileData {
    let text = |name: &str| record.get(name).and_then(Value::as_str).map(str::to_owned);
    let content = match record["content"].as_array() {
        Some(lines) => {
            FileContent::Lines(lines.iter().map(|line| line.as_str().unwrap().to_owned()).collect())
        }
        None => FileContent::Text(text("content").expect("text")),
    };
    let encoding = text("encoding").map(|word| match word.as_str() {
        "utf-8" => Encoding::Utf8,
        "base64" => Encoding::Base64,
        other => panic!("unknown encoding {other}"),
    });
    FileData {
        content,
        encoding,
        created_at: text("created_at"),
        modified_at: text("modified_at"),
        extra: Map::new(),
    }
}

/// A record as it is stored, with members in their order.
pub(crate) fn stored(file: &FileData) -> Value {
    let mut map = Map::new();
    let content = match &file.content {
        FileContent::Text(text) => json!(text),
        FileContent::Lines(lines) => json!(lines),
    };
    map.insert("content".to_owned(), content);
    if let Some(encoding) = file.encoding {
        let word = match encoding {
            Encoding::Utf8 => "utf-8",
            Encoding::Base64 => "base64",
        };
        map.insert("encoding".to_owned(), json!(word));
    }
    for (name, time) in [("created_at", &file.created_at), ("modified_at", &file.modified_at)] {
        if let Some(time) = time {
            map.insert(name.to_owned(), json!(time));
        }
    }
    Value::Object(map)
}

/// Whether a value is the recorded one; `$now` and long texts count as what they stand for.
pub(crate) fn same(ours: &Value, recorded: &Value) -> bool {
    match (ours, recorded) {
        (Value::String(text), Value::Object(long)) if long.contains_key("$long") => {
            let digest = Sha256::digest(text.as_bytes());
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            long["chars"].as_u64() == u64::try_from(text.chars().count()).ok() && long["sha256"] == json!(hex)
        }
        (Value::String(text), Value::String(recorded)) => {
            text == recorded || (recorded == "$now" && text == NOW)
        }
        (Value::Object(ours), Value::Object(recorded)) => {
            ours.keys().eq(recorded.keys()) && ours.iter().all(|(key, value)| same(value, &recorded[key]))
        }
        (Value::Array(ours), Value::Array(recorded)) => {
            ours.len() == recorded.len()
                && ours.iter().zip(recorded).all(|(ours, recorded)| same(ours, recorded))
        }
        _ => ours == recorded,
    }
}

/// For people: not all of a long value.
pub(crate) fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(600) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}
