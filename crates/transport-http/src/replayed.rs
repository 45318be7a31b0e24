//! The last events of a job whose own are gone from the journal, made from what the store still has.

use agent_checkpoint_store::{JobRecord, JobStatus, StoreError};
use agent_executor_runtime::Executor;
use agent_langgraph_codec::ChannelValue;
use agent_stream_sink::EventKind;
use agent_wire::stream::{self, Common};
use axum::body::Bytes;
use serde_json::Value;

/// For a completed job its state and `end`; for any other its `error`.
pub(crate) async fn end_of(
    executor: &Executor,
    job: &JobRecord,
    seq: u64,
) -> Result<Vec<(EventKind, Bytes)>, StoreError> {
    let common = Common { seq, job_id: &job.job_id, epoch: 0, step: 0, attempt: 1, label: None };
    if job.status != JobStatus::Completed {
        let event: Value =
            job.result.as_deref().and_then(|it| serde_json::from_slice(it).ok()).unwrap_or_default();
        let text = |name: &str| {
            event
                .pointer(&format!("/data/error/{name}"))
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let error = stream::error(&common, &text("type"), &text("code"), &text("message"));
        return Ok(vec![(EventKind::Error, error)]);
    }
    let rows = executor.store().load(&job.thread_id).await?.rows;
    let state = agent_langgraph_codec::load_graph(&rows, "").ok().flatten();
    let mut events = Vec::new();
    if let Some(state) = state {
        let messages: Vec<String> =
            state.messages.iter().map(|message| stream::message_json(message)).collect();
        let todos = match state.values.get("todos") {
            Some(ChannelValue::Json(todos)) => Some(todos),
            Some(ChannelValue::Messages(_) | ChannelValue::Raw { .. }) | None => None,
        };
        let form = executor.settings().file_form;
        let texts = Some(messages.iter().map(String::as_str));
        let update = stream::state_update(&common, texts, Some(&state.files), todos, form);
        events.push((EventKind::StateUpdate, update));
    }
    events.push((EventKind::End, stream::end(&common, true)));
    Ok(events)
}
