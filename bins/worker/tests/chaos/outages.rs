//! Backends that go away: NATS, PostgreSQL, the cache; and too few connections.

use std::time::{Duration, Instant};

use crate::Dose;
use crate::fleet::{Chance, Fleet, plan, tools_jobs};
use crate::table::Row;
use crate::verdict::judge;

/// NATS is killed and comes back with its files; in full, its stream is also deleted once.
pub(crate) async fn nats(dose: Dose) -> anyhow::Result<Option<Row>> {
    let Some(mut fleet) = Fleet::start(plan(dose), 2).await? else { return Ok(None) };
    let (mut row, mut chance) = (Row::default(), Chance::new());
    fleet.publish(tools_jobs("nats", dose.of(12, 80), 20)).await?;
    for round in 0..dose.of(2, 15) {
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
    let again = fleet.publish_unknown_again().await?;
    row.seen.insert("jobs that only their publisher knew", again);
    fleet.all_ended(Duration::from_secs(dose.of(80, 240))).await?;
    judge(&fleet, &mut row).await?;
    row.must(row.completed == row.jobs, format!("{} of {} jobs completed", row.completed, row.jobs));
    Ok(Some(row))
}

/// PostgreSQL is stopped, or killed, and comes back with its files.
pub(crate) async fn postgres(dose: Dose) -> anyhow::Result<Option<Row>> {
    let Some(mut fleet) = Fleet::start(plan(dose).own_postgres(), 2).await? else { return Ok(None) };
    let (mut row, mut chance) = (Row::default(), Chance::new());
    fleet.publish(tools_jobs("postgres", dose.of(12, 80), 20)).await?;
    for round in 0..dose.of(2, 15) {
        tokio::time::sleep(dose.of(chance.millis(1_000, 2_000), chance.millis(3_000, 8_000))).await;
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
    row.must(row.completed == row.jobs, format!("{} of {} jobs completed", row.completed, row.jobs));
    Ok(Some(row))
}

/// The cache is away from the beginning to the end.
pub(crate) async fn redis(dose: Dose) -> anyhow::Result<Option<Row>> {
    let Some(mut fleet) = Fleet::start(plan(dose).own_cache(), 2).await? else { return Ok(None) };
    let mut row = Row::default();
    fleet.stack.servers.redis.kill().await?;
    row.fault("Redis kill -9");
    let before = resident(&fleet);
    fleet.publish(tools_jobs("redis", dose.of(10, 50), 5)).await?;
    fleet.all_ended(Duration::from_secs(dose.of(60, 120))).await?;
    let grown = resident(&fleet).saturating_sub(before) / 1024;
    row.seen.insert("MiB grown", grown);
    judge(&fleet, &mut row).await?;
    row.must(row.completed == row.jobs, format!("{} of {} jobs completed", row.completed, row.jobs));
    row.must(grown < 64 * 2, format!("two workers grew by {grown} MiB while the cache was away"));
    Ok(Some(row))
}

/// 64 slots share few connections, and the server has hardly more.
pub(crate) async fn pool(dose: Dose) -> anyhow::Result<Option<Row>> {
    let plan = plan(dose)
        .env("WORKER_CONCURRENCY", "64")
        .env("POSTGRES_COMMIT_CONNECTIONS", "1")
        .env("POSTGRES_READ_CONNECTIONS", "1");
    let Some(mut fleet) = Fleet::start(plan, 2).await? else { return Ok(None) };
    let mut row = Row::default();
    row.fault("128 slots on 4 connections");
    let begun = Instant::now();
    fleet.publish(tools_jobs("pool", dose.of(60, 400), 5)).await?;
    fleet.all_ended(Duration::from_secs(180)).await?;
    row.seen.insert("s until all had ended", begun.elapsed().as_secs());
    judge(&fleet, &mut row).await?;
    row.must(row.completed == row.jobs, format!("{} of {} jobs completed", row.completed, row.jobs));
    Ok(Some(row))
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
