//! Everything about threads and jobs that is neither begin, commit nor finish.

use std::borrow::Cow;
use std::sync::Arc;

use agent_langgraph_codec::{BlobRow, CheckpointRow, WriteRow};
use bytes::Bytes;
use deadpool_postgres::PoolError;
use tokio::time::Instant;
use tokio_postgres::{Error, Row};

use super::error::{Class, class};
use super::rows::Param;
use super::{NEEDED_SCHEMA, PostgresStore, job, sql};
use crate::check;
use crate::port::StoreError;
use crate::seq;
use crate::types::{JobRecord, JobSummary, JournalRow, Lease, Snapshot, StepRecord, StepState, Terminal};

/// How often a statement is tried again after a deadlock, or on a new connection after a break. All of them are
/// harmless to repeat.
const RETRIES: u32 = 3;

pub(super) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl PostgresStore {
    /// One statement on a connection of the pool, within the limits of time.
    pub(super) async fn ask(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        let mut tries = 0;
        loop {
            let asked_at = Instant::now();
            let got = self.pool.get().await;
            self.strain.waited(asked_at.elapsed());
            let client = got.inspect_err(|error| {
                if let PoolError::Backend(error) = error {
                    self.strain.failed(error);
                }
            })?;
            let asking = async { client.query(&client.prepare_cached(sql).await?, params).await };
            let Ok(asked) = tokio::time::timeout(self.silence, asking).await else {
                // What is still being sent would be met by whoever gets this connection next.
                drop(deadpool_postgres::Object::take(client));
                return Err(StoreError::Unavailable("the server does not answer".to_owned()));
            };
            let error = match asked {
                Ok(rows) => return Ok(rows),
                Err(error) => error,
            };
            self.strain.failed(&error);
            let class = class(&error);
            if class == Class::Broken {
                drop(deadpool_postgres::Object::take(client));
            }
            tries += 1;
            if tries > RETRIES || !matches!(class, Class::Broken | Class::Retry) {
                return Err(error.into());
            }
        }
    }

    pub(super) async fn check_schema(&self) -> Result<(), StoreError> {
        let there = self.ask("select to_regclass('agent_schema_history') is not null", &[]).await?;
        let mut found = 0;
        if there.first().map(|row| row.try_get(0)).transpose()? == Some(true) {
            let newest = "select coalesce(max(version), 0)::int8 from agent_schema_history";
            found = self.ask(newest, &[]).await?.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(0);
        }
        if found < NEEDED_SCHEMA {
            return Err(StoreError::SchemaTooOld { found, needed: NEEDED_SCHEMA });
        }
        Ok(())
    }

    pub(super) async fn take(
        &self,
        thread_id: &str,
        owner: &Arc<str>,
    ) -> Result<Option<(Lease, JobRecord)>, StoreError> {
        let call: i64 = rand::random();
        let params: [Param<'_>; 4] = [&thread_id, &&**owner, &self.ttl, &call];
        let rows = self.ask(TAKE, &params).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (epoch, reserved): (i64, i64) = (row.try_get(0)?, row.try_get(2)?);
        let next_seq = (u64::try_from(reserved).unwrap_or(0) + 1).saturating_sub(seq::BLOCK);
        let lease = Lease {
            thread_id: Arc::from(thread_id),
            owner: owner.clone(),
            epoch,
            next_seq,
            taken_over: row.try_get(1)?,
        };
        let last_used = check::number("next_seq", next_seq.saturating_sub(1))?;
        let unclean = i32::from(lease.taken_over);
        let params: [Param<'_>; 6] = [&thread_id, &&**owner, &epoch, &last_used, &unclean, &self.ttl];
        let rows = self.ask(&sql::settle(), &params).await?;
        // Nothing: its last job ended, or somebody else took the thread, between the two statements.
        Ok(rows.first().map(job::of).transpose()?.flatten().map(|job| (lease, job)))
    }

    pub(super) async fn renew_all(&self, leases: &[Lease]) -> Result<Vec<Arc<str>>, StoreError> {
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let threads: Vec<&str> = leases.iter().map(|lease| &*lease.thread_id).collect();
        let owners: Vec<&str> = leases.iter().map(|lease| &*lease.owner).collect();
        let epochs: Vec<i64> = leases.iter().map(|lease| lease.epoch).collect();
        let used = leases.iter().map(|lease| check::number("next_seq", lease.next_seq.saturating_sub(1)));
        let used: Vec<i64> = used.collect::<Result<_, _>>()?;
        let rows = self.ask(sql::RENEW, &[&threads, &owners, &epochs, &used, &self.ttl]).await?;
        names(&rows)
    }

    pub(super) async fn hand_back(&self, lease: &Lease, last_seq: u64) -> Result<(), StoreError> {
        let last_used = check::number("last_seq", seq::last_used(lease.next_seq, last_seq))?;
        let params: [Param<'_>; 4] = [&&*lease.thread_id, &&*lease.owner, &lease.epoch, &last_used];
        let release = "update agent_leases set released = true, lease_until = now(), seq_reserved = $4
            where thread_id = $1 and owner = $2 and epoch = $3 and not released";
        self.ask(release, &params).await.map(|_| ())
    }

    pub(super) async fn one_job(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
        let query = format!("select {} from agent_jobs j where j.job_id = $1", sql::job_columns("j"));
        let rows = self.ask(&query, &[&job_id]).await?;
        Ok(rows.first().map(job::of).transpose()?.flatten())
    }

    pub(super) async fn jobs_of_thread(&self, thread_id: &str) -> Result<Vec<JobRecord>, StoreError> {
        let columns = sql::job_columns("j");
        let query = format!("select {columns} from agent_jobs j where j.thread_id = $1 order by j.admitted");
        let rows = self.ask(&query, &[&thread_id]).await?;
        let jobs: Vec<_> = rows.iter().map(job::of).collect::<Result<_, Error>>()?;
        Ok(jobs.into_iter().flatten().collect())
    }

    pub(super) async fn newest_jobs(&self, limit: usize) -> Result<Vec<JobSummary>, StoreError> {
        let query = "select job_id, thread_id, status, (extract(epoch from created_at) * 1000)::int8,
            (extract(epoch from ended_at) * 1000)::int8 from agent_jobs order by admitted desc limit $1";
        let rows = self.ask(query, &[&self::limit(limit)]).await?;
        Ok(rows.iter().map(job::summary).collect::<Result<_, Error>>()?)
    }

    pub(super) async fn ask_to_cancel(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
        let update =
            format!("update agent_jobs set cancel_requested = true where job_id = $1 and {}", sql::OPEN);
        self.ask(&update, &[&job_id]).await?;
        // A statement of its own, so that it sees an end that the update has waited for.
        self.one_job(job_id).await
    }

    pub(super) async fn must_end(&self, max: usize) -> Result<Vec<JobRecord>, StoreError> {
        let query = format!(
            "select {} from agent_jobs j left join agent_leases l on l.thread_id = j.thread_id
            where j.{} and (j.cancel_requested or j.deadline_at <= now())
                and (j.status = 'queued' or l.thread_id is null or l.released or l.lease_until <= now())
            order by j.admitted limit $1",
            sql::job_columns("j"),
            sql::OPEN
        );
        let rows = self.ask(&query, &[&limit(max)]).await?;
        let jobs: Vec<_> = rows.iter().map(job::of).collect::<Result<_, Error>>()?;
        Ok(jobs.into_iter().flatten().collect())
    }

    pub(super) async fn end_before_its_turn(&self, terminal: &Terminal) -> Result<bool, StoreError> {
        let outbox = &terminal.outbox;
        let params: [Param<'_>; 7] = [
            &&*terminal.job_id,
            &&*outbox.thread_id,
            &terminal.status.as_str(),
            &&*terminal.result,
            &&*outbox.id,
            &outbox.subject,
            &&*outbox.body,
        ];
        let rows = self.ask(END_QUEUED, &params).await?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
    }

    pub(super) async fn clock(&self) -> Result<i64, StoreError> {
        let rows = self.ask("select (extract(epoch from now()) * 1000)::int8", &[]).await?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(0))
    }

    pub(super) async fn asked_to_cancel(&self, job_ids: &[Arc<str>]) -> Result<Vec<Arc<str>>, StoreError> {
        let ids: Vec<&str> = job_ids.iter().map(|id| &**id).collect();
        let query = "select job_id from agent_jobs where job_id = any($1::text[]) and cancel_requested";
        names(&self.ask(query, &[&ids]).await?)
    }

    pub(super) async fn journal(
        &self,
        thread_id: &str,
        after: u64,
        max: usize,
    ) -> Result<Vec<JournalRow>, StoreError> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let query = "select first_seq, last_seq, job_id, epoch, events from agent_events
            where thread_id = $1 and last_seq > $2 order by first_seq limit $3";
        let rows = self.ask(query, &[&thread_id, &after, &limit(max)]).await?;
        let row = |row: &Row| {
            Ok::<_, Error>(JournalRow {
                first_seq: u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0),
                last_seq: u64::try_from(row.try_get::<_, i64>(1)?).unwrap_or(0),
                job_id: Arc::from(row.try_get::<_, &str>(2)?),
                epoch: row.try_get(3)?,
                events: Bytes::copy_from_slice(row.try_get(4)?),
            })
        };
        Ok(rows.iter().map(row).collect::<Result<_, _>>()?)
    }

    pub(super) async fn ends_of(&self, threads: &[Arc<str>]) -> Result<Vec<u64>, StoreError> {
        let threads: Vec<&str> = threads.iter().map(|id| &**id).collect();
        let query = "select (select e.last_seq from agent_events e where e.thread_id = t.id
                order by e.first_seq desc limit 1)
            from unnest($1::text[]) with ordinality as t(id, n) order by t.n";
        let rows = self.ask(query, &[&threads]).await?;
        let end = |row: &Row| row.try_get::<_, Option<i64>>(0).map(|end| end.unwrap_or(0));
        let ends: Vec<i64> = rows.iter().map(end).collect::<Result<_, _>>()?;
        Ok(ends.into_iter().map(|end| u64::try_from(end).unwrap_or(0)).collect())
    }

    pub(super) async fn beginning_of(
        &self,
        thread_id: &str,
        job_id: &str,
    ) -> Result<Option<u64>, StoreError> {
        let query = "select min(first_seq) from agent_events where thread_id = $1 and job_id = $2";
        let rows = self.ask(query, &[&thread_id, &job_id]).await?;
        let first: Option<i64> = rows.first().map(|row| row.try_get(0)).transpose()?.flatten();
        Ok(first.and_then(|first| u64::try_from(first).ok()))
    }

    /// One statement, so that all rows are of one moment.
    pub(super) async fn snapshot(&self, thread_id: &str) -> Result<Snapshot, StoreError> {
        let rows = self.ask(SNAPSHOT, &[&thread_id]).await?;
        let mut snapshot = Snapshot::default();
        for row in &rows {
            add(&mut snapshot, row)?;
        }
        let all = &mut snapshot.rows;
        // Not the server's order, which is its locale's.
        all.checkpoints.sort_by(|a, b| (&a.checkpoint_id, &a.ns).cmp(&(&b.checkpoint_id, &b.ns)));
        all.blobs.sort_by(|a, b| (&a.ns, &a.channel, &a.version).cmp(&(&b.ns, &b.channel, &b.version)));
        all.writes.sort_by(|a, b| {
            (&a.ns, &a.checkpoint_id, &a.task_id, a.idx).cmp(&(&b.ns, &b.checkpoint_id, &b.task_id, b.idx))
        });
        snapshot.steps.sort_by(|a, b| (&a.job_id, a.step, &a.call_id).cmp(&(&b.job_id, b.step, &b.call_id)));
        Ok(snapshot)
    }
}

