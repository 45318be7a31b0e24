//! `POST /invoke`: takes a job and answers at once.

use agent_executor_runtime::Submission;
use agent_wire::{JobRequest, Refusal};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::jobs::{draining, header_pairs, unavailable};
use crate::router::HttpDoor;

/// 200 with `thread_id` and `status` once the job is in the store; 422 with a list like FastAPI's for a bad body.
pub(crate) async fn post(State(door): State<HttpDoor>, headers: HeaderMap, body: Bytes) -> Response {
    let executor = &door.executor;
    let request = match JobRequest::from_json(&body, &header_pairs(&headers), &executor.settings().limits) {
        Ok(request) => request,
        Err(refusal) => return unprocessable(&refusal),
    };
    let empty = request.definition.as_object().is_some_and(serde_json::Map::is_empty);
    if empty && executor.settings().default_definition.is_none() {
        return unprocessable(&Refusal::empty_definition(&request.job_id));
    }
    let thread_id = request.thread_id.clone();
    let reused = Refusal::job_id_reused(&request.job_id);
    let Some(slot) = executor.direct_slot().await else { return draining() };
    match executor.submit(request, slot).await {
        Ok(Submission::IdReused) => {
            (StatusCode::CONFLICT, Json(json!({ "detail": reused.message, "code": reused.code })))
                .into_response()
        }
        Ok(Submission::Running(_) | Submission::Queued { .. } | Submission::Done(_)) => {
            Json(json!({ "thread_id": thread_id.as_str(), "status": "started" })).into_response()
        }
        Err(error) => unavailable(&error.to_string()),
    }
}

fn unprocessable(refusal: &Refusal) -> Response {
    (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "detail": refusal.details() }))).into_response()
}
