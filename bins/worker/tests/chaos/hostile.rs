//! Messages that no honest publisher would send.

use std::time::Duration;

use async_nats::jetstream;
use serde_json::json;

use crate::Dose;
use crate::fleet::{Chance, Fleet, plan, tools_jobs};
use crate::outages::resident;
use crate::table::Row;
use crate::verdict::judge;

/// Below the server's limit of 1 MiB for a message.
const LONG: usize = 900_000;

/// What may still be a job; all else must be refused.
const MAY_BE_READ: &[&str] = &["a byte turned", "lone surrogate", "NUL in a string", "a number too large"];

pub(crate) async fn run(dose: Dose) -> anyhow::Result<Option<Row>> {
    let plan = plan(dose).env("WORKER_CONCURRENCY", "8");
    let Some(mut fleet) = Fleet::start(plan, 1).await? else { return Ok(None) };
    let (mut row, mut chance) = (Row::default(), Chance::new());
    let before = resident(&fleet);
    let context = jetstream::new(fleet.stack.nats.client().await?);
    let count = dose.of(300, 10_000);
    let mut hopeless = 0;
    let honest = tools_jobs("hostile", 1, 1).pop().map(|job| job.to_string()).unwrap_or_default();
    for n in 0..count {
        let (kind, body) = message(&mut chance, &honest, n);
        row.fault(kind);
        hopeless += i64::from(!MAY_BE_READ.contains(&kind));
        context.publish("agent.execute.hostile", body.into()).await?.await?;
    }
    // The honest one that comes after them.
    fleet.publish(tools_jobs("after-hostile", dose.of(3, 20), 2)).await?;
    fleet.all_ended(Duration::from_secs(dose.of(60, 300))).await?;
    let grown = resident(&fleet).saturating_sub(before) / 1024;
    let dead: i64 = fleet
        .postgres()
        .await?
        .query_one("select count(*) from agent_dead_letters", &[])
        .await?
        .try_get(0)?;
    row.seen.insert("dead letters", u64::try_from(dead)?);
    row.seen.insert("MiB grown", grown);
    let health = crate::common::http(
        fleet.members.first().map_or(0, |member| member.worker.port),
        "GET",
        "/health",
        "",
    );
    row.must(health.await.is_some_and(|(status, _)| status == 200), "the worker did not survive");
    judge(&fleet, &mut row).await?;
    row.must(row.completed == row.jobs, format!("{} of {} honest jobs completed", row.completed, row.jobs));
    row.must(dead >= hopeless, format!("{hopeless} messages say nothing, {dead} became dead letters"));
    row.must(grown <= 64, format!("the worker grew by {grown} MiB"));
    row.wasted = None;
    Ok(Some(row))
}

fn message(chance: &mut Chance, honest: &str, n: u64) -> (&'static str, Vec<u8>) {
    let depth = 10 + usize::try_from(chance.below(100_000)).unwrap_or(0);
    let with_id = |id: &str| json!({ "job_id": id, "agent_definition": {}, "input_payload": {} }).to_string();
    match chance.below(12) {
        0 => ("truncated", honest.bytes().take(chance.index(honest.len())).collect()),
        1 => {
            let mut bytes = honest.as_bytes().to_vec();
            let at = chance.index(bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 0x80;
            }
            ("a byte turned", bytes)
        }
        2 => ("deep lists", [vec![b'['; depth], vec![b']'; depth]].concat()),
        3 => ("deep objects, open", br#"{"a":"#.repeat(depth)),
        4 => ("invalid UTF-8", vec![0xff; 1 + chance.index(5_000)]),
        5 => ("lone surrogate", honest.replace("Please", r"\ud800").into_bytes()),
        6 => ("NUL in a string", honest.replace("Please", r"\u0000").into_bytes()),
        7 => ("a number too large", honest.replace("\"nodes\"", "\"x\":1e999,\"nodes\"").into_bytes()),
        8 => {
            let id = ["a.b", "*", ">", "a/b", "a b", ""].get(chance.index(6)).copied().unwrap_or_default();
            ("a bad job id", with_id(id).into_bytes())
        }
        9 => ("a long job id", with_id(&"x".repeat(4_096)).into_bytes()),
        10 => ("many keys", many_keys(n)),
        _ => ("long", vec![b' '; LONG]),
    }
}

fn many_keys(n: u64) -> Vec<u8> {
    let keys: Vec<String> = (0..20_000).map(|key| format!("\"k{n}-{key}\":0")).collect();
    format!("{{{}}}", keys.join(",")).into_bytes()
}
