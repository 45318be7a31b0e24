//! Finds the rows that make up one checkpoint's values.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;
use serde_json::Value;

use super::{BRANCH, SENDS};
use crate::checkpoint::{Checkpoint, read_values_only};
use crate::decode::{ChannelValue, decode_channel, decode_sends};
use crate::error::CodecError;
use crate::rows::{BlobRow, CheckpointRow, Rows, WriteRow};
use crate::send::Send;

/// What a delta channel's value is made of.
pub(super) struct History<T> {
    /// The stored value nearest to the head.
    pub(super) seed: Option<T>,
    /// What the steps since have written, oldest first.
    pub(super) writes: Vec<T>,
}

/// Order in which a checkpoint's writes are applied; UTF-8 sorts as code points do.
fn order(row: &WriteRow) -> (&str, &str, i32) {
    (&row.task_path, &row.task_id, row.idx)
}

/// The rows of one namespace, by key.
pub(super) struct Index<'a> {
    checkpoints: HashMap<&'a str, &'a CheckpointRow>,
    head: Option<&'a CheckpointRow>,
    blobs: HashMap<(&'a str, &'a str), &'a BlobRow>,
    writes: HashMap<&'a str, Vec<&'a WriteRow>>,
}

impl<'a> Index<'a> {
    pub(super) fn of(rows: &'a Rows, ns: &str) -> Self {
        let mut index =
            Self { checkpoints: HashMap::new(), head: None, blobs: HashMap::new(), writes: HashMap::new() };
        for row in rows.checkpoints.iter().filter(|row| &*row.ns == ns) {
            index.checkpoints.insert(&row.checkpoint_id, row);
            if index.head.is_none_or(|head| head.checkpoint_id < row.checkpoint_id) {
                index.head = Some(row);
            }
        }
        for row in rows.blobs.iter().filter(|row| &*row.ns == ns && row.type_ != "empty") {
            index.blobs.insert((&row.channel, &row.version), row);
        }
        for row in rows.writes.iter().filter(|row| &*row.ns == ns) {
            index.writes.entry(&row.checkpoint_id).or_default().push(row);
        }
        #[expect(clippy::iter_over_hash_type, reason = "every list is treated alike and alone")]
        for writes in index.writes.values_mut() {
            writes.sort_by(|a, b| order(a).cmp(&order(b)));
        }
        index
    }

