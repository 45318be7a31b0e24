//! A model provider that breaks in every way it can.

use std::time::Duration;

use agent_testkit::ModelFault;

use crate::Dose;
use crate::fleet::{Chance, Fleet, plan, tools_jobs};
use crate::table::Row;
use crate::verdict::judge;

fn fault(chance: &mut Chance) -> (&'static str, ModelFault) {
    match chance.below(6) {
        0 => ("429", ModelFault::Status(429, Some(1))),
        1 => ("500", ModelFault::Status(500, None)),
        2 => ("529", ModelFault::Status(529, None)),
        3 => ("cut", ModelFault::CutAfter(usize::try_from(chance.below(10)).unwrap_or(0))),
        4 => ("stall", ModelFault::StallAfter(3)),
        _ => ("slow head", ModelFault::Delay(Duration::from_millis(1_500))),
    }
}

pub(crate) async fn run(dose: Dose) -> anyhow::Result<Option<Row>> {
    let plan = plan(dose).env("WORKER_CONCURRENCY", "8").env("MODEL_IDLE_TIMEOUT_SECONDS", "2");
    let Some(mut fleet) = Fleet::start(plan, 1).await? else { return Ok(None) };
    let (mut row, mut chance) = (Row::default(), Chance::new());
    // One call in ten breaks; a good one between two bad ones is a fault that does nothing.
    let jobs = dose.of(12, 100);
    let mut faults = Vec::new();
    for _ in 0..jobs * 6 / 10 {
        let (name, fault) = fault(&mut chance);
        row.fault(name);
        faults.push(fault);
        faults.extend((0..9).map(|_| ModelFault::Delay(Duration::ZERO)));
    }
    fleet.stack.model.fail_next(faults);
    fleet.publish(tools_jobs("provider", jobs, 2)).await?;
    fleet.all_ended(Duration::from_secs(dose.of(60, 180))).await?;
    // Then nothing but refusals: the jobs fail, once each, and say why.
    let down: Vec<_> = (0..200).map(|_| ModelFault::Status(401, None)).collect();
    fleet.stack.model.fail_next(down);
    row.fault("401 from then on");
    fleet.publish(tools_jobs("refused", dose.of(3, 10), 2)).await?;
    fleet.all_ended(Duration::from_secs(60)).await?;
    judge(&fleet, &mut row).await?;
    row.must(row.completed > 0, "no job completed through the faults");
    row.must(row.failed > 0, "a provider that refuses everything failed no job");
    Ok(Some(row))
}
