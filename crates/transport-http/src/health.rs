//! `/health`, `/ready`, `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use agent_telemetry::metric;
use agent_wire::http::{HealthBody, ReadyBody, Services};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use time::OffsetDateTime;

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

/// Liveness: says only that the process answers. It depends on no backend.
pub(crate) async fn health() -> Json<HealthBody> {
    metric::HEALTH_CHECKS.with(&["liveness", "healthy"]).increment(1);
    Json(HealthBody::healthy(OffsetDateTime::now_utc()))
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
    let up = |name: &str| answers.iter().any(|(asked, _, up)| *asked == name && *up);
    let services = Services { dragonfly: up("dragonfly"), postgres: up("postgres"), nats: up("nats") };
    let word = if ready { "healthy" } else { "unhealthy" };
    metric::HEALTH_CHECKS.with(&["readiness", word]).increment(1);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ReadyBody::new(ready, services, OffsetDateTime::now_utc()))).into_response()
}

/// Prometheus text.
pub(crate) async fn metrics(State(door): State<HttpDoor>) -> Response {
    let text = (door.metrics)();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
