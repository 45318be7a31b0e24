//! `GET /threads/{thread_id}/events`: a thread's events as Server-Sent Events.

use std::time::Duration;

use agent_executor_runtime::{Events, Since};
use agent_stream_sink::{EventKind, SinkEvent};
use agent_wire::journal;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tracing::warn;

use crate::answers;
use crate::router::HttpDoor;

/// Between two signs of life, and between two looks at whether more will come.
pub(crate) const ALIVE_EVERY: Duration = Duration::from_secs(15);

#[derive(Debug, Deserialize)]
pub(crate) struct From {
    pub(crate) since: Option<String>,
}

impl From {
    /// The number after which to begin. `Err`: it is none.
    pub(crate) fn number(&self) -> Result<Option<u64>, &str> {
        self.since.as_deref().map(|text| text.trim().parse().map_err(|_| text)).transpose()
    }
}

/// 200 with a stream; 204 where nothing is left and nothing will come, which tells a browser not to ask again; 404
/// for a thread that nobody knows.
pub(crate) async fn get(
    State(door): State<HttpDoor>,
    Path(thread): Path<String>,
    Query(from): Query<From>,
    headers: HeaderMap,
) -> Response {
    let last = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?").trim());
    let since = match last.filter(|last| !last.is_empty()) {
        Some(last) => last.parse().map_err(|_| ("header", "Last-Event-ID")),
        None => from.number().map(Option::unwrap_or_default).map_err(|_| ("query", "since")),
    };
    let since: u64 = match since {
        Ok(since) => since,
        Err((place, name)) => {
            return answers::bad_parameter(place, name, "expected the number of an event");
        }
    };
    match begin(&door, &thread, since).await {
        Ok(Begun::Unknown) => answers::not_found("Thread", &thread),
        Ok(Begun::Over) => StatusCode::NO_CONTENT.into_response(),
        Ok(Begun::Stream(events)) => {
            let headers = [
                (header::CONTENT_TYPE, "text/event-stream"),
                (header::CACHE_CONTROL, "no-store"),
                // Proxies that would gather events until they are worth sending.
                (header::HeaderName::from_static("x-accel-buffering"), "no"),
            ];
            (headers, Body::from_stream(stream(door, *events))).into_response()
        }
        Err(error) => answers::unavailable(&error),
    }
}

enum Begun {
    Unknown,
    Over,
    Stream(Box<Events>),
}

async fn begin(
    door: &HttpDoor,
    thread: &str,
    since: u64,
) -> Result<Begun, agent_checkpoint_store::StoreError> {
    let (newest, open) = door.executor.standing(thread).await?;
    let end = door.executor.journal_end(thread).await?;
    Ok(if open || end > since {
        Begun::Stream(Box::new(door.executor.events(thread, Since::Number(since)).await?))
    } else if newest.is_none() && end == 0 {
        Begun::Unknown
    } else {
        Begun::Over
    })
}

struct Reading {
    door: HttpDoor,
    events: Events,
    alive: Interval,
    over: bool,
    greeted: bool,
}

fn stream(door: HttpDoor, events: Events) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> {
    let mut alive = interval_at(Instant::now() + ALIVE_EVERY, ALIVE_EVERY);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reading = Reading { door, events, alive, over: false, greeted: false };
    futures_util::stream::unfold(reading, |mut reading| async move {
        let piece = reading.next().await?;
        Some((Ok(piece), reading))
    })
}

impl Reading {
    /// The next piece of the answer. `None`: it ends here, and whoever was cut off comes again with the last number.
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.greeted, true) {
            return Some(Bytes::from_static(b"retry: 1000\n\n"));
        }
        if self.over {
            return None;
        }
        let event = tokio::select! {
            biased;
            () = self.door.closing.cancelled() => return None,
            event = self.events.next() => event,
            _ = self.alive.tick() => {
                self.over = self.events.is_over().await.unwrap_or(false);
                return Some(Bytes::from_static(b": alive\n\n"));
            }
        };
        match event {
            Ok(event) => {
                if event.kind == EventKind::End {
                    self.over = self.events.is_over().await.unwrap_or(false);
                }
                Some(framed(&event))
            }
            Err(error) => {
                warn!(event = "events_unread", %error);
                None
            }
        }
    }
}

/// `id`, `event`, `data`; an event's text has no line breaks.
fn framed(event: &SinkEvent) -> Bytes {
    let data = journal::data(&event.payload).unwrap_or_else(|| Bytes::from_static(b"{}"));
    let mut out = Vec::with_capacity(data.len() + 64);
    out.extend_from_slice(format!("id: {}\nevent: {}\ndata: ", event.seq, event.kind.as_str()).as_bytes());
    out.extend_from_slice(&data);
    out.extend_from_slice(b"\n\n");
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use agent_wire::stream::{self, Common};

    use super::*;

    #[test]
    fn an_event_is_three_lines() {
        let common = Common { seq: 7, job_id: "j", epoch: 1, step: 2, attempt: 1, label: None };
        let payload = stream::llm_stream(&common, "a\nb", None, "model", "m", None);
        let event = SinkEvent { thread_id: Arc::from("t"), seq: 7, payload, kind: EventKind::LlmStream };
        let text = String::from_utf8(framed(&event).to_vec()).unwrap();
        let expected = "id: 7\nevent: on_llm_stream\ndata: {\"seq\":7,\"job_id\":\"j\",\"epoch\":1,\"step\":2,\
                        \"attempt\":1,\"content\":\"a\\nb\",\"node\":\"model\",\"message_id\":\"m\"}\n\n";
        assert_eq!(text, expected);
    }
}
