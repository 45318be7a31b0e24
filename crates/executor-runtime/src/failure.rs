//! A job's failure as it is told.

use agent_checkpoint_store::JobStatus;
use agent_executor_core::{Emission, StreamEvent};
use agent_wire::JobResult;

/// The class of an end that somebody asked for.
const CANCELLED: &str = "Cancelled";

/// Why a job failed without its run, or in place of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    /// Class as the Python service names it.
    pub(crate) kind: &'static str,
    /// Our stable code.
    pub(crate) code: String,
    /// For people, with the prefix that Python's clients know.
    pub(crate) message: String,
}

impl Failed {
    pub(crate) fn definition(code: &str, why: &str) -> Self {
        Self {
            kind: "GraphBuilderError",
            code: code.to_owned(),
            message: format!("Graph building failed: {why}"),
        }
    }

    pub(crate) fn input(code: &str, why: &str) -> Self {
        Self { kind: "ValidationError", code: code.to_owned(), message: why.to_owned() }
    }

    pub(crate) fn execution(code: &str, why: &str) -> Self {
        Self {
            kind: "ExecutionError",
            code: code.to_owned(),
            message: format!("Graph execution failed: {why}"),
        }
    }

    /// The status that a job has after it.
    pub(crate) fn status(&self) -> JobStatus {
        if self.kind == CANCELLED { JobStatus::Cancelled } else { JobStatus::Failed }
    }

    /// What the result event says.
    pub(crate) fn into_result(self) -> JobResult {
        JobResult::Failed { kind: self.kind.to_owned(), code: self.code, message: self.message }
    }

    /// What observers are told.
    pub(crate) fn events(&self) -> Vec<Emission> {
        let told =
            StreamEvent::Error { kind: self.kind, code: self.code.clone(), message: self.message.clone() };
        let tell = |event| Emission { label: None, step: 0, event };
        vec![tell(told), tell(StreamEvent::End { completed: false })]
    }

    pub(crate) fn cancelled() -> Self {
        Self {
            kind: CANCELLED,
            code: "job.cancelled".to_owned(),
            message: "the job was cancelled".to_owned(),
        }
    }

    pub(crate) fn deadline() -> Self {
        Self {
            kind: "DeadlineExceeded",
            code: "job.deadline".to_owned(),
            message: "the job's deadline has passed".to_owned(),
        }
    }

    pub(crate) fn poison(losses: u32) -> Self {
        let message = format!(
            "the job was given up: {losses} workers that ran it were lost without handing it back, more than \
             POISON_LIMIT allows"
        );
        Self { kind: "PoisonJob", code: "job.poison".to_owned(), message }
    }
}