pub(super) fn names(rows: &[Row]) -> Result<Vec<Arc<str>>, StoreError> {
    Ok(rows.iter().map(|row| row.try_get::<_, &str>(0).map(Arc::from)).collect::<Result<_, _>>()?)
}

const TAKE: &str = "
insert into agent_leases as l
    (thread_id, epoch, owner, lease_until, released, waiting, taken_over, seq_reserved, call)
select $1::text, 1, $2::text, now() + $3::float8 * interval '1 second', false, false, false, 1024, $4::int8
where exists (select from agent_jobs where thread_id = $1::text and status in ('queued', 'running'))
on conflict (thread_id) do update set epoch = l.epoch + 1, owner = excluded.owner,
    lease_until = excluded.lease_until, taken_over = not l.released, released = false, waiting = false,
    seq_reserved = l.seq_reserved + 1024, call = excluded.call
where l.released or l.lease_until <= now()
returning l.epoch, l.taken_over, l.seq_reserved";

/// The lease row is locked first, as in every group, and told that something changed: whoever finishes under it now
/// looks again and does not start a job that has ended.
const END_QUEUED: &str = "
with lease as materialized (
    select l.thread_id from agent_leases l where l.thread_id = $2::text for no key update
), marked as materialized (
    update agent_leases l set waiting = true from lease where l.thread_id = lease.thread_id returning 1
), ended as (
    update agent_jobs j set status = $3, result = $4, ended_at = now()
    where j.job_id = $1 and j.thread_id = $2::text and j.status = 'queued' and (select count(*) from marked) >= 0
    returning 1
), told as (
    insert into agent_outbox (thread_id, id, subject, body)
    select $2::text, $5, $6, $7 from ended on conflict do nothing
)
select exists (select from ended)";

