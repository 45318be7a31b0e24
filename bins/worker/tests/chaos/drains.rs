//! SIGTERM at any moment: out in time, nothing counted as a loss, the work goes on elsewhere.

use std::time::{Duration, Instant};

use anyhow::Context;

use crate::Dose;
use crate::fleet::{Chance, Fleet, plan, tools_jobs};
use crate::table::Row;
use crate::verdict::judge;

/// The platform's grace period, less a second.
const GRACE: Duration = Duration::from_secs(29);

pub(crate) async fn run(dose: Dose) -> anyhow::Result<Option<Row>> {
    let Some(mut fleet) = Fleet::start(plan(dose), 2).await? else { return Ok(None) };
    let (mut row, mut chance) = (Row::default(), Chance::new());
    fleet.publish(tools_jobs("drain", dose.of(12, 100), 20)).await?;
    for round in 0..dose.of(4, 30) {
        tokio::time::sleep(chance.millis(300, 2_500)).await;
        let at = chance.index(fleet.members.len());
        let fresh = fleet.spawn(&[]);
        fresh.worker.ready().await;
        let Some(member) = fleet.members.get_mut(at) else { continue };
        let mut leaving = std::mem::replace(member, fresh);
        let begun = Instant::now();
        leaving.worker.signal("TERM");
        row.fault("SIGTERM");
        if round % 10 == 9 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            leaving.worker.signal("TERM");
            row.fault("second SIGTERM");
        }
        let code = tokio::time::timeout(GRACE + Duration::from_secs(1), leaving.worker.ended()).await;
        let code = code.context("a worker did not leave within the grace period")?;
        row.must(code == Some(0) || round % 10 == 9, format!("a drained worker ended with {code:?}"));
        row.must(begun.elapsed() <= GRACE, format!("a drain took {:?}", begun.elapsed()));
        row.drains.push(begun.elapsed());
    }
    fleet.all_ended(Duration::from_secs(dose.of(60, 180))).await?;
    judge(&fleet, &mut row).await?;
    row.must(row.completed == row.jobs, format!("{} of {} jobs completed", row.completed, row.jobs));
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
