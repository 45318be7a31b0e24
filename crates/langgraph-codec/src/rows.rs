//! Rows of LangGraph's three tables, without the thread id (every row of a commit belongs to one thread).

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

/// A row of `checkpoints`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRow {
    /// `checkpoint_ns`: empty for the root graph, `tools:<task id>` for a sub-agent.
    pub ns: Arc<str>,
    /// UUID version 6; text order is time order.
    pub checkpoint_id: String,
    /// The checkpoint that this one follows, in the same namespace.
    pub parent_checkpoint_id: Option<String>,
    /// The `checkpoint` column: JSON text.
    pub checkpoint: String,
    /// The `metadata` column: JSON text.
    pub metadata: String,
}

/// A row of `checkpoint_blobs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobRow {
    /// `checkpoint_ns`.
    pub ns: Arc<str>,
    /// Channel name.
    pub channel: String,
    /// The channel's version that this value belongs to.
    pub version: String,
    /// `msgpack`, `null`, `bytes`, `empty`, …
    pub type_: Cow<'static, str>,
    /// The value's bytes; null only for type `empty`.
    pub blob: Option<Bytes>,
}

/// A row of `checkpoint_writes`: one value that one task wrote to one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteRow {
    /// `checkpoint_ns`.
    pub ns: Arc<str>,
    /// The checkpoint that the super-step started from.
    pub checkpoint_id: String,
    /// The task's id, derived from the checkpoint, node and step.
    pub task_id: String,
    /// Position in the task's output; negative for special channels.
    pub idx: i32,
    /// Channel name.
    pub channel: String,
    /// `msgpack` or `null`.
    pub type_: Cow<'static, str>,
    /// The value's bytes, empty for `null`.
    pub blob: Bytes,
    /// Decides the order in which writes are applied.
    pub task_path: String,
}

/// Rows of one thread that are written, or were read, together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// `checkpoints`, oldest first.
    pub checkpoints: Vec<CheckpointRow>,
    /// `checkpoint_blobs`.
    pub blobs: Vec<BlobRow>,
    /// `checkpoint_writes`.
    pub writes: Vec<WriteRow>,
}
