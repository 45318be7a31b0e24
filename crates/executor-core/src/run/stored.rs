//! Stored writes and inputs, read back.

use std::sync::Arc;

use agent_langgraph_codec as codec;
use agent_langgraph_codec::{
    Checkpoint, CheckpointRow, GraphState, Metadata, Rows, Source, TaskKind, WriteRow,
};
use serde_json::Value;

use super::resume::ResumeError;
use crate::definition::{Channels, canonical_json};
use crate::graph::{Graph, NODES, START, TaskOutput, Write, trigger_of};
use crate::ids::Ids;

/// What tasks of the newest checkpoint have written before the next one was put.
#[derive(Default)]
pub(super) struct Pending {
    writes: Vec<WriteRow>,
    /// Ids and kinds of tasks that have ended.
    finished: Vec<(String, TaskKind)>,
}

impl Pending {
    pub(super) fn of(state: &GraphState) -> Self {
        let ended = state.tasks.iter().filter(|task| task.finished);
        let finished = ended.map(|task| (task.id.clone(), task.kind)).collect();
        Self { writes: state.pending.clone(), finished }
    }

    /// The stored output of the node's task; `None` if it has not ended.
    pub(super) fn output(
        &self,
        graph: &Graph,
        node: &'static str,
    ) -> Result<Option<TaskOutput>, ResumeError> {
        self.stored(graph.pull(node, Vec::new()))
    }

    pub(super) fn call_output(&self, graph: &Graph, index: usize) -> Result<Option<TaskOutput>, ResumeError> {
        self.stored(graph.push(index, Vec::new()))
    }

    fn stored(&self, mut task: TaskOutput) -> Result<Option<TaskOutput>, ResumeError> {
        if !self.finished.iter().any(|(id, _)| *id == task.id) {
            return Ok(None);
        }
        for row in self.writes.iter().filter(|row| row.task_id == task.id) {
            task.writes.extend(decode_write(row)?);
        }
        Ok(Some(task))
    }
}

fn decode_write(row: &WriteRow) -> Result<Option<Write>, ResumeError> {
    if row.idx < 0 || row.channel.starts_with("__") && row.channel != "__pregel_tasks" {
        return Ok(None);
    }
    Ok(Some(match row.channel.as_str() {
        "messages" => Write::Messages(codec::decode_messages(&row.type_, &row.blob)?.messages),
        "files" => Write::Files(codec::decode_files(&row.type_, &row.blob)?.files),
        "__pregel_tasks" => match codec::decode_sends(&row.type_, &row.blob)?.into_iter().next() {
            Some(send) => Write::Send(send.call),
            None => return Ok(None),
        },
        channel => match NODES.into_iter().find(|node| trigger_of(node) == channel) {
            Some(node) => Write::Branch(node),
            None if channel.starts_with("branch:to:") => {
                return Err(ResumeError::UnknownNode {
                    node: channel.trim_start_matches("branch:to:").to_owned(),
                });
            }
            None => Write::Value(channel.to_owned(), codec::decode_channel(&row.type_, &row.blob)?),
        },
    }))
}

/// The newest input of a namespace.
pub(super) struct NewestInput {
    /// The super-step of the checkpoint that took it.
    pub(super) step: i64,
    /// What it was, where the store has it.
    pub(super) payload: Option<Value>,
}

pub(super) fn newest_input(rows: &Rows, ns: &str) -> Result<Option<NewestInput>, ResumeError> {
    let mut checkpoints: Vec<&CheckpointRow> = rows.checkpoints.iter().filter(|row| *row.ns == *ns).collect();
    checkpoints.sort_unstable_by(|left, right| right.checkpoint_id.cmp(&left.checkpoint_id));
    for row in checkpoints {
        let metadata = Metadata::from_json(&row.metadata)?;
        if metadata.source != Some(Source::Input) {
            continue;
        }
        let checkpoint = Checkpoint::from_json(&row.checkpoint)?;
        let version = checkpoint.channel_versions.get(START);
        let blob = rows
            .blobs
            .iter()
            .find(|blob| *blob.ns == *ns && blob.channel == START && Some(&blob.version) == version);
        let payload = blob.and_then(|blob| Some((blob, blob.blob.as_ref()?)));
        let payload = payload.map(|(blob, bytes)| codec::decode_json(&blob.type_, bytes)).transpose()?;
        return Ok(Some(NewestInput { step: metadata.step, payload }));
    }
    Ok(None)
}

/// Whether two inputs are the same, whatever the order of their members is.
pub(super) fn same_input(stored: &Value, offered: &serde_json::Map<String, Value>) -> bool {
    canonical_json(stored) == canonical_json(&Value::Object(offered.clone()))
}

/// What node `__start__` writes, from the stored input of a sub-agent or of another program.
pub(super) fn start_writes(
    payload: &Value,
    channels: &Channels,
    ids: &mut Ids,
) -> Result<Vec<Write>, ResumeError> {
    let mut writes = Vec::new();
    let Some(payload) = payload.as_object() else { return Ok(writes) };
    for (name, value) in payload {
        match name.as_str() {
            "messages" => {
                let mut messages = codec::decode_messages("msgpack", &codec::encode_json(value))?.messages;
                for message in &mut messages {
                    if message.id.is_none() {
                        Arc::make_mut(message).id = Some(ids.uuid());
                    }
                }
                writes.push(Write::Messages(messages));
            }
            "files" if value.is_object() => {
                let files = codec::decode_files("msgpack", &codec::encode_json(value))?.files;
                writes.push(Write::Files(files));
            }
            name if channels.contains_key(name) => {
                let value = codec::decode_channel("msgpack", &codec::encode_json(value))?;
                writes.push(Write::Value(name.to_owned(), value));
            }
            _ => {}
        }
    }
    Ok(writes)
}
