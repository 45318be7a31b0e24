//! The loop that pulls: never more than there are free slots.

use std::time::Duration;

use agent_executor_runtime::{Executor, Slot};
use agent_telemetry::metric;
use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::Batch;
use futures_util::StreamExt;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::connection::Nats;
use crate::delivery::handle;

/// Most messages of one pull.
const MAX_BATCH: usize = 256;
/// How long messages may be on their way to a worker that stops.
const ON_THE_WAY: Duration = Duration::from_millis(200);
/// Pause after the stream or consumer was missing.
const MISSING_PAUSE: Duration = Duration::from_secs(2);

/// Pulls and runs jobs until the executor drains, then waits until every message is answered.
pub async fn consume(nats: Nats, executor: Executor) {
    let deliveries = TaskTracker::new();
    let mut consumer: Option<PullConsumer> = None;
    while let Some(first) = executor.slot().await {
        let ready = match consumer.take() {
            Some(ready) => ready,
            None => match nats.consumer().await {
                Ok(ready) => {
                    info!(event = "nats_consumer_started", consumer = nats.settings.consumer);
                    ready
                }
                Err(missing) => {
                    warn!(
                        event = "nats_consumer_missing",
                        error = missing,
                        runbook = "docs/operations.md#nats-stream-or-consumer-missing"
                    );
                    metric::NATS_ERRORS.with(&["consumer"]).increment(1);
                    drop(first);
                    pause(&executor).await;
                    continue;
                }
            },
        };
        let mut slots = vec![first];
        while slots.len() < MAX_BATCH {
            let Some(slot) = executor.free_slot() else { break };
            slots.push(slot);
        }
        if pull(&nats, &executor, &ready, slots, &deliveries).await {
            consumer = Some(ready);
        }
    }
    deliveries.close();
    deliveries.wait().await;
    nats.flush().await;
    info!(event = "nats_consumer_stopped");
}

async fn pause(executor: &Executor) {
    let draining = executor.draining();
    tokio::select! {
        biased;
        () = draining.cancelled() => {}
        () = tokio::time::sleep(MISSING_PAUSE) => {}
    }
}

/// Messages that were on their way when the worker began to stop: others get them at once, not after `ack_wait`.
async fn give_back(batch: &mut Batch) {
    let until = Instant::now() + ON_THE_WAY;
    while let Ok(Some(Ok(message))) = tokio::time::timeout_at(until, batch.next()).await {
        if let Err(error) = message.ack_with(AckKind::Nak(None)).await {
            warn!(event = "nats_ack_failed", %error);
            metric::NATS_ERRORS.with(&["ack"]).increment(1);
        }
    }
}

/// One pull. `false`: the consumer must be looked up again.
async fn pull(
    nats: &Nats,
    executor: &Executor,
    consumer: &PullConsumer,
    mut slots: Vec<Slot>,
    deliveries: &TaskTracker,
) -> bool {
    let batch =
        consumer.batch().max_messages(slots.len()).expires(nats.settings.pull_expires).messages().await;
    let mut batch = match batch {
        Ok(batch) => batch,
        Err(error) => {
            warn!(event = "nats_fetch_error", %error);
            metric::NATS_ERRORS.with(&["fetch"]).increment(1);
            pause(executor).await;
            return false;
        }
    };
    let draining = executor.draining();
    loop {
        let message = tokio::select! {
            biased;
            () = draining.cancelled() => {
                give_back(&mut batch).await;
                return true;
            }
            message = batch.next() => message,
        };
        match message {
            None => return true,
            Some(Ok(message)) => {
                let Some(slot) = slots.pop() else { return true };
                let (nats, executor) = (nats.clone(), executor.clone());
                deliveries.spawn(async move { handle(&nats, &executor, message, slot).await });
            }
            Some(Err(error)) => {
                warn!(event = "nats_fetch_error", %error);
                metric::NATS_ERRORS.with(&["fetch"]).increment(1);
                pause(executor).await;
                return false;
            }
        }
    }
}
