//! A graph's state as rows of LangGraph's tables.

use std::borrow::Cow;

use agent_langgraph_codec::BlobRow;

use super::{
    BTreeSet, Bytes, ChannelValue, Checkpoint, CheckpointRow, Graph, Ids, Map, Metadata, NO_WRITES, Rows,
    SENDS, SNAPSHOT_STEPS, SNAPSHOT_UPDATES, Shape, Source, TOOLS, TURN_TAG, TaskOutput, Unfinished, Value,
    Write, WriteRow, codec, trigger_of,
};

impl Graph {
    pub(super) fn blob(&self, channel: &str, version: &str, bytes: Bytes) -> BlobRow {
        BlobRow {
            ns: self.ns.clone(),
            channel: channel.to_owned(),
            version: version.to_owned(),
            type_: Cow::Borrowed("msgpack"),
            blob: Some(bytes),
        }
    }

    pub(super) fn write_row(&self, task: &TaskOutput, idx: usize, write: &Write) -> WriteRow {
        let (channel, type_, blob) = encode(write);
        WriteRow {
            ns: self.ns.clone(),
            checkpoint_id: self.head_id().to_owned(),
            task_id: task.id.clone(),
            idx: i32::try_from(idx).unwrap_or(i32::MAX),
            channel,
            type_,
            blob,
            task_path: task.path.clone(),
        }
    }

    /// Blobs of the channels that are stored whole whenever they change.
    pub(super) fn put_blobs(&self, changed: &BTreeSet<String>, version: &str, rows: &mut Rows) {
        if self.shape == Shape::Sub && changed.contains("messages") {
            rows.blobs.push(self.blob("messages", version, codec::encode_messages(&self.messages)));
        }
        for (channel, value) in &self.values {
            if !changed.contains(channel) {
                continue;
            }
            match value {
                ChannelValue::Json(json) if codec::is_inline(json) => {}
                ChannelValue::Json(json) => {
                    rows.blobs.push(self.blob(channel, version, codec::encode_json(json)));
                }
                ChannelValue::Messages(messages) => {
                    rows.blobs.push(self.blob(channel, version, codec::encode_messages(messages)));
                }
                ChannelValue::Raw { type_, blob } => rows.blobs.push(BlobRow {
                    type_: Cow::Owned(type_.clone()),
                    ..self.blob(channel, version, blob.clone())
                }),
            }
        }
    }

    /// Puts the next checkpoint row with the current channels, and snapshots where they are due.
    pub(super) fn put(
        &mut self,
        source: Source,
        changed: &BTreeSet<String>,
        force: [bool; 2],
        ids: &mut Ids,
        rows: &mut Rows,
    ) {
        let step = self.head.as_ref().map_or(-1, |(_, step)| step + 1);
        let after = self.head.take().map(|(id, _)| id);
        let id = codec::checkpoint_id(ids.now_ns(), step, ids.bits(), after.as_deref());
        let mut inline = Map::new();
        for channel in &self.present {
            if channel.starts_with("branch:to:") {
                inline.insert(channel.clone(), Value::Null);
            }
        }
        for (channel, value) in &self.values {
            if let ChannelValue::Json(json) = value
                && codec::is_inline(json)
            {
                inline.insert(channel.clone(), json.clone());
            }
        }
        let counters = self.count(changed, force, ids, &mut inline, rows);
        let checkpoint = Checkpoint {
            id: id.clone(),
            ts: codec::iso_timestamp(ids.now_ns()),
            channel_values: inline,
            channel_versions: self.versions.clone(),
            versions_seen: self.seen.clone(),
            updated_channels: Some(changed.iter().cloned().collect()),
        };
        if source == Source::Input {
            self.turn = Some(step);
        }
        let mut extra = self.tags.clone();
        extra.extend(self.turn.map(|turn| (TURN_TAG.to_owned(), Value::from(turn))));
        let metadata =
            Metadata { source: Some(source), step, parents: self.parents.clone(), counters, extra };
        rows.checkpoints.push(CheckpointRow {
            ns: self.ns.clone(),
            checkpoint_id: id.clone(),
            parent_checkpoint_id: after,
            checkpoint: checkpoint.to_json(),
            metadata: metadata.to_json(),
        });
        self.head = Some((id, step));
    }

