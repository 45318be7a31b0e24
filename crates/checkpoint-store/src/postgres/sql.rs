//! The statements that groups are written with. Each is one data-modifying statement over arrays, so a group is one
//! round trip and one transaction of its own (docs/decisions/0003-group-commit.md).
//!
//! Two things hold everywhere. Lease rows are locked in the order of the calls, which are sorted by thread. And the
//! statement's snapshot is older than the lock it waits for: what another transaction changed meanwhile is seen in
//! the lease row only, which is why `waiting` stands there.

/// A job's columns, in the order in which `job::of` reads them.
pub(super) fn job_columns(table: &str) -> String {
    format!(
        "{table}.job_id, {table}.thread_id, {table}.payload_hash, {table}.request, {table}.status, \
         {table}.unclean_count, (extract(epoch from {table}.created_at) * 1000)::int8 as created_ms, \
         (extract(epoch from {table}.deadline_at) * 1000)::int8 as deadline_ms, {table}.cancel_requested, \
         {table}.result"
    )
}

pub(super) const OPEN: &str = "status in ('queued', 'running')";

/// Parameters `$1` to `$32`, see [`super::rows::RowArrays`]; needs a CTE `held (n, thread_id, epoch)`.
const ROWS: &str = "
checkpoint_rows as (
    insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
    select h.thread_id, r.ns, r.id, r.parent, r.checkpoint::jsonb, r.metadata::jsonb
    from unnest($1::int4[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
        as r(n, ns, id, parent, checkpoint, metadata) join held h on h.n = r.n
    on conflict (thread_id, checkpoint_ns, checkpoint_id)
        do update set checkpoint = excluded.checkpoint, metadata = excluded.metadata
), blob_rows as (
    insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    select h.thread_id, r.ns, r.channel, r.version, r.type, r.blob
    from unnest($7::int4[], $8::text[], $9::text[], $10::text[], $11::text[], $12::bytea[])
        as r(n, ns, channel, version, type, blob) join held h on h.n = r.n
    on conflict do nothing
), write_rows as (
    insert into checkpoint_writes as w
        (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path)
    select h.thread_id, r.ns, r.id, r.task_id, r.idx, r.channel, r.type, r.blob, r.task_path
    from unnest($13::int4[], $14::text[], $15::text[], $16::text[], $17::int4[], $18::text[], $19::text[],
        $20::bytea[], $21::text[]) as r(n, ns, id, task_id, idx, channel, type, blob, task_path)
        join held h on h.n = r.n
    on conflict (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
        do update set channel = excluded.channel, type = excluded.type, blob = excluded.blob where w.idx < 0
), event_rows as (
    insert into agent_events (thread_id, first_seq, last_seq, job_id, epoch, events)
    select h.thread_id, r.first_seq, r.last_seq, r.job_id, r.epoch, r.events
    from unnest($22::int4[], $23::int8[], $24::int8[], $25::text[], $26::int8[], $27::bytea[])
        as r(n, first_seq, last_seq, job_id, epoch, events) join held h on h.n = r.n
    on conflict do nothing
), step_rows as (
    insert into agent_steps (thread_id, job_id, step, call_id, epoch, state)
    select h.thread_id, r.job_id, r.step, r.call_id, h.epoch, r.state
    from unnest($28::int4[], $29::text[], $30::int8[], $31::text[], $32::text[])
        as r(n, job_id, step, call_id, state) join held h on h.n = r.n
    on conflict (thread_id, job_id, step, call_id)
        do update set state = excluded.state, epoch = excluded.epoch
)";

/// Commits and finishes. A call whose lease does not stand is missing in the answer, and nothing of it is written.
pub(super) fn write() -> String {
    let columns = job_columns("j");
    format!(
        "with call as materialized (
    select c.*, (ordinality)::int4 as n from unnest($33::text[], $34::text[], $35::int8[], $36::int8[], $37::text[],
        $38::text[], $39::bytea[], $40::text[], $41::text[], $42::bytea[]) with ordinality
        as c(thread_id, owner, epoch, last_used, job_id, status, result, outbox_id, subject, body, ordinality)
), held as materialized (
    select c.*, l.waiting from call c cross join lateral (
        select l.waiting from agent_leases l
        where l.thread_id = c.thread_id and l.owner = c.owner and l.epoch = c.epoch and not l.released
        for no key update) l
), {ROWS}, ended as (
    update agent_jobs j set status = h.status, result = h.result, ended_at = now(), ended_epoch = h.epoch
    from held h where j.job_id = h.job_id and j.thread_id = h.thread_id and j.{OPEN}
), told as (
    insert into agent_outbox (thread_id, id, subject, body)
    select h.thread_id, h.outbox_id, h.subject, h.body from held h where h.job_id is not null
    on conflict do nothing
), next as materialized (
    select h.n, j.job_id from held h cross join lateral (
        select j.job_id from agent_jobs j
        where j.thread_id = h.thread_id and j.{OPEN} and j.job_id <> h.job_id order by j.admitted limit 1) j
    where h.job_id is not null
), started as (
    update agent_jobs j set status = 'running' from next x where j.job_id = x.job_id and j.{OPEN}
    returning x.n, {columns}
), lease as (
    update agent_leases l set
        lease_until = case when e.ends then now() else now() + $43::float8 * interval '1 second' end,
        released = e.ends,
        waiting = l.waiting and e.goes_on,
        seq_reserved = case when e.ends then e.last_used
            when e.last_used + 512 > l.seq_reserved then e.last_used + 1024 else l.seq_reserved end
    from (select h.thread_id, h.last_used, h.job_id is null as goes_on,
            h.job_id is not null and x.n is null and not h.waiting as ends
        from held h left join next x on x.n = h.n) e
    where l.thread_id = e.thread_id
)
select h.n, h.job_id is not null and h.waiting and s.n is null as look_again, s.*
from held h left join started s on s.n = h.n"
    )
}

/// Begins. What is `known` is so by the snapshot; `mine` and everything of the lease is so under its lock.
pub(super) fn begin() -> String {
    let columns = job_columns("j");
    let free = "(l.released or l.lease_until <= now())";
    format!(
        "with call as materialized (
    select c.*, (ordinality)::int4 as n from unnest($33::text[], $34::text[], $35::text[], $36::bytea[], $37::int8[],
        $38::text[], $39::int8[], $40::int8[]) with ordinality
        as c(job_id, thread_id, payload_hash, request, deadline_ms, owner, call, fresh_last, ordinality)
), known as materialized (
    select c.n, c.thread_id, c.job_id, c.owner, c.call, c.fresh_last, j.job_id is not null as known,
        coalesce(j.payload_hash <> c.payload_hash or j.thread_id <> c.thread_id, false) as other,
        coalesce(not j.{OPEN}, false) as ended
    from call c left join agent_jobs j on j.job_id = c.job_id
), taken as (
    insert into agent_leases as l
        (thread_id, epoch, owner, lease_until, released, waiting, taken_over, seq_reserved, call)
    select k.thread_id, 1, k.owner, now() + $41::float8 * interval '1 second', false, false, false,
        1024 + coalesce(k.fresh_last, 0), k.call
    from known k where not k.other and not k.ended order by k.n
    on conflict (thread_id) do update set
        epoch = case when {free} then l.epoch + 1 else l.epoch end,
        owner = case when {free} then excluded.owner else l.owner end,
        lease_until = case when {free} then excluded.lease_until else l.lease_until end,
        taken_over = case when {free} then not l.released else l.taken_over end,
        seq_reserved = case when {free} then l.seq_reserved + 1024 else l.seq_reserved end,
        call = case when {free} then excluded.call else l.call end,
        waiting = not {free},
        released = false
    returning l.thread_id, l.epoch, not l.waiting as mine, l.taken_over, l.seq_reserved,
        (extract(epoch from l.lease_until - now()) * 1000)::int8 as remaining_ms
), picked as materialized (
    select k.n, t.taken_over, j.job_id from known k
    join taken t on t.thread_id = k.thread_id and t.mine
    cross join lateral (
        select j.job_id from agent_jobs j where j.thread_id = k.thread_id and j.{OPEN}
        order by j.admitted limit 1) j
    where not k.other and not k.ended
), admitted as (
    insert into agent_jobs (job_id, thread_id, payload_hash, request, status, deadline_at, call)
    select c.job_id, c.thread_id, c.payload_hash, c.request,
        case when t.mine and p.n is null then 'running' else 'queued' end,
        now() + c.deadline_ms * interval '1 millisecond', c.call
    from call c join known k on k.n = c.n join taken t on t.thread_id = c.thread_id
    left join picked p on p.n = c.n
    where not k.known order by c.job_id
    on conflict (job_id) do nothing
    returning job_id, call, (extract(epoch from created_at) * 1000)::int8 as created_ms,
        (extract(epoch from deadline_at) * 1000)::int8 as deadline_ms
), started as (
    update agent_jobs j set status = 'running', unclean_count = j.unclean_count + p.taken_over::int4
    from picked p where j.job_id = p.job_id and j.{OPEN}
    returning p.n, {columns}
), held as materialized (
    select k.n, k.thread_id, t.epoch from known k
    join taken t on t.thread_id = k.thread_id and t.mine and t.epoch = 1
    join admitted a on a.job_id = k.job_id and a.call = k.call
    left join picked p on p.n = k.n
    where k.fresh_last is not null and p.n is null
        and not exists (select from checkpoints c where c.thread_id = k.thread_id)
), {ROWS}
select k.n, k.known, k.other, k.ended, coalesce(t.mine, false) as mine, t.epoch, t.taken_over, t.seq_reserved,
    t.remaining_ms, a.job_id is not null as admitted, a.created_ms as own_created_ms,
    a.deadline_ms as own_deadline_ms, h.n is not null as fresh, p.n is not null as picked, s.*
from known k left join taken t on t.thread_id = k.thread_id
left join admitted a on a.job_id = k.job_id and a.call = k.call
left join held h on h.n = k.n left join picked p on p.n = k.n left join started s on s.n = k.n"
    )
}

/// The oldest open job of a thread that one holds, or, where there is none, the lease's release. The second look
/// that `begin` and `finish` take where a job came or went between their snapshot and their lock.
pub(super) fn settle() -> String {
    let columns = job_columns("j");
    format!(
        "with held as materialized (
    select l.thread_id, l.waiting from agent_leases l
    where l.thread_id = $1 and l.owner = $2 and l.epoch = $3 and not l.released for no key update
), next as materialized (
    select j.job_id from held h cross join lateral (
        select j.job_id from agent_jobs j where j.thread_id = h.thread_id and j.{OPEN}
        order by j.admitted limit 1) j
), started as (
    update agent_jobs j set status = 'running', unclean_count = j.unclean_count + $5::int4
    from next x where j.job_id = x.job_id and j.{OPEN}
    returning {columns}
), lease as (
    update agent_leases l set released = e.ends, waiting = false,
        lease_until = case when e.ends then now() else now() + $6::float8 * interval '1 second' end,
        seq_reserved = case when e.ends then $4::int8 else l.seq_reserved end
    from (select h.thread_id, not h.waiting and not exists (select from next) as ends from held h) e
    where l.thread_id = e.thread_id
)
select h.waiting, s.* from held h left join started s on true"
    )
}

