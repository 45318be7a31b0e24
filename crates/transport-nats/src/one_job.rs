//! For pods that run one job each: takes one message, deals with it, and says that it is over.

use std::time::Duration;

use agent_executor_runtime::Executor;
use agent_telemetry::metric;
use futures_util::StreamExt;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::connection::Nats;
use crate::delivery::handle;

/// Pause before the stream or consumer is looked for again.
const MISSING_PAUSE: Duration = Duration::from_secs(2);

/// What became of the one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OneJob {
    /// A message came, and was answered: acknowledged, handed back, or refused.
    Handled,
    /// No message came in time. Another pod was quicker, or nothing waits.
    NothingCame,
    /// The worker was told to stop before one came.
    Stopped,
}

/// Waits at most `patience` for a message and deals with it.
pub async fn consume_one(nats: &Nats, executor: &Executor, patience: Duration) -> OneJob {
    let until = Instant::now() + patience;
    let draining = executor.draining();
    while Instant::now() < until {
        let Some(slot) = executor.slot().await else { return OneJob::Stopped };
        let consumer = match nats.consumer().await {
            Ok(consumer) => consumer,
            Err(missing) => {
                warn!(event = "nats_consumer_missing", error = missing);
                metric::NATS_ERRORS.with(&["consumer"]).increment(1);
                drop(slot);
                tokio::time::sleep(MISSING_PAUSE).await;
                continue;
            }
        };
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        let expires = nats.settings.pull_expires.min(left);
        let Ok(mut batch) = consumer.batch().max_messages(1).expires(expires).messages().await else {
            drop(slot);
            tokio::time::sleep(MISSING_PAUSE).await;
            continue;
        };
        let message = tokio::select! {
            biased;
            // A message that still comes is delivered again to another after ack_wait.
            () = draining.cancelled() => return OneJob::Stopped,
            message = batch.next() => message,
        };
        match message {
            Some(Ok(message)) => {
                info!(event = "one_job_taken", subject = message.subject.as_str());
                handle(nats, executor, message, slot).await;
                nats.flush().await;
                return OneJob::Handled;
            }
            Some(Err(error)) => {
                warn!(event = "nats_fetch_error", %error);
                metric::NATS_ERRORS.with(&["fetch"]).increment(1);
                tokio::time::sleep(MISSING_PAUSE).await;
            }
            None => {}
        }
    }
    OneJob::NothingCame
}
