//! What every request passes: it is counted and timed, its body is read whole within a limit and a time.

use std::time::Duration;

use agent_telemetry::metric;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::Instant;

use crate::answers;

/// Counts the request by method, route and status.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let method = method(request.method());
    let endpoint =
        request.extensions().get::<MatchedPath>().map_or("unmatched", |path| endpoint(path.as_str()));
    let started = Instant::now();
    let response = next.run(request).await;
    metric::HTTP_REQUEST_DURATION.with(&[method, endpoint]).record(started.elapsed().as_secs_f64());
    metric::HTTP_REQUESTS.with(&[method, endpoint, response.status().as_str()]).increment(1);
    response
}

/// Counts what was not let in.
pub(crate) fn refused(reason: &'static str) {
    metric::HTTP_REFUSED.with(&[reason]).increment(1);
}

/// Methods are the client's words; only those that we know become a label.
fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// The route's name in metrics: low in number, whatever the path holds.
fn endpoint(route: &str) -> &'static str {
    let route = route.strip_prefix("/deepagents-runtime").unwrap_or(route);
    match route.split('/').nth(1).unwrap_or_default() {
        "" => "root",
        "invoke" => "invoke",
        "state" => "state",
        "stream" => "stream",
        "threads" => "threads",
        "jobs" => "jobs",
        "cleanup" => "cleanup",
        "schemas" => "schemas",
        "openapi.json" => "openapi",
        "docs" => "docs",
        "ui" => "ui",
        "health" => "health",
        "ready" => "ready",
        "metrics" => "metrics",
        _ => "unmatched",
    }
}

/// Bounds of a request's body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
}

/// Reads the body whole before the route sees the request, so that a slow or endless one holds nothing else.
pub(crate) async fn whole_body(State(limits): State<BodyLimits>, request: Request, next: Next) -> Response {
    let too_large = || {
        refused("too_large");
        let detail = format!("body: expected at most {} bytes, found more", limits.bytes);
        answers::error(StatusCode::PAYLOAD_TOO_LARGE, detail, Some("input.too_large")).into_response()
    };
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if length.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > limits.bytes) {
        return too_large();
    }
    let (parts, body) = request.into_parts();
    let read = Limited::new(body, limits.bytes).collect();
    match tokio::time::timeout(limits.time, read).await {
        Ok(Ok(whole)) => next.run(Request::from_parts(parts, Body::from(whole.to_bytes()))).await,
        Ok(Err(error)) if error.is::<LengthLimitError>() => too_large(),
        Ok(Err(_)) => {
            answers::error(StatusCode::BAD_REQUEST, "body: it ended before its time", Some("input.cut"))
                .into_response()
        }
        Err(_) => {
            refused("slow");
            let detail = format!("body: expected all of it within {} s", limits.time.as_secs());
            answers::error(StatusCode::REQUEST_TIMEOUT, detail, Some("input.slow")).into_response()
        }
    }
}
