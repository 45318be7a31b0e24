//! Log lines: one JSON object each for machines, a plain line for people.
//!
//! A line has `event` (a past-tense name, the message of the tracing macro), `level`, `timestamp` and `target`, then
//! the fields of the spans around it from the outermost inwards (`job_id`, `thread_id`, `trace_id`) and its own.
//!
//! ```
//! tracing::info!(steps = 3, "job_completed");
//! ```

mod fields;
mod layer;
mod line;

use std::{io::Write as _, sync::Arc};

use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use self::layer::Lines;
pub use self::line::Format;

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Servers: whoever collects containers' output reads it.
    Stdout,
    /// Commands: stdout is for their result.
    Stderr,
}

/// What is logged, in which form, and where to.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions<'a> {
    /// The form of a line.
    pub format: Format,
    /// Where lines go.
    pub output: Output,
    /// `RUST_LOG`: directives per target. Wins over `log_level`.
    pub rust_log: Option<&'a str>,
    /// `LOG_LEVEL`: trace, debug, info, warn or warning, error, critical.
    pub log_level: Option<&'a str>,
}

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// A filter that cannot be read.
    #[error("`{variable}`: expected {expected}, found `{found}`")]
    Filter {
        /// Which.
        variable: &'static str,
        /// What it should be.
        expected: &'static str,
        /// Its value.
        found: String,
    },
    /// Another subscriber is installed.
    #[error("another log subscriber is already installed in this process")]
    Taken,
}

/// Begins to log, for the whole process; also what libraries say through `log`.
///
/// # Errors
/// Where a filter cannot be read, or somebody else logs already.
pub fn init(options: LogOptions<'_>) -> Result<(), LogError> {
    let filter = filter(options.rust_log, options.log_level)?;
    let output = options.output;
    // One write a line, so that lines of several threads and processes do not mix. A reader that went away is no
    // reason to end a job.
    let lines = Lines::new(
        options.format,
        Arc::new(move |line: &str| {
            let written = match output {
                Output::Stdout => std::io::stdout().lock().write_all(line.as_bytes()),
                Output::Stderr => std::io::stderr().lock().write_all(line.as_bytes()),
            };
            written.unwrap_or_default();
        }),
    );
    tracing_subscriber::registry().with(lines.with_filter(filter)).try_init().map_err(|_| LogError::Taken)
}

fn filter(rust_log: Option<&str>, log_level: Option<&str>) -> Result<EnvFilter, LogError> {
    if let Some(directives) = rust_log.map(str::trim).filter(|text| !text.is_empty()) {
        return EnvFilter::try_new(directives).map_err(|_| LogError::Filter {
            variable: "RUST_LOG",
            expected: "directives like `info,agent_executor_runtime=debug`",
            found: directives.to_owned(),
        });
    }
    let named = log_level.map(str::trim).filter(|text| !text.is_empty()).unwrap_or("info");
    let level = match named.to_ascii_lowercase().as_str() {
        "trace" => "trace",
        "debug" => "debug",
        "info" | "notset" => "info",
        "warn" | "warning" => "warn",
        "error" | "critical" | "fatal" => "error",
        "off" => "off",
        _ => {
            return Err(LogError::Filter {
                variable: "LOG_LEVEL",
                expected: "trace, debug, info, warn, error or off",
                found: named.to_owned(),
            });
        }
    };
    // These two tell of every reconnect at `info`; we have lines of our own for that.
    let quiet = if matches!(level, "info") { ",fred=warn,async_nats=warn" } else { "" };
    Ok(EnvFilter::new(format!("{level}{quiet}")))
}

#[cfg(test)]
mod tests;
