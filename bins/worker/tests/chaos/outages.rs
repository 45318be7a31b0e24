//! Backends that go away: NATS, PostgreSQL, the cache; and too few connections.

use std::time::{Duration, Instant};

use agent_testkit::until;
use anyhow::Context;
use tokio_postgres::{Client, NoTls};

use crate::Dose;
use crate::fleet::{Chance, Fleet, plan, tools_jobs};
use crate::table::Row;
use crate::verdict::{judge, messages_left};

/// NATS is killed and comes back with its files; in full, its stream is also deleted once.
pub(crate) async fn nats(dose: Dose) -> anyhow::Result<Option<Row>> {
    let Some(mut fleet) = Fleet::start(plan(dose), 2).await? else { return Ok(None) };
    let (mut row, mut chance) = (Row::default(), Chance::new());
    for round in 0..dose.of(2, 15) {
        // Something runs whenever it breaks.
        fleet.publish(tools_jobs(&format!("nats-{round}"), 6, dose.of(40, 100))).await?;
        tokio::time::sleep(dose.of(chance.millis(1_000, 2_000), chance.millis(3_000, 8_000))).await;
        fleet.stack.nats.kill().await?;
        row.fault("NATS kill -9");
        tokio::time::sleep(chance.millis(100, 2_000)).await;
        fleet.stack.nats.restart().await?;
        if round == 7 {
            fleet.publish(tools_jobs("nats-wiped", 8, 20)).await?;
            let context = fleet.stack.jetstream().await;
            context.delete_stream("AGENT_EXECUTION").await?;
            crate::common::make_stream(&context, "AGENT_EXECUTION", "agent.execute.*").await;
            row.fault("stream deleted");
        }
    }
    // A message that the server still holds is not lost, however long its workers take to come back.
    let held = messages_left(&fleet, Duration::from_secs(dose.of(60, 240))).await?;
    let again = if held == 0 { fleet.publish_unknown_again().await? } else { 0 };
    row.seen.insert("jobs that only their publisher knew", again);
    fleet.all_ended(Duration::from_secs(dose.of(80, 240))).await?;
    judge(&fleet, &mut row).await?;
    let lost = fleet.metric("agent_executor_lease_lost_total").await;
    row.seen.insert("leases lost", lost);
    // NATS is only the doorbell: what comes again is acknowledged without work.
    row.wastes_at_most(lost, "a job goes on while NATS is away");
    row.must(
        again == 0 || row.faults.contains_key("stream deleted"),
        format!("NATS lost {again} stored jobs"),
    );
    row.must(row.completed == row.jobs, format!("{} of {} jobs completed", row.completed, row.jobs));
    Ok(Some(row))
}

/// PostgreSQL is stopped, or killed, and comes back with its files.
pub(crate) async fn postgres(dose: Dose) -> anyhow::Result<Option<Row>> {
    let Some(mut fleet) = Fleet::start(plan(dose).own_postgres(), 2).await? else { return Ok(None) };
    let (mut row, mut chance, mut in_doubt) = (Row::default(), Chance::new(), 0);
    fleet.postgres().await?.batch_execute(SLOW_COMMITS).await?;
    for round in 0..dose.of(2, 15) {
        // Something runs whenever it breaks.
        fleet.publish(tools_jobs(&format!("postgres-{round}"), 6, dose.of(20, 100))).await?;
        tokio::time::sleep(dose.of(chance.millis(1_000, 2_000), chance.millis(3_000, 8_000))).await;
        in_doubt += committing(&fleet).await?;
        if round % 2 == 0 {
            fleet.stack.servers.postgres.stop().await?;
            row.fault("PostgreSQL fast restart");
        } else {
            fleet.stack.servers.postgres.kill().await?;
            row.fault("PostgreSQL kill -9");
        }
        tokio::time::sleep(chance.millis(0, dose.of(1_000, 5_000))).await;
        fleet.stack.servers.postgres.restart().await?;
        if let Ok(client) = fleet.postgres().await {
            // One session dies in the middle of whatever it does.
            let one = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() \
                       and pid <> pg_backend_pid() order by random() limit 1";
            if client.execute(one, &[]).await.is_ok_and(|ended| ended > 0) {
                row.fault("session ended");
            }
        }
    }
    fleet.all_ended(Duration::from_secs(dose.of(80, 240))).await?;
    judge(&fleet, &mut row).await?;
    row.seen.insert("connection errors", fleet.metric("agent_executor_db_connection_errors_total").await);
    row.seen.insert("commits under way when it broke", in_doubt);
    row.must(in_doubt >= dose.of(1, 5), format!("only {in_doubt} commits were under way when it broke"));
    row.wastes_at_most(row.dose() * 8, "two workers, four slots, one call in flight each");
    row.must(row.completed == row.jobs, format!("{} of {} jobs completed", row.completed, row.jobs));
    Ok(Some(row))
}

/// A commit takes a while, so that some are under way whenever the server breaks: nobody can tell what became of them.
const SLOW_COMMITS: &str = "
create function a_while() returns trigger language plpgsql as
    $$ begin perform pg_sleep(0.03); return null; end $$;
