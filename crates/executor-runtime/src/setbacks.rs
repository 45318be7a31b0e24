//! Counts what failed and is tried again by somebody, beside its log line.

use agent_telemetry::metric;

/// What a call to the store was for. The words are those of the metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreCall {
    Begin,
    Commit,
    Finish,
    Renewal,
    Cancels,
    Journal,
    Release,
    Outbox,
    Status,
}

impl StoreCall {
    /// One of these failed, or its outcome is unknown.
    pub(crate) fn failed(self) {
        metric::STORE_CALL_FAILURES.with(&[self.as_str()]).increment(1);
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Commit => "commit",
            Self::Finish => "finish",
            Self::Renewal => "renewal",
            Self::Cancels => "cancels",
            Self::Journal => "journal",
            Self::Release => "release",
            Self::Outbox => "outbox",
            Self::Status => "status",
        }
    }
}

/// A part of the upkeep failed; the next round tries it again.
pub(crate) fn sweep_failed(part: &str) {
    metric::SWEEP_FAILURES.with(&[part]).increment(1);
}
