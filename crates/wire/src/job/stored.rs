//! A job as the store keeps it, so that any worker can run it.
//!
//! Strings of a job may hold U+0000: keep the bytes as `bytea`. PostgreSQL's `jsonb` refuses them, and its `text`
//! would once somebody unescapes them.

use agent_executor_core::ModelRef;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{JobLimits, JobRequest};
use crate::ids::{IdError, JobId, ThreadId};
use crate::json::{self, Object};
use crate::trace::TraceContext;

/// Why a stored job could not be read: the row was not written by this version, or is damaged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoredJobError {
    /// Not JSON of the stored form.
    #[error("the stored job cannot be read")]
    Json(#[from] serde_json::Error),
    /// An id that is none.
    #[error("the stored job has no valid `{field}`")]
    Id {
        /// Which one.
        field: &'static str,
        /// Why.
        source: IdError,
    },
}

#[derive(Deserialize)]
struct Stored {
    job_id: String,
    thread_id: String,
    trace: TraceContext,
    trace_id: Option<String>,
    agent_definition: Value,
    input_payload: Map<String, Value>,
    limits: JobLimits,
    model: Option<ModelRef>,
    payload_hash: String,
}

impl JobRequest {
    /// The job as bytes for the store: JSON, to be kept as `bytea` and never looked into by SQL.
    pub fn to_stored(&self) -> Bytes {
        let mut out = Vec::with_capacity(4096);
        let mut object = Object::open(&mut out);
        object.text("job_id", self.job_id.as_str());
        object.text("thread_id", self.thread_id.as_str());
        write_trace(object.key("trace"), &self.trace);
        write_text(object.key("trace_id"), self.trace_id_raw.as_deref());
        json::value(object.key("agent_definition"), &self.definition);
        json::map(object.key("input_payload"), &self.input);
        write_limits(object.key("limits"), &self.limits);
        write_model(object.key("model"), self.model.as_ref());
        object.text("payload_hash", &self.payload_hash);
        object.close();
        Bytes::from(out)
    }

    /// The job from what [`JobRequest::to_stored`] gave. Members that a newer version added are ignored.
    ///
    /// # Errors
    /// [`StoredJobError`]: the bytes are not a stored job.
    pub fn from_stored(bytes: &[u8]) -> Result<Self, StoredJobError> {
        let stored: Stored = serde_json::from_slice(bytes)?;
        let id = |field| move |source| StoredJobError::Id { field, source };
        Ok(Self {
            job_id: JobId::try_from(stored.job_id.as_str()).map_err(id("job_id"))?,
            thread_id: ThreadId::try_from(stored.thread_id.as_str()).map_err(id("thread_id"))?,
            trace: stored.trace,
            trace_id_raw: stored.trace_id,
            definition: stored.agent_definition,
            input: stored.input_payload,
            limits: stored.limits,
            model: stored.model,
            payload_hash: stored.payload_hash,
        })
    }
}

fn write_text(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => json::string(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

fn write_trace(out: &mut Vec<u8>, trace: &TraceContext) {
    let mut object = Object::open(out);
    object.text("trace_id", &trace.trace_id);
    if let Some(parent) = trace.parent_span {
        object.uint("parent_span", parent);
    }
    object.raw("sampled", if trace.sampled { b"true" } else { b"false" });
    if let Some(state) = &trace.tracestate {
        object.text("tracestate", state);
    }
    object.close();
}

pub(super) fn write_limits(out: &mut Vec<u8>, limits: &JobLimits) {
    let mut object = Object::open(out);
    if let Some(seconds) = limits.deadline_seconds {
        json::value(object.key("deadline_seconds"), &Value::from(seconds));
    }
    let whole = [
        ("max_model_calls", limits.max_model_calls),
        ("max_tokens", limits.max_tokens),
        ("recursion_limit", limits.recursion_limit.map(u64::from)),
    ];
    for (name, number) in whole {
        if let Some(number) = number {
            object.uint(name, number);
        }
    }
    object.close();
}

pub(super) fn write_model(out: &mut Vec<u8>, model: Option<&ModelRef>) {
    let Some(model) = model else { return out.extend_from_slice(b"null") };
    let mut object = Object::open(out);
    object.text("model", &model.model);
    object.text("provider", &model.provider);
    object.close();
}
