//! Outbox, orphans, dead letters, deletion.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio_postgres::{Error, Row};

use super::PostgresStore;
use super::reads::{limit, names};
use super::rows::Param;
use crate::check;
use crate::port::StoreError;
use crate::types::{DeadLetter, DeadLetterRecord, OutboxMessage, Retention};

impl PostgresStore {
    pub(super) async fn due(&self, min_age: Duration, max: usize) -> Result<Vec<OutboxMessage>, StoreError> {
        let query = "select id, thread_id, subject, body from agent_outbox
            where sent_at is null and created_at <= now() - $1::float8 * interval '1 second'
            order by created_at, thread_id, id limit $2";
        let rows = self.ask(query, &[&min_age.as_secs_f64(), &limit(max)]).await?;
        let message = |row: &Row| {
            Ok::<_, Error>(OutboxMessage {
                id: Arc::from(row.try_get::<_, &str>(0)?),
                thread_id: Arc::from(row.try_get::<_, &str>(1)?),
                subject: row.try_get(2)?,
                body: Bytes::copy_from_slice(row.try_get(3)?),
            })
        };
        Ok(rows.iter().map(message).collect::<Result<_, _>>()?)
    }

    pub(super) async fn mark_sent(&self, sent: &[OutboxMessage]) -> Result<(), StoreError> {
        if sent.is_empty() {
            return Ok(());
        }
        let threads: Vec<&str> = sent.iter().map(|message| &*message.thread_id).collect();
        let ids: Vec<&str> = sent.iter().map(|message| &*message.id).collect();
        let update = "update agent_outbox o set sent_at = now() from unnest($1::text[], $2::text[]) as s(thread_id, id)
            where o.thread_id = s.thread_id and o.id = s.id and o.sent_at is null";
        self.ask(update, &[&threads, &ids]).await.map(|_| ())
    }

    pub(super) async fn unheld(
        &self,
        idle: Duration,
        handed_back: Duration,
        max: usize,
    ) -> Result<Vec<Arc<str>>, StoreError> {
        let (idle, handed_back) = (idle.as_secs_f64(), handed_back.as_secs_f64());
        let rows = self.ask(ORPHANS, &[&idle, &handed_back, &limit(max)]).await?;
        names(&rows)
    }

    pub(super) async fn take_role(&self, key: &str, owner: &str, ttl: Duration) -> Result<bool, StoreError> {
        let rows = self.ask(ROLE, &[&key, &owner, &ttl.as_secs_f64()]).await?;
        Ok(!rows.is_empty())
    }

    pub(super) async fn record_letter(&self, letter: DeadLetter) -> Result<(), StoreError> {
        let seq = check::number("agent_dead_letters.seq", letter.seq)?;
        let told = letter.outbox.as_ref();
        let params: [Param<'_>; 12] = [
            &letter.source,
            &seq,
            &letter.code,
            &letter.reason,
            &letter.job_id,
            &letter.subject,
            &&*letter.head,
            &letter.hash,
            &told.map(|it| &*it.thread_id),
            &told.map(|it| &*it.id),
            &told.map(|it| &*it.subject),
            &told.map(|it| &*it.body),
        ];
        self.ask(LETTER, &params).await.map(|_| ())
    }

    pub(super) async fn letters(
        &self,
        before: Option<i64>,
        max: usize,
    ) -> Result<Vec<DeadLetterRecord>, StoreError> {
        let query = "select id, source, seq, code, reason, job_id, subject, head, hash,
                (extract(epoch from created_at) * 1000)::int8
            from agent_dead_letters where id < coalesce($1::int8, 9223372036854775807) order by id desc limit $2";
        let rows = self.ask(query, &[&before, &limit(max)]).await?;
        let record = |row: &Row| {
            let letter = DeadLetter {
                source: row.try_get(1)?,
                seq: u64::try_from(row.try_get::<_, i64>(2)?).unwrap_or(0),
                code: row.try_get(3)?,
                reason: row.try_get(4)?,
                job_id: row.try_get(5)?,
                subject: row.try_get(6)?,
                head: Bytes::copy_from_slice(row.try_get(7)?),
                hash: row.try_get(8)?,
                outbox: None,
            };
            Ok::<_, Error>(DeadLetterRecord { id: row.try_get(0)?, letter, created_at_ms: row.try_get(9)? })
        };
        Ok(rows.iter().map(record).collect::<Result<_, _>>()?)
    }

