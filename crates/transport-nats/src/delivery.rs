//! One message: from its bytes to its acknowledgement.

use std::time::Duration;

use agent_executor_runtime::{Executor, JobEnd, JobHandle, Slot, Submission};
use agent_telemetry::metric;
use agent_wire::{JobRequest, RawMessage, Refusal};
use async_nats::jetstream::{AckKind, Message};
use tracing::warn;

use crate::connection::Nats;

/// Pause before a message comes back that could not be dealt with now.
const BACK_OFF: Duration = Duration::from_secs(5);

/// Deals with one message and answers it: ack, nak, term, or, when somebody else owns the job, not at all.
pub(crate) async fn handle(nats: &Nats, executor: &Executor, message: Message, slot: Slot) {
    let answer = decide(nats, executor, &message, slot).await;
    let Some(kind) = answer else { return };
    match kind {
        AckKind::Ack => metric::NATS_MESSAGES_PROCESSED.with(&[]).increment(1),
        AckKind::Term => metric::NATS_MESSAGES_FAILED.with(&[]).increment(1),
        // It comes again, and is counted then.
        AckKind::Nak(_) | AckKind::Progress | AckKind::Next => {}
    }
    let sent = match kind {
        // A lost ack only brings a finished job back, which is answered without work.
        AckKind::Ack => message.double_ack().await,
        AckKind::Nak(_) | AckKind::Progress | AckKind::Next | AckKind::Term => message.ack_with(kind).await,
    };
    if let Err(error) = sent {
        warn!(event = "nats_ack_failed", subject = %message.subject, %error);
        metric::NATS_ERRORS.with(&["ack"]).increment(1);
    }
}

async fn decide(nats: &Nats, executor: &Executor, message: &Message, slot: Slot) -> Option<AckKind> {
    let subject = message.subject.as_str();
    let headers = header_pairs(message);
    let token = subject.rsplit('.').next();
    let limits = &executor.settings().limits;
    let request = match JobRequest::parse(&message.payload, &headers, limits, token) {
        Ok(request) => request,
        Err(refusal) => return refuse(nats, executor, message, &refusal).await,
    };
    if nats.settings.subject_must_match && token != Some(request.job_id.as_str()) {
        let refusal = Refusal::subject_mismatch(&request.job_id, subject);
        return refuse(nats, executor, message, &refusal).await;
    }
    let reused = Refusal::job_id_reused(&request.job_id);
    match executor.submit(request, slot).await {
        Ok(Submission::Running(handle)) => after(executor, message, handle, nats.settings.ack_wait / 3).await,
        Ok(Submission::Queued { retry_in }) => Some(AckKind::Nak(Some(retry_in + jitter(message)))),
        Ok(Submission::Done(job)) => {
            let first = message.info().is_ok_and(|info| info.delivered <= 1);
            if first {
                executor.resend(&job).await;
            }
            Some(AckKind::Ack)
        }
        Ok(Submission::IdReused) => refuse(nats, executor, message, &reused).await,
        Err(error) => {
            warn!(event = "job_not_admitted", subject, %error);
            metric::NATS_ERRORS.with(&["admit"]).increment(1);
            Some(AckKind::Nak(Some(BACK_OFF)))
        }
    }
}

/// Keeps the message ours while the job runs.
async fn after(
    executor: &Executor,
    message: &Message,
    handle: JobHandle,
    every: Duration,
) -> Option<AckKind> {
    let ended = handle.ended();
    tokio::pin!(ended);
    let end = loop {
        tokio::select! {
            end = &mut ended => break end,
            () = tokio::time::sleep(every) => {
                if let Err(error) = message.ack_with(AckKind::Progress).await {
                    warn!(event = "nats_progress_failed", %error);
                    metric::NATS_ERRORS.with(&["ack"]).increment(1);
                }
            }
        }
    };
    match end {
        JobEnd::Ended(_) => Some(AckKind::Ack),
        JobEnd::Fenced => None,
        JobEnd::HandedBack if executor.is_draining() => Some(AckKind::Nak(None)),
        JobEnd::HandedBack => Some(AckKind::Nak(Some(BACK_OFF))),
    }
}

async fn refuse(nats: &Nats, executor: &Executor, message: &Message, refusal: &Refusal) -> Option<AckKind> {
    let seq = message.info().map_or(0, |info| info.stream_sequence);
    let raw = RawMessage {
        source: &nats.settings.stream,
        seq,
        subject: message.subject.as_str(),
        body: &message.payload,
    };
    match executor.refuse(&raw, refusal).await {
        Ok(()) => Some(AckKind::Term),
        Err(error) => {
            warn!(event = "dead_letter_not_written", %error);
            metric::NATS_ERRORS.with(&["dead_letter"]).increment(1);
            Some(AckKind::Nak(Some(BACK_OFF)))
        }
    }
}

fn header_pairs(message: &Message) -> Vec<(String, String)> {
    let Some(headers) = &message.headers else { return Vec::new() };
    let pairs = headers.iter().flat_map(|(name, values)| {
        values.iter().map(move |value| (name.to_string(), value.as_str().to_owned()))
    });
    pairs.collect()
}

/// Up to five seconds, different for each message, so that waiting jobs do not come back all at once.
fn jitter(message: &Message) -> Duration {
    let seq = message.info().map_or(0, |info| info.stream_sequence);
    Duration::from_millis(seq.wrapping_mul(2_654_435_761) % 5000)
}
