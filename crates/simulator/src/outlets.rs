//! Where results and events go.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_checkpoint_store::OutboxMessage;
use agent_executor_core::audit::{Fact, Sometimes};
use agent_executor_runtime::{PublishError, ResultPublisher};
use agent_stream_sink::{EventKind, SinkEvent, StreamSink};
use async_trait::async_trait;
use serde_json::Value;

use crate::ledger::digest;
use crate::node::{Node, Peer};
use crate::plan::Planted;

/// The stream of results, as all workers share it.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// Ids whose publication failed once.
    failed: Mutex<BTreeSet<Arc<str>>>,
}

pub(crate) struct NodeResults(pub(crate) Arc<Node>);

impl NodeResults {
    fn failed(&self, message: &OutboxMessage, why: &str) -> PublishError {
        let mut failed = self.0.world.results.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.insert(message.id.clone());
        PublishError(why.to_owned())
    }
}

#[async_trait]
impl ResultPublisher for NodeResults {
    async fn publish(&self, message: &OutboxMessage) -> Result<(), PublishError> {
        let node = &self.0;
        let world = &node.world;
        node.point("publish").await;
        let faulty = world.faulty() && world.dice.happens(world.plan.publish_fault);
        if node.is_cut_off(Peer::Results) || faulty && world.dice.happens(5_000) {
            tokio::time::sleep(world.dice.millis(1, 12_000)).await;
            return Err(self.failed(message, "simulated: not sent"));
        }
        if world.options.planted == Some(Planted::LostResult) && world.dice.happens(1_000) {
            return Ok(());
        }
        let body: Value = serde_json::from_slice(&message.body).unwrap_or_default();
        let job = body.pointer("/data/job_id").and_then(Value::as_str).unwrap_or("?");
        let fact =
            Fact::Delivered { job: Arc::from(job), id: message.id.clone(), body: digest(&message.body) };
        world.ledger.trace(format_args!("{} tells the result of {job}", node.owner));
        world.ledger.fact(fact);
        let before = world.results.failed.lock().unwrap_or_else(PoisonError::into_inner).remove(&message.id);
        if before {
            world.ledger.sometimes(Sometimes::OutboxRetry);
        }
        node.point("published").await;
        if faulty {
            return Err(self.failed(message, "simulated: sent, and nobody said so"));
        }
        Ok(())
    }
}

/// The first number after a member's name. Our own members stand before everything that a model or user wrote.
fn number_after(payload: &[u8], name: &str) -> Option<u64> {
    let at = memchr::memmem::find(payload, name.as_bytes())? + name.len();
    let rest = payload.get(at..)?;
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()
}

/// A stream that loses nothing and reorders nothing: what the runtime itself numbers is judged.
pub(crate) struct NodeSink(pub(crate) Arc<Node>);

#[async_trait]
impl StreamSink for NodeSink {
    fn publish(&self, event: SinkEvent) {
        let node = &self.0;
        if node.is_dead() {
            return;
        }
        let number = |name: &str| number_after(&event.payload, name);
        let epoch = number("\"epoch\":").and_then(|epoch| i64::try_from(epoch).ok()).unwrap_or(-1);
        let covers = match event.kind {
            EventKind::AttemptSuperseded | EventKind::Gap => number("\"from_seq\":"),
            EventKind::StateUpdate
            | EventKind::LlmStream
            | EventKind::ToolStart
            | EventKind::ToolEnd
            | EventKind::Error
            | EventKind::End => None,
        };
        node.world.ledger.trace(format_args!("{} event {} {}", node.owner, event.seq, event.kind.as_str()));
        node.world.ledger.count("stream event");
        node.world.ledger.fact(Fact::Told { thread: event.thread_id, epoch, seq: event.seq, covers });
    }

    async fn flush(&self, _: Duration) -> bool {
        true
    }

    async fn healthy(&self) -> bool {
        true
    }
}