    pub(super) async fn delete(&self, thread_id: &str) -> Result<bool, StoreError> {
        let rows = self.ask(DELETE_THREADS, &[&[thread_id].as_slice()]).await?;
        Ok(rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
    }

    pub(super) async fn delete_old(&self, retention: &Retention, batch: usize) -> Result<u64, StoreError> {
        let mut gone = 0;
        if let Some(age) = retention.threads {
            let threads = names(&self.ask(OLD_THREADS, &[&age.as_secs_f64(), &limit(batch)]).await?)?;
            if !threads.is_empty() {
                let ids: Vec<&str> = threads.iter().map(|id| &**id).collect();
                self.ask(DELETE_THREADS, &[&ids]).await?;
                self.ask(FORGET_LEASES, &[&ids]).await?;
            }
            gone += threads.len();
        }
        for (age, delete) in [
            (retention.events, OLD_EVENTS),
            (retention.outbox, OLD_OUTBOX),
            (retention.dead_letters, OLD_LETTERS),
        ] {
            if let Some(age) = age {
                gone += self.ask(delete, &[&age.as_secs_f64(), &limit(batch)]).await?.len();
            }
        }
        Ok(u64::try_from(gone).unwrap_or(u64::MAX))
    }
}

const ORPHANS: &str = "
select j.thread_id from agent_jobs j left join agent_leases l on l.thread_id = j.thread_id
where j.status in ('queued', 'running')
group by j.thread_id, l.thread_id, l.released, l.lease_until
having greatest(max(j.created_at), l.lease_until) <= now()
    - (case when coalesce(l.released, false) then $2::float8 else $1::float8 end) * interval '1 second'
order by max(j.created_at) limit $3";

/// A role is a lease row that no thread can have.
const ROLE: &str = "
insert into agent_leases as l
    (thread_id, epoch, owner, lease_until, released, waiting, taken_over, seq_reserved, call)
values ($1::text, 1, $2::text, now() + $3::float8 * interval '1 second', false, false, false, 0, 0)
on conflict (thread_id) do update set epoch = l.epoch + (l.owner <> excluded.owner)::int4,
    owner = excluded.owner, lease_until = excluded.lease_until
where l.owner = excluded.owner or l.lease_until <= now()
returning 1";

const LETTER: &str = "
with letter as (
    insert into agent_dead_letters (source, seq, code, reason, job_id, subject, head, hash)
    values ($1, $2, $3, $4, $5, $6, $7, $8)
    on conflict (source, seq) where seq <> 0 do nothing
)
insert into agent_outbox (thread_id, id, subject, body)
select $9::text, $10::text, $11::text, $12::bytea where $9::text is not null
on conflict do nothing";

/// A lease that was not handed back stays, as one that nobody holds: its holder may be alive, and must not find its
/// epoch again in the thread's next life.
const DELETE_THREADS: &str = "
with gone as (select unnest($1::text[]) as thread_id),
leases as materialized (
    select l.thread_id, l.owner, l.released from agent_leases l join gone using (thread_id)
    order by l.thread_id for update of l),
free as (delete from agent_leases l using leases g where l.thread_id = g.thread_id and g.released
    and g.owner <> '' returning 1),
fenced as (update agent_leases l set epoch = l.epoch + 1, owner = '', released = true, waiting = false,
    lease_until = now(), seq_reserved = 0 from leases g
    where l.thread_id = g.thread_id and not g.released returning 1),
jobs as (delete from agent_jobs t using gone g where t.thread_id = g.thread_id returning 1),
steps as (delete from agent_steps t using gone g where t.thread_id = g.thread_id returning 1),
outbox as (delete from agent_outbox t using gone g where t.thread_id = g.thread_id returning 1),
events as (delete from agent_events t using gone g where t.thread_id = g.thread_id returning 1),
c as (delete from checkpoints t using gone g where t.thread_id = g.thread_id returning 1),
b as (delete from checkpoint_blobs t using gone g where t.thread_id = g.thread_id returning 1),
w as (delete from checkpoint_writes t using gone g where t.thread_id = g.thread_id returning 1)
select exists (select from free) or exists (select from fenced) or exists (select from jobs)
    or exists (select from outbox) or exists (select from c) or exists (select from b) or exists (select from w)
    or exists (select from steps) or exists (select from events)";

const OLD_THREADS: &str = "
select l.thread_id from agent_leases l
where (l.released or l.lease_until <= now()) and l.lease_until <= now() - $1::float8 * interval '1 second'
    and l.thread_id not like '~%'
    and not exists (select from agent_jobs j
        where j.thread_id = l.thread_id and j.status in ('queued', 'running'))
    and not exists (select from agent_outbox o where o.thread_id = l.thread_id and o.sent_at is null)
order by l.lease_until limit $2";

const FORGET_LEASES: &str =
    "delete from agent_leases where thread_id = any($1::text[]) and owner = '' and released";

const OLD_EVENTS: &str = "
delete from agent_events e using (
    select o.thread_id, o.first_seq from agent_events o left join agent_jobs j on j.job_id = o.job_id
    where o.created_at <= now() - $1::float8 * interval '1 second'
        and (j.job_id is null or j.ended_at <= now() - $1::float8 * interval '1 second')
    limit $2) old
where e.thread_id = old.thread_id and e.first_seq = old.first_seq returning 1";

const OLD_OUTBOX: &str = "
delete from agent_outbox m using (
    select o.thread_id, o.id from agent_outbox o
    where o.created_at <= now() - $1::float8 * interval '1 second'
        and o.sent_at <= now() - $1::float8 * interval '1 second'
    limit $2) old
where m.thread_id = old.thread_id and m.id = old.id returning 1";

const OLD_LETTERS: &str = "
delete from agent_dead_letters d using (
    select o.id from agent_dead_letters o where o.created_at <= now() - $1::float8 * interval '1 second'
    order by o.id limit $2) old
where d.id = old.id returning 1";
