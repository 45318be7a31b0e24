//! `worker watch`: a thread's live events, from the cache.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use agent_config::{Purpose, Settings};
use agent_stream_sink::RedisTail;
use serde_json::Value;

use crate::cli::WatchArgs;
use crate::run::view::View;
use crate::{compose, start};

const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn main(args: &WatchArgs) -> ExitCode {
    let settings = match start::settings(Purpose::Watch) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    start::told(start::block_on(watch(args, &settings)))
}

async fn watch(args: &WatchArgs, settings: &Settings) -> anyhow::Result<()> {
    let mut tail = RedisTail::open(&compose::cache(settings), &args.thread, PATIENCE).await?;
    let mut view = (!args.json).then(View::new);
    while let Some(told) = tail.next().await {
        if args.json {
            let line = [told.payload.as_ref(), b"\n"].concat();
            if std::io::stdout().lock().write_all(&line).is_err() {
                // Whoever read it has seen enough.
                return Ok(());
            }
        }
        if let Some(view) = &mut view {
            view.show(&told.payload);
        }
        // A thread of several jobs has ends in the middle of what was kept.
        if !told.past
            && let Some(status) = end(&told.payload)
        {
            if let Some(view) = &view {
                view.note(&format!("end {status}"));
            }
            return Ok(());
        }
    }
    anyhow::bail!("the connection to the cache is gone")
}

/// How the job ended, if this is its last event.
fn end(payload: &[u8]) -> Option<String> {
    let event: Value = serde_json::from_slice(payload).ok()?;
    let last = event.get("event_type")?.as_str()? == "end";
    last.then(|| event.pointer("/data/status").and_then(Value::as_str).unwrap_or("completed").to_owned())
}
