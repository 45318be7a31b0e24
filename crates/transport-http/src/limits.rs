//! What every request passes: it is counted and timed.

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

/// Counts the request by method, route and status.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let method = request.method().as_str().to_owned();
    let endpoint =
        request.extensions().get::<MatchedPath>().map_or("unmatched", |path| endpoint(path.as_str()));
    let started = Instant::now();
    let response = next.run(request).await;
    let labels = [("method", method.clone()), ("endpoint", endpoint.to_owned())];
    metrics::histogram!("agent_executor_http_request_duration_seconds", &labels)
        .record(started.elapsed().as_secs_f64());
    metrics::counter!(
        "agent_executor_http_requests_total",
        "method" => method, "endpoint" => endpoint, "status" => response.status().as_u16().to_string()
    )
    .increment(1);
    response
}

/// The route's name in metrics: low in number, whatever the path holds.
fn endpoint(route: &str) -> &'static str {
    let route = route.strip_prefix("/deepagents-runtime").unwrap_or(route);
    match route.split('/').nth(1).unwrap_or_default() {
        "" => "root",
        "invoke" => "invoke",
        "state" => "state",
        "jobs" => "jobs",
        "cleanup" => "cleanup",
        "health" => "health",
        "ready" => "ready",
        "metrics" => "metrics",
        _ => "unmatched",
    }
}
