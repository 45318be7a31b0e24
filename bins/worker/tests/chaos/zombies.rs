//! Workers that are stopped for longer than their lease, and wake up.

use std::time::Duration;

use crate::Dose;
use crate::fleet::{Chance, Fleet, plan, tools_jobs};
use crate::table::Row;
use crate::verdict::judge;

pub(crate) async fn run(dose: Dose) -> anyhow::Result<Option<Row>> {
    let lease = Duration::from_secs(dose.of(2, 20));
    let Some(mut fleet) = Fleet::start(plan(dose), 4).await? else { return Ok(None) };
    let (mut row, mut chance) = (Row::default(), Chance::new());
    for round in 0..dose.of(2, 5) {
        // Slow answers: a stopped worker is in the middle of something.
        fleet.publish(tools_jobs(&format!("zombie-{round}"), 12, 100)).await?;
        tokio::time::sleep(chance.millis(1_000, 4_000)).await;
        // Half of them, so that somebody is there to take over.
        let first = chance.index(fleet.members.len());
        let stopped = [first, (first + 1) % fleet.members.len()];
        for at in stopped {
            if let Some(member) = fleet.members.get(at) {
                member.worker.signal("STOP");
                row.fault("SIGSTOP");
            }
        }
        let longer = if round % 2 == 0 { lease.mul_f64(1.5) } else { lease * 3 };
        tokio::time::sleep(longer).await;
        for at in stopped {
            if let Some(member) = fleet.members.get(at) {
                member.worker.signal("CONT");
            }
        }
    }
    fleet.all_ended(Duration::from_secs(240)).await?;
    judge(&fleet, &mut row).await?;
    row.seen.insert("leases lost", fleet.metric("agent_executor_lease_lost_total").await);
    row.must(row.completed == row.jobs, format!("{} of {} jobs completed", row.completed, row.jobs));
    let noticed = row.seen.get("leases lost").copied().unwrap_or_default()
        + row.seen.get("fenced writes").copied().unwrap_or_default();
    row.must(noticed > 0, "no zombie was ever turned away: the test met none");
    Ok(Some(row))
}
