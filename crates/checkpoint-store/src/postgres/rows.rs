//! The rows of a group, column by column, as the statements take them.

use tokio_postgres::types::ToSql;

use crate::check;
use crate::port::StoreError;
use crate::types::{Commit, StepState};

pub(super) type Param<'a> = &'a (dyn ToSql + Sync);

#[derive(Default)]
struct Checkpoints<'a> {
    n: Vec<i32>,
    ns: Vec<&'a str>,
    id: Vec<&'a str>,
    parent: Vec<Option<&'a str>>,
    checkpoint: Vec<&'a str>,
    metadata: Vec<&'a str>,
}

#[derive(Default)]
struct Blobs<'a> {
    n: Vec<i32>,
    ns: Vec<&'a str>,
    channel: Vec<&'a str>,
    version: Vec<&'a str>,
    type_: Vec<&'a str>,
    blob: Vec<Option<&'a [u8]>>,
}

#[derive(Default)]
struct Writes<'a> {
    n: Vec<i32>,
    ns: Vec<&'a str>,
    id: Vec<&'a str>,
    task_id: Vec<&'a str>,
    idx: Vec<i32>,
    channel: Vec<&'a str>,
    type_: Vec<&'a str>,
    blob: Vec<&'a [u8]>,
    task_path: Vec<&'a str>,
}

#[derive(Default)]
struct Events<'a> {
    n: Vec<i32>,
    first: Vec<i64>,
    last: Vec<i64>,
    job_id: Vec<&'a str>,
    epoch: Vec<i64>,
    events: Vec<&'a [u8]>,
}

#[derive(Default)]
struct Steps<'a> {
    n: Vec<i32>,
    job_id: Vec<&'a str>,
    step: Vec<i64>,
    call_id: Vec<&'a str>,
    state: Vec<&'static str>,
}

/// The first 32 parameters of `sql::write` and `sql::begin`.
#[derive(Default)]
pub(super) struct RowArrays<'a> {
    checkpoints: Checkpoints<'a>,
    blobs: Blobs<'a>,
    writes: Writes<'a>,
    events: Events<'a>,
    steps: Steps<'a>,
}

pub(super) const fn word(state: StepState) -> &'static str {
    match state {
        StepState::Intent => "intent",
        StepState::Done => "done",
        StepState::Unknown => "unknown",
    }
}

impl<'a> RowArrays<'a> {
    /// Adds the rows of the call in place `n`, counted from 1.
    pub(super) fn push(&mut self, n: i32, commit: &'a Commit) -> Result<(), StoreError> {
        for row in &commit.rows.checkpoints {
            let to = &mut self.checkpoints;
            to.n.push(n);
            to.ns.push(&row.ns);
            to.id.push(&row.checkpoint_id);
            to.parent.push(row.parent_checkpoint_id.as_deref());
            to.checkpoint.push(&row.checkpoint);
            to.metadata.push(&row.metadata);
        }
        for row in &commit.rows.blobs {
            let to = &mut self.blobs;
            to.n.push(n);
            to.ns.push(&row.ns);
            to.channel.push(&row.channel);
            to.version.push(&row.version);
            to.type_.push(&row.type_);
            to.blob.push(row.blob.as_deref());
        }
        for row in &commit.rows.writes {
            let to = &mut self.writes;
            to.n.push(n);
            to.ns.push(&row.ns);
            to.id.push(&row.checkpoint_id);
            to.task_id.push(&row.task_id);
            to.idx.push(row.idx);
            to.channel.push(&row.channel);
            to.type_.push(&row.type_);
            to.blob.push(&row.blob);
            to.task_path.push(&row.task_path);
        }
        for row in &commit.journal {
            let to = &mut self.events;
            to.n.push(n);
            to.first.push(check::number("agent_events.first_seq", row.first_seq)?);
            to.last.push(check::number("agent_events.last_seq", row.last_seq)?);
            to.job_id.push(&row.job_id);
            to.epoch.push(row.epoch);
            to.events.push(&row.events);
        }
        for row in &commit.steps {
            let to = &mut self.steps;
            to.n.push(n);
            to.job_id.push(&row.job_id);
            to.step.push(row.step);
            to.call_id.push(&row.call_id);
            to.state.push(word(row.state));
        }
        Ok(())
    }

    pub(super) fn params(&self) -> Vec<Param<'_>> {
        let Self { checkpoints: c, blobs: b, writes: w, events: e, steps: s } = self;
        vec![
            &c.n,
            &c.ns,
            &c.id,
            &c.parent,
            &c.checkpoint,
            &c.metadata,
            &b.n,
            &b.ns,
            &b.channel,
            &b.version,
            &b.type_,
            &b.blob,
            &w.n,
            &w.ns,
            &w.id,
            &w.task_id,
            &w.idx,
            &w.channel,
            &w.type_,
            &w.blob,
            &w.task_path,
            &e.n,
            &e.first,
            &e.last,
            &e.job_id,
            &e.epoch,
            &e.events,
            &s.n,
            &s.job_id,
            &s.step,
            &s.call_id,
            &s.state,
        ]
    }
}

/// About as many bytes as the commit takes on the wire.
pub(super) fn size(commit: &Commit) -> usize {
    let checkpoints =
        commit.rows.checkpoints.iter().map(|row| row.checkpoint.len() + row.metadata.len() + 128);
    let blobs = commit.rows.blobs.iter().map(|row| row.blob.as_ref().map_or(0, bytes::Bytes::len) + 128);
    let writes = commit.rows.writes.iter().map(|row| row.blob.len() + 192);
    let events = commit.journal.iter().map(|row| row.events.len() + 64);
    checkpoints.chain(blobs).chain(writes).chain(events).sum::<usize>() + commit.steps.len() * 128
}
