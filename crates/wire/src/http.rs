//! Bodies of HTTP answers (wire contract 4).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::refusal::Refusal;

/// `YYYY-MM-DDTHH:MM:SSZ`, as the Python service writes it.
pub fn timestamp(now: OffsetDateTime) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    now.to_offset(time::UtcOffset::UTC).format(form).unwrap_or_default()
}

/// `GET /health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthBody {
    /// `healthy`.
    pub status: String,
    /// See [`timestamp`].
    pub timestamp: String,
}

impl HealthBody {
    /// The process answers.
    pub fn healthy(now: OffsetDateTime) -> Self {
        Self { status: "healthy".to_owned(), timestamp: timestamp(now) }
    }
}

/// The servers that a worker needs, and whether each answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Services {
    /// The cache.
    pub dragonfly: bool,
    /// The database.
    pub postgres: bool,
    /// The queue.
    pub nats: bool,
}

/// `GET /ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadyBody {
    /// `ready` or `not_ready`.
    pub status: String,
    /// Each server by itself.
    pub services: Services,
    /// See [`timestamp`].
    pub timestamp: String,
}

impl ReadyBody {
    /// `ready` says whether enough of `services` is there (`READY_REQUIRES`).
    pub fn new(ready: bool, services: Services, now: OffsetDateTime) -> Self {
        let status = if ready { "ready" } else { "not_ready" };
        Self { status: status.to_owned(), services, timestamp: timestamp(now) }
    }
}

/// `POST /invoke`. The IDE client reads `thread_id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InvokeAnswer {
    /// The conversation.
    pub thread_id: String,
    /// `started`.
    pub status: String,
}

impl InvokeAnswer {
    /// The job is in the store.
    pub fn started(thread_id: impl Into<String>) -> Self {
        Self { thread_id: thread_id.into(), status: "started".to_owned() }
    }
}

/// `GET /state/{thread_id}`. The IDE client reads `status`, `generated_files` and `error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExecutionState {
    /// The conversation.
    pub thread_id: String,
    /// `running` (queued too), `completed` or `failed`.
    pub status: String,
    /// `data.result` of the newest job without its files; null until it completed.
    pub result: Option<Value>,
    /// The files at the end; null until then.
    pub generated_files: Option<Value>,
    /// `data.error` of the newest job; null where it did not fail.
    pub error: Option<Value>,
}

impl ExecutionState {
    /// A thread whose newest job is queued or in work.
    pub fn running(thread_id: impl Into<String>) -> Self {
        let status = "running".to_owned();
        Self { thread_id: thread_id.into(), status, result: None, generated_files: None, error: None }
    }

    /// A thread whose newest job has ended: `body` is its stored result event. `None`: the body is none.
    pub fn ended(thread_id: impl Into<String>, body: &[u8]) -> Option<Self> {
        let mut event: Value = serde_json::from_slice(body).ok()?;
        let data = event.get_mut("data")?;
        let thread_id = thread_id.into();
        if let Some(error) = data.get_mut("error").map(Value::take) {
            let status = "failed".to_owned();
            return Some(Self { thread_id, status, result: None, generated_files: None, error: Some(error) });
        }
        let mut result = data.get_mut("result").map(Value::take)?;
        let files = result.as_object_mut().and_then(|members| members.shift_remove("files"));
        let status = "completed".to_owned();
        Some(Self { thread_id, status, result: Some(result), generated_files: files, error: None })
    }
}

/// `GET /jobs/{job_id}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobView {
    /// The job.
    pub job_id: String,
    /// Its conversation.
    pub thread_id: String,
    /// `queued`, `running`, `completed`, `failed` or `cancelled`.
    pub status: String,
    /// How often it was begun; 1 for a job that nothing interrupted.
    pub attempt: u32,
    /// Seconds since admission.
    pub age_seconds: f64,
    /// Jobs of the same thread that come first; null unless queued.
    pub queue_position: Option<u64>,
    /// Whether somebody asked for its end.
    pub cancel_requested: bool,
    /// `data.result` of the result event; null unless the job completed.
    pub result: Option<Value>,
    /// `data.error` of the result event; null unless the job failed or was cancelled.
    pub error: Option<Value>,
}

/// `GET /threads`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThreadList {
    /// The threads with the newest jobs, newest first.
    pub threads: Vec<ThreadSummary>,
}

/// A thread in a list, with its newest job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThreadSummary {
    /// The conversation.
    pub thread_id: String,
    /// Its newest job.
    pub job_id: String,
    /// `queued`, `running`, `completed`, `failed` or `cancelled`.
    pub status: String,
    /// When the job was admitted, RFC 3339.
    pub created_at: String,
    /// When it ended; null while it is open.
    pub ended_at: Option<String>,
}

/// 202 of `POST /` with `Prefer: respond-async`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// The job.
    pub job_id: String,
    /// `accepted`.
    pub status: String,
}

/// One checkpoint of a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckpointView {
    /// Its id; ids of a thread ascend.
    pub checkpoint_id: String,
    /// The one before it; null for the first.
    pub parent_checkpoint_id: Option<String>,
    /// ISO 8601, as LangGraph writes it.
    pub created_at: Option<String>,
    /// LangGraph's super-step, from -1.
    pub step: Option<i64>,
    /// `input`, `loop`, `update` or `fork`.
    pub source: Option<String>,
    /// The job that wrote it; null where a Python worker did.
    pub job_id: Option<String>,
}

/// `GET /threads/{thread_id}/history`: newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HistoryPage {
    /// The conversation.
    pub thread_id: String,
    /// The namespace; empty for the orchestrator.
    pub ns: String,
    /// The page.
    pub checkpoints: Vec<CheckpointView>,
    /// `?before=` of the next page; null on the last one.
    pub next_before: Option<String>,
}

/// Every error that is not a list of problems: `{"detail": …}` as FastAPI writes it, and our code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// For people.
    pub detail: String,
    /// Our stable code, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl ErrorBody {
    /// An error without a code.
    pub fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), code: None }
    }

    /// 400 of `POST /`, with the words of the Python service in front.
    pub fn malformed(refusal: &Refusal) -> Self {
        Self {
            detail: format!("Malformed JobExecutionEvent: {}", refusal.message),
            code: Some(refusal.code.to_owned()),
        }
    }
}

/// 422 of `POST /invoke`, in FastAPI's form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ValidationBody {
    /// `[{type, loc, msg}]`.
    pub detail: Vec<Value>,
}

impl From<&Refusal> for ValidationBody {
    fn from(refusal: &Refusal) -> Self {
        Self { detail: refusal.details() }
    }
}
