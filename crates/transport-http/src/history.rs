//! `GET /threads/{thread_id}/history`: the checkpoints of a thread, newest first, a page at a time.

use agent_langgraph_codec::CheckpointRow;
use agent_wire::http::{CheckpointView, HistoryPage};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;

use crate::answers;
use crate::router::HttpDoor;

const PAGE: usize = 20;
const LARGEST_PAGE: usize = 200;

#[derive(Debug, Deserialize)]
pub(crate) struct Which {
    limit: Option<String>,
    before: Option<String>,
    ns: Option<String>,
}

/// 200 with a page, 404 for a thread without checkpoints.
pub(crate) async fn get(
    State(door): State<HttpDoor>,
    Path(thread): Path<String>,
    Query(which): Query<Which>,
) -> Response {
    let limit = match which.limit.as_deref().map(str::parse).transpose() {
        Ok(limit) => limit.unwrap_or(PAGE),
        Err(_) => 0,
    };
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return answers::bad_parameter("query", "limit", "expected a whole number from 1 to 200");
    }
    let rows = match door.executor.store().load(&thread).await {
        Ok(snapshot) => snapshot.rows.checkpoints,
        Err(error) => return answers::unavailable(&error),
    };
    if rows.is_empty() {
        return answers::not_found("Thread", &thread);
    }
    let ns = which.ns.unwrap_or_default();
    let before = which.before.unwrap_or_default();
    let mut own: Vec<&CheckpointRow> = rows
        .iter()
        .filter(|row| *row.ns == *ns && (before.is_empty() || row.checkpoint_id < before))
        .collect();
    own.sort_by(|a, b| b.checkpoint_id.cmp(&a.checkpoint_id));
    let more = own.len() > limit;
    own.truncate(limit);
    let next = own.last().filter(|_| more).map(|row| row.checkpoint_id.clone());
    let checkpoints = own.into_iter().map(view).collect();
    Json(HistoryPage { thread_id: thread, ns, checkpoints, next_before: next }).into_response()
}

fn view(row: &CheckpointRow) -> CheckpointView {
    let metadata: Value = serde_json::from_str(&row.metadata).unwrap_or_default();
    let checkpoint: Value = serde_json::from_str(&row.checkpoint).unwrap_or_default();
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    CheckpointView {
        checkpoint_id: row.checkpoint_id.clone(),
        parent_checkpoint_id: row.parent_checkpoint_id.clone(),
        created_at: text(&checkpoint, "ts"),
        step: metadata.get("step").and_then(Value::as_i64),
        source: text(&metadata, "source"),
        job_id: text(&metadata, "agent_executor_job_id"),
    }
}
