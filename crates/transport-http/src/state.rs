//! What is true of a thread or a job.

use agent_checkpoint_store::{JobRecord, JobStatus, StoreError};
use agent_langgraph_codec::{Files, load_graph};
use agent_wire::http::{ExecutionState, JobView};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::answers::{bad_parameter, not_found, unavailable};
use crate::router::HttpDoor;

#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    files: Option<String>,
}

/// The newest job of a thread: running (queued too), completed or failed, with its result. `?files=all` also gives
/// the files of the context machinery.
pub(crate) async fn get_thread(
    State(door): State<HttpDoor>,
    Path(thread_id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let all = match wanted.files.as_deref() {
        None => false,
        Some("all") => true,
        Some(_) => return bad_parameter("query", "files", "expected `all`"),
    };
    match thread_state(&door, &thread_id, all).await {
        Ok(Some(state)) => Json(state).into_response(),
        Ok(None) => not_found("Thread", &thread_id),
        Err(error) => unavailable(&error),
    }
}

async fn thread_state(
    door: &HttpDoor,
    thread_id: &str,
    all: bool,
) -> Result<Option<ExecutionState>, StoreError> {
    let store = door.executor.store();
    let newest = store.jobs_of(thread_id).await?.pop();
    let Some(job) = newest else { return written_elsewhere(door, thread_id, all).await };
    let mut state = match &job.result {
        Some(body) if job.status.is_terminal() => ExecutionState::ended(thread_id, body),
        Some(_) | None => None,
    }
    .unwrap_or_else(|| ExecutionState::running(thread_id));
    if all {
        let rows = store.load(thread_id).await?.rows;
        if let Some(graph) = load_graph(&rows, "").ok().flatten() {
            state.generated_files = Some(files(door, &graph.files, true));
        }
    }
    Ok(Some(state))
}

/// A thread that has checkpoints and no job of ours: a Python worker's.
async fn written_elsewhere(
    door: &HttpDoor,
    thread_id: &str,
    all: bool,
) -> Result<Option<ExecutionState>, StoreError> {
    let rows = door.executor.store().load(thread_id).await?.rows;
    let Some(graph) = load_graph(&rows, "").ok().flatten() else { return Ok(None) };
    let mut state = ExecutionState::running(thread_id);
    state.generated_files = Some(files(door, &graph.files, all));
    if graph.tasks.is_empty() {
        state.status = "completed".to_owned();
        let output = graph.messages.last().map(|message| message.text(""));
        state.result = Some(json!({ "output": output, "status": "completed" }));
    } else {
        state.status = "failed".to_owned();
        let message = "the thread was left half done and no job of it is known";
        state.error =
            Some(json!({ "message": message, "type": "ExecutionError", "code": "thread.abandoned" }));
    }
    Ok(Some(state))
}

fn files(door: &HttpDoor, files: &Files, all: bool) -> Value {
    agent_wire::files_value(files, door.executor.settings().file_form, all)
}

/// One job.
pub(crate) async fn get_job(State(door): State<HttpDoor>, Path(job_id): Path<String>) -> Response {
    match view_of(&door, &job_id).await {
        Err(error) => unavailable(&error),
        Ok(None) => not_found("Job", &job_id),
        Ok(Some(view)) => Json(view).into_response(),
    }
}

async fn view_of(door: &HttpDoor, job_id: &str) -> Result<Option<JobView>, StoreError> {
    let store = door.executor.store();
    let Some(job) = store.job(job_id).await? else { return Ok(None) };
    let mut position = None;
    if job.status == JobStatus::Queued {
        let jobs = store.jobs_of(&job.thread_id).await?;
        let before = jobs.iter().take_while(|other| other.job_id != job.job_id);
        position = u64::try_from(before.filter(|other| !other.status.is_terminal()).count()).ok();
    }
    Ok(Some(job_view(&job, position)))
}

fn job_view(job: &JobRecord, queue_position: Option<u64>) -> JobView {
    let mut event: Value =
        job.result.as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
    let mut part = |name: &str| event.pointer_mut(name).map(Value::take);
    let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
    let age = i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(job.created_at_ms).max(0);
    JobView {
        job_id: job.job_id.to_string(),
        thread_id: job.thread_id.to_string(),
        status: job.status.as_str().to_owned(),
        attempt: job.unclean_count + 1,
        age_seconds: std::time::Duration::from_millis(u64::try_from(age).unwrap_or(0)).as_secs_f64(),
        queue_position,
        cancel_requested: job.cancel_requested,
        result: part("/data/result"),
        error: part("/data/error"),
    }
}

/// Asks for a job's end. 202 once the request is durable; 200 if it had ended before.
pub(crate) async fn cancel(State(door): State<HttpDoor>, Path(job_id): Path<String>) -> Response {
    match door.executor.cancel(&job_id).await {
        Err(error) => unavailable(&error),
        Ok(None) => not_found("Job", &job_id),
        Ok(Some(job)) => {
            let status = if job.status.is_terminal() { StatusCode::OK } else { StatusCode::ACCEPTED };
            (status, Json(job_view(&job, None))).into_response()
        }
    }
}

/// Deletes a thread: its rows, its journal and what the cache keeps of it. A job of it is cancelled first. 204, 404, or
/// 503 while a job does not end.
pub(crate) async fn cleanup(State(door): State<HttpDoor>, Path(thread_id): Path<String>) -> Response {
    match door.executor.delete_thread(&thread_id).await {
        Err(error) => unavailable(&error),
        Ok(false) => not_found("Thread", &thread_id),
        Ok(true) => StatusCode::NO_CONTENT.into_response(),
    }
}
