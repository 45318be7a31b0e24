//! SIGTERM at any moment: out in time, nothing counted as a loss, the work goes on elsewhere.

use std::time::{Duration, Instant};

use anyhow::Context;

use crate::Dose;
use crate::fleet::{Chance, Fleet, plan, tools_jobs};
use crate::table::Row;
use crate::verdict::judge;

/// The platform's grace period, less a second; and a short one, with its budget in seconds.
const GRACE: Duration = Duration::from_secs(29);
const SHORT_GRACE: Duration = Duration::from_secs(9);
const SHORT_BUDGET: &str = "7";

pub(crate) async fn run(dose: Dose) -> anyhow::Result<Option<Row>> {
    let Some(mut fleet) = Fleet::start(plan(dose), 2).await? else { return Ok(None) };
    let (mut row, mut chance) = (Row::default(), Chance::new());
    // Which worker has the short budget: the first two have the long one.
    let mut hasty = [false, false];
    for round in 0..dose.of(4, 30) {
        // Something runs at any moment.
        fleet.publish(tools_jobs(&format!("drain-{round}"), dose.of(3, 4), 40)).await?;
        tokio::time::sleep(chance.millis(300, 2_500)).await;
        let at = chance.index(fleet.members.len());
        let budget = [("DRAIN_BUDGET_SECONDS", SHORT_BUDGET)];
        let fresh = fleet.spawn(if round % 2 == 0 { &budget } else { &[] });
        fresh.worker.ready().await;
        let was_hasty = hasty.get_mut(at).is_some_and(|hasty| std::mem::replace(hasty, round % 2 == 0));
        let grace = if was_hasty { SHORT_GRACE } else { GRACE };
        let Some(member) = fleet.members.get_mut(at) else { continue };
        let mut leaving = std::mem::replace(member, fresh);
        let begun = Instant::now();
        leaving.worker.signal("TERM");
        row.fault(if was_hasty { "SIGTERM, grace 10 s" } else { "SIGTERM, grace 30 s" });
        if round % 10 == 9 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            leaving.worker.signal("TERM");
            row.fault("second SIGTERM");
        }
        let code = tokio::time::timeout(grace + Duration::from_secs(1), leaving.worker.ended()).await;
        let code = code.context("a worker did not leave within the grace period")?;
        row.must(code == Some(0) || round % 10 == 9, format!("a drained worker ended with {code:?}"));
        row.must(begun.elapsed() <= grace, format!("a drain took {:?} of {grace:?}", begun.elapsed()));
        row.drains.push(begun.elapsed());
    }
    fleet.all_ended(Duration::from_secs(dose.of(60, 180))).await?;
    judge(&fleet, &mut row).await?;
    row.must(row.completed == row.jobs, format!("{} of {} jobs completed", row.completed, row.jobs));
    row.wastes_at_most(row.dose() * 4, "four slots, one agent each, one call in flight");
    let counted = "select coalesce(sum(unclean_count), 0)::bigint from agent_jobs";
    let unclean: i64 = fleet.postgres().await?.query_one(counted, &[]).await?.try_get(0)?;
    // A second SIGTERM is a crash by wish, and may count.
    row.must(
        unclean == 0 || row.faults.contains_key("second SIGTERM"),
        format!("{unclean} hand-backs were counted as losses"),
    );
    row.seen.insert("unclean losses", u64::try_from(unclean)?);
    Ok(Some(row))
}
