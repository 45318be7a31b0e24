//! The recorded threads and serializer vectors.

use std::path::PathBuf;
use std::sync::Arc;

use agent_langgraph_codec::{BlobRow, CheckpointRow, Rows, WriteRow};
use bytes::Bytes;
use serde_json::Value;

/// One recorded thread.
pub(crate) struct Example {
    pub(crate) name: String,
    pub(crate) rows: Rows,
    pub(crate) get_state: Value,
}

fn folder() -> Option<PathBuf> {
    let shared = std::env::var("AGENT_EXECUTOR_SHARED").map_or_else(
        |_| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let folder = shared.join("golden/checkpoint-examples");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no recorded checkpoints at {}", folder.display());
    None
}

fn json(path: &std::path::Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// All recorded threads; none where the recordings are absent.
pub(crate) fn all() -> Vec<Example> {
    let Some(folder) = folder() else { return Vec::new() };
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.ends_with(".json") && name.starts_with(|first: char| first.is_ascii_digit())
    });
    paths.sort();
    paths.iter().map(|path| example(&json(path))).collect()
}

/// The serializer vectors that Python could write or read; none where they are absent.
pub(crate) fn vectors() -> Vec<Value> {
    let Some(folder) = folder() else { return Vec::new() };
    let mut vectors = json(&folder.join("codec_vectors.json")).as_array().unwrap().clone();
    vectors.retain(|vector| vector["type"].is_string());
    vectors
}

fn example(dump: &Value) -> Example {
    let list = |key: &str| dump[key].as_array().unwrap().clone();
    let rows = Rows {
        checkpoints: list("checkpoints").iter().map(checkpoint).collect(),
        blobs: list("checkpoint_blobs").iter().map(blob).collect(),
        writes: list("checkpoint_writes").iter().map(write).collect(),
    };
    Example { name: text(dump, "name"), rows, get_state: dump["get_state"].clone() }
}

pub(crate) fn text(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or_else(|| panic!("{key} in {row}")).to_owned()
}

fn checkpoint(row: &Value) -> CheckpointRow {
    CheckpointRow {
        ns: Arc::from(text(row, "checkpoint_ns")),
        checkpoint_id: text(row, "checkpoint_id"),
        parent_checkpoint_id: row["parent_checkpoint_id"].as_str().map(str::to_owned),
        checkpoint: row["checkpoint"].to_string(),
        metadata: row["metadata"].to_string(),
    }
}

fn blob(row: &Value) -> BlobRow {
    BlobRow {
        ns: Arc::from(text(row, "checkpoint_ns")),
        channel: text(row, "channel"),
        version: text(row, "version"),
        type_: text(row, "type").into(),
        blob: row["blob_hex"].as_str().map(unhex),
    }
}

fn write(row: &Value) -> WriteRow {
    WriteRow {
        ns: Arc::from(text(row, "checkpoint_ns")),
        checkpoint_id: text(row, "checkpoint_id"),
        task_id: text(row, "task_id"),
        idx: i32::try_from(row["idx"].as_i64().unwrap()).unwrap(),
        channel: text(row, "channel"),
        type_: text(row, "type").into(),
        blob: unhex(row["blob_hex"].as_str().unwrap_or_default()),
        task_path: text(row, "task_path"),
    }
}

pub(crate) fn unhex(digits: &str) -> Bytes {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.as_bytes().chunks(2).map(byte).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
