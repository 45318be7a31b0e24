//! Every route, once: each at the root and under `/deepagents-runtime`.

use std::sync::Arc;

use agent_executor_runtime::Executor;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

use crate::health::Checks;
use crate::{health, invoke, jobs, limits, state};

/// Prefix under which the Python service served.
const PREFIX: &str = "/deepagents-runtime";

/// What the handlers work with.
#[derive(Clone)]
pub struct HttpDoor {
    /// Runs jobs.
    pub executor: Executor,
    /// What `/ready` asks.
    pub checks: Arc<Checks>,
    /// Renders `/metrics`.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// All routes.
pub fn router(door: HttpDoor) -> Router {
    let max_bytes = door.executor.settings().limits.max_bytes;
    let jobs = Router::new()
        .route("/", post(jobs::post))
        .route("/invoke", post(invoke::post))
        .route("/state/{thread_id}", get(state::get_thread))
        .route("/jobs/{job_id}", get(state::get_job))
        .route("/jobs/{job_id}/cancel", post(state::cancel))
        .route("/cleanup/{thread_id}", axum::routing::delete(state::cleanup))
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .route("/metrics", get(health::metrics));
    Router::new()
        .nest(PREFIX, jobs.clone())
        // `nest` serves the prefix without a slash; Python's clients also send one.
        .route(&format!("{PREFIX}/"), post(jobs::post))
        .merge(jobs)
        .layer(axum::middleware::from_fn(limits::observe))
        .layer(CatchPanicLayer::new())
        // One byte more than allowed is read, so that the refusal can say so in our own words.
        .layer(DefaultBodyLimit::max(max_bytes.saturating_add(1)))
        .with_state(door)
}