const SNAPSHOT: &str = "
select 'c' as kind, checkpoint_ns as ns, checkpoint_id as a, parent_checkpoint_id as b, checkpoint::text as c,
    metadata::text as d, null::text as e, 0::int8 as n, null::bytea as blob
from checkpoints where thread_id = $1
union all
select 'b', checkpoint_ns, channel, version, type, null, null, 0, blob from checkpoint_blobs where thread_id = $1
union all
select 'w', checkpoint_ns, checkpoint_id, task_id, channel, type, task_path, idx, blob
from checkpoint_writes where thread_id = $1
union all
select 's', '', s.job_id, s.call_id, s.state, null, null, s.step, null from agent_steps s
where s.thread_id = $1 and not exists (
    select from agent_jobs j where j.job_id = s.job_id and j.status not in ('queued', 'running'))";

fn add(snapshot: &mut Snapshot, row: &Row) -> Result<(), Error> {
    let text = |name| row.try_get::<_, Option<String>>(name).map(Option::unwrap_or_default);
    let blob = || row.try_get::<_, Option<&[u8]>>("blob").map(|blob| blob.map(Bytes::copy_from_slice));
    let ns = || row.try_get::<_, &str>("ns").map(Arc::from);
    match row.try_get("kind")? {
        "c" => snapshot.rows.checkpoints.push(CheckpointRow {
            ns: ns()?,
            checkpoint_id: text("a")?,
            parent_checkpoint_id: row.try_get("b")?,
            checkpoint: text("c")?,
            metadata: text("d")?,
        }),
        "b" => snapshot.rows.blobs.push(BlobRow {
            ns: ns()?,
            channel: text("a")?,
            version: text("b")?,
            type_: type_of(row.try_get("c")?),
            blob: blob()?,
        }),
        "w" => snapshot.rows.writes.push(WriteRow {
            ns: ns()?,
            checkpoint_id: text("a")?,
            task_id: text("b")?,
            idx: i32::try_from(row.try_get::<_, i64>("n")?).unwrap_or(i32::MAX),
            channel: text("c")?,
            type_: type_of(row.try_get("d")?),
            blob: blob()?.unwrap_or_default(),
            task_path: text("e")?,
        }),
        _ => snapshot.steps.push(StepRecord {
            job_id: Arc::from(text("a")?),
            step: row.try_get("n")?,
            call_id: text("b")?,
            state: match row.try_get("c")? {
                "intent" => StepState::Intent,
                "done" => StepState::Done,
                _ => StepState::Unknown,
            },
        }),
    }
    Ok(())
}

/// The types that nearly all rows have, without an allocation each.
fn type_of(type_: Option<&str>) -> Cow<'static, str> {
    match type_ {
        None | Some("null") => Cow::Borrowed("null"),
        Some("msgpack") => Cow::Borrowed("msgpack"),
        Some("empty") => Cow::Borrowed("empty"),
        Some(other) => Cow::Owned(other.to_owned()),
    }
}
