//! `execute`: known to the Python agent, never offered to a model, and answered when a model calls it anyway.

use serde_json::{Map, Value};

use super::ToolAnswer;
use super::args::Reader;

pub(super) const NAME: &str = "execute";

/// Longest time that the Python agent would let a command run, in seconds.
const LONGEST_TIMEOUT: i128 = 3600;

/// The answer to a call of `execute`: there is nothing here that could run a command.
pub fn execute_unavailable(args: &Map<String, Value>) -> ToolAnswer {
    let mut reader = Reader::new(args);
    reader.text("command");
    let timeout = reader.optional_integer("timeout");
    if let Some(refusal) = reader.refusal(NAME) {
        return refusal;
    }
    ToolAnswer::error(match timeout {
        Some(seconds) if seconds < 0 => format!("Error: timeout must be non-negative, got {seconds}."),
        Some(seconds) if seconds > LONGEST_TIMEOUT => {
            format!("Error: timeout {seconds}s exceeds maximum allowed ({LONGEST_TIMEOUT}s).")
        }
        Some(_) | None => {
            "Error: Execution not available. This agent's backend does not support command execution \
            (SandboxBackendProtocol). To use the execute tool, provide a backend that implements \
            SandboxBackendProtocol."
                .to_owned()
        }
    })
}