/// Whether a begin whose answer was lost has taken the lease, or admitted the job.
pub(super) const RECALL: &str = "
select l.epoch, l.taken_over, l.seq_reserved,
    exists (select from agent_jobs j where j.job_id = $3 and j.call = $2) as admitted,
    exists (select from checkpoints c where c.thread_id = $1 and c.checkpoint_ns = $4 and c.checkpoint_id = $5)
        as fresh
from (select) one left join agent_leases l on l.thread_id = $1 and l.call = $2 and not l.released";

/// Of these jobs, those that ended, with the epoch of their end.
pub(super) const ENDED: &str =
    "select job_id, ended_epoch from agent_jobs where job_id = any($1::text[]) and ended_epoch is not null";

/// Renews without ever waiting: a row that is locked is being committed, which renews it.
pub(super) const RENEW: &str = "
with call as materialized (
    select * from unnest($1::text[], $2::text[], $3::int8[], $4::int8[]) as c(thread_id, owner, epoch, last_used)
), mine as materialized (
    select l.thread_id, c.last_used from call c join agent_leases l
        on l.thread_id = c.thread_id and l.owner = c.owner and l.epoch = c.epoch
    where not l.released and (l.lease_until < now() + ($5::float8 * 0.875) * interval '1 second'
        or c.last_used + 512 > l.seq_reserved)
    for no key update of l skip locked
), renewed as (
    update agent_leases l set lease_until = now() + $5::float8 * interval '1 second',
        seq_reserved = case when m.last_used + 512 > l.seq_reserved then m.last_used + 1024
            else l.seq_reserved end
    from mine m where l.thread_id = m.thread_id
)
select c.thread_id from call c left join agent_leases l on l.thread_id = c.thread_id
where l.thread_id is null or l.epoch <> c.epoch or l.owner <> c.owner or l.released";
