//! Workers that are cut off from one backend for a while, in one direction or both.

use std::time::Duration;

use agent_testkit::{FakeModel, Fault, FaultProxy};

use crate::Dose;
use crate::fleet::{Chance, Fleet, Member, plan, tools_jobs};
use crate::table::Row;
use crate::verdict::judge;

/// One worker behind proxies of its own.
struct Behind {
    postgres: FaultProxy,
    nats: FaultProxy,
    redis: FaultProxy,
}

impl Behind {
    async fn start(fleet: &mut Fleet) -> anyhow::Result<(Self, Member)> {
        let postgres = FaultProxy::start(fleet.stack.servers.postgres.address()).await?;
        let nats = FaultProxy::start(fleet.stack.nats.address()).await?;
        let redis = FaultProxy::start(fleet.stack.servers.redis.address()).await?;
        let dsn = postgres.in_front_of(&fleet.stack.dsn)?;
        let cache = redis.in_front_of(fleet.stack.servers.redis.url())?;
        // Its own, so that its calls can be told from others'.
        let model = FakeModel::start().await?;
        let nats_url = format!("nats://{}", nats.address());
        let member = fleet.spawn(&[
            ("DATABASE_URL", dsn.as_str()),
            ("NATS_URL", nats_url.as_str()),
            ("REDIS_URL", cache.as_str()),
            ("OPENAI_BASE_URL", model.base_url().as_str()),
        ]);
        fleet.models.push(model);
        Ok((Self { postgres, nats, redis }, member))
    }
}

pub(crate) async fn run(dose: Dose) -> anyhow::Result<Option<Row>> {
    let Some(mut fleet) = Fleet::start(plan(dose), 1).await? else { return Ok(None) };
    let (mut row, mut chance, mut checked) = (Row::default(), Chance::new(), 0);
    let mut behind = Vec::new();
    for _ in 0..2 {
        let (proxies, member) = Behind::start(&mut fleet).await?;
        member.worker.ready().await;
        fleet.members.push(member);
        behind.push(proxies);
    }
    let times: &[u64] = dose.of(&[4], &[1, 10, 40]);
    // No call begins from then on; a second more for one that had begun to begin.
    let fenced_after = dose.of(Duration::from_millis(2_400), Duration::from_secs(15));
    for (round, seconds) in times.iter().enumerate() {
        for (backend, fault, kind) in [
            ("postgres", Fault::Blackhole, "PostgreSQL, both ways"),
            ("postgres", Fault::HalfOpen, "PostgreSQL, answers lost"),
            ("nats", Fault::Blackhole, "NATS, both ways"),
            ("nats", Fault::HalfOpen, "NATS, answers lost"),
            ("redis", Fault::Blackhole, "Redis, both ways"),
            ("redis", Fault::HalfOpen, "Redis, answers lost"),
        ] {
            let name = format!("cut-{round}-{}", kind.replace([' ', ','], "-"));
            fleet.publish(tools_jobs(&name, 6, 30)).await?;
            tokio::time::sleep(chance.millis(200, 1_500)).await;
            let at = chance.index(behind.len());
            let (Some(proxies), Some(model)) = (behind.get(at), fleet.models.get(at)) else { continue };
            let proxy = match backend {
                "postgres" => &proxies.postgres,
                "nats" => &proxies.nats,
                _ => &proxies.redis,
            };
            proxy.set(fault);
            row.fault(kind);
            let time = Duration::from_secs(*seconds);
            let fence = fenced_after.min(time);
            tokio::time::sleep(fence).await;
            let begun = model.requests();
            tokio::time::sleep(time - fence).await;
            if backend == "postgres" && time > fence {
                checked += 1;
                let more = model.requests() - begun;
                row.must(
                    more == 0,
                    format!("{more} model calls began {fence:?} after the database was cut off"),
                );
            }
            proxy.set(Fault::Pass);
        }
    }
    fleet.all_ended(Duration::from_secs(240)).await?;
    judge(&fleet, &mut row).await?;
    row.seen.insert("cuts longer than the self-fence", checked);
    row.must(checked > 0, "no cut was long enough to see that nothing begins");
    row.wastes_at_most(row.dose() * 4, "four slots, one agent each, one call in flight");
    row.must(row.completed == row.jobs, format!("{} of {} jobs completed", row.completed, row.jobs));
    Ok(Some(row))
}
