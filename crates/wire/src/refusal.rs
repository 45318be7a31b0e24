//! Why a body could not be made a job.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::ids::JobId;
use crate::result::result_event_id;

/// Longest text of a sender's id that is repeated, in characters.
const LONGEST_ECHO: usize = 200;

/// One thing that is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// FastAPI's word for it: `missing`, `string_type`, `dict_type`, `json_invalid`, `value_error`, …
    pub kind: &'static str,
    /// Member, and its member: `["limits"]`; empty for the body as a whole.
    pub loc: Vec<String>,
    /// For people.
    pub message: String,
}

/// A message from outside that is no job. Nothing has been stored or run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Stable, low-cardinality: `input.not_json`, `input.too_large`, `input.too_deep`, `input.missing_field`,
    /// `input.wrong_type`, `input.out_of_range`, `input.bad_id`, `input.bad_model`, `input.bad_event`, `input.batch`,
    /// `input.job_id_reused`, `input.subject_mismatch`, `input.empty_definition`.
    pub code: &'static str,
    /// Names the member, what was expected and what was found; all problems, joined by `; `.
    pub message: String,
    /// The job's id where the body holds a valid one, else the subject's last token where that is valid.
    pub job_id: Option<JobId>,
    /// Each problem by itself; never empty.
    pub problems: Box<[Problem]>,
    /// The job id as written where it is a text but no valid id, cut to 200 characters.
    pub job_id_as_written: Option<Box<str>>,
    /// Id of the failed event that tells the sender; the same whenever the same bytes come again.
    pub event_id: Uuid,
}

impl Refusal {
    pub(crate) fn new(code: &'static str, problems: Vec<Problem>) -> Self {
        let message = problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; ");
        let problems = problems.into_boxed_slice();
        Self { code, message, job_id: None, problems, job_id_as_written: None, event_id: Uuid::nil() }
    }

    pub(crate) fn of_body(code: &'static str, kind: &'static str, message: String) -> Self {
        Self::new(code, vec![Problem { kind, loc: Vec::new(), message }])
    }

    fn of_job(code: &'static str, kind: &'static str, field: &str, message: String, job_id: &JobId) -> Self {
        let mut refusal = Self::new(code, vec![Problem { kind, loc: vec![field.to_owned()], message }]);
        refusal.job_id = Some(job_id.clone());
        refusal.event_id = result_event_id(job_id.as_str());
        refusal
    }

    /// The job's id is taken by a job with other content. No result event goes out: the id's own is taken.
    pub fn job_id_reused(job_id: &JobId) -> Self {
        let message = format!(
            "`job_id`: {job_id} belongs to a job with another thread_id, agent_definition, input_payload, model or limits"
        );
        Self::of_job("input.job_id_reused", "value_error", "job_id", message, job_id)
    }

    /// The job's id is not the last token of the subject that it came on, where the settings ask for that.
    pub fn subject_mismatch(job_id: &JobId, subject: &str) -> Self {
        let subject: String = subject.chars().take(LONGEST_ECHO).collect();
        let message =
            format!("`job_id`: expected the last token of the subject `{subject}`, found `{job_id}`");
        Self::of_job("input.subject_mismatch", "value_error", "job_id", message, job_id)
    }

    /// The definition is empty and no default is configured.
    pub fn empty_definition(job_id: &JobId) -> Self {
        let message = "`agent_definition`: expected a definition, found an empty object, and \
                       DEFAULT_AGENT_DEFINITION_FILE names no default"
            .to_owned();
        Self::of_job("input.empty_definition", "value_error", "agent_definition", message, job_id)
    }

    /// The first member that is wrong; `None` where it is the body as a whole.
    pub fn field(&self) -> Option<String> {
        self.problems.first().map(|problem| problem.loc.join(".")).filter(|field| !field.is_empty())
    }

    /// What the failed event calls the job: its id as written, else the subject's token, else `unknown`.
    pub fn reported_job_id(&self) -> &str {
        let written = self.job_id_as_written.as_deref();
        written.or(self.job_id.as_ref().map(JobId::as_str)).unwrap_or("unknown")
    }

    /// Whether a failed event should go out: not where the id's own result is taken.
    pub fn wants_event(&self) -> bool {
        self.code != "input.job_id_reused"
    }

    /// The list of a 422 answer, in FastAPI's form: `[{type, loc, msg}]`. The input is not repeated.
    pub fn details(&self) -> Vec<Value> {
        let one = |problem: &Problem| {
            let loc: Vec<&str> =
                std::iter::once("body").chain(problem.loc.iter().map(String::as_str)).collect();
            json!({ "type": problem.kind, "loc": loc, "msg": problem.message })
        };
        self.problems.iter().map(one).collect()
    }

    /// Adds whom it concerns: the id in the body, else the subject's last token.
    pub(crate) fn about(mut self, written: Option<&str>, subject: Option<&str>, body: &[u8]) -> Self {
        let own = written.map(str::trim).and_then(|text| JobId::try_from(text).ok());
        if own.is_none() {
            let as_written = written.map(str::trim).filter(|text| !text.is_empty());
            self.job_id_as_written =
                as_written.map(|text| text.chars().take(LONGEST_ECHO).collect::<String>().into_boxed_str());
        }
        self.event_id = match &own {
            Some(own) => result_event_id(own.as_str()),
            // An id that we were not told must not take the place of that job's own result event.
            None => result_event_id(&format!("refused:{}", agent_executor_core::sha256_hex(body))),
        };
        self.job_id = own.or_else(|| subject.and_then(|token| JobId::try_from(token).ok()));
        self
    }
}

/// A message that was refused, as it came: what a dead letter keeps.
#[derive(Debug, Clone, Copy)]
pub struct RawMessage<'a> {
    /// Where it came from: a stream's name, or `http`.
    pub source: &'a str,
    /// Its number there; 0 where it has none.
    pub seq: u64,
    /// The subject, or the method and path.
    pub subject: &'a str,
    /// All of it.
    pub body: &'a [u8],
}

impl<'a> RawMessage<'a> {
    /// Most bytes of a refused body that are kept.
    pub const KEPT: usize = 64 * 1024;

    /// The first bytes of the body.
    pub fn head(&self) -> &'a [u8] {
        self.body.get(..Self::KEPT).unwrap_or(self.body)
    }

    /// SHA-256 of the whole body, hex.
    pub fn hash(&self) -> String {
        agent_executor_core::sha256_hex(self.body)
    }
}
