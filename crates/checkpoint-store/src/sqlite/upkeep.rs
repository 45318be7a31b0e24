//! What is done beside the jobs: outbox, orphans, dead letters, deletion.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::Transaction;

use super::{ms, rows};
use crate::check;
use crate::port::StoreError;
use crate::types::{DeadLetter, DeadLetterRecord, OutboxMessage, Retention};

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn outbox_due(
    tx: &Transaction<'_>,
    latest: i64,
    limit: usize,
) -> Result<Vec<OutboxMessage>, StoreError> {
    let mut due = tx.prepare_cached(
        "SELECT id, thread_id, subject, body FROM agent_outbox WHERE sent_at IS NULL AND created_at <= ?1 \
         ORDER BY created_at, rowid LIMIT ?2",
    )?;
    let found = due.query_map((latest, count(limit)), |row| {
        Ok(OutboxMessage {
            id: Arc::from(row.get::<_, String>(0)?),
            thread_id: Arc::from(row.get::<_, String>(1)?),
            subject: row.get(2)?,
            body: Bytes::from(row.get::<_, Vec<u8>>(3)?),
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn outbox_sent(tx: &Transaction<'_>, now: i64, sent: &[OutboxMessage]) -> Result<(), StoreError> {
    for message in sent {
        tx.execute(
            "UPDATE agent_outbox SET sent_at = ?3 WHERE thread_id = ?1 AND id = ?2 AND sent_at IS NULL",
            (&*message.thread_id, &*message.id, now),
        )?;
    }
    Ok(())
}

pub(super) fn orphans(
    tx: &Transaction<'_>,
    now: i64,
    idle: Duration,
    handed_back: Duration,
    limit: usize,
) -> Result<Vec<Arc<str>>, StoreError> {
    let mut orphaned = tx.prepare_cached(
        "SELECT j.thread_id FROM agent_jobs j LEFT JOIN agent_leases l USING (thread_id) \
         GROUP BY j.thread_id HAVING sum(j.status IN ('queued', 'running')) > 0 \
         AND max(j.created_at) <= CASE WHEN coalesce(l.released, 0) THEN ?2 ELSE ?1 END \
         AND (l.thread_id IS NULL OR l.lease_until <= CASE WHEN l.released THEN ?2 ELSE ?1 END) LIMIT ?3",
    )?;
    let latest = (now - ms(idle), now - ms(handed_back), count(limit));
    let found = orphaned.query_map(latest, |row| Ok(Arc::from(row.get::<_, String>(0)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn elect(
    tx: &Transaction<'_>,
    now: i64,
    key: &str,
    owner: &str,
    ttl: Duration,
) -> Result<bool, StoreError> {
    let changed = tx.execute(
        "INSERT INTO agent_leases (thread_id, epoch, owner, lease_until, released, seq_reserved) VALUES (?1, 1, ?2, ?3, 0, 0) \
         ON CONFLICT (thread_id) DO UPDATE SET epoch = epoch + (owner <> ?2), owner = ?2, lease_until = ?3 \
         WHERE owner = ?2 OR lease_until <= ?4",
        (key, owner, now.saturating_add(ms(ttl)), now),
    )?;
    Ok(changed == 1)
}

pub(super) fn dead_letter(tx: &Transaction<'_>, now: i64, letter: &DeadLetter) -> Result<(), StoreError> {
    if let Some(message) = &letter.outbox {
        rows::put_outbox(tx, now, message)?;
    }
    tx.execute(
        "INSERT INTO agent_dead_letters (source, seq, code, reason, job_id, subject, head, hash, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
        (
            &letter.source,
            check::number("seq", letter.seq)?,
            &letter.code,
            &letter.reason,
            &letter.job_id,
            &letter.subject,
            &*letter.head,
            &letter.hash,
            now,
        ),
    )?;
    Ok(())
}

pub(super) fn dead_letters(
    tx: &Transaction<'_>,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<DeadLetterRecord>, StoreError> {
    let mut letters = tx.prepare_cached(
        "SELECT id, source, seq, code, reason, job_id, subject, head, hash, created_at FROM agent_dead_letters \
         WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2",
    )?;
    let found = letters.query_map((before, count(limit)), |row| {
        let letter = DeadLetter {
            source: row.get(1)?,
            seq: u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0),
            code: row.get(3)?,
            reason: row.get(4)?,
            job_id: row.get(5)?,
            subject: row.get(6)?,
            head: Bytes::from(row.get::<_, Vec<u8>>(7)?),
            hash: row.get(8)?,
            outbox: None,
        };
        Ok(DeadLetterRecord { id: row.get(0)?, letter, created_at_ms: row.get(9)? })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn delete_thread(tx: &Transaction<'_>, now: i64, thread_id: &str) -> Result<bool, StoreError> {
    let mut some = 0;
    for table in ["checkpoints", "checkpoint_blobs", "checkpoint_writes", "agent_jobs", "agent_outbox"] {
        some += tx.execute(&format!("DELETE FROM {table} WHERE thread_id = ?1"), [thread_id])?;
    }
    for table in ["agent_steps", "agent_events"] {
        tx.execute(&format!("DELETE FROM {table} WHERE thread_id = ?1"), [thread_id])?;
    }
    // A holder that nobody has seen end keeps its epoch used up, or it could write into the thread's next life.
    some += tx.execute(
        "UPDATE agent_leases SET epoch = epoch + 1, owner = '', released = 1, lease_until = ?2, seq_reserved = 0 \
         WHERE thread_id = ?1 AND NOT released",
        (thread_id, now),
    )?;
    tx.execute("DELETE FROM agent_leases WHERE thread_id = ?1 AND released AND owner <> ''", [thread_id])?;
    Ok(some > 0)
}

pub(super) fn purge(
    tx: &Transaction<'_>,
    now: i64,
    retention: &Retention,
    batch: usize,
) -> Result<u64, StoreError> {
    let mut gone = 0;
    let limit = count(batch);
    if let Some(age) = retention.threads {
        let mut settled = tx.prepare(
            "SELECT thread_id FROM agent_leases l WHERE (released OR lease_until <= ?1) AND lease_until <= ?2 AND thread_id NOT LIKE '~%' \
             AND NOT EXISTS (SELECT 1 FROM agent_jobs j WHERE j.thread_id = l.thread_id AND status IN ('queued', 'running')) \
             AND NOT EXISTS (SELECT 1 FROM agent_outbox o WHERE o.thread_id = l.thread_id AND sent_at IS NULL) LIMIT ?3",
        )?;
        let found = settled.query_map((now, now - ms(age), limit), |row| row.get::<_, String>(0))?;
        for thread_id in found.collect::<Result<Vec<_>, _>>()? {
            delete_thread(tx, now, &thread_id)?;
            tx.execute("DELETE FROM agent_leases WHERE thread_id = ?1", [&thread_id])?;
            gone += 1;
        }
    }
    if let Some(age) = retention.events {
        gone += tx.execute(
            "DELETE FROM agent_events WHERE (thread_id, first_seq) IN (SELECT e.thread_id, e.first_seq FROM agent_events e \
             LEFT JOIN agent_jobs j USING (job_id) WHERE e.created_at <= ?1 AND (j.job_id IS NULL OR j.ended_at <= ?1) LIMIT ?2)",
            (now - ms(age), limit),
        )?;
    }
    if let Some(age) = retention.outbox {
        gone += tx.execute(
            "DELETE FROM agent_outbox WHERE rowid IN (SELECT rowid FROM agent_outbox WHERE sent_at <= ?1 LIMIT ?2)",
            (now - ms(age), limit),
        )?;
    }
    if let Some(age) = retention.dead_letters {
        gone += tx.execute(
            "DELETE FROM agent_dead_letters WHERE id IN (SELECT id FROM agent_dead_letters WHERE created_at <= ?1 LIMIT ?2)",
            (now - ms(age), limit),
        )?;
    }
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}
