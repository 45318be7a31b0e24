//! Result events on `agent.status.*`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use agent_checkpoint_store::OutboxMessage;
use agent_executor_runtime::{PublishError, ResultPublisher};
use agent_telemetry::metric;
use async_nats::HeaderMap;
use async_nats::jetstream::context::{PublishErrorKind, RequestErrorKind};
use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use tokio::time::Instant;
use tracing::{info, warn};

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
    warned: AtomicBool,
}

#[derive(Deserialize)]
struct StreamNames {
    #[serde(default)]
    streams: Option<Vec<String>>,
    /// The server could not say.
    #[serde(default)]
    error: Option<serde_json::Value>,
}

/// What came of a publish through JetStream.
enum Streamed {
    Stored,
    /// Nothing listens for it: the stream is gone.
    NoStream,
    /// Somebody may listen, but no stream has answered.
    Silent(PublishError),
    Failed(PublishError),
}

impl NatsPublisher {
    /// A publisher on this connection.
    pub const fn new(nats: Nats) -> Self {
        Self { nats, held: Mutex::new(None), warned: AtomicBool::new(false) }
    }

    fn kept(&self) -> Option<bool> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.filter(|(asked, _)| asked.elapsed() < STREAM_ANSWER).map(|(_, answer)| answer)
    }

    fn keep(&self, answer: Option<bool>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) =
            answer.map(|answer| (Instant::now(), answer));
        match answer {
            Some(false) if !self.warned.swap(true, Ordering::Relaxed) => warn!(
                event = "status_stream_missing",
                runbook = "docs/operations.md#no-stream-for-results",
                "no stream holds agent.status.*: results are published once, as plain messages"
            ),
            Some(true) if self.warned.swap(false, Ordering::Relaxed) => {
                info!(event = "status_stream_found", "results are published through JetStream from now on");
            }
            Some(_) | None => {}
        }
    }

    /// Whether a stream holds the subject, as the server says now. A server without JetStream has no stream.
    async fn ask(&self, subject: &str) -> Result<bool, PublishError> {
        let question = serde_json::json!({ "subject": subject });
        let names: Result<StreamNames, _> = self.nats.jetstream.request("STREAM.NAMES", &question).await;
        let answer = match names {
            Ok(StreamNames { error: Some(error), .. }) => {
                return Err(PublishError(format!("STREAM.NAMES: {error}")));
            }
            Ok(names) => names.streams.is_some_and(|streams| !streams.is_empty()),
            // JetStream is up before clients are let in, so that nobody answers only where there is none.
            Err(error) if error.kind() == RequestErrorKind::NoResponders => false,
            Err(error) => return Err(PublishError(format!("STREAM.NAMES: {error}"))),
        };
        self.keep(Some(answer));
        Ok(answer)
    }

    async fn stream_holds(&self, subject: &str) -> Result<bool, PublishError> {
        match self.kept() {
            Some(answer) => Ok(answer),
            None => self.ask(subject).await,
        }
    }

    async fn through_stream(&self, subject: &str, headers: HeaderMap, body: Bytes) -> Streamed {
        let sent = self.nats.jetstream.publish_with_headers(subject.to_owned(), headers, body).await;
        let acked = match sent {
            Ok(ack) => ack.await,
            Err(error) => Err(error),
        };
        match acked {
            Ok(_) => Streamed::Stored,
            Err(error) if error.kind() == PublishErrorKind::StreamNotFound => Streamed::NoStream,
            Err(error) if error.kind() == PublishErrorKind::TimedOut => {
                Streamed::Silent(PublishError(error.to_string()))
            }
            Err(error) => Streamed::Failed(PublishError(error.to_string())),
        }
    }

    /// A publish without an answer: where no stream holds the subject it was a plain message that whoever listens has
    /// got, and a second copy is not due.
    async fn unanswered(&self, subject: &str, error: PublishError) -> Result<(), PublishError> {
        self.keep(None);
        if self.ask(subject).await? {
            return Err(error);
        }
        metric::RESULTS_UNSTREAMED.with(&[]).increment(1);
        Ok(())
    }

    /// Once, as a plain message. The question that follows on the same connection is answered only when the server
    /// has taken the message in; its answer is kept too.
    async fn plainly(&self, subject: &str, headers: HeaderMap, body: Bytes) -> Result<(), PublishError> {
        let told = |error: &dyn std::fmt::Display| PublishError(error.to_string());
        let sent = self.nats.client.publish_with_headers(subject.to_owned(), headers, body).await;
        sent.map_err(|error| told(&error))?;
        self.nats.client.flush().await.map_err(|error| told(&error))?;
        self.ask(subject).await?;
        metric::RESULTS_UNSTREAMED.with(&[]).increment(1);
        Ok(())
    }
}

#[async_trait]
impl ResultPublisher for NatsPublisher {
    async fn publish(&self, message: &OutboxMessage) -> Result<(), PublishError> {
        if !self.nats.connected() {
            // The client would keep it and send it some time, whatever we do meanwhile.
            return Err(PublishError("NATS is not connected".to_owned()));
        }
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", &*message.id);
        headers.insert("content-type", "application/cloudevents+json; charset=utf-8");
        let limit = self.nats.client.server_info().max_payload.saturating_sub(HEAD_ROOM);
        let body = agent_wire::shorten(&message.body, limit, &message.thread_id);
        let subject = message.subject.as_str();
        if !self.stream_holds(subject).await? {
            return self.plainly(subject, headers, body).await;
        }
        match self.through_stream(subject, headers.clone(), body.clone()).await {
            Streamed::Stored => Ok(()),
            // The kept answer was wrong: nobody has the message.
            Streamed::NoStream if !self.ask(subject).await? => self.plainly(subject, headers, body).await,
            Streamed::NoStream => {
                Err(PublishError("the stream of the results has just come back".to_owned()))
            }
            Streamed::Silent(error) => self.unanswered(subject, error).await,
            Streamed::Failed(error) => {
                self.keep(None);
                Err(error)
            }
        }
    }
}
