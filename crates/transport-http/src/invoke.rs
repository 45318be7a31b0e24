//! `POST /invoke`: takes a job and answers at once.

use agent_executor_runtime::Submission;
use agent_wire::http::InvokeAnswer;
use agent_wire::{JobRequest, Refusal};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::answers::{self, draining, unavailable, unprocessable};
use crate::jobs::header_pairs;
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
            answers::error(StatusCode::CONFLICT, reused.message, Some(reused.code)).into_response()
        }
        Ok(Submission::Running(_) | Submission::Queued { .. } | Submission::Done(_)) => {
            Json(InvokeAnswer::started(thread_id.as_str())).into_response()
        }
        Err(error) => unavailable(&error),
    }
}
