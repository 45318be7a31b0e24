//! LangGraph's rows, steps, journal and outbox of one thread.

use std::borrow::Cow;
use std::sync::Arc;

use agent_langgraph_codec::{BlobRow, CheckpointRow, Rows, WriteRow};
use bytes::Bytes;
use rusqlite::Transaction;

use crate::check;
use crate::port::StoreError;
use crate::types::{Commit, JournalRow, Lease, OutboxMessage, Snapshot, StepRecord, StepState};

/// The inserts of a commit, with LangGraph's rules for rows that are there already.
pub(super) fn write(
    tx: &Transaction<'_>,
    now: i64,
    lease: &Lease,
    commit: &Commit,
) -> Result<(), StoreError> {
    let thread = &*lease.thread_id;
    for row in &commit.rows.checkpoints {
        tx.prepare_cached(
            "INSERT INTO checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET checkpoint = excluded.checkpoint, metadata = excluded.metadata",
        )?
        .execute((thread, &*row.ns, &row.checkpoint_id, &row.parent_checkpoint_id, &row.checkpoint, &row.metadata))?;
    }
    for row in &commit.rows.blobs {
        tx.prepare_cached(
            "INSERT INTO checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
        )?
        .execute((
            thread,
            &*row.ns,
            &row.channel,
            &row.version,
            &*row.type_,
            row.blob.as_deref(),
        ))?;
    }
    for row in &commit.rows.writes {
        // Negative places belong to special channels, whose value may be set again.
        tx.prepare_cached(
            "INSERT INTO checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE \
             SET channel = excluded.channel, type = excluded.type, blob = excluded.blob WHERE excluded.idx < 0",
        )?
        .execute((
            thread,
            &*row.ns,
            &row.checkpoint_id,
            &row.task_id,
            row.idx,
            &row.channel,
            &*row.type_,
            &*row.blob,
            &row.task_path,
        ))?;
    }
    for step in &commit.steps {
        tx.prepare_cached(
            "INSERT INTO agent_steps (thread_id, job_id, step, call_id, epoch, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT DO UPDATE SET state = excluded.state, epoch = excluded.epoch",
        )?
        .execute((thread, &*step.job_id, step.step, &step.call_id, lease.epoch, word(step.state)))?;
    }
    for row in &commit.journal {
        let (first, last) =
            (check::number("first_seq", row.first_seq)?, check::number("last_seq", row.last_seq)?);
        tx.prepare_cached(
            "INSERT INTO agent_events (thread_id, first_seq, last_seq, job_id, epoch, events, created_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        )?
        .execute((thread, first, last, &*row.job_id, row.epoch, &*row.events, now))?;
    }
    Ok(())
}

const fn word(state: StepState) -> &'static str {
    match state {
        StepState::Intent => "intent",
        StepState::Done => "done",
        StepState::Unknown => "unknown",
    }
}

pub(super) fn put_outbox(tx: &Transaction<'_>, now: i64, message: &OutboxMessage) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO agent_outbox (thread_id, id, subject, body, created_at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        (&*message.thread_id, &*message.id, &message.subject, &*message.body, now),
    )?;
    Ok(())
}

pub(super) fn load(tx: &Transaction<'_>, thread_id: &str) -> Result<Snapshot, StoreError> {
    let mut checkpoints = tx.prepare_cached(
        "SELECT checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata FROM checkpoints \
         WHERE thread_id = ?1 ORDER BY checkpoint_id",
    )?;
    let checkpoints = checkpoints.query_map([thread_id], |row| {
        Ok(CheckpointRow {
            ns: Arc::from(row.get::<_, String>(0)?),
            checkpoint_id: row.get(1)?,
            parent_checkpoint_id: row.get(2)?,
            checkpoint: row.get(3)?,
            metadata: row.get(4)?,
        })
    })?;
    let checkpoints = checkpoints.collect::<Result<_, _>>()?;
    let mut blobs = tx.prepare_cached(
        "SELECT checkpoint_ns, channel, version, type, blob FROM checkpoint_blobs WHERE thread_id = ?1 \
         ORDER BY checkpoint_ns, channel, version",
    )?;
    let blobs = blobs.query_map([thread_id], |row| {
        Ok(BlobRow {
            ns: Arc::from(row.get::<_, String>(0)?),
            channel: row.get(1)?,
            version: row.get(2)?,
            type_: Cow::Owned(row.get(3)?),
            blob: row.get::<_, Option<Vec<u8>>>(4)?.map(Bytes::from),
        })
    })?;
    let blobs = blobs.collect::<Result<_, _>>()?;
    let mut writes = tx.prepare_cached(
        "SELECT checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path FROM checkpoint_writes \
         WHERE thread_id = ?1 ORDER BY checkpoint_ns, checkpoint_id, task_id, idx",
    )?;
    let writes = writes.query_map([thread_id], |row| {
        Ok(WriteRow {
            ns: Arc::from(row.get::<_, String>(0)?),
            checkpoint_id: row.get(1)?,
            task_id: row.get(2)?,
            idx: row.get(3)?,
            channel: row.get(4)?,
            type_: Cow::Owned(row.get(5)?),
            blob: Bytes::from(row.get::<_, Vec<u8>>(6)?),
            task_path: row.get(7)?,
        })
    })?;
    let writes = writes.collect::<Result<_, _>>()?;
    Ok(Snapshot { rows: Rows { checkpoints, blobs, writes }, steps: steps(tx, thread_id)? })
}

fn steps(tx: &Transaction<'_>, thread_id: &str) -> Result<Vec<StepRecord>, StoreError> {
    let mut open = tx.prepare_cached(
        "SELECT s.job_id, s.step, s.call_id, s.state FROM agent_steps s LEFT JOIN agent_jobs j USING (job_id) \
         WHERE s.thread_id = ?1 AND (j.job_id IS NULL OR j.status IN ('queued', 'running')) ORDER BY 1, 2, 3",
    )?;
    let found = open.query_map([thread_id], |row| {
        Ok(StepRecord {
            job_id: Arc::from(row.get::<_, String>(0)?),
            step: row.get(1)?,
            call_id: row.get(2)?,
            state: match row.get::<_, String>(3)?.as_str() {
                "intent" => StepState::Intent,
                "done" => StepState::Done,
                _ => StepState::Unknown,
            },
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn events(
    tx: &Transaction<'_>,
    thread_id: &str,
    after: u64,
    limit: usize,
) -> Result<Vec<JournalRow>, StoreError> {
    let number =
        |row: &rusqlite::Row<'_>, at| row.get::<_, i64>(at).map(|value| u64::try_from(value).unwrap_or(0));
    let mut journal = tx.prepare_cached(
        "SELECT first_seq, last_seq, job_id, epoch, events FROM agent_events WHERE thread_id = ?1 AND last_seq > ?2 \
         ORDER BY first_seq LIMIT ?3",
    )?;
    let (after, limit) = (i64::try_from(after).unwrap_or(i64::MAX), i64::try_from(limit).unwrap_or(i64::MAX));
    let found = journal.query_map((thread_id, after, limit), |row| {
        Ok(JournalRow {
            first_seq: number(row, 0)?,
            last_seq: number(row, 1)?,
            job_id: Arc::from(row.get::<_, String>(2)?),
            epoch: row.get(3)?,
            events: Bytes::from(row.get::<_, Vec<u8>>(4)?),
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}
