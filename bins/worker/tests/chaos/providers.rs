//! A model provider that breaks in every way it can.

use std::time::{Duration, Instant};

use agent_checkpoint_store::{JobStatus, Store};
use agent_testkit::ModelFault;
use serde_json::Value;

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
    let plan = plan(dose)
        .env("WORKER_CONCURRENCY", "8")
        .env("MODEL_IDLE_TIMEOUT_SECONDS", "2")
        .env("MODEL_BREAKER_SECONDS", dose.of("1", "15"));
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
    down(&mut fleet, &mut row, dose).await?;
    // Then nothing but refusals: the jobs fail, once each, and say why.
    let down: Vec<_> = (0..200).map(|_| ModelFault::Status(401, None)).collect();
    fleet.stack.model.fail_next(down);
    row.fault("401 from then on");
    fleet.publish(tools_jobs("refused", dose.of(3, 10), 2)).await?;
    fleet.all_ended(Duration::from_secs(60)).await?;
    judge(&fleet, &mut row).await?;
    // Tries that break are what this is about.
    row.wasted = None;
    let refused = told(&fleet, &mut row).await?;
    row.must(refused > 0, "no job that was refused says so");
    let requests = fleet.stack.model.requests();
    let retries = fleet.metric("agent_executor_model_retries_total{provider=\"openai\"}").await;
    row.seen.insert("requests", requests);
    row.seen.insert("retries", retries);
    let budget = 100 + requests / 5;
    row.must(retries <= budget, format!("{retries} retries of {requests} requests, {budget} are allowed"));
    row.must(row.completed > 0, "no job completed through the faults");
    row.must(row.failed > 0, "a provider that refuses everything failed no job");
    Ok(Some(row))
}

/// Every request fails for a while: the provider is left alone, nothing is fetched, and both end by themselves.
async fn down(fleet: &mut Fleet, row: &mut Row, dose: Dose) -> anyhow::Result<()> {
    fleet.stack.model.fail_all(Some(ModelFault::Status(503, None)));
    row.fault("503 for a while");
    fleet.publish(tools_jobs("down", dose.of(12, 40), 2)).await?;
    let end = Instant::now() + Duration::from_secs(dose.of(4, 30));
    let (mut opened, mut paused) = (0, 0);
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(100)).await;
        opened = fleet.metric("agent_executor_model_circuit_open{provider=\"openai\"}").await.max(opened);
        paused = fleet.metric("agent_executor_fetch_paused{reason=\"provider_down\"}").await.max(paused);
    }
    row.must(opened > 0, "a provider that is down was not left alone");
    row.must(paused > 0, "jobs were fetched for a provider that is down");
    fleet.stack.model.fail_all(None);
    fleet.publish(tools_jobs("back", 4, 2)).await?;
    fleet.all_ended(Duration::from_secs(dose.of(60, 180))).await?;
    let known = fleet.statuses().await?;
    let back = known.iter().filter(|(id, status)| id.starts_with("back-") && *status == "completed").count();
    row.must(back == 4, format!("{back} of 4 jobs completed after the provider came back"));
    Ok(())
}

/// Every job that failed says that it was the model; returns how many were refused for their key.
async fn told(fleet: &Fleet, row: &mut Row) -> anyhow::Result<usize> {
    let store = fleet.stack.store().await;
    let mut refused = 0;
    for id in fleet.job_ids() {
        let Some(job) = store.job(id).await? else { continue };
        if job.status != JobStatus::Failed {
            continue;
        }
        let result: Value = serde_json::from_slice(&job.result.unwrap_or_default())?;
        let code = result.pointer("/data/error/code").and_then(Value::as_str).unwrap_or_default();
        row.must(code.starts_with("model."), format!("{id} failed with `{code}`"));
        refused += usize::from(code == "model.auth" && id.starts_with("refused-"));
    }
    Ok(refused)
}
