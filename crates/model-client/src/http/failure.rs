//! From what went wrong to what the run must know of it.

use std::time::Duration;

use agent_executor_core::{ModelError, ModelErrorKind};
use reqwest::{StatusCode, header::HeaderMap};
use serde_json::Value;

use super::{endpoint::Endpoint, retry};
use crate::codec::Codec;

/// Characters of a provider's words that are kept: enough for its sentence, too few for a whole prompt sent back.
const MAX_WORDS: usize = 500;

/// Words of providers and gateways for a request that does not fit the context window.
const OVERFLOW: &[&str] = &[
    "context_length_exceeded",
    "contextwindowexceedederror",
    "maximum context length",
    "exceeds the context window",
    "exceeds the available context size",
    "context window exceeded",
    "context limit exceeded",
    "input tokens exceed the configured limit",
    "prompt is too long",
];

/// A try that gave no answer.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: ModelError,
    /// Another try may help.
    pub(super) retry: bool,
    /// The server said how long to wait.
    pub(super) after: Option<Duration>,
    /// The server does not know `stream_options`.
    pub(super) refuses_usage: bool,
}

impl Failed {
    pub(super) fn again(error: ModelError) -> Self {
        Self { error, retry: true, after: None, refuses_usage: false }
    }

    pub(super) fn for_good(error: ModelError) -> Self {
        Self { error, retry: false, after: None, refuses_usage: false }
    }
}

/// An error without an answer from the server.
pub(super) fn plain(kind: ModelErrorKind, message: String) -> ModelError {
    ModelError { kind, message, status: None, request_id: None }
}

pub(super) fn unknown_provider<'a>(name: &str, known: impl Iterator<Item = &'a String>) -> ModelError {
    let known = known.map(String::as_str).collect::<Vec<_>>().join(", ");
    plain(ModelErrorKind::UnknownProvider, format!("no model provider is called `{name}`; there are {known}"))
}

/// Nobody asks this provider now: it was down too often.
pub(super) fn circuit_open(name: &str) -> ModelError {
    plain(ModelErrorKind::Unavailable, format!("{name}: the provider is down and is left alone for a while"))
}

/// The provider's id of a request.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("x-request-id").or_else(|| headers.get("request-id"))?;
    value.to_str().ok().map(|id| cut(id, 200))
}

/// An answer whose status is no success.
pub(super) fn of_status(
    endpoint: &Endpoint,
    codec: &dyn Codec,
    status: StatusCode,
    headers: &HeaderMap,
    body: &str,
) -> Failed {
    let json: Option<Value> = serde_json::from_str(body).ok();
    let words =
        json.as_ref().and_then(|json| codec.error_text(json)).unwrap_or_else(|| body.trim().to_owned());
    let words =
        if words.is_empty() { status.canonical_reason().unwrap_or("no text").to_owned() } else { words };
    let lower = body.to_lowercase();
    let overflow = matches!(status.as_u16(), 400 | 413 | 422) && is_overflow(&lower);
    let kind = if overflow { ModelErrorKind::ContextOverflow } else { kind(status) };
    let quota = status == StatusCode::TOO_MANY_REQUESTS && lower.contains("insufficient_quota");
    Failed {
        error: ModelError {
            kind,
            message: endpoint.redact(cut(&format!("Error code: {} - {words}", status.as_u16()), MAX_WORDS)),
            status: Some(status.as_u16()),
            request_id: request_id(headers),
        },
        retry: retry::wanted(status, headers) && !quota && !overflow,
        after: retry::after(headers),
        refuses_usage: matches!(status.as_u16(), 400 | 422)
            && (lower.contains("stream_options") || lower.contains("include_usage")),
    }
}

/// An error that the provider reported inside its stream. `kind`: what it means if its words say nothing special.
pub(super) fn of_event(
    endpoint: &Endpoint,
    codec: &dyn Codec,
    words: &str,
    begun: bool,
    status: u16,
    request_id: Option<String>,
) -> Failed {
    let json: Option<Value> = serde_json::from_str(words).ok();
    let text = json.as_ref().and_then(|json| codec.error_text(json)).unwrap_or_else(|| words.to_owned());
    let lower = words.to_lowercase();
    let refused =
        ["invalid_request_error", "invalid_prompt", "not_found_error"].iter().any(|w| lower.contains(w));
    let limited = ["rate_limit", "insufficient_quota", "too_many_requests"].iter().any(|w| lower.contains(w));
    let kind = if is_overflow(&lower) {
        ModelErrorKind::ContextOverflow
    } else if begun {
        ModelErrorKind::Interrupted
    } else if refused {
        ModelErrorKind::Refused
    } else if limited {
        ModelErrorKind::RateLimited
    } else {
        ModelErrorKind::Unavailable
    };
    let message =
        endpoint.redact(cut(&format!("{}: error in the stream - {text}", endpoint.name), MAX_WORDS));
    let error = ModelError { kind, message, status: Some(status), request_id };
    let again = matches!(kind, ModelErrorKind::Unavailable | ModelErrorKind::RateLimited);
    if again && !lower.contains("insufficient_quota") {
        Failed::again(error)
    } else {
        Failed::for_good(error)
    }
}

/// The connection, not the provider, is to blame. The URL is left out: it may hold a password.
pub(super) fn of_transport(endpoint: &Endpoint, what: &str, error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = format!("{}: {what}: {error}", endpoint.name);
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    endpoint.redact(cut(&text, MAX_WORDS))
}

fn kind(status: StatusCode) -> ModelErrorKind {
    match status.as_u16() {
        401 | 403 => ModelErrorKind::Auth,
        429 => ModelErrorKind::RateLimited,
        408 | 409 | 500.. => ModelErrorKind::Unavailable,
        _ => ModelErrorKind::Refused,
    }
}

fn is_overflow(lower: &str) -> bool {
    OVERFLOW.iter().any(|words| lower.contains(words))
}

/// At most `max` characters.
pub(super) fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}
