//! Answers that several routes give.

use agent_wire::Refusal;
use agent_wire::http::{ErrorBody, ValidationBody};
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tracing::warn;

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
