//! Admission, leases, commits and ends.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{OptionalExtension, Row, Transaction};

use super::{LEASE, ms, rows};
use crate::port::StoreError;
use crate::seq;
use crate::types::{
    Begin, BeginRequest, Commit, Finished, JobRecord, JobStatus, JobSummary, Lease, Terminal,
};

const COLUMNS: &str = "job_id, thread_id, payload_hash, request, status, unclean_count, created_at, deadline_at, \
                       cancel_requested, result";
const OPEN: &str = "status IN ('queued', 'running')";

fn record(row: &Row<'_>) -> rusqlite::Result<JobRecord> {
    let text = |at| row.get::<_, String>(at);
    Ok(JobRecord {
        job_id: Arc::from(text(0)?),
        thread_id: Arc::from(text(1)?),
        payload_hash: text(2)?,
        request: Bytes::from(row.get::<_, Vec<u8>>(3)?),
        status: status(&text(4)?),
        unclean_count: row.get(5)?,
        created_at_ms: row.get(6)?,
        deadline_at_ms: row.get(7)?,
        cancel_requested: row.get(8)?,
        result: row.get::<_, Option<Vec<u8>>>(9)?.map(Bytes::from),
    })
}

/// Nothing else writes other words.
fn status(word: &str) -> JobStatus {
    match word {
        "queued" => JobStatus::Queued,
        "running" => JobStatus::Running,
        "completed" => JobStatus::Completed,
        "cancelled" => JobStatus::Cancelled,
        _ => JobStatus::Failed,
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

pub(super) fn job(tx: &Transaction<'_>, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM agent_jobs WHERE job_id = ?1");
    Ok(tx.query_row(&sql, [job_id], record).optional()?)
}

pub(super) fn jobs_of(tx: &Transaction<'_>, thread_id: &str) -> Result<Vec<JobRecord>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM agent_jobs WHERE thread_id = ?1 ORDER BY admitted");
    let mut statement = tx.prepare(&sql)?;
    let found = statement.query_map([thread_id], record)?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn recent(tx: &Transaction<'_>, limit: usize) -> Result<Vec<JobSummary>, StoreError> {
    let sql = "SELECT job_id, thread_id, status, created_at, ended_at FROM agent_jobs ORDER BY admitted DESC LIMIT ?1";
    let mut statement = tx.prepare(sql)?;
    let found = statement.query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
        Ok(JobSummary {
            job_id: Arc::from(row.get::<_, String>(0)?),
            thread_id: Arc::from(row.get::<_, String>(1)?),
            status: status(&row.get::<_, String>(2)?),
            created_at_ms: row.get(3)?,
            ended_at_ms: row.get(4)?,
        })
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn begin(tx: &Transaction<'_>, now: i64, request: &BeginRequest) -> Result<Begin, StoreError> {
    let new = &request.job;
    let admitted = match job(tx, &new.job_id)? {
        Some(known) if known.payload_hash != new.payload_hash || known.thread_id != new.thread_id => {
            return Ok(Begin::IdReused);
        }
        Some(known) if known.status.is_terminal() => return Ok(Begin::Terminal(Box::new(known))),
        Some(_) => false,
        None => {
            tx.execute(
                "INSERT INTO agent_jobs (job_id, thread_id, payload_hash, request, status, created_at, deadline_at) \
                 VALUES (?1, ?2, ?3, ?4, 'queued', ?5, ?6)",
                (
                    &*new.job_id,
                    &*new.thread_id,
                    &new.payload_hash,
                    &*new.request,
                    now,
                    new.deadline.map(|deadline| now.saturating_add(ms(deadline))),
                ),
            )?;
            true
        }
    };
    let virgin = is_virgin(tx, &new.thread_id)?;
    let Some(mut lease) = take(tx, now, &new.thread_id, &request.owner)? else {
        let until: i64 = tx.query_row(
            "SELECT lease_until FROM agent_leases WHERE thread_id = ?1",
            [&*new.thread_id],
            |row| row.get(0),
        )?;
        return Ok(Begin::Busy { remaining: Duration::from_millis(unsigned(until - now)), admitted });
    };
    let fresh = request.fresh.as_ref().filter(|_| virgin && admitted);
    if let Some(commit) = fresh {
        lease.next_seq = seq::last_used(lease.next_seq, commit.last_seq) + 1;
        raise(tx, &lease.thread_id, commit.last_seq)?;
        rows::write(tx, now, &lease, commit)?;
    }
    match start_oldest(tx, &lease.thread_id, lease.taken_over)? {
        Some(job) => Ok(Begin::Started { lease, job: Box::new(job), fresh: fresh.is_some(), admitted }),
        // Cannot be: the offered job is open. Said as what it would mean.
        None => Ok(Begin::Busy { remaining: Duration::ZERO, admitted }),
    }
}

fn is_virgin(tx: &Transaction<'_>, thread_id: &str) -> Result<bool, StoreError> {
    let sql = "SELECT NOT EXISTS (SELECT 1 FROM agent_leases WHERE thread_id = ?1) \
               AND NOT EXISTS (SELECT 1 FROM checkpoints WHERE thread_id = ?1)";
    Ok(tx.query_row(sql, [thread_id], |row| row.get(0))?)
}

fn take(
    tx: &Transaction<'_>,
    now: i64,
    thread_id: &Arc<str>,
    owner: &Arc<str>,
) -> Result<Option<Lease>, StoreError> {
    let sql = "SELECT epoch, lease_until, released, seq_reserved FROM agent_leases WHERE thread_id = ?1";
    let found: Option<(i64, i64, bool, i64)> = tx
        .query_row(sql, [&**thread_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let (epoch, reserved, taken_over) = match found {
        None => (1, 0, false),
        Some((epoch, until, released, reserved)) if released || until <= now => {
            (epoch + 1, reserved, !released)
        }
        Some(_) => return Ok(None),
    };
    tx.execute(
        "INSERT INTO agent_leases (thread_id, epoch, owner, lease_until, released, seq_reserved) VALUES (?1, ?2, ?3, ?4, 0, ?5) \
         ON CONFLICT (thread_id) DO UPDATE SET epoch = ?2, owner = ?3, lease_until = ?4, released = 0, seq_reserved = ?5",
        (&**thread_id, epoch, &**owner, now + ms(LEASE), reserved + signed(seq::BLOCK)),
    )?;
    let next_seq = unsigned(reserved) + 1;
    Ok(Some(Lease { thread_id: thread_id.clone(), owner: owner.clone(), epoch, next_seq, taken_over }))
}

fn start_oldest(
    tx: &Transaction<'_>,
    thread_id: &str,
    taken_over: bool,
) -> Result<Option<JobRecord>, StoreError> {
    let sql =
        format!("SELECT job_id FROM agent_jobs WHERE thread_id = ?1 AND {OPEN} ORDER BY admitted LIMIT 1");
    let Some(job_id) = tx.query_row(&sql, [thread_id], |row| row.get::<_, String>(0)).optional()? else {
        return Ok(None);
    };
    tx.execute(
        "UPDATE agent_jobs SET status = 'running', unclean_count = unclean_count + ?2 WHERE job_id = ?1",
        (&job_id, taken_over),
    )?;
    job(tx, &job_id)
}

pub(super) fn acquire(
    tx: &Transaction<'_>,
    now: i64,
    thread_id: &Arc<str>,
    owner: &Arc<str>,
) -> Result<Option<(Lease, JobRecord)>, StoreError> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM agent_jobs WHERE thread_id = ?1 AND {OPEN})");
    if !tx.query_row(&sql, [&**thread_id], |row| row.get::<_, bool>(0))? {
        return Ok(None);
    }
    let Some(lease) = take(tx, now, thread_id, owner)? else { return Ok(None) };
    let job = start_oldest(tx, thread_id, lease.taken_over)?;
    Ok(job.map(|job| (lease, job)))
}

/// Extends the lease if it still stands.
fn guard(tx: &Transaction<'_>, now: i64, lease: &Lease) -> Result<bool, StoreError> {
    let changed = tx.execute(
        "UPDATE agent_leases SET lease_until = ?4 WHERE thread_id = ?1 AND owner = ?2 AND epoch = ?3 AND NOT released",
        (&*lease.thread_id, &*lease.owner, lease.epoch, now + ms(LEASE)),
    )?;
    Ok(changed == 1)
}

fn fenced(lease: &Lease) -> StoreError {
    StoreError::Fenced { thread_id: lease.thread_id.clone(), epoch: lease.epoch }
}

fn raise(tx: &Transaction<'_>, thread_id: &str, last: u64) -> Result<(), StoreError> {
    let reserved: i64 =
        tx.query_row("SELECT seq_reserved FROM agent_leases WHERE thread_id = ?1", [thread_id], |row| {
            row.get(0)
        })?;
    let raised = signed(seq::raised(unsigned(reserved), last));
    tx.execute("UPDATE agent_leases SET seq_reserved = ?2 WHERE thread_id = ?1", (thread_id, raised))?;
    Ok(())
}

pub(super) fn commit(
    tx: &Transaction<'_>,
    now: i64,
    lease: &Lease,
    commit: &Commit,
) -> Result<(), StoreError> {
    if !guard(tx, now, lease)? {
        return Err(fenced(lease));
    }
    raise(tx, &lease.thread_id, commit.last_seq)?;
    rows::write(tx, now, lease, commit)
}

pub(super) fn finish(
    tx: &Transaction<'_>,
    now: i64,
    lease: &Lease,
    commit: &Commit,
    terminal: &Terminal,
) -> Result<Finished, StoreError> {
    if !guard(tx, now, lease)? {
        let ours = "SELECT EXISTS (SELECT 1 FROM agent_jobs WHERE job_id = ?1 AND ended_epoch = ?2)";
        let ended_by_us =
            tx.query_row(ours, (&*terminal.job_id, lease.epoch), |row| row.get::<_, bool>(0))?;
        return if ended_by_us { Ok(Finished { next: None }) } else { Err(fenced(lease)) };
    }
    rows::write(tx, now, lease, commit)?;
    rows::put_outbox(tx, now, &terminal.outbox)?;
    tx.execute(
        &format!(
            "UPDATE agent_jobs SET status = ?3, result = ?4, ended_at = ?5, ended_epoch = ?6 \
             WHERE job_id = ?1 AND thread_id = ?2 AND {OPEN}"
        ),
        (&*terminal.job_id, &*lease.thread_id, terminal.status.as_str(), &*terminal.result, now, lease.epoch),
    )?;
    let next = start_oldest(tx, &lease.thread_id, false)?;
    let last = seq::last_used(lease.next_seq, commit.last_seq);
    if next.is_some() {
        raise(tx, &lease.thread_id, last)?;
    } else {
        set_free(tx, now, lease, last)?;
    }
    Ok(Finished { next: next.map(Box::new) })
}

fn set_free(tx: &Transaction<'_>, now: i64, lease: &Lease, last: u64) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE agent_leases SET released = 1, lease_until = ?2, seq_reserved = ?3 WHERE thread_id = ?1",
        (&*lease.thread_id, now, signed(last)),
    )?;
    Ok(())
}

pub(super) fn renew(tx: &Transaction<'_>, now: i64, leases: &[Lease]) -> Result<Vec<Arc<str>>, StoreError> {
    let mut lost = Vec::new();
    for lease in leases {
        if guard(tx, now, lease)? {
            raise(tx, &lease.thread_id, lease.next_seq.saturating_sub(1))?;
        } else {
            lost.push(lease.thread_id.clone());
        }
    }
    Ok(lost)
}

pub(super) fn release(
    tx: &Transaction<'_>,
    now: i64,
    lease: &Lease,
    last_seq: u64,
) -> Result<(), StoreError> {
    if guard(tx, now, lease)? {
        set_free(tx, now, lease, seq::last_used(lease.next_seq, last_seq))?;
    }
    Ok(())
}

pub(super) fn end_queued(tx: &Transaction<'_>, now: i64, terminal: &Terminal) -> Result<bool, StoreError> {
    let ended = tx.execute(
        "UPDATE agent_jobs SET status = ?3, result = ?4, ended_at = ?5 \
         WHERE job_id = ?1 AND thread_id = ?2 AND status = 'queued'",
        (&*terminal.job_id, &*terminal.outbox.thread_id, terminal.status.as_str(), &*terminal.result, now),
    )?;
    if ended == 1 {
        rows::put_outbox(tx, now, &terminal.outbox)?;
    }
    Ok(ended == 1)
}

pub(super) fn overdue(tx: &Transaction<'_>, now: i64, limit: usize) -> Result<Vec<JobRecord>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM agent_jobs j WHERE {OPEN} AND (cancel_requested OR deadline_at <= ?1) \
         AND (status = 'queued' OR NOT EXISTS (SELECT 1 FROM agent_leases l WHERE l.thread_id = j.thread_id \
         AND NOT l.released AND l.lease_until > ?1)) ORDER BY admitted LIMIT ?2"
    );
    let mut statement = tx.prepare(&sql)?;
    let found = statement.query_map((now, i64::try_from(limit).unwrap_or(i64::MAX)), record)?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn request_cancel(tx: &Transaction<'_>, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
    tx.execute(
        &format!("UPDATE agent_jobs SET cancel_requested = 1 WHERE job_id = ?1 AND {OPEN}"),
        [job_id],
    )?;
    job(tx, job_id)
}

pub(super) fn cancel_requests(
    tx: &Transaction<'_>,
    job_ids: &[Arc<str>],
) -> Result<Vec<Arc<str>>, StoreError> {
    let mut asked = tx.prepare("SELECT cancel_requested FROM agent_jobs WHERE job_id = ?1")?;
    let mut wanted = Vec::new();
    for job_id in job_ids {
        if asked.query_row([&**job_id], |row| row.get(0)).optional()?.unwrap_or(false) {
            wanted.push(job_id.clone());
        }
    }
    Ok(wanted)
}
