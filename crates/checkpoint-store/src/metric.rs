//! What the store counts. Names are the product's; whoever installs a recorder describes them.

use std::time::Duration;

use metrics::{counter, histogram};

pub(crate) fn group(size: usize, took: Duration) {
    #[expect(clippy::cast_precision_loss, reason = "a group has at most some dozens of calls")]
    histogram!("agent_executor_commit_group_size").record(size as f64);
    histogram!("agent_executor_commit_seconds").record(took.as_secs_f64());
}

/// `outcome`: committed, fenced or unknown.
pub(crate) fn steps(outcome: &'static str, many: usize) {
    if many > 0 {
        counter!("agent_executor_steps_committed_total", "outcome" => outcome)
            .increment(u64::try_from(many).unwrap_or(u64::MAX));
    }
}

pub(crate) fn connection_error() {
    counter!("agent_executor_db_connection_errors_total").increment(1);
}
