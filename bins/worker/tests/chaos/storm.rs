//! kill -9, again and again: nothing is lost, and every job completes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::Dose;
use crate::fleet::{Chance, Fleet, plan, tools_jobs};
use crate::table::Row;
use crate::verdict::judge;

/// Threads that a dead worker held, with epoch and time of death; and how long each of them waited.
#[derive(Default)]
struct Taken {
    orphans: BTreeMap<String, (i64, Instant)>,
    times: Vec<Duration>,
}

type Orphans = Arc<Mutex<Taken>>;

pub(crate) async fn run(dose: Dose) -> anyhow::Result<Option<Row>> {
    let workers = dose.of(2, 4);
    let Some(mut fleet) = Fleet::start_with_effects(plan(dose), workers).await? else { return Ok(None) };
    let (mut row, mut chance) = (Row::default(), Chance::new());
    fleet.publish(tools_jobs("storm", dose.of(20, 160), 20)).await?;
    fleet.publish(fleet.effects_jobs("storm-effects", dose.of(4, 40))).await?;
    let orphans = Orphans::default();
    let watching = tokio::spawn(watch(fleet.stack.dsn.clone(), orphans.clone()));
    let (begun, least) = (Instant::now(), dose.of(6, 120));
    let (time, limit) = (Duration::from_secs(dose.of(8, 60)), Duration::from_secs(dose.of(40, 120)));
    // On a slow machine a kill takes longer, so there are as many, not as quick.
    while begun.elapsed() < time || (row.dose() < least && begun.elapsed() < limit) {
        tokio::time::sleep(dose.of(chance.millis(800, 2_000), chance.millis(150, 600))).await;
        let at = chance.index(fleet.members.len());
        if let Some(dead) = fleet.replace(at) {
            row.fault("kill -9");
            note_held(&fleet, &dead, &orphans).await?;
        }
    }
    fleet.all_ended(Duration::from_secs(dose.of(75, 420))).await?;
    watching.abort();
    row.takeovers = std::mem::take(&mut orphans.lock().await.times);
    judge(&fleet, &mut row).await?;
    row.must(row.completed == row.jobs, format!("{} of {} jobs completed", row.completed, row.jobs));
    let kills = row.dose();
    row.must(kills >= least, format!("only {kills} kills"));
    row.wastes_at_most(kills * 4, "four slots, one agent each, one call in flight");
    row.must(!row.takeovers.is_empty(), "no thread was ever taken over");
    row.seen.insert("threads taken over", row.takeovers.len() as u64);
    // A message that comes again after 30 s may meet a worker that is killed before it has taken the thread; then the
    // thread waits once more. That must stay rare, and must not happen to one thread for ever.
    let over = |seconds: u64| row.takeovers.iter().filter(|time| time.as_secs() >= seconds).count();
    let (once_more, forgotten) = (over(35), over(120));
    row.seen.insert("takeovers that waited for a second message", once_more as u64);
    row.must(once_more * 100 <= row.takeovers.len(), format!("{once_more} takeovers took longer than 35 s"));
    row.must(forgotten == 0, format!("{forgotten} takeovers took longer than 120 s"));
    Ok(Some(row))
}

async fn note_held(fleet: &Fleet, dead: &str, orphans: &Orphans) -> anyhow::Result<()> {
    let held = "select thread_id, epoch from agent_leases where owner like $1 || '-%' and not released";
    let rows = fleet.postgres().await?.query(held, &[&dead]).await?;
    let mut orphans = orphans.lock().await;
    for row in rows {
        orphans.orphans.insert(row.try_get(0)?, (row.try_get(1)?, Instant::now()));
    }
    Ok(())
}

/// Notes when each orphan has a new holder.
async fn watch(dsn: String, orphans: Orphans) {
    let client = crate::common::connect(&dsn).await;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let Ok(rows) = client.query("select thread_id, epoch from agent_leases", &[]).await else { continue };
        let mut taken = orphans.lock().await;
        for row in rows {
            let (thread, epoch): (String, i64) = (row.get(0), row.get(1));
            if let Some((_, since)) = taken.orphans.get(&thread).copied().filter(|(old, _)| *old < epoch) {
                taken.orphans.remove(&thread);
                taken.times.push(since.elapsed());
            }
        }
    }
}
