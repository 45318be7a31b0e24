//! `worker dead-letters`: what could not be made a job, and its way back into the queue.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use agent_checkpoint_store::{DeadLetter, DeadLetterRecord, PostgresStore, Store};
use agent_config::{Purpose, Settings};
use agent_executor_core::sha256_hex;
use agent_telemetry::logs::Output;
use agent_transport_nats::Nats;
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::{DeadLettersArgs, DeadLettersCommand};
use crate::{compose, start};

/// How long the queue may take to store what is sent back.
const PATIENCE: Duration = Duration::from_secs(10);
/// Characters of a reason in the table.
const REASON: usize = 60;

#[expect(clippy::print_stderr, reason = "this speaks to whoever typed the command")]
pub(crate) fn main(args: DeadLettersArgs) -> ExitCode {
    let settings = match start::settings(Purpose::Migrate) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    if let Err(code) = start::logging(&settings, Output::Stderr, true) {
        return code;
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("worker: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&settings, args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("worker: {failure:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(settings: &Settings, args: DeadLettersArgs) -> anyhow::Result<()> {
    let store = PostgresStore::connect(compose::postgres(settings)?).await?;
    match args.command {
        DeadLettersCommand::List { limit, before, json } => {
            let letters = store.dead_letters(before, limit).await?;
            let rows: Vec<Value> = letters.iter().map(summary).collect();
            if json { print(&serde_json::to_string_pretty(&rows)?) } else { print(&table(&letters)) }
        }
        DeadLettersCommand::Show { id, json } => {
            let record = find(&store, id).await?;
            if json { print(&serde_json::to_string_pretty(&whole(&record))?) } else { print(&page(&record)) }
        }
        DeadLettersCommand::Requeue { id, subject } => requeue(settings, &store, id, subject).await,
    }
}

async fn find(store: &PostgresStore, id: i64) -> anyhow::Result<DeadLetterRecord> {
    let found = store.dead_letters(Some(id.saturating_add(1)), 1).await?;
    found.into_iter().find(|record| record.id == id).with_context(|| format!("there is no dead letter {id}"))
}

/// Sends the message again, as it came. The letter stays: what became of the message, its job tells.
async fn requeue(
    settings: &Settings,
    store: &PostgresStore,
    id: i64,
    subject: Option<String>,
) -> anyhow::Result<()> {
    let letter = find(store, id).await?.letter;
    ensure!(
        is_whole(&letter),
        "only the first {} bytes of dead letter {id} are kept: it cannot be sent again, its sender must",
        letter.head.len()
    );
    let subject = match (subject, &letter.job_id) {
        (Some(subject), _) => subject,
        (None, _) if letter.subject.starts_with("agent.execute.") => letter.subject.clone(),
        (None, Some(job_id)) if !job_id.contains(['.', ' ', '*', '>']) => format!("agent.execute.{job_id}"),
        (None, _) => bail!("it came over `{}`: say on which subject to send it (--subject)", letter.subject),
    };
    let nats = agent_transport_nats::connect(compose::nats(settings)).await.context("NATS")?;
    let seq = tokio::time::timeout(PATIENCE, send(&nats, &subject, letter))
        .await
        .context("NATS does not answer")??;
    print(&format!("dead letter {id} was sent to `{subject}` (sequence {seq})"))
}

async fn send(nats: &Nats, subject: &str, letter: DeadLetter) -> anyhow::Result<u64> {
    nats.publish_job(subject, letter.head)
        .await
        .with_context(|| format!("no stream took the message on `{subject}`"))
}

/// Whether the whole message is kept.
fn is_whole(letter: &DeadLetter) -> bool {
    sha256_hex(&letter.head) == letter.hash
}

fn when(ms: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1000)).ok();
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

fn summary(record: &DeadLetterRecord) -> Value {
    let letter = &record.letter;
    json!({
        "id": record.id,
        "created_at": when(record.created_at_ms),
        "code": letter.code,
        "reason": letter.reason,
        "job_id": letter.job_id,
        "source": letter.source,
        "seq": letter.seq,
        "subject": letter.subject,
        "bytes_kept": letter.head.len(),
        "complete": is_whole(letter),
        "sha256": letter.hash,
    })
}

fn whole(record: &DeadLetterRecord) -> Value {
    let mut value = summary(record);
    if let Some(members) = value.as_object_mut() {
        let head = String::from_utf8_lossy(&record.letter.head).into_owned();
        members.insert("head".to_owned(), Value::String(head));
    }
    value
}

fn table(letters: &[DeadLetterRecord]) -> String {
    let mut out = format!("{:>6}  {:<20}  {:<24}  {:<24}  REASON\n", "ID", "TIME", "CODE", "JOB");
    for record in letters {
        let letter = &record.letter;
        let reason: String = printable(&letter.reason).chars().take(REASON).collect();
        let job = printable(letter.job_id.as_deref().unwrap_or("-"));
        let time = when(record.created_at_ms);
        out.push_str(&format!("{:>6}  {time:<20}  {:<24}  {job:<24}  {reason}\n", record.id, letter.code));
    }
    if letters.is_empty() {
        out.push_str("(none)\n");
    }
    out
}

fn page(record: &DeadLetterRecord) -> String {
    let letter = &record.letter;
    let rows = [
        ("id", record.id.to_string()),
        ("time", when(record.created_at_ms)),
        ("code", letter.code.clone()),
        ("reason", printable(&letter.reason)),
        ("job", printable(letter.job_id.as_deref().unwrap_or("-"))),
        ("source", format!("{} #{}", letter.source, letter.seq)),
        ("subject", printable(&letter.subject)),
        ("sha256", letter.hash.clone()),
        ("kept", if is_whole(letter) { "all of it".to_owned() } else { "its beginning".to_owned() }),
    ];
    let mut out = String::new();
    for (name, value) in rows {
        out.push_str(&format!("{name:<8} {value}\n"));
    }
    out.push('\n');
    out.push_str(&printable(&String::from_utf8_lossy(&letter.head)));
    out.push('\n');
    out
}

/// Text that does nothing to a terminal: it came from a stranger.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.trim_end().as_bytes())?;
    out.write_all(b"\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_sent_moves_no_cursor() {
        assert_eq!(printable("a\u{1b}[2Jb\r\nc"), "a\u{fffd}[2Jb\u{fffd}\nc");
    }
}
