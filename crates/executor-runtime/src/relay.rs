//! The way of result events out of the store.

use std::sync::Arc;
use std::time::Duration;

use agent_checkpoint_store::{DeadLetter, JobRecord, JobStatus, OutboxMessage, StoreError};
use agent_wire::{RawMessage, Refusal, ResultEvent, result_event_id};
use bytes::Bytes;
use tracing::{error, info, warn};

use crate::executor::{Executor, Shared};

/// How long a job's end waits for its result to leave before the relay takes over.
const FIRST_TRY: Duration = Duration::from_secs(10);
/// Messages that one sweep sends.
const BATCH: usize = 256;

impl Shared {
    /// Publishes a message that is in the outbox. What fails stays there for the sweep.
    pub(crate) async fn relay(&self, message: OutboxMessage) -> bool {
        let published = tokio::time::timeout(FIRST_TRY, self.backends.publisher.publish(&message)).await;
        let outcome = match published {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", FIRST_TRY.as_secs())),
        };
        if let Err(why) = outcome {
            warn!(event = "result_publish_failed", subject = %message.subject, error = %why);
            metrics::counter!("agent_executor_outbox_published_total", "outcome" => "failed").increment(1);
            return false;
        }
        metrics::counter!("agent_executor_outbox_published_total", "outcome" => "published").increment(1);
        self.left(message);
        true
    }
}

impl Executor {
    /// One round of upkeep: results that have not left, jobs that nobody holds.
    pub(crate) async fn sweep(&self) {
        self.relay_due().await;
        if let Err(error) = self.adopt_orphans().await {
            warn!(event = "sweep_failed", %error);
        }
    }

    async fn relay_due(&self) {
        let shared = &self.shared;
        match shared.backends.store.outbox_due(shared.settings.outbox_after, BATCH).await {
            Ok(due) => {
                metrics::gauge!("agent_executor_outbox_pending")
                    .set(f64::from(u32::try_from(due.len()).unwrap_or(u32::MAX)));
                for message in due {
                    if !shared.relay(message).await {
                        break;
                    }
                }
            }
            Err(error) => warn!(event = "outbox_unread", %error),
        }
    }

    async fn adopt_orphans(&self) -> Result<(), StoreError> {
        let shared = &self.shared;
        let orphans =
            shared.backends.store.orphans(shared.settings.orphan_after, shared.settings.orphan_after, shared.settings.concurrency).await?;
        for thread_id in orphans {
            let Some(slot) = self.free_slot() else { return Ok(()) };
            if shared.leases.holds(&thread_id) {
                continue;
            }
            if let Some((lease, job)) =
                shared.backends.store.acquire(&thread_id, &shared.settings.owner).await?
            {
                info!(event = "job_adopted", job_id = %job.job_id, thread_id = %thread_id);
                self.spawn(lease, job, None, slot);
            }
        }
        Ok(())
    }

    /// Sends a finished job's result once more, under its id. `false`: it has none, or it did not leave.
    pub async fn resend(&self, job: &JobRecord) -> bool {
        let Some(body) = job.result.clone() else { return false };
        let completed = job.status == JobStatus::Completed;
        let message = OutboxMessage {
            id: Arc::from(result_event_id(&job.job_id).to_string()),
            thread_id: job.thread_id.clone(),
            subject: format!("agent.status.{}", if completed { "completed" } else { "failed" }),
            body,
        };
        self.shared.relay(message).await
    }

    /// Records a message that cannot be made a job; where its job id is known, a failed event tells its sender.
    ///
    /// # Errors
    /// [`StoreError`]: nothing is recorded, the message must come again.
    pub async fn refuse(&self, raw: &RawMessage<'_>, refusal: &Refusal) -> Result<(), StoreError> {
        error!(event = "job_rejected", code = refusal.code, error = %refusal.message, subject = raw.subject,
            job_id = refusal.reported_job_id(),
            runbook = %format_args!("docs/operations.md#{}", refusal.code.replace('.', "-")));
        metrics::counter!("agent_executor_dead_letters_total", "code" => refusal.code).increment(1);
        let outbox = refusal.wants_event().then(|| {
            let event = ResultEvent::refused(refusal, self.shared.backends.clock.stamp().seed);
            OutboxMessage {
                id: Arc::from(event.id.as_str()),
                thread_id: Arc::from(refusal.reported_job_id()),
                subject: event.subject.to_owned(),
                body: event.body,
            }
        });
        let letter = DeadLetter {
            source: raw.source.to_owned(),
            seq: raw.seq,
            code: refusal.code.to_owned(),
            reason: refusal.message.clone(),
            job_id: refusal.job_id.as_ref().map(ToString::to_string),
            subject: raw.subject.to_owned(),
            head: Bytes::copy_from_slice(raw.head()),
            hash: raw.hash(),
            outbox: outbox.clone(),
        };
        self.shared.backends.store.dead_letter(letter).await?;
        if let Some(message) = outbox {
            self.shared.relay(message).await;
        }
        Ok(())
    }
}
