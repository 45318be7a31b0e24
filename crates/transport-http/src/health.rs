//! `/health`, `/ready`, `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::router::HttpDoor;

/// Longest wait for one backend's answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// One question to a backend.
pub type Check = Arc<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// What `/ready` asks.
#[derive(Default)]
pub struct Checks {
    /// Name, whether readiness depends on it, and the question.
    pub services: Vec<(&'static str, bool, Check)>,
}

fn timestamp() -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    // The fields asked for always exist; an empty text would say that they did not.
    OffsetDateTime::now_utc().format(&form).unwrap_or_default()
}

/// Liveness: says only that the process answers. It depends on no backend.
pub(crate) async fn health() -> Json<Value> {
    metrics::counter!("agent_executor_health_checks_total", "type" => "liveness", "status" => "healthy")
        .increment(1);
    Json(json!({ "status": "healthy", "timestamp": timestamp() }))
}

/// Readiness: really asks each backend, and tells each answer.
pub(crate) async fn ready(State(door): State<HttpDoor>) -> Response {
    let asked = door.checks.services.iter().map(|(name, required, check)| {
        let answer = check();
        async move {
            let up = tokio::time::timeout(PATIENCE, answer).await.unwrap_or(false);
            (*name, *required, up)
        }
    });
    let answers = futures_util::future::join_all(asked).await;
    let ready = answers.iter().all(|(_, required, up)| *up || !required) && !door.executor.is_draining();
    let services: Map<String, Value> =
        answers.into_iter().map(|(name, _, up)| (name.to_owned(), Value::Bool(up))).collect();
    let word = if ready { "healthy" } else { "unhealthy" };
    metrics::counter!("agent_executor_health_checks_total", "type" => "readiness", "status" => word)
        .increment(1);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "status": if ready { "ready" } else { "not_ready" },
        "services": services,
        "timestamp": timestamp(),
    });
    (status, Json(body)).into_response()
}

/// Prometheus text.
pub(crate) async fn metrics(State(door): State<HttpDoor>) -> Response {
    let text = (door.metrics)();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
