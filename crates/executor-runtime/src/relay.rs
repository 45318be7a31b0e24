//! The way of result events out of the store.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_checkpoint_store::{DeadLetter, JobRecord, JobStatus, OutboxMessage, StoreError};
use agent_telemetry::metric;
use agent_wire::{RawMessage, Refusal, ResultEvent, result_event_id};
use bytes::Bytes;
use tracing::{error, info, warn};

use crate::executor::{Executor, Shared};
use crate::setbacks::StoreCall;

/// How long a try to publish may take.
const TRY: Duration = Duration::from_secs(10);
/// Results that this worker tries again by itself; what is beyond waits for the sweep.
const KEPT: usize = 1024;
/// Messages that are read from the outbox at once.
const BATCH: usize = 256;
/// After so many failures in a row a round ends: the broker is away, not the message bad.
const GIVE_UP: u32 = 3;

/// Results of this worker that could not leave yet, in order. They stand in the outbox too: what is forgotten here is
/// only late.
#[derive(Debug, Default)]
pub(crate) struct Unsent(Mutex<VecDeque<OutboxMessage>>);

impl Unsent {
    fn keep(&self, message: OutboxMessage) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push_back(message);
        }
    }

    fn take(&self) -> VecDeque<OutboxMessage> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    /// Publishes a message that is in the outbox. What fails is tried again, by this worker and by the sweep.
    pub(crate) async fn relay(&self, message: OutboxMessage) -> bool {
        if self.publish(&message).await {
            self.note_sent(message);
            return true;
        }
        self.unsent.keep(message);
        false
    }

    async fn publish(&self, message: &OutboxMessage) -> bool {
        let published = tokio::time::timeout(TRY, self.backends.publisher.publish(message)).await;
        let outcome = match published {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", TRY.as_secs())),
        };
        let word = if outcome.is_ok() { "published" } else { "failed" };
        metric::OUTBOX_PUBLISHED.with(&[word]).increment(1);
        if let Err(why) = &outcome {
            warn!(event = "result_publish_failed", subject = %message.subject, id = %message.id,
                thread_id = %message.thread_id, error = %why,
                runbook = "docs/operations.md#results-do-not-leave");
        }
        outcome.is_ok()
    }

    /// Tries those of this worker's results again that could not leave.
    pub(crate) async fn send_again(&self) {
        self.send_all(self.unsent.take()).await;
    }

    /// Sends these, as long as something leaves. What does not is kept.
    async fn send_all(&self, messages: VecDeque<OutboxMessage>) {
        let mut failures = 0;
        for message in messages {
            if failures >= GIVE_UP {
                self.unsent.keep(message);
            } else if self.relay(message).await {
                failures = 0;
            } else {
                failures += 1;
            }
        }
    }

    /// One round over the outbox: whatever has not left, of whichever worker.
    pub(crate) async fn relay_due(&self) -> Result<(), StoreError> {
        // What was sent and is not marked yet is not due.
        self.mark_sent().await;
        let due = self.backends.store.outbox_due(self.settings.outbox_after, BATCH).await?;
        metric::OUTBOX_PENDING.with(&[]).set(f64::from(u32::try_from(due.len()).unwrap_or(u32::MAX)));
        let mut failures = 0;
        for message in due {
            if self.publish(&message).await {
                info!(event = "result_published_late", id = %message.id, thread_id = %message.thread_id);
                self.note_sent(message);
                failures = 0;
            } else {
                failures += 1;
                if failures >= GIVE_UP {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Executor {
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
        metric::DEAD_LETTERS.with(&[refusal.code]).increment(1);
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
            self.relay_refusal(&message.id).await;
        }
        Ok(())
    }

    /// Sends the failed event of a refused message as the outbox has it: a message that comes again, or another one
    /// that names the same job, must not tell its story in other words.
    async fn relay_refusal(&self, id: &str) {
        match self.shared.backends.store.outbox_due(Duration::ZERO, BATCH).await {
            Ok(due) => {
                if let Some(message) = due.into_iter().find(|message| *message.id == *id) {
                    self.shared.relay(message).await;
                }
            }
            Err(error) => {
                warn!(event = "outbox_unread", %error);
                StoreCall::Outbox.failed();
            }
        }
    }
}
