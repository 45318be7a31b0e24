//! The rows of one thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use agent_langgraph_codec::{BlobRow, CheckpointRow, Rows, WriteRow};

use crate::seq;
use crate::types::{Commit, JournalRow, Lease, OutboxMessage, StepRecord};

#[derive(Debug)]
pub(super) struct LeaseRow {
    pub(super) owner: Arc<str>,
    pub(super) epoch: i64,
    pub(super) until: i64,
    pub(super) released: bool,
    pub(super) reserved: u64,
}

impl LeaseRow {
    pub(super) fn is_free(&self, now: i64) -> bool {
        self.released || self.until <= now
    }

    pub(super) fn is_held_by(&self, lease: &Lease) -> bool {
        !self.released && self.epoch == lease.epoch && self.owner == lease.owner
    }
}

#[derive(Debug)]
pub(super) struct Sendable {
    pub(super) message: OutboxMessage,
    pub(super) created: i64,
    pub(super) sent: Option<i64>,
}

type Ns = Arc<str>;

#[derive(Debug, Default)]
pub(super) struct Thread {
    pub(super) lease: Option<LeaseRow>,
    /// In order of admission.
    pub(super) jobs: Vec<Arc<str>>,
    checkpoints: BTreeMap<(String, Ns), CheckpointRow>,
    blobs: BTreeMap<(Ns, String, String), BlobRow>,
    writes: BTreeMap<(Ns, String, String, i32), WriteRow>,
    pub(super) steps: BTreeMap<(Arc<str>, i64, String), StepRecord>,
    pub(super) journal: BTreeMap<u64, (JournalRow, i64)>,
    pub(super) outbox: BTreeMap<Arc<str>, Sendable>,
}

impl Thread {
    pub(super) fn has_checkpoint(&self) -> bool {
        !self.checkpoints.is_empty()
    }

    pub(super) fn rows(&self) -> Rows {
        Rows {
            checkpoints: self.checkpoints.values().cloned().collect(),
            blobs: self.blobs.values().cloned().collect(),
            writes: self.writes.values().cloned().collect(),
        }
    }

    /// The inserts of a commit, with LangGraph's rules for rows that are there already.
    pub(super) fn write(&mut self, commit: Commit, now: i64) {
        for row in commit.rows.checkpoints {
            self.write_checkpoint(row);
        }
        for row in commit.rows.blobs {
            let key = (row.ns.clone(), row.channel.clone(), row.version.clone());
            self.blobs.entry(key).or_insert(row);
        }
        for row in commit.rows.writes {
            self.write_write(row);
        }
        for step in commit.steps {
            self.steps.insert((step.job_id.clone(), step.step, step.call_id.clone()), step);
        }
        for row in commit.journal {
            self.journal.entry(row.first_seq).or_insert((row, now));
        }
    }

    fn write_checkpoint(&mut self, row: CheckpointRow) {
        match self.checkpoints.get_mut(&(row.checkpoint_id.clone(), row.ns.clone())) {
            Some(there) => {
                there.checkpoint = row.checkpoint;
                there.metadata = row.metadata;
            }
            None => {
                self.checkpoints.insert((row.checkpoint_id.clone(), row.ns.clone()), row);
            }
        }
    }

    fn write_write(&mut self, row: WriteRow) {
        let key = (row.ns.clone(), row.checkpoint_id.clone(), row.task_id.clone(), row.idx);
        match self.writes.get_mut(&key) {
            // Negative places belong to special channels, whose value may be set again.
            Some(there) if row.idx < 0 => {
                there.channel = row.channel;
                there.type_ = row.type_;
                there.blob = row.blob;
            }
            Some(_) => {}
            None => {
                self.writes.insert(key, row);
            }
        }
    }

    /// Takes the lease if it is free.
    pub(super) fn take(
        &mut self,
        thread_id: &Arc<str>,
        owner: &Arc<str>,
        now: i64,
        ttl: i64,
    ) -> Option<Lease> {
        let (epoch, reserved, taken_over) = match &self.lease {
            None => (1, 0, false),
            Some(row) if row.is_free(now) => (row.epoch + 1, row.reserved, !row.released),
            Some(_) => return None,
        };
        self.lease = Some(LeaseRow {
            owner: owner.clone(),
            epoch,
            until: now + ttl,
            released: false,
            reserved: reserved + seq::BLOCK,
        });
        let (thread_id, owner) = (thread_id.clone(), owner.clone());
        Some(Lease { thread_id, owner, epoch, next_seq: reserved + 1, taken_over })
    }
}
