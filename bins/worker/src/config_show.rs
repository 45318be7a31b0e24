//! `worker config`.

use std::io::Write;
use std::process::ExitCode;

use agent_config::Purpose;

use crate::start;

pub(crate) fn main() -> ExitCode {
    let settings = match start::settings(Purpose::Embedded) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let mut out = std::io::stdout().lock();
    for (name, value, source) in settings.explain() {
        if writeln!(out, "{name:<36} {value:<40} {source}").is_err() {
            // Whoever read it has seen enough.
            break;
        }
    }
    ExitCode::SUCCESS
}
