//! Every route, once: each at the root and under `/deepagents-runtime`.

use std::sync::Arc;
use std::time::Duration;

use agent_executor_runtime::Executor;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::error;

use crate::auth::{self, Guard};
use crate::health::Checks;
use crate::limits::{self, BodyLimits};
use crate::{answers, health, history, invoke, jobs, openapi, sse, state, ui, ws};

/// Prefix under which the Python service served.
pub(crate) const PREFIX: &str = "/deepagents-runtime";

/// What the handlers work with.
#[derive(Clone)]
pub struct HttpDoor {
    /// Runs jobs.
    pub executor: Executor,
    /// What `/ready` asks.
    pub checks: Arc<Checks>,
    /// Renders `/metrics`.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Whether `/metrics` is served here, and not on a port of its own.
    pub shows_metrics: bool,
    /// Who may come in.
    pub guard: Guard,
    /// Longest time in which a request's body must arrive. `HTTP_READ_SECONDS`.
    pub read: Duration,
    /// Cancelled when open streams must end.
    pub closing: CancellationToken,
}

/// All routes.
pub fn router(door: HttpDoor) -> Router {
    let body = BodyLimits { bytes: door.executor.settings().limits.max_bytes, time: door.read };
    let guard = door.guard.clone();
    let mut routes = Router::new()
        .route("/", post(jobs::post))
        .route("/invoke", post(invoke::post))
        .route("/state/{thread_id}", get(state::get_thread))
        .route("/stream/{thread_id}", get(ws::get))
        .route("/threads", get(ui::threads))
        .route("/threads/{thread_id}/events", get(sse::get))
        .route("/threads/{thread_id}/history", get(history::get))
        .route("/jobs/{job_id}", get(state::get_job))
        .route("/jobs/{job_id}/cancel", post(state::cancel))
        .route("/cleanup/{thread_id}", delete(state::cleanup))
        .route("/openapi.json", get(openapi::get))
        .route("/schemas/{name}", get(openapi::schema))
        .route("/docs", get(openapi::page))
        .route("/ui", get(ui::folder))
        .route("/ui/", get(ui::index))
        .route("/ui/{name}", get(ui::part))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready));
    if door.shows_metrics {
        routes = routes.route("/metrics", get(health::metrics));
    }
    Router::new()
        .nest(PREFIX, routes.clone())
        // `nest` serves the prefix without a slash; Python's clients also send one.
        .route(&format!("{PREFIX}/"), post(jobs::post))
        .merge(routes)
        .fallback(|| async { answers::error(StatusCode::NOT_FOUND, "Not Found", None) })
        .method_not_allowed_fallback(|| async {
            answers::error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed", None)
        })
        // `HTTP_BODY_BYTES` is the limit; the framework's own of 2 MB would stand before larger ones.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(body, limits::whole_body))
        // Before anything of the request is read.
        .layer(from_fn_with_state(guard, auth::check))
        .layer(from_fn(answers::in_json))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(limits::observe))
        .with_state(door)
}

/// `/metrics` alone, and liveness, for a port that the world does not see.
pub fn metrics_router(door: HttpDoor) -> Router {
    Router::new()
        .route("/metrics", get(health::metrics))
        .route("/health", get(health::health))
        .fallback(|| async { answers::error(StatusCode::NOT_FOUND, "Not Found", None) })
        .with_state(door)
}

/// A defect of ours: the log has what it says, the client has not.
#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
fn panicked(what: Box<dyn std::any::Any + Send>) -> Response {
    let text = what.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| what.downcast_ref::<&str>().copied()).unwrap_or("?");
    error!(event = "http_handler_panicked", error = text);
    answers::error(StatusCode::INTERNAL_SERVER_ERROR, "internal error", Some("internal")).into_response()
}