    /// Counts updates of the delta channels and snapshots those that are due.
    fn count(
        &mut self,
        changed: &BTreeSet<String>,
        force: [bool; 2],
        ids: &mut Ids,
        inline: &mut Map<String, Value>,
        rows: &mut Rows,
    ) -> indexmap::IndexMap<String, [u64; 2]> {
        let mut counters = indexmap::IndexMap::new();
        let [force_messages, force_files] = force;
        let mut channels = vec![("files", self.file_counter, force_files)];
        if self.shape == Shape::Root {
            channels.push(("messages", self.message_counter, force_messages));
        }
        for (channel, [updates, steps], forced) in channels {
            let mut counter = [updates + u64::from(changed.contains(channel)), steps + 1];
            let due = counter[0] >= SNAPSHOT_UPDATES || counter[1] >= SNAPSHOT_STEPS;
            if forced || (due && self.versions.contains_key(channel)) {
                counter = [0; 2];
                let version = self.snapshot_version(channel, changed, ids);
                let bytes = if channel == "files" {
                    codec::encode_files_snapshot(&self.files)
                } else {
                    codec::encode_messages_snapshot(&self.messages)
                };
                rows.blobs.push(self.blob(channel, &version, bytes));
                inline.insert(channel.to_owned(), Value::Bool(true));
            } else {
                counters.insert(channel.to_owned(), counter);
            }
            if channel == "files" {
                self.file_counter = counter;
            } else {
                self.message_counter = counter;
            }
        }
        counters
    }

    /// The version under which a snapshot is stored: this step's where the channel changed, else its own plus one.
    fn snapshot_version(&mut self, channel: &str, changed: &BTreeSet<String>, ids: &mut Ids) -> String {
        match self.versions.get(channel) {
            Some(version) if changed.contains(channel) => version.clone(),
            own => {
                let bumped = codec::next_version(own.map(String::as_str), ids.fraction());
                self.versions.insert(channel.to_owned(), bumped.clone());
                bumped
            }
        }
    }

    /// Tasks that never ended count as run without output: their triggers are seen and emptied.
    pub(super) fn discard(&mut self, unfinished: &Unfinished, version: &str, rows: &mut Rows) {
        for node in &unfinished.nodes {
            let trigger = trigger_of(node);
            let read = self.versions.get(&trigger).cloned();
            let seen = self.seen.entry(node.clone()).or_default();
            if node != TOOLS
                && let Some(read) = read
            {
                seen.insert(trigger, read);
            }
        }
        for channel in std::mem::take(&mut self.present) {
            self.versions.insert(channel, version.to_owned());
        }
        if !std::mem::take(&mut self.sends).is_empty() {
            self.versions.insert(SENDS.to_owned(), version.to_owned());
            rows.blobs.push(self.blob(SENDS, version, codec::encode_sends(TOOLS, &[])));
        }
    }
}

fn encode(write: &Write) -> (String, Cow<'static, str>, Bytes) {
    let msgpack = Cow::Borrowed("msgpack");
    match write {
        Write::Messages(messages) => ("messages".to_owned(), msgpack, codec::encode_messages(messages)),
        Write::Files(files) => ("files".to_owned(), msgpack, codec::encode_files_write(files)),
        Write::Value(channel, ChannelValue::Json(Value::Null)) => null(channel.clone()),
        Write::Value(channel, ChannelValue::Json(json)) => {
            (channel.clone(), msgpack, codec::encode_json(json))
        }
        Write::Value(channel, ChannelValue::Messages(messages)) => {
            (channel.clone(), msgpack, codec::encode_messages(messages))
        }
        Write::Value(channel, ChannelValue::Raw { type_, blob }) => {
            (channel.clone(), Cow::Owned(type_.clone()), blob.clone())
        }
        Write::Send(call) => (SENDS.to_owned(), msgpack, codec::encode_send(TOOLS, call)),
        Write::Branch(node) => null(trigger_of(node)),
        Write::NoWrites => null(NO_WRITES.to_owned()),
    }
}

fn null(channel: String) -> (String, Cow<'static, str>, Bytes) {
    (channel, Cow::Borrowed("null"), Bytes::new())
}
