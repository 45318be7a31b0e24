//! What the tests of the runtime share.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use agent_executor_runtime::{Executor, JobHandle, Submission};
use agent_wire::{JobRequest, Limits};
use serde_json::{Value, json};

/// A job of one orchestrator on the scripted model.
pub(crate) fn job(job_id: &str, thread_id: &str, prompt: &str, text: &str) -> JobRequest {
    parsed(&json!({
        "job_id": job_id,
        "thread_id": thread_id,
        "agent_definition": { "nodes": [{ "type": "orchestrator", "config": {
            "name": "main", "system_prompt": prompt, "model": { "provider": "openai", "model": "scripted" } } }] },
        "input_payload": { "messages": [{ "role": "user", "content": text }] },
    }))
}

/// A job as a transport reads it.
pub(crate) fn parsed(body: &Value) -> JobRequest {
    JobRequest::parse(body.to_string().as_bytes(), &[], &Limits::default(), None).unwrap()
}

/// Offers a job that is expected to run here.
pub(crate) async fn submit(executor: &Executor, job: JobRequest) -> JobHandle {
    let slot = executor.direct_slot().await.unwrap();
    match executor.submit(job, slot).await.unwrap() {
        Submission::Running(handle) => handle,
        other => panic!("{other:?}"),
    }
}
