//! What the database, the streams and the workers say when everything should be over, given to the audit.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use agent_checkpoint_store::Store;
use agent_executor_core::Class;
use agent_executor_core::audit::{Audit, Fact};
use agent_langgraph_codec::Metadata;
use agent_testkit::until;
use anyhow::Context;
use async_nats::jetstream;
use serde_json::Value;

use crate::fleet::Fleet;
use crate::table::Row;

/// The provider's key: in no row, event or metric may it stand.
const CANARY: &str = "sk-canary-of-this-test";

/// Waits until messages and outbox are empty, then judges.
pub(crate) async fn judge(fleet: &Fleet, row: &mut Row) -> anyhow::Result<()> {
    let mut audit = Audit::new();
    audit.secret(CANARY);
    let store = fleet.stack.store().await;
    let due = until("results have left", Duration::from_secs(40), async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        store.outbox_due(Duration::ZERO, 1_000).await.ok().filter(Vec::is_empty)
    });
    let unsent = if due.await.is_ok() { 0 } else { store.outbox_due(Duration::ZERO, 1_000).await?.len() };
    audit.saw(Fact::Left { what: Arc::from("results that have not left"), count: unsent as u64 });
    audit.saw(Fact::Left {
        what: Arc::from("messages in the queue"),
        count: messages_left(fleet, Duration::from_secs(60)).await?,
    });
    for id in fleet.job_ids() {
        row.jobs += 1;
        let job: Arc<str> = Arc::from(id);
        audit.saw(Fact::Admitted { job: job.clone() });
        let Some(record) = store.job(id).await? else { continue };
        if record.status.is_terminal() {
            let status = record.status.as_str();
            *(if status == "completed" { &mut row.completed } else { &mut row.failed }) += 1;
            let body = record.result.as_deref().unwrap_or_default();
            audit.saw(Fact::Ended { job, status: Arc::from(status), result: digest(body) });
            audit.text("a result", &String::from_utf8_lossy(body));
        }
        rows(&store, &record.thread_id, &mut audit).await?;
    }
    delivered(fleet, &store, &mut audit).await?;
    if let Some(effects) = &fleet.effects {
        let seen = effects.seen();
        row.seen.insert("at-most-once effects", seen.len() as u64);
        row.must(!seen.is_empty(), "no tool ever took effect: nothing is shown of at-most-once");
        for (call, key) in seen {
            audit.saw(Fact::Effect { call: Arc::from(call), key: Arc::from(key), class: Class::AtMostOnce });
        }
    }
    row.wasted = Some(fleet.wasted());
    for member in &fleet.members {
        let (_, metrics) = until("a worker shows its metrics", Duration::from_secs(20), async || {
            crate::common::http(member.worker.port, "GET", "/metrics", "").await
        })
        .await?;
        audit.text("the metrics", &metrics);
    }
    row.seen.insert("fenced writes", fleet.metric("agent_executor_fenced_writes_total").await);
    row.violations = audit.finish();
    row.took = fleet.took();
    Ok(())
}

/// Waits until every message has been delivered and acknowledged; returns how many are left where that takes too long.
pub(crate) async fn messages_left(fleet: &Fleet, limit: Duration) -> anyhow::Result<u64> {
    let context = jetstream::new(fleet.stack.nats.client().await?);
    let mut left = 0;
    let empty = until("no message is left", limit, async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let stream = context.get_stream("AGENT_EXECUTION").await.ok()?;
        let info = stream.consumer_info("agent-executor-workers").await.ok()?;
        left = info.num_pending + info.num_ack_pending as u64;
        (left == 0).then_some(())
    });
    let empty = empty.await.is_ok();
    Ok(if empty { 0 } else { left })
}

async fn rows(store: &dyn Store, thread: &Arc<str>, audit: &mut Audit) -> anyhow::Result<()> {
    for row in store.load(thread).await?.rows.checkpoints {
        audit.text("a checkpoint", &row.checkpoint);
        let metadata = Metadata::from_json(&row.metadata).context("read a checkpoint's metadata")?;
        // What somebody else wrote belongs to no job of ours.
        let job = metadata.extra.get("agent_executor_job_id").and_then(Value::as_str).unwrap_or_default();
        audit.saw(Fact::Checkpoint {
            thread: thread.clone(),
            ns: row.ns.clone(),
            job: Arc::from(job),
            id: Arc::from(row.checkpoint_id.as_str()),
            parent: row.parent_checkpoint_id.as_deref().map(Arc::from),
            step: metadata.step,
        });
    }
    for row in store.events(thread, 0, 100_000).await? {
        audit.text("the journal", &String::from_utf8_lossy(&row.events));
        let first = serde_json::Deserializer::from_slice(&row.events).into_iter::<Value>().next();
        let first = first.and_then(Result::ok).unwrap_or_default();
        let first = first.get(0).cloned().unwrap_or(first);
        let superseded = first.get("event_type").and_then(Value::as_str) == Some("attempt_superseded");
        let from = first.pointer("/data/from_seq").and_then(Value::as_u64);
        audit.saw(Fact::Journalled {
            thread: thread.clone(),
            epoch: row.epoch,
            first: row.first_seq,
            last: row.last_seq,
            covers: from.filter(|_| superseded),
        });
    }
    Ok(())
}

/// Every result event that the stream holds.
async fn delivered(fleet: &Fleet, store: &dyn Store, audit: &mut Audit) -> anyhow::Result<()> {
    let ours: BTreeSet<&str> = fleet.job_ids().collect();
    let context = jetstream::new(fleet.stack.nats.client().await?);
    let mut stream = context.get_stream("AGENT_STATUS").await?;
    let state = stream.info().await?.state.clone();
    for seq in state.first_sequence..=state.last_sequence {
        let Ok(message) = stream.get_raw_message(seq).await else { continue };
        audit.text("a result event", &String::from_utf8_lossy(&message.payload));
        let event: Value = serde_json::from_slice(&message.payload)?;
        let text = |at: &str| Arc::<str>::from(event.pointer(at).and_then(Value::as_str).unwrap_or("?"));
        let (mut job, id) = (text("/data/job_id"), text("/id"));
        if !ours.contains(&*job) {
            // Somebody's hostile message: it ended as a job after all, or it is a dead letter, one of many under a name.
            let record = store.job(&job).await?.filter(|record| record.status.is_terminal());
            let status = record.as_ref().map_or("dead letter", |record| record.status.as_str());
            if record.is_none() {
                job = Arc::from(format!("{job}/{id}"));
            }
            audit.saw(Fact::Ended { job: job.clone(), status: Arc::from(status), result: 0 });
        }
        audit.saw(Fact::Delivered { job, id: text("/id"), body: digest(&message.payload) });
    }
    Ok(())
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}
