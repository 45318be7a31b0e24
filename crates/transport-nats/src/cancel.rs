//! Requests to end a job: `agent.cancel.{job_id}`.

use std::time::Duration;

use agent_executor_runtime::Executor;
use agent_telemetry::metric;
use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::connection::Nats;

/// All workers hear these; each request goes to one of them.
const SUBJECT: &str = "agent.cancel.*";
const GROUP: &str = "agent-executor";
/// Pause before the subscription is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Answers requests until the executor drains. The answer comes when the cancel stands in the store.
pub async fn answer_cancels(nats: Nats, executor: Executor) {
    let draining = executor.draining();
    while !draining.is_cancelled() {
        // The client renews a subscription by itself after a break.
        match nats.client.queue_subscribe(SUBJECT, GROUP.to_owned()).await {
            Ok(requests) => serve(&nats, &executor, requests).await,
            Err(error) => {
                warn!(event = "cancel_requests_unheard", %error);
                metric::NATS_ERRORS.with(&["cancel"]).increment(1);
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

async fn serve(nats: &Nats, executor: &Executor, mut requests: Subscriber) {
    let draining = executor.draining();
    loop {
        let request = tokio::select! {
            biased;
            () = draining.cancelled() => {
                // Others get what comes from now on.
                if let Err(error) = requests.unsubscribe().await {
                    warn!(event = "cancel_requests_not_left", %error);
                }
                return;
            }
            request = requests.next() => request,
        };
        let Some(request) = request else { return };
        let (nats, executor) = (nats.clone(), executor.clone());
        tokio::spawn(async move { reply(&nats, &executor, &request).await });
    }
}

async fn reply(nats: &Nats, executor: &Executor, request: &Message) {
    let job_id = request.subject.rsplit('.').next().unwrap_or_default();
    let answer = answer(executor, job_id).await;
    info!(event = "cancel_request_answered", job_id, %answer);
    let Some(to) = request.reply.clone() else { return };
    if let Err(error) = nats.client.publish(to, answer.to_string().into()).await {
        warn!(event = "cancel_request_unanswered", job_id, %error);
        metric::NATS_ERRORS.with(&["cancel"]).increment(1);
    }
}

/// What the sender is told: the job's word for its state, or an error with a code.
async fn answer(executor: &Executor, job_id: &str) -> Value {
    match executor.cancel(job_id).await {
        Ok(Some(job)) => {
            let requested = job.cancel_requested || !job.status.is_terminal();
            json!({ "job_id": job_id, "status": job.status.as_str(), "cancel_requested": requested })
        }
        Ok(None) => {
            let message = format!("no job is called `{job_id}`");
            json!({ "job_id": job_id, "error": { "code": "job.unknown", "message": message } })
        }
        Err(error) => {
            let error = json!({ "code": "store.unavailable", "message": error.to_string() });
            json!({ "job_id": job_id, "error": error })
        }
    }
}
