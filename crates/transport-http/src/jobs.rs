//! `POST /`: the CloudEvents HTTP binding. Waits for the job and answers with its result event.

use agent_checkpoint_store::JobRecord;
use agent_executor_runtime::Submission;
use agent_wire::http::{Accepted, ErrorBody};
use agent_wire::{JobRequest, RawMessage, Refusal};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tracing::warn;

use crate::answers::{self, draining, unavailable};
use crate::router::HttpDoor;

/// Runs the job to its end. 200 with the result event, completed or failed; 202 with `Prefer: respond-async`;
/// 400 for refused input, 409 for a taken id, 503 when nothing was accepted.
pub(crate) async fn post(State(door): State<HttpDoor>, headers: HeaderMap, body: Bytes) -> Response {
    let executor = &door.executor;
    let pairs = header_pairs(&headers);
    let request = match JobRequest::parse_strict(&body, &pairs, &executor.settings().limits) {
        Ok(request) => request,
        Err(refusal) => return refuse(&door, &body, &refusal).await,
    };
    let job_id = request.job_id.clone();
    let wait = !prefers_no_answer(&headers);
    let reused = Refusal::job_id_reused(&job_id);
    let Some(slot) = executor.direct_slot().await else { return draining() };
    match executor.submit(request, slot).await {
        Ok(Submission::IdReused) => {
            answers::error(StatusCode::CONFLICT, reused.message, Some(reused.code)).into_response()
        }
        Ok(Submission::Done(job)) => answer(&job),
        Ok(Submission::Running(_) | Submission::Queued { .. }) if !wait => {
            let body = Accepted { job_id: job_id.to_string(), status: "accepted".to_owned() };
            (StatusCode::ACCEPTED, [("preference-applied", "respond-async")], Json(body)).into_response()
        }
        // The job is in the store: it goes on even if this client goes away.
        Ok(Submission::Running(_) | Submission::Queued { .. }) => {
            match executor.wait(job_id.as_str()).await {
                Ok(Some(job)) => answer(&job),
                Ok(None) => {
                    let detail = "the job was deleted while it ran";
                    answers::error(StatusCode::NOT_FOUND, detail, None).into_response()
                }
                Err(error) => unavailable(&error),
            }
        }
        Err(error) => unavailable(&error),
    }
}

fn answer(job: &JobRecord) -> Response {
    let body = job.result.clone().unwrap_or_default();
    let kind = "application/cloudevents+json; charset=utf-8";
    (StatusCode::OK, [(header::CONTENT_TYPE, kind)], body).into_response()
}

/// Refuses a body; what was sent is kept as a dead letter.
pub(crate) async fn refuse(door: &HttpDoor, body: &[u8], refusal: &Refusal) -> Response {
    let raw = RawMessage { source: "http", seq: 0, subject: "POST /", body };
    if let Err(error) = door.executor.refuse(&raw, refusal).await {
        warn!(event = "dead_letter_not_written", %error);
    }
    (StatusCode::BAD_REQUEST, Json(ErrorBody::malformed(refusal))).into_response()
}

/// RFC 7240: preferences are a list, their names in any case, with parameters.
fn prefers_no_answer(headers: &HeaderMap) -> bool {
    let values = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let mut wishes = values.flat_map(|value| value.split(','));
    wishes.any(|wish| wish.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("respond-async"))
}

pub(crate) fn header_pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let readable =
        headers.iter().filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    readable.collect()
}
