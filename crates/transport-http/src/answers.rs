//! Answers that several routes give.

use agent_wire::Refusal;
use agent_wire::http::{ErrorBody, ValidationBody};
use axum::Json;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tracing::warn;

/// Longest text of the framework's that is repeated.
const LONGEST_TEXT: usize = 16 * 1024;

/// `{"detail": …, "code": …}`.
pub(crate) fn error(
    status: StatusCode,
    detail: impl Into<String>,
    code: Option<&str>,
) -> (StatusCode, Json<ErrorBody>) {
    (status, Json(ErrorBody { detail: detail.into(), code: code.map(str::to_owned) }))
}

pub(crate) fn not_found(what: &str, id: &str) -> Response {
    error(StatusCode::NOT_FOUND, format!("{what} {id} not found"), None).into_response()
}

pub(crate) fn draining() -> Response {
    error(StatusCode::SERVICE_UNAVAILABLE, "the worker is stopping and takes no new jobs", Some("draining"))
        .into_response()
}

/// What the framework refuses by itself (a query that names a member twice, a path that is no UTF-8) it says in plain
/// text; here it gets the form of every other error.
pub(crate) async fn in_json(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !response.status().is_client_error() || !kind.is_some_and(|kind| kind.starts_with("text/plain")) {
        return response;
    }
    let status = response.status();
    let text = axum::body::to_bytes(response.into_body(), LONGEST_TEXT).await.unwrap_or_default();
    error(status, String::from_utf8_lossy(&text), Some("http.refused")).into_response()
}

/// The store is away. What it said is for the log: it may name hosts and users.
pub(crate) fn unavailable(why: &impl std::fmt::Display) -> Response {
    warn!(event = "http_request_failed", error = %why);
    let detail = "the store is not available; try again";
    error(StatusCode::SERVICE_UNAVAILABLE, detail, Some("store.unavailable")).into_response()
}

pub(crate) fn unprocessable(refusal: &Refusal) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, Json(ValidationBody::from(refusal))).into_response()
}

/// 422 for a parameter, in FastAPI's form.
pub(crate) fn bad_parameter(place: &str, name: &str, message: &str) -> Response {
    let detail = vec![json!({ "type": "value_error", "loc": [place, name], "msg": message })];
    (StatusCode::UNPROCESSABLE_ENTITY, Json(ValidationBody { detail })).into_response()
}
