//! A graph's state out of a thread's rows: what LangGraph's `get_state` would say about the newest
//! checkpoint of a namespace, without its code.
//!
//! # Which rows a store must hand over
//!
//! All rows of the thread always do. Enough for one namespace, with H its newest checkpoint
//! (greatest `checkpoint_id` in text order):
//!
//! - `checkpoints`: H and its ancestors, up to and including, for each of `messages` and `files`, the first
//!   that has a blob of that channel at its own version (a snapshot); all of them where there is none.
//! - `checkpoint_blobs`: those that H's `channel_versions` name, and those snapshots.
//! - `checkpoint_writes`: all of H; of the ancestors those of the channels `messages` and `files`.
//!
//! A missing ancestor cannot be told from the beginning of the thread: everything older then reads as empty.

use std::sync::Arc;

use indexmap::IndexMap;

use crate::checkpoint::{Checkpoint, Metadata, read_with_version};
use crate::decode::{
    ChannelValue, decode_channel, decode_files, decode_interrupts, decode_json, decode_messages,
};
use crate::error::CodecError;
use crate::file::Files;
use crate::fold::{fold_files, fold_messages};
use crate::message::{Message, ToolCall};
use crate::rows::{Rows, WriteRow};
use crate::send::Interrupt;

mod tasks;
mod walk;

pub use tasks::{Task, TaskKind};

use walk::Index;

/// Channel of the tasks that nodes asked for.
const SENDS: &str = "__pregel_tasks";
/// Prefix of the channels that trigger nodes.
const BRANCH: &str = "branch:to:";
/// Task id of writes that belong to no task.
const NULL_TASK: &str = "00000000-0000-0000-0000-000000000000";

/// The state of one graph (the root or a sub-agent) at the newest checkpoint of its namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphState {
    /// The newest checkpoint.
    pub checkpoint: Checkpoint,
    /// Its metadata.
    pub metadata: Metadata,
    /// `messages` at this checkpoint, without the writes of the step that follows.
    pub messages: Vec<Arc<Message>>,
    /// `files` at this checkpoint, likewise.
    pub files: Files,
    /// Every other channel that has a value, by name; not the Sends, not the channels that trigger nodes.
    /// `__start__` is among them while the input waits for its first step.
    pub values: IndexMap<String, ChannelValue>,
    /// Tool calls that wait for their tasks (`__pregel_tasks`).
    pub sends: Vec<ToolCall>,
    /// Writes on this checkpoint, in the order in which they are applied.
    pub pending: Vec<WriteRow>,
    /// The tasks of the step that follows: Sends in their order, then triggered nodes by name. Nodes of
    /// which the caller's graph knows nothing do not run. Empty: the thread is finished.
    pub tasks: Vec<Task>,
}

/// `messages`, `files` and the other channels of [`GraphState::current`].
pub type StateValues = (Vec<Arc<Message>>, Files, IndexMap<String, ChannelValue>);

/// Loads the graph of namespace `ns` (empty: the root) from rows of one thread, of any namespaces, in any
/// order. `None`: the namespace has no checkpoint.
///
/// # Errors
/// [`CodecError::Row`] naming the row that could not be read.
pub fn load_graph(rows: &Rows, ns: &str) -> Result<Option<GraphState>, CodecError> {
    let index = Index::of(rows, ns);
    let Some(head) = index.head() else { return Ok(None) };
    let id = head.checkpoint_id.as_str();
    let in_head = |error: CodecError| error.in_row("checkpoints", "", id);
    let (checkpoint, v) = read_with_version(&head.checkpoint).map_err(in_head)?;
    let metadata = Metadata::from_json(&head.metadata).map_err(in_head)?;

    let history = index.history(head, &checkpoint, "messages", decode_messages)?;
    let mut messages = history.seed.unwrap_or_default().messages;
    fold_messages(&mut messages, history.writes);
    let history = index.history(head, &checkpoint, "files", decode_files)?;
    let mut files = Files::new();
    fold_files(&mut files, history.seed);
    fold_files(&mut files, history.writes);

    let pending: Vec<WriteRow> = index.writes(id).iter().map(|write| (*write).clone()).collect();
    let sends = index.sends(head, &checkpoint, v)?;
    let tasks = tasks::scheduled(ns, &checkpoint, metadata.step, &sends, &index, &pending);
    Ok(Some(GraphState {
        values: index.values(head, &checkpoint)?,
        checkpoint,
        metadata,
        messages,
        files,
        sends: sends.into_iter().map(|send| send.call).collect(),
        pending,
        tasks,
    }))
}

impl GraphState {
    /// The state as `get_state` shows it: with what the finished tasks of a half-done step have written, and
    /// with writes that belong to no task.
    ///
    /// # Errors
    /// [`CodecError::Row`] naming the write that could not be read.
    pub fn current(&self) -> Result<StateValues, CodecError> {
        let mut messages = self.messages.clone();
        let mut files = self.files.clone();
        let mut values = self.values.clone();
        values.shift_remove("__start__");
        let finished = |write: &&WriteRow| {
            write.task_id == NULL_TASK
                || self.tasks.iter().any(|task| task.finished && task.id == write.task_id)
        };
        for write in self.pending.iter().filter(finished) {
            let named = |error: CodecError| in_write(error, write);
            match write.channel.as_str() {
                "messages" => {
                    let write = decode_messages(&write.type_, &write.blob).map_err(named)?;
                    fold_messages(&mut messages, [write]);
                }
                "files" => {
                    let write = decode_files(&write.type_, &write.blob).map_err(named)?;
                    fold_files(&mut files, [write]);
                }
                channel if channel.starts_with("__") || channel.starts_with(BRANCH) => {}
                channel => {
                    let value = decode_channel(&write.type_, &write.blob).map_err(named)?;
                    values.insert(channel.to_owned(), value);
                }
            }
        }
        Ok((messages, files, values))
    }

    /// Nodes of the unfinished tasks, one entry per task: `get_state().next`.
    pub fn next(&self) -> Vec<&str> {
        self.tasks.iter().filter(|task| !task.finished).map(|task| task.node.as_str()).collect()
    }

    /// The error that the task left behind, as Python's repr. It stays when the task is run again.
    ///
    /// # Errors
    /// [`CodecError::Row`] if the row could not be read.
    pub fn error_of(&self, task_id: &str) -> Result<Option<String>, CodecError> {
        let Some(write) = self.write_of(task_id, "__error__") else { return Ok(None) };
        let value = decode_json(&write.type_, &write.blob).map_err(|error| in_write(error, write))?;
        Ok(Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    }

    /// What the task asked and nobody has answered; nothing for a task that does not wait for an answer.
    ///
    /// # Errors
    /// [`CodecError::Row`] if the row could not be read.
    pub fn interrupts_of(&self, task_id: &str) -> Result<Vec<Interrupt>, CodecError> {
        // A task that has ended keeps the row of a question that was answered.
        let open = self.tasks.iter().any(|task| task.id == task_id && !task.finished);
        let Some(write) = self.write_of(task_id, "__interrupt__").filter(|_| open) else {
            return Ok(Vec::new());
        };
        decode_interrupts(&write.type_, &write.blob).map_err(|error| in_write(error, write))
    }

    fn write_of(&self, task_id: &str, channel: &str) -> Option<&WriteRow> {
        self.pending.iter().find(|write| write.task_id == task_id && write.channel == channel)
    }
}

fn in_write(error: CodecError, write: &WriteRow) -> CodecError {
    error.in_row("checkpoint_writes", &write.channel, &write.checkpoint_id)
}
