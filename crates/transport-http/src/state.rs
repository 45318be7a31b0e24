//! What is true of a thread or a job.

use agent_checkpoint_store::{JobRecord, JobStatus};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::jobs::unavailable;
use crate::router::HttpDoor;

/// The newest job of a thread: running (queued too), completed or failed, with its result.
pub(crate) async fn get_thread(State(door): State<HttpDoor>, Path(thread_id): Path<String>) -> Response {
    match door.executor.store().jobs_of(&thread_id).await {
        Err(error) => unavailable(&error.to_string()),
        Ok(jobs) => match jobs.last() {
            None => not_found("Thread", &thread_id),
            Some(job) => Json(thread_state(&thread_id, job)).into_response(),
        },
    }
}

fn thread_state(thread_id: &str, job: &JobRecord) -> Value {
    let event: Value =
        job.result.as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
    let status = match job.status {
        JobStatus::Queued | JobStatus::Running => "running",
        JobStatus::Completed => "completed",
        JobStatus::Failed | JobStatus::Cancelled => "failed",
    };
    let part = |pointer: &str| event.pointer(pointer).cloned().unwrap_or(Value::Null);
    json!({
        "thread_id": thread_id,
        "status": status,
        "result": part("/data/result"),
        "generated_files": part("/data/result/files"),
        "error": part("/data/error"),
    })
}

/// One job.
pub(crate) async fn get_job(State(door): State<HttpDoor>, Path(job_id): Path<String>) -> Response {
    match door.executor.store().job(&job_id).await {
        Err(error) => unavailable(&error.to_string()),
        Ok(None) => not_found("Job", &job_id),
        Ok(Some(job)) => Json(job_view(&job)).into_response(),
    }
}

/// Asks for a job's end. 202 once the request is durable; 200 if it had ended before.
pub(crate) async fn cancel(State(door): State<HttpDoor>, Path(job_id): Path<String>) -> Response {
    match door.executor.cancel(&job_id).await {
        Err(error) => unavailable(&error.to_string()),
        Ok(None) => not_found("Job", &job_id),
        Ok(Some(job)) => {
            let status = if job.status.is_terminal() { StatusCode::OK } else { StatusCode::ACCEPTED };
            (status, Json(job_view(&job))).into_response()
        }
    }
}

fn job_view(job: &JobRecord) -> Value {
    let event: Value =
        job.result.as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
    json!({
        "job_id": &*job.job_id,
        "thread_id": &*job.thread_id,
        "status": job.status.as_str(),
        "attempt": job.unclean_count + 1,
        "created_at_ms": job.created_at_ms,
        "cancel_requested": job.cancel_requested,
        "result": event.pointer("/data/result").cloned().unwrap_or(Value::Null),
        "error": event.pointer("/data/error").cloned().unwrap_or(Value::Null),
    })
}

/// Deletes a thread: its rows, its journal and what the cache keeps of it. A job of it is cancelled first. 204, 404, or
/// 503 while a job does not end.
pub(crate) async fn cleanup(State(door): State<HttpDoor>, Path(thread_id): Path<String>) -> Response {
    match door.executor.delete_thread(&thread_id).await {
        Err(error) => unavailable(&error.to_string()),
        Ok(false) => not_found("Thread", &thread_id),
        Ok(true) => StatusCode::NO_CONTENT.into_response(),
    }
}

fn not_found(what: &str, id: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "detail": format!("{what} {id} not found") }))).into_response()
}
