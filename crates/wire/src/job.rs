//! A job as it enters (wire contract 2.1 to 2.2.2).

mod read;
mod stored;

use agent_executor_core::{ModelRef, canonical_json, sha256_hex};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::envelope::{self, Check};
use crate::ids::{JobId, ThreadId};
use crate::json::Object;
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::trace::TraceContext;
pub use stored::StoredJobError;

/// Budgets of one job; `None` leaves it to the definition, the settings, or nobody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobLimits {
    /// Super-steps of the main graph, 1 to 9999.
    pub recursion_limit: Option<u32>,
    /// Seconds from admission, above 0.
    pub deadline_seconds: Option<f64>,
    /// Model calls over all agents of the job, at least 1.
    pub max_model_calls: Option<u64>,
    /// Tokens over all agents of the job, at least 1.
    pub max_tokens: Option<u64>,
}

/// What somebody wants done. Published by anybody over NATS or HTTP; members that we do not know are ignored.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRequest {
    /// The job.
    pub job_id: JobId,
    /// The conversation; the job's id where none was named.
    pub thread_id: ThreadId,
    /// The trace it belongs to.
    pub trace: TraceContext,
    /// `trace_id` as written, for the log.
    pub trace_id_raw: Option<String>,
    /// The agent definition: an object, possibly empty. Whether a default takes its place is the caller's affair.
    pub definition: Value,
    /// The graph's input: messages, files, and what they can be made of.
    pub input: Map<String, Value>,
    /// Budgets.
    pub limits: JobLimits,
    /// Takes the place of the orchestrator's model.
    pub model: Option<ModelRef>,
    /// SHA-256 over what makes two jobs of one id the same: thread_id, agent_definition, input_payload, limits, model.
    pub payload_hash: String,
}

impl JobRequest {
    /// A job as it comes over NATS: a CloudEvent in either mode of which only the data is looked at, or a bare job.
    /// `subject_job_id` is the last token of the subject; it names the job where the body cannot.
    ///
    /// # Errors
    /// [`Refusal`] with everything that is wrong.
    pub fn parse(
        body: &[u8],
        headers: &[(String, String)],
        limits: &Limits,
        subject_job_id: Option<&str>,
    ) -> Result<Self, Refusal> {
        Self::open(body, headers, limits, subject_job_id, Check::DataOnly)
    }

    /// A job as it comes by the CloudEvents HTTP binding: as [`JobRequest::parse`], and an event must have the
    /// attributes that the specification requires.
    ///
    /// # Errors
    /// [`Refusal`] with everything that is wrong.
    pub fn parse_strict(body: &[u8], headers: &[(String, String)], limits: &Limits) -> Result<Self, Refusal> {
        Self::open(body, headers, limits, None, Check::Attributes)
    }

    /// A job as the body of `POST /invoke`: never an event.
    ///
    /// # Errors
    /// [`Refusal`] with everything that is wrong; [`Refusal::details`] is the list of the 422 answer.
    pub fn from_json(body: &[u8], headers: &[(String, String)], limits: &Limits) -> Result<Self, Refusal> {
        Self::open(body, headers, limits, None, Check::NoEvent)
    }

    fn open(
        body: &[u8],
        headers: &[(String, String)],
        limits: &Limits,
        subject_job_id: Option<&str>,
        check: Check,
    ) -> Result<Self, Refusal> {
        let opened = envelope::open(body, headers, limits, check)
            .map_err(|refusal| refusal.about(None, subject_job_id, body))?;
        let written = opened.job.get("job_id").and_then(Value::as_str).map(str::to_owned);
        read::job(opened, headers).map_err(|refusal| refusal.about(written.as_deref(), subject_job_id, body))
    }
}

/// The hash behind [`JobRequest::payload_hash`].
fn payload_hash(
    thread_id: &ThreadId,
    definition: &Value,
    input: &Value,
    limits: &JobLimits,
    model: Option<&ModelRef>,
) -> String {
    let mut text = Vec::with_capacity(4096);
    let mut object = Object::open(&mut text);
    object.raw("agent_definition", &canonical_json(definition));
    object.raw("input_payload", &canonical_json(input));
    stored::write_limits(object.key("limits"), limits);
    stored::write_model(object.key("model"), model);
    object.text("thread_id", thread_id.as_str());
    object.close();
    sha256_hex(&text)
}
