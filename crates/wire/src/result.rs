//! The result CloudEvent (wire contract 3): the last word on a job, published once.

use std::sync::Arc;

use agent_executor_core::Usage;
use agent_langgraph_codec::Files;
use bytes::Bytes;
use serde_json::Value;
use uuid::{Uuid, uuid};

use crate::files::{self, FileForm};
use crate::json::{self, Object};
use crate::refusal::Refusal;
use crate::trace::TraceContext;

/// `source` of every event of ours; existing consumers compare it.
pub const SOURCE: &str = "agent-executor-service";

/// Namespace of result ids (wire contract 2, "Headers").
const RESULT_IDS: Uuid = uuid!("6f1f8d3e-0c1b-5e0a-9b57-2d5a6f0c7e11");

/// The id of a job's result event: one per job, whatever its outcome, so that consumers can drop repeats.
pub fn result_event_id(job_id: &str) -> Uuid {
    Uuid::new_v5(&RESULT_IDS, job_id.as_bytes())
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq)]
pub enum JobResult {
    /// It came to its end.
    Completed {
        /// Content of the last message: a string, blocks, or null.
        output: Value,
        /// The structured answer, where the definition asks for one.
        structured_response: Option<Value>,
        /// The file system at the end. Context files are left out here.
        files: Arc<Files>,
        /// Tokens over all agents.
        usage: Usage,
        /// Model calls that were answered, over all agents.
        model_calls: u64,
        /// Codes of what the caller should know nevertheless.
        warnings: Vec<&'static str>,
    },
    /// It did not.
    Failed {
        /// `ExecutionError`, `GraphBuilderError`, `ValidationError`, `Cancelled`, `DeadlineExceeded`,
        /// `BudgetExceeded`, `PoisonJob` (wire contract 15 row 23).
        kind: String,
        /// Our stable code, e.g. `model.refused`.
        code: String,
        /// For people; not empty.
        message: String,
    },
}

/// How results are written, by configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResultForm {
    /// `WIRE_FILE_CONTENT`.
    pub files: FileForm,
    /// `STREAM_COMPAT=python`: `final_state` beside ours.
    pub final_state: bool,
}

impl From<FileForm> for ResultForm {
    fn from(files: FileForm) -> Self {
        Self { files, final_state: false }
    }
}

/// A result event, encoded. Its body is stored whole; [`crate::shorten`] fits it to a server's limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultEvent {
    /// The event's id, and its `Nats-Msg-Id`.
    pub id: String,
    /// Where it goes: `agent.status.completed` or `agent.status.failed`.
    pub subject: &'static str,
    /// Structured CloudEvent, JSON.
    pub body: Bytes,
}

impl ResultEvent {
    /// Encodes the result of a job. `seed`: fresh random bits; the low half becomes the event's span, all of them
    /// the trace where `trace` is `None`.
    pub fn new(
        job_id: &str,
        result: &JobResult,
        trace: Option<&TraceContext>,
        seed: u128,
        form: impl Into<ResultForm>,
    ) -> Self {
        Self::encode(result_event_id(job_id), job_id, result, trace, seed, form.into())
    }

    /// Encodes the answer to a message that could not be made a job.
    pub fn refused(refusal: &Refusal, seed: u128) -> Self {
        let result = JobResult::Failed {
            kind: "ValidationError".to_owned(),
            code: refusal.code.to_owned(),
            message: refusal.message.clone(),
        };
        Self::encode(refusal.event_id, refusal.reported_job_id(), &result, None, seed, ResultForm::default())
    }

    fn encode(
        id: Uuid,
        job_id: &str,
        result: &JobResult,
        trace: Option<&TraceContext>,
        seed: u128,
        form: ResultForm,
    ) -> Self {
        let (kind, subject) = match result {
            JobResult::Completed { .. } => ("dev.my-platform.agent.completed", "agent.status.completed"),
            JobResult::Failed { .. } => ("dev.my-platform.agent.failed", "agent.status.failed"),
        };
        let begun;
        let trace = match trace {
            Some(trace) => trace,
            None => {
                begun = TraceContext::from_random(seed.to_be_bytes());
                &begun
            }
        };
        let id = id.to_string();
        let mut out = Vec::with_capacity(1024);
        let mut event = Object::open(&mut out);
        event.text("specversion", "1.0");
        event.text("type", kind);
        event.text("source", SOURCE);
        event.text("subject", job_id);
        event.text("id", &id);
        event.text("traceparent", &trace.traceparent(span_of(seed)));
        if let Some(state) = &trace.tracestate {
            event.text("tracestate", state);
        }
        let mut data = Object::open(event.key("data"));
        data.text("job_id", job_id);
        match result {
            JobResult::Completed { output, structured_response, files, usage, model_calls, warnings } => {
                let mut result = Object::open(data.key("result"));
                json::value(result.key("output"), output);
                result.text("status", "completed");
                if let Some(value) = structured_response {
                    json::value(result.key("structured_response"), value);
                }
                files::write(result.key("files"), files, form.files);
                write_usage(result.key("usage"), *usage, *model_calls);
                json::array(result.key("warnings"), warnings.iter().copied(), json::string);
                if form.final_state {
                    let mut state = Object::open(result.key("final_state"));
                    files::write(state.key("files"), files, form.files);
                    state.close();
                }
                result.close();
            }
            JobResult::Failed { kind, code, message } => {
                let mut error = Object::open(data.key("error"));
                error.text("message", message);
                error.text("type", kind);
                // Consumers of the Python service read this member; what it held is nobody's business.
                error.text("stack_trace", "");
                error.text("code", code);
                error.close();
            }
        }
        data.close();
        event.close();
        Self { id, subject, body: Bytes::from(out) }
    }
}

fn write_usage(out: &mut Vec<u8>, usage: Usage, model_calls: u64) {
    let mut object = Object::open(out);
    object.uint("input_tokens", usage.input_tokens);
    object.uint("output_tokens", usage.output_tokens);
    object.uint("model_calls", model_calls);
    object.close();
}

/// The low 64 bits.
fn span_of(seed: u128) -> u64 {
    u64::try_from(seed & u128::from(u64::MAX)).unwrap_or(1)
}

impl TryFrom<&ResultEvent> for cloudevents::Event {
    type Error = serde_json::Error;

    /// For Rust callers that use the CloudEvents SDK.
    fn try_from(event: &ResultEvent) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(&event.body)
    }
}
