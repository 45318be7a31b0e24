//! WebSocket `/stream/{thread_id}`: frames `{event_type, data}`, as the IDE client expects them (wire contract 5).

use std::time::Duration;

use agent_checkpoint_store::{JobStatus, StoreError};
use agent_executor_runtime::{Events, Since};
use agent_stream_sink::{EventKind, SinkEvent};
use agent_telemetry::metric;
use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{debug, info, warn};

use crate::answers;
use crate::limits;
use crate::replayed;
use crate::router::HttpDoor;
use crate::sse::From;

/// Largest inbound frame; what a client sends is not read.
const INBOUND: usize = 64 * 1024;
/// Of each connection, from its beginning. The library's own default is 128 KiB; clients say next to nothing.
const READ_BUFFER: usize = 4 * 1024;
/// Between two pings.
const PING_EVERY: Duration = Duration::from_secs(20);
/// A client that has sent nothing for so long, not even the answer to a ping, is gone.
const SILENCE: Duration = Duration::from_secs(65);

const NORMAL: u16 = 1000;
const AWAY: u16 = 1001;
const FAILED: u16 = 1011;

/// The newest job of the thread from its beginning, or everything after `?since=`.
pub(crate) async fn get(
    State(door): State<HttpDoor>,
    Path(thread): Path<String>,
    Query(from): Query<From>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !door.guard.allows_origin(&headers) {
        limits::refused("origin");
        let detail = "the origin may not open a WebSocket here";
        return answers::error(StatusCode::FORBIDDEN, detail, Some("auth.origin")).into_response();
    }
    let since = match from.number() {
        Ok(number) => number.map_or(Since::NewestJob, Since::Number),
        Err(_) => return answers::bad_parameter("query", "since", "expected the number of an event"),
    };
    upgrade
        .protocols(["bearer"])
        .max_message_size(INBOUND)
        .max_frame_size(INBOUND)
        .read_buffer_size(READ_BUFFER)
        .on_upgrade(move |socket| serve(door, thread, since, socket))
}

async fn serve(door: HttpDoor, thread: String, since: Since, socket: WebSocket) {
    let started = Instant::now();
    metric::WEBSOCKET_CONNECTIONS.with(&[]).increment(1);
    metric::WEBSOCKET_CONNECTIONS_ACTIVE.with(&[]).increment(1.0);
    info!(event = "websocket_connection_established", thread_id = thread);
    let mut talk = Talk { door, thread, socket, failed: false, sent: false };
    let (code, reason) = talk.run(since).await;
    if let Some(code) = code {
        let reason = Utf8Bytes::from(reason);
        // Whoever is gone already needs no good-bye.
        talk.socket.send(Message::Close(Some(CloseFrame { code, reason }))).await.ok();
    }
    info!(event = "websocket_disconnected", thread_id = talk.thread, code, reason);
    metric::WEBSOCKET_CONNECTIONS_ACTIVE.with(&[]).decrement(1.0);
    metric::WEBSOCKET_DURATION.with(&[]).record(started.elapsed().as_secs_f64());
}

/// How a conversation ended: with which code and why. `None`: the client is gone.
type Closed = (Option<u16>, &'static str);

struct Talk {
    door: HttpDoor,
    thread: String,
    socket: WebSocket,
    /// The job in hand has failed: its `end` is not sent.
    failed: bool,
    /// Whether anything was sent.
    sent: bool,
}

impl Talk {
    async fn run(&mut self, since: Since) -> Closed {
        match self.talk(since).await {
            Ok(closed) => closed,
            Err(error) => {
                warn!(event = "events_unread", thread_id = self.thread, %error);
                (Some(FAILED), "the events cannot be read now")
            }
        }
    }

    async fn talk(&mut self, since: Since) -> Result<Closed, StoreError> {
        let mut events = self.door.executor.events(&self.thread, since).await?;
        let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        if let Some(closed) = self.settled(&mut events).await? {
            return Ok(closed);
        }
        loop {
            tokio::select! {
                biased;
                () = self.door.closing.cancelled() => return Ok((Some(AWAY), "the worker stops")),
                inbound = self.socket.recv() => match inbound {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok((None, "the client left")),
                    // What a client says is tolerated, and proves that it is there.
                    Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {
                        heard = Instant::now();
                    }
                },
                event = events.next() => {
                    if let Some(closed) = self.pass_on(event?, &mut events).await? {
                        return Ok(closed);
                    }
                }
                _ = ping.tick() => {
                    if heard.elapsed() > SILENCE {
                        return Ok((None, "the client is silent"));
                    }
                    if self.socket.send(Message::Ping(Bytes::new())).await.is_err() {
                        return Ok((None, "the client left"));
                    }
                    if let Some(closed) = self.settled(&mut events).await? {
                        return Ok(closed);
                    }
                }
            }
        }
    }

    async fn pass_on(&mut self, event: SinkEvent, events: &mut Events) -> Result<Option<Closed>, StoreError> {
        let end = event.kind == EventKind::End;
        self.failed |= event.kind == EventKind::Error;
        // After a failure the client must see a broken connection and no `end`: an `end` means success to it.
        let silent = end && self.failed;
        if !silent && !self.send(event.kind, event.payload).await {
            return Ok(Some((None, "the client left")));
        }
        if !end {
            return Ok(None);
        }
        let failed = std::mem::take(&mut self.failed);
        let over = events.is_over().await?;
        Ok(over.then(|| closed(failed)))
    }

    async fn send(&mut self, kind: EventKind, payload: Bytes) -> bool {
        let text = match Utf8Bytes::try_from(payload) {
            Ok(text) => text,
            Err(error) => {
                debug!(event = "event_not_text", %error);
                return true;
            }
        };
        metric::WEBSOCKET_MESSAGES_SENT.with(&[kind.as_str()]).increment(1);
        self.sent = true;
        // The connection itself gives up a client that takes nothing.
        self.socket.send(Message::Text(text)).await.is_ok()
    }

    /// Nothing more will come: says how the newest job ended, and, where its events are gone from the journal, tells
    /// the state that it left.
    async fn settled(&mut self, events: &mut Events) -> Result<Option<Closed>, StoreError> {
        if !events.is_over().await? {
            return Ok(None);
        }
        let Some(job) = self.door.executor.standing(&self.thread).await?.0 else { return Ok(None) };
        let failed = job.status != JobStatus::Completed;
        if !self.sent {
            for (kind, payload) in replayed::end_of(&self.door.executor, &job, events.position()).await? {
                if !self.send(kind, payload).await {
                    return Ok(Some((None, "the client left")));
                }
            }
        }
        Ok(Some(closed(failed)))
    }
}

const fn closed(failed: bool) -> Closed {
    if failed { (Some(FAILED), "the job failed") } else { (Some(NORMAL), "the job completed") }
}
