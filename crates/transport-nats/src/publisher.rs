//! Result events on `agent.status.*`.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use agent_checkpoint_store::OutboxMessage;
use agent_executor_runtime::{PublishError, ResultPublisher};
use async_nats::HeaderMap;
use async_trait::async_trait;
use serde::Deserialize;
use tokio::time::Instant;
use tracing::warn;

use crate::connection::Nats;

/// How long the answer to "does a stream hold this subject" is believed.
const STREAM_ANSWER: Duration = Duration::from_secs(30);
/// Room for the protocol's own bytes below the server's limit.
const HEAD_ROOM: usize = 4096;

/// Publishes result events through JetStream where a stream holds the subject, else once as a plain message.
#[derive(Debug)]
pub struct NatsPublisher {
    nats: Nats,
    held: Mutex<Option<(Instant, bool)>>,
}

#[derive(Deserialize)]
struct StreamNames {
    #[serde(default)]
    streams: Option<Vec<String>>,
}

impl NatsPublisher {
    /// A publisher on this connection.
    pub const fn new(nats: Nats) -> Self {
        Self { nats, held: Mutex::new(None) }
    }

    fn kept(&self) -> Option<bool> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.filter(|(asked, _)| asked.elapsed() < STREAM_ANSWER).map(|(_, answer)| answer)
    }

    fn keep(&self, answer: Option<bool>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let before = held.map(|(_, answer)| answer);
        *held = answer.map(|answer| (Instant::now(), answer));
        if answer == Some(false) && before != Some(false) {
            warn!(
                event = "status_stream_missing",
                "no stream holds agent.status.*: results are published once, as plain messages"
            );
        }
    }

    /// Whether a stream holds the subject.
    async fn stream_holds(&self, subject: &str) -> Result<bool, PublishError> {
        if let Some(answer) = self.kept() {
            return Ok(answer);
        }
        let question = serde_json::json!({ "subject": subject });
        let names: StreamNames = self
            .nats
            .jetstream
            .request("STREAM.NAMES", &question)
            .await
            .map_err(|error| PublishError(format!("STREAM.NAMES: {error}")))?;
        let answer = names.streams.is_some_and(|streams| !streams.is_empty());
        self.keep(Some(answer));
        Ok(answer)
    }
}

#[async_trait]
impl ResultPublisher for NatsPublisher {
    async fn publish(&self, message: &OutboxMessage) -> Result<(), PublishError> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", &*message.id);
        headers.insert("content-type", "application/cloudevents+json; charset=utf-8");
        let limit = self.nats.client.server_info().max_payload.saturating_sub(HEAD_ROOM);
        let body = agent_wire::shorten(&message.body, limit, &message.thread_id);
        let subject = message.subject.clone();
        if !self.stream_holds(&subject).await? {
            metrics::counter!("agent_executor_results_unstreamed_total").increment(1);
            let sent = self.nats.client.publish_with_headers(subject, headers, body).await;
            sent.map_err(|error| PublishError(error.to_string()))?;
            return self.nats.client.flush().await.map_err(|error| PublishError(error.to_string()));
        }
        let acked = self.nats.jetstream.publish_with_headers(subject, headers, body).await;
        let acked = acked.map_err(|error| PublishError(error.to_string()))?.await;
        if acked.is_err() {
            // The stream may be gone: ask again before the next try.
            self.keep(None);
        }
        acked.map(drop).map_err(|error| PublishError(error.to_string()))
    }
}
