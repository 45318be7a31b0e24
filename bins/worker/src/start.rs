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
    for secret in settings.secrets() {
        secrets::register(&secret);
    }
    Ok(settings)
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