create constraint trigger slow_commit after insert on checkpoints
    deferrable initially deferred for each row execute function a_while();";

/// How many sessions of workers are in the middle of a commit.
async fn committing(fleet: &Fleet) -> anyhow::Result<u64> {
    let query =
        "select count(*) from pg_stat_activity where datname = current_database() and state = 'active'
        and pid <> pg_backend_pid() and wait_event = 'PgSleep'";
    let client = fleet.postgres().await?;
    // The next such moment, if there is one soon.
    let found = until("a commit is under way", Duration::from_secs(3), async || {
        let count: i64 = client.query_one(query, &[]).await.ok()?.try_get(0).ok()?;
        u64::try_from(count).ok().filter(|count| *count > 0)
    });
    Ok(found.await.unwrap_or(0))
}

/// The cache is away from the beginning to the end.
pub(crate) async fn redis(dose: Dose) -> anyhow::Result<Option<Row>> {
    // Hardly any room for what waits, so that something is lost and must be marked.
    let plan = plan(dose).own_cache().env("STREAM_BUFFER_EVENTS", "100");
    let Some(mut fleet) = Fleet::start(plan, 2).await? else { return Ok(None) };
    let mut row = Row::default();
    fleet.stack.servers.redis.kill().await?;
    row.fault("Redis kill -9");
    let before = resident(&fleet);
    fleet.publish(tools_jobs("redis", dose.of(10, 50), 5)).await?;
    fleet.all_ended(Duration::from_secs(dose.of(60, 120))).await?;
    let grown = resident(&fleet).saturating_sub(before) / 1024;
    row.seen.insert("MiB grown", grown);
    // Back in the middle of these: their readers are told what they have missed.
    fleet.publish(tools_jobs("redis-back", 4, 60)).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    fleet.stack.servers.redis.restart().await?;
    fleet.all_ended(Duration::from_secs(60)).await?;
    // After a long time away the worker's next try to connect may come later than the end of these.
    let told = until("the gap is told", Duration::from_secs(60), async || {
        let gaps = fleet.metric("agent_executor_redis_publish_total{event_type=\"gap\"}").await;
        (gaps > 0).then_some(gaps)
    });
    let gaps = told.await.unwrap_or(0);
    row.seen.insert("gap marks", gaps);
    row.must(gaps > 0, "nobody was told of the gap");
    judge(&fleet, &mut row).await?;
    row.must(row.completed == row.jobs, format!("{} of {} jobs completed", row.completed, row.jobs));
    row.wastes_at_most(0, "no job needs the cache");
    row.must(grown < 64 * 2, format!("two workers grew by {grown} MiB while the cache was away"));
    Ok(Some(row))
}

/// 64 slots share few connections, and the server has hardly more.
pub(crate) async fn pool(dose: Dose) -> anyhow::Result<Option<Row>> {
    let plan = plan(dose)
        .env("WORKER_CONCURRENCY", "64")
        .env("POSTGRES_COMMIT_CONNECTIONS", "1")
        .env("POSTGRES_READ_CONNECTIONS", "1");
    let Some(mut fleet) = Fleet::start(plan.own_postgres(), 2).await? else { return Ok(None) };
    let mut row = Row::default();
    row.fault("128 slots on 4 connections");
    let begun = Instant::now();
    fleet.publish(tools_jobs("pool", dose.of(60, 400), 5)).await?;
    let taken = take_all(&fleet).await?;
    row.fault("max_connections reached");
    row.seen.insert("connections that others held", taken.len() as u64);
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for member in &fleet.members {
            let health = crate::common::http(member.worker.port, "GET", "/health", "").await;
            row.must(
                health.is_some_and(|(status, _)| status == 200),
                "a worker without a database did not live",
            );
        }
    }
    drop(taken);
    fleet.all_ended(Duration::from_secs(180)).await?;
    row.seen.insert("s until all had ended", begun.elapsed().as_secs());
    judge(&fleet, &mut row).await?;
    row.must(row.completed == row.jobs, format!("{} of {} jobs completed", row.completed, row.jobs));
    Ok(Some(row))
}

/// Takes every connection that the server has, those of the workers too.
async fn take_all(fleet: &Fleet) -> anyhow::Result<Vec<Client>> {
    let url = fleet.stack.servers.postgres.url();
    let mut taken = Vec::new();
    for again in [true, false] {
        while let Ok((client, connection)) = tokio_postgres::connect(url, NoTls).await {
            tokio::spawn(connection);
            taken.push(client);
        }
        let first = taken.first().context("the server has no connection for anybody")?;
        if again {
            // Theirs become free, and are taken in the next round, as far as they are not quicker.
            let theirs = "select pg_terminate_backend(pid) from pg_stat_activity where datname like 't\\_%'";
            first.query(theirs, &[]).await?;
        }
    }
    Ok(taken)
}

/// Resident memory of all workers, KiB.
pub(crate) fn resident(fleet: &Fleet) -> u64 {
    let of = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    fleet.members.iter().filter_map(|member| of(member.worker.child.id())).sum()
}
