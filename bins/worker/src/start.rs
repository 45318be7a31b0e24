//! What every command does first: settings, secrets, logs.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;

use agent_config::{ConfigError, Environment, LogFormat, Purpose, Settings};
use agent_telemetry::logs::{self, Format, LogOptions, Output};
use agent_telemetry::secrets;

/// Wrong settings or usage.
pub(crate) const WRONG_SETTINGS: u8 = 2;
/// The schema is older than this program needs.
pub(crate) const SCHEMA_TOO_OLD: u8 = 3;
/// A second signal.
pub(crate) const SECOND_SIGNAL: i32 = 130;

/// Reads the settings; says everything that is wrong with them on stderr.
pub(crate) fn settings(purpose: Purpose) -> Result<Settings, ExitCode> {
    let mut environment = Environment::from_process();
    let file = Path::new(".env");
    if file.exists() {
        environment =
            environment.with_file(file).map_err(|error| wrong(&format!("{}: {error}", file.display())))?;
    }
    let settings =
        Settings::load(&environment, purpose).map_err(|error: ConfigError| wrong(&error.to_string()))?;
    keep_secrets(&settings);
    Ok(settings)
}

/// From now on no log line shows them.
pub(crate) fn keep_secrets(settings: &Settings) {
    for secret in settings.secrets() {
        secrets::register(&secret);
    }
}

/// Commands that speak to people log only what goes wrong, on stderr.
pub(crate) fn quiet(settings: &Settings) -> Result<(), ExitCode> {
    let options = LogOptions {
        format: Format::Human { colour: std::io::stderr().is_terminal() },
        output: Output::Stderr,
        rust_log: settings.logs.directives.as_deref(),
        log_level: Some("off"),
    };
    logs::init(options).map_err(|error| wrong(&error.to_string()))
}

/// Runs a command's asynchronous part.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(work)
}

/// The exit code of a command that speaks to a person, after saying on stderr what went wrong.
#[expect(clippy::print_stderr, reason = "the answer to whoever typed the command")]
pub(crate) fn told(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("worker: {}", secrets::redact(&format!("{failure:#}")));
            ExitCode::FAILURE
        }
    }
}

/// An error with what caused it.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

/// Begins to log.
pub(crate) fn logging(settings: &Settings, output: Output, quiet: bool) -> Result<(), ExitCode> {
    let format = match settings.logs.format {
        LogFormat::Json if !quiet => Format::Json,
        LogFormat::Json | LogFormat::Human => Format::Human { colour: std::io::stderr().is_terminal() },
    };
    let options = LogOptions {
        format,
        output,
        rust_log: settings.logs.directives.as_deref(),
        log_level: if quiet { Some("error") } else { Some(&settings.logs.level) },
    };
    logs::init(options).map_err(|error| wrong(&error.to_string()))
}

#[expect(clippy::print_stderr, reason = "nothing is logged yet")]
pub(crate) fn wrong(message: &str) -> ExitCode {
    eprintln!("worker: {message}");
    ExitCode::from(WRONG_SETTINGS)
}
