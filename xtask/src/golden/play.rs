//! One scenario played: its jobs go in over NATS one after another; everything observable is written down.

use std::path::Path;
use std::time::Duration;

use agent_testkit::Subscription;
use anyhow::{Context, ensure};
use async_nats::jetstream;
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::bench::Bench;
use super::dump::Dumper;
use super::scenario::{Scenario, Turn};

/// One job, retries of a failing provider included.
const JOB_LIMIT: Duration = Duration::from_secs(120);
/// `end` may come a moment after the result.
const END_LIMIT: Duration = Duration::from_secs(10);

pub(crate) async fn play(
    scenario: &Scenario,
    bench: &Bench,
    dumper: &Dumper,
    candidate: &Path,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(candidate)?;
    let client = bench.client().await?;
    let mut results = client.subscribe("agent.status.*").await?;
    client.flush().await?;
    let context = jetstream::new(client.clone());
    let (mut events, mut states, mut ended) = (String::new(), Vec::new(), Vec::new());
    let mut rows = None;
    for (index, turn) in scenario.turns.iter().enumerate() {
        let channel = format!("langgraph:stream:{}", turn.thread_id);
        let mut stream = Subscription::open(bench.redis(), &channel).await?;
        context.publish("agent.execute.golden", turn.event.to_string().into()).await?.await?;
        let waited = tokio::time::timeout(JOB_LIMIT, result_of(&mut results, turn)).await;
        ended.push(waited.with_context(|| format!("no result of {} within {JOB_LIMIT:?}", turn.job_id))??);
        for event in published(&mut stream).await? {
            let mut event = event;
            if let Some(members) = event.as_object_mut() {
                members.insert("turn".to_owned(), (index + 1).into());
            }
            events.push_str(&format!("{event}\n"));
        }
        let dump = dumper.dump(&turn.thread_id).await?;
        states.push(dump.state);
        rows = dump.checkpoints;
    }
    write(candidate, "events.jsonl", &events)?;
    write(candidate, "result.json", &json!(ended).to_string())?;
    write(candidate, "state.json", &json!({ "turns": states }).to_string())?;
    if let Some(rows) = rows {
        write(candidate, "checkpoints.json", &rows.to_string())?;
    }
    write(candidate, "requests.jsonl", &std::fs::read_to_string(&bench.requests)?)
}

fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    Ok(std::fs::write(folder.join(name), text)?)
}

/// The CloudEvent that ends the job, with its subject, as the recordings have it.
async fn result_of(results: &mut async_nats::Subscriber, turn: &Turn) -> anyhow::Result<Value> {
    while let Some(message) = results.next().await {
        let mut event: Value = serde_json::from_slice(&message.payload)?;
        if event.pointer("/data/job_id").and_then(Value::as_str) == Some(turn.job_id.as_str()) {
            if let Some(members) = event.as_object_mut() {
                members.insert("nats_subject".to_owned(), message.subject.as_str().into());
            }
            return Ok(event);
        }
    }
    anyhow::bail!("NATS closed the subscription")
}

/// What was published on the thread's channel, up to and with `end`.
async fn published(stream: &mut Subscription) -> anyhow::Result<Vec<Value>> {
    let mut events = Vec::new();
    loop {
        let Some((_, payload)) = stream.next(END_LIMIT).await? else { return Ok(events) };
        let event: Value = serde_json::from_slice(&payload)?;
        ensure!(event.is_object(), "a published event is no object: {event}");
        let last = event.get("event_type").and_then(Value::as_str) == Some("end");
        events.push(event);
        if last {
            return Ok(events);
        }
    }
}