    pub(super) fn head(&self) -> Option<&'a CheckpointRow> {
        self.head
    }

    /// The checkpoint's writes in the order in which they are applied.
    pub(super) fn writes(&self, checkpoint_id: &str) -> &[&'a WriteRow] {
        self.writes.get(checkpoint_id).map_or(&[], Vec::as_slice)
    }

    fn blob(&self, checkpoint: &Checkpoint, channel: &str) -> Option<&'a BlobRow> {
        let version = checkpoint.channel_versions.get(channel)?;
        self.blobs.get(&(channel, version.as_str())).copied()
    }

    /// Whether the channel is not empty at this checkpoint. An inline null is a value.
    pub(super) fn has_value(&self, checkpoint: &Checkpoint, channel: &str, version: &str) -> bool {
        checkpoint.channel_values.contains_key(channel) || self.blobs.contains_key(&(channel, version))
    }

    /// What makes up a delta channel's value at the head. The head's own writes are not part of it.
    pub(super) fn history<T>(
        &self,
        head: &'a CheckpointRow,
        checkpoint: &Checkpoint,
        channel: &str,
        decode: impl Fn(&str, &[u8]) -> Result<T, CodecError>,
    ) -> Result<History<T>, CodecError> {
        let mut history =
            History { seed: self.stored(head, checkpoint, channel, &decode)?, writes: Vec::new() };
        if history.seed.is_some() || !checkpoint.channel_versions.contains_key(channel) {
            return Ok(history);
        }
        let mut chain = Vec::new();
        let mut seen = HashSet::from([head.checkpoint_id.as_str()]);
        let mut next = head.parent_checkpoint_id.as_deref();
        while let Some(row) = next.and_then(|id| self.checkpoints.get(id)).copied() {
            // A damaged chain may run in a circle.
            if !seen.insert(row.checkpoint_id.as_str()) {
                break;
            }
            chain.push(row);
            let ancestor = read_values_only(&row.checkpoint)
                .map_err(|error| error.in_row("checkpoints", channel, &row.checkpoint_id))?;
            history.seed = self.stored(row, &ancestor, channel, &decode)?;
            if history.seed.is_some() {
                break;
            }
            next = row.parent_checkpoint_id.as_deref();
        }
        // The seed's checkpoint is in the chain: its writes came after the value that it holds.
        for row in chain.into_iter().rev() {
            for write in self.writes(&row.checkpoint_id).iter().filter(|write| write.channel == channel) {
                let value = decode(&write.type_, &write.blob);
                history.writes.push(value.map_err(|error| super::in_write(error, write))?);
            }
        }
        Ok(history)
    }

    /// The channel's value as far as this very checkpoint holds it: a blob, or an inline value that is not
    /// the mark of a snapshot.
    fn stored<T>(
        &self,
        row: &CheckpointRow,
        checkpoint: &Checkpoint,
        channel: &str,
        decode: &impl Fn(&str, &[u8]) -> Result<T, CodecError>,
    ) -> Result<Option<T>, CodecError> {
        if let Some(blob) = self.blob(checkpoint, channel) {
            let value = decode(&blob.type_, blob.blob.as_deref().unwrap_or_default());
            return value
                .map(Some)
                .map_err(|error| error.in_row("checkpoint_blobs", channel, &row.checkpoint_id));
        }
        match checkpoint.channel_values.get(channel) {
            None | Some(Value::Bool(true)) => Ok(None),
            Some(inline) => decode("msgpack", &crate::encode_json(inline))
                .map(Some)
                .map_err(|error| error.in_row("checkpoints", channel, &row.checkpoint_id)),
        }
    }

    /// All channels with a value but the delta channels, the Sends and the triggers. A blob goes before an
    /// inline value.
    pub(super) fn values(
        &self,
        head: &CheckpointRow,
        checkpoint: &Checkpoint,
    ) -> Result<IndexMap<String, ChannelValue>, CodecError> {
        let mut values = IndexMap::new();
        let inline = checkpoint.channel_values.keys();
        for channel in checkpoint.channel_versions.keys().chain(inline) {
            let special =
                matches!(channel.as_str(), "messages" | "files" | SENDS) || channel.starts_with(BRANCH);
            if special || values.contains_key(channel) {
                continue;
            }
            let value = match self.blob(checkpoint, channel) {
                Some(blob) => decode_channel(&blob.type_, blob.blob.as_deref().unwrap_or_default())
                    .map_err(|error| error.in_row("checkpoint_blobs", channel, &head.checkpoint_id))?,
                None => match checkpoint.channel_values.get(channel) {
                    Some(inline) => ChannelValue::Json(inline.clone()),
                    None => continue,
                },
            };
            values.insert(channel.clone(), value);
        }
        Ok(values)
    }

    /// The Sends that wait at this checkpoint. Formats before 4 kept them as writes on the parent.
    pub(super) fn sends(
        &self,
        head: &CheckpointRow,
        checkpoint: &Checkpoint,
        v: i64,
    ) -> Result<Vec<Send>, CodecError> {
        if let Some(blob) = self.blob(checkpoint, SENDS) {
            return decode_sends(&blob.type_, blob.blob.as_deref().unwrap_or_default())
                .map_err(|error| error.in_row("checkpoint_blobs", SENDS, &head.checkpoint_id));
        }
        let mut sends = Vec::new();
        let parent = head.parent_checkpoint_id.as_deref().filter(|_| v < 4);
        for write in
            parent.map_or(&[][..], |id| self.writes(id)).iter().filter(|write| write.channel == SENDS)
        {
            sends.extend(
                decode_sends(&write.type_, &write.blob).map_err(|error| super::in_write(error, write))?,
            );
        }
        Ok(sends)
    }
}
