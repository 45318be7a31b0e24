//! Workers that are stopped for longer than their lease, and wake up.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_testkit::until;

use crate::Dose;
use crate::fleet::{Chance, Fleet, plan, tools_jobs};
use crate::table::Row;
use crate::verdict::judge;

/// Of a round; as many as are stopped may hold all of them.
const JOBS: usize = 12;

pub(crate) async fn run(dose: Dose) -> anyhow::Result<Option<Row>> {
    let lease = Duration::from_secs(dose.of(2, 20));
    // Two slots, so that the jobs of a round lie with many workers.
    let plan = plan(dose).env("WORKER_CONCURRENCY", "2");
    let (workers, stopped) = dose.of((4, 2), (8, 6));
    let Some(mut fleet) = Fleet::start_with_effects(plan, workers).await? else { return Ok(None) };
    let (mut row, mut chance) = (Row::default(), Chance::new());
    for round in 0..dose.of(2, 5) {
        // Slow answers: a stopped worker is in the middle of something.
        fleet.publish(tools_jobs(&format!("zombie-{round}"), JOBS - 2, 100)).await?;
        fleet.publish(fleet.effects_jobs(&format!("zombie-effects-{round}"), 2)).await?;
        tokio::time::sleep(chance.millis(500, 2_500)).await;
        let chosen = busiest(&fleet, stopped).await?;
        for name in &chosen {
            signal(&fleet, name, "STOP");
            row.fault("SIGSTOP");
        }
        // The first of a full run sleeps for as long as all rounds take, 20 leases.
        let long = chosen.first().filter(|_| round == 0 && dose == Dose::Full).cloned();
        // Once so briefly that nobody may have noticed.
        let longer = if round == 0 { lease.mul_f64(1.5) } else { lease * 3 };
        tokio::time::sleep(longer).await;
        for name in chosen.iter().filter(|name| Some(*name) != long.as_ref()) {
            signal(&fleet, name, "CONT");
        }
        if let Some(name) = long {
            let pid = fleet.pid(&name);
            tokio::spawn(async move {
                tokio::time::sleep(lease * 20 - longer).await;
                if let Some(pid) = pid {
                    crate::fleet::send_signal(pid, "CONT");
                }
            });
        }
        fleet.all_ended(Duration::from_secs(dose.of(40, 150))).await?;
    }
    if dose == Dose::Full {
        awake(&fleet, lease * 20).await?;
    }
    judge(&fleet, &mut row).await?;
    row.must(row.completed == row.jobs, format!("{} of {} jobs completed", row.completed, row.jobs));
    let lost = fleet.metric("agent_executor_lease_lost_total").await;
    row.seen.insert("leases lost", lost);
    let noticed = lost + row.seen.get("fenced writes").copied().unwrap_or_default();
    row.must(noticed >= dose.of(1, 20), format!("zombies were turned away only {noticed} times"));
    row.must(row.dose() >= dose.of(4, 30), format!("only {} pauses", row.dose()));
    row.wastes_at_most(row.dose() * 2, "two slots, one agent each, one call in flight");
    Ok(Some(row))
}

/// Waits until each worker answers: the last sleeper is awake, and has been told.
async fn awake(fleet: &Fleet, limit: Duration) -> anyhow::Result<()> {
    until("every worker answers and has nothing in work", limit, async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for member in &fleet.members {
            let asked = crate::common::metric(member.worker.port, "agent_executor_jobs_in_work");
            let in_work = tokio::time::timeout(Duration::from_secs(2), asked).await.ok()??;
            if in_work > 0.0 {
                return None;
            }
        }
        Some(())
    })
    .await
}

/// Names of the workers that hold the most threads now; at least one worker is left out.
async fn busiest(fleet: &Fleet, many: usize) -> anyhow::Result<Vec<String>> {
    let held = "select owner from agent_leases where not released and thread_id not like '~%'";
    let rows = fleet.postgres().await?.query(held, &[]).await?;
    let mut threads: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        let owner: &str = row.try_get(0)?;
        *threads.entry(owner.split('-').next().unwrap_or(owner)).or_default() += 1;
    }
    let mut names: Vec<&str> = fleet.members.iter().map(|member| member.name.as_str()).collect();
    names.sort_by_key(|name| std::cmp::Reverse(threads.get(name).copied().unwrap_or_default()));
    names.truncate(many.min(fleet.members.len().saturating_sub(1)));
    Ok(names.into_iter().map(str::to_owned).collect())
}

fn signal(fleet: &Fleet, name: &str, signal: &str) {
    if let Some(pid) = fleet.pid(name) {
        crate::fleet::send_signal(pid, signal);
    }
}
