//! What PostgreSQL refuses, the other backends refuse as well: a program tested on one must not fail on another.

use crate::port::StoreError;
use crate::types::{BeginRequest, Commit, DeadLetter, OutboxMessage, Terminal};

pub(crate) fn text(column: &str, value: &str) -> Result<(), StoreError> {
    if value.contains('\0') {
        return Err(StoreError::Refused(format!("{column} holds U+0000, which text cannot store")));
    }
    Ok(())
}

fn json(column: &str, value: &str) -> Result<(), StoreError> {
    serde_json::from_str::<serde::de::IgnoredAny>(value)
        .map_err(|error| StoreError::Refused(format!("{column} is not JSON: {error}")))?;
    if holds_escaped_nul(value) {
        return Err(StoreError::Refused(format!("{column} holds \\u0000, which jsonb cannot store")));
    }
    Ok(())
}

/// Whether JSON text holds `\u0000` as an escape; `\\u0000` is a backslash and five letters.
fn holds_escaped_nul(value: &str) -> bool {
    value.match_indices("\\u0000").any(|(at, _)| {
        let before = value.get(..at).unwrap_or_default();
        let backslashes = before.len() - before.trim_end_matches('\\').len();
        backslashes.is_multiple_of(2)
    })
}

pub(crate) fn number(name: &str, value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Refused(format!("{name} {value} does not fit in 63 bits")))
}

pub(crate) fn commit(commit: &Commit) -> Result<(), StoreError> {
    number("last_seq", commit.last_seq)?;
    for row in &commit.rows.checkpoints {
        text("checkpoints.checkpoint_ns", &row.ns)?;
        text("checkpoints.checkpoint_id", &row.checkpoint_id)?;
        json("checkpoints.checkpoint", &row.checkpoint)?;
        json("checkpoints.metadata", &row.metadata)?;
    }
    for row in &commit.rows.blobs {
        text("checkpoint_blobs.channel", &row.channel)?;
        text("checkpoint_blobs.version", &row.version)?;
    }
    for row in &commit.rows.writes {
        text("checkpoint_writes.channel", &row.channel)?;
        text("checkpoint_writes.task_id", &row.task_id)?;
        text("checkpoint_writes.task_path", &row.task_path)?;
    }
    for row in &commit.journal {
        number("agent_events.first_seq", row.first_seq)?;
        number("agent_events.last_seq", row.last_seq)?;
    }
    commit.steps.iter().try_for_each(|step| text("agent_steps.call_id", &step.call_id))
}

pub(crate) fn begin(request: &BeginRequest) -> Result<(), StoreError> {
    text("agent_jobs.job_id", &request.job.job_id)?;
    text("agent_jobs.thread_id", &request.job.thread_id)?;
    text("agent_jobs.payload_hash", &request.job.payload_hash)?;
    request.fresh.as_ref().map_or(Ok(()), commit)
}

pub(crate) fn terminal(terminal: &Terminal) -> Result<(), StoreError> {
    if !terminal.status.is_terminal() {
        let status = terminal.status.as_str();
        return Err(StoreError::Refused(format!("a job cannot end as `{status}`")));
    }
    Ok(())
}

pub(crate) fn outbox(message: &OutboxMessage) -> Result<(), StoreError> {
    text("agent_outbox.id", &message.id)?;
    text("agent_outbox.subject", &message.subject)
}

pub(crate) fn dead_letter(letter: &DeadLetter) -> Result<(), StoreError> {
    number("agent_dead_letters.seq", letter.seq)?;
    text("agent_dead_letters.source", &letter.source)?;
    text("agent_dead_letters.reason", &letter.reason)?;
    text("agent_dead_letters.subject", &letter.subject)?;
    letter.job_id.as_ref().map_or(Ok(()), |id| text("agent_dead_letters.job_id", id))?;
    letter.outbox.as_ref().map_or(Ok(()), outbox)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_real_escape_counts_as_nul() {
        assert!(holds_escaped_nul(r#"{"a":"\u0000"}"#));
        assert!(!holds_escaped_nul(r#"{"a":"\\u0000"}"#));
        assert!(holds_escaped_nul(r#"{"a":"\\\u0000"}"#));
    }
}
