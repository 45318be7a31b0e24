//! One try: the request out, the stream in.

use std::{pin::Pin, time::Duration};

use agent_executor_core::{ModelError, ModelErrorKind, ModelReply};
use bytes::Bytes;
use reqwest::{Method, Request, Response, header::CONTENT_TYPE};
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::{
    Limits,
    endpoint::Endpoint,
    failure::{self, Failed},
};
use crate::{
    codec::Codec,
    config::Timeouts,
    sse::Decoder,
    turn::{DecodeError, Deltas, Turn},
};

/// Bytes of an error body that are read: more than any provider writes.
const MAX_ERROR_BODY: usize = 64 << 10;
/// The answer has its end mark, only usage and `[DONE]` are due: servers send them at once or never.
const AFTER_STOP: Duration = Duration::from_secs(5);
/// For the end of the body after the last event, so that the connection can be used again.
const DRAIN: Duration = Duration::from_millis(50);

/// Sends the request; an answer whose status is no success is an error.
pub(super) async fn send(
    transport: &reqwest::Client,
    endpoint: &Endpoint,
    codec: &dyn Codec,
    body: Bytes,
    timeouts: &Timeouts,
) -> Result<Response, Failed> {
    let mut request = Request::new(Method::POST, endpoint.url(codec));
    *request.headers_mut() = endpoint.headers();
    *request.body_mut() = Some(body.into());
    let unavailable = |message| Failed::again(failure::plain(ModelErrorKind::Unavailable, message));
    let response = match timeout(timeouts.head, transport.execute(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Err(unavailable(failure::of_transport(endpoint, "no answer", error))),
        Err(_) => {
            let text = format!("{}: no answer began within {:?}", endpoint.name, timeouts.head);
            return Err(unavailable(text));
        }
    };
    if !response.status().is_success() {
        let (status, headers) = (response.status(), response.headers().clone());
        let text = timeout(timeouts.head, error_body(response)).await.unwrap_or_default();
        return Err(failure::of_status(endpoint, codec, status, &headers, &text));
    }
    if let Some(kind) = response.headers().get(CONTENT_TYPE)
        && !kind.as_bytes().starts_with(b"text/event-stream")
    {
        let found = String::from_utf8_lossy(kind.as_bytes()).into_owned();
        let (status, id) = (response.status().as_u16(), failure::request_id(response.headers()));
        let text = timeout(timeouts.head, error_body(response)).await.unwrap_or_default();
        let message = format!("{}: expected text/event-stream, found {found}: {text}", endpoint.name);
        return Err(Failed::for_good(ModelError {
            kind: ModelErrorKind::Refused,
            message: endpoint.redact(failure::cut(&message, 500)),
            status: Some(status),
            request_id: id,
        }));
    }
    Ok(response)
}

async fn error_body(mut response: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() >= MAX_ERROR_BODY {
            body.truncate(MAX_ERROR_BODY);
            break;
        }
    }
    String::from_utf8_lossy(&body).into_owned()
}

/// Reads the stream to its end mark. Its politeness proves nothing: without the mark it was cut.
pub(super) async fn read(
    response: Response,
    endpoint: &Endpoint,
    codec: &dyn Codec,
    deltas: &mut Deltas<'_>,
    idle: Duration,
    limits: Limits,
) -> Result<ModelReply, Failed> {
    let (status, id) = (response.status().as_u16(), failure::request_id(response.headers()));
    let mut stream = Stream { body: response, idle, timer: Box::pin(sleep(idle)), taken: 0, limits };
    let mut decoder = Decoder::new(limits.event);
    let mut turn = Turn::default();
    let ended = loop {
        let wait = if codec.is_complete(&turn) { AFTER_STOP.min(idle) } else { idle };
        let piece = match stream.next(wait).await {
            Ok(Some(piece)) => piece,
            ended => {
                // What an unfinished last event says is believed where it makes sense, never held against the stream.
                if let Some(frame) = decoder.rest() {
                    drop(codec.decode(&frame, &mut turn, deltas));
                }
                break ended.map(|_| ()).map_err(|broken| broken.text(endpoint));
            }
        };
        decoder.push(&piece);
        match take_frames(&mut decoder, codec, &mut turn, deltas) {
            Ok(()) if turn.ended => {
                stream.drain().await;
                break Ok(());
            }
            Ok(()) => {}
            Err(DecodeError::Malformed(text)) => {
                break Err(format!("{}: unreadable event in the stream: {text}", endpoint.name));
            }
            Err(DecodeError::Provider(words)) => {
                return Err(failure::of_event(endpoint, codec, &words, deltas.first().is_some(), status, id));
            }
        }
    };
    if codec.is_complete(&turn) {
        return Ok(codec.reply(turn));
    }
    let message = match ended {
        Ok(()) => format!("{}: the stream ended before the answer did", endpoint.name),
        Err(text) => text,
    };
    let begun = deltas.first().is_some();
    let kind = if begun { ModelErrorKind::Interrupted } else { ModelErrorKind::Unavailable };
    let message = endpoint.redact(failure::cut(&message, 500));
    Err(Failed::again(ModelError { kind, message, status: Some(status), request_id: id }))
}

fn take_frames(
    decoder: &mut Decoder,
    codec: &dyn Codec,
    turn: &mut Turn,
    deltas: &mut Deltas<'_>,
) -> Result<(), DecodeError> {
    while let Some(frame) = decoder.frame().map_err(|error| DecodeError::Malformed(error.to_string()))? {
        codec.decode(&frame, turn, deltas)?;
        if turn.ended {
            break;
        }
    }
    Ok(())
}

/// A body with a bound on silence and on size. One timer for the whole stream: it is looked at when it fires, and
/// moved on if bytes came meanwhile, so a token costs no timer.
struct Stream {
    body: Response,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
    taken: usize,
    limits: Limits,
}

enum Broken {
    Silent(Duration),
    TooLong(usize),
    Connection(reqwest::Error),
}

impl Broken {
    fn text(self, endpoint: &Endpoint) -> String {
        let name = &endpoint.name;
        match self {
            Self::Silent(time) => format!("{name}: nothing came for {time:?} in the middle of the answer"),
            Self::TooLong(limit) => format!("{name}: the answer is longer than {limit} bytes"),
            Self::Connection(error) => failure::of_transport(endpoint, "the stream broke", error),
        }
    }
}

impl Stream {
    async fn next(&mut self, wait: Duration) -> Result<Option<Bytes>, Broken> {
        let until = Instant::now() + wait;
        if wait < self.idle {
            self.timer.as_mut().reset(until);
        }
        loop {
            tokio::select! {
                biased;
                piece = self.body.chunk() => {
                    let piece = piece.map_err(Broken::Connection)?;
                    self.taken += piece.as_ref().map_or(0, Bytes::len);
                    if self.taken > self.limits.response {
                        return Err(Broken::TooLong(self.limits.response));
                    }
                    return Ok(piece);
                }
                () = &mut self.timer => {
                    if Instant::now() >= until {
                        return Err(Broken::Silent(wait));
                    }
                    self.timer.as_mut().reset(until);
                }
            }
        }
    }

    async fn drain(mut self) {
        let rest =
            async { while matches!(self.body.chunk().await, Ok(Some(piece)) if piece.len() < 4096) {} };
        drop(timeout(DRAIN, rest).await);
    }
}
