//! Tools.

use std::path::PathBuf;
use std::time::Duration;

use crate::{Warning, env, kind::choice, reader::Reader};

choice! {
    /// Whether scripts in definitions run.
    ScriptMode {
        /// Confined by the kernel.
        #[default]
        Sandbox = "sandbox",
        /// Refused.
        Off = "off",
    }
}

/// Tools.
#[derive(Debug, Clone)]
pub struct ToolSettings {
    /// Whether scripts in definitions run.
    pub scripts: ScriptMode,
    /// Run them where the kernel cannot enforce the sandbox.
    pub scripts_unconfined: bool,
    /// Interpreter; `None`: `python3` on PATH.
    pub scripts_python: Option<PathBuf>,
    /// Scripts may use the network.
    pub scripts_network: bool,
    /// Calls of scripts at once.
    pub scripts_concurrency: usize,
    /// Interpreters kept ready for each definition.
    pub scripts_warm: usize,
    /// Limits of each call of a script.
    pub script_limits: ScriptLimitSettings,
    /// Built-in tools that no agent is offered.
    pub without: Vec<String>,
}

impl ToolSettings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let settings = Self {
            scripts: reader.get(&env::TOOL_SCRIPTS),
            scripts_unconfined: reader.get(&env::TOOL_SCRIPTS_UNCONFINED),
            scripts_python: reader.find(&env::TOOL_SCRIPTS_PYTHON),
            scripts_network: reader.get(&env::TOOL_SCRIPTS_NETWORK),
            scripts_concurrency: reader.get(&env::TOOL_SCRIPTS_CONCURRENCY),
            scripts_warm: reader.get(&env::TOOL_SCRIPTS_WARM),
            script_limits: ScriptLimitSettings::read(reader),
            without: reader.get(&env::TOOLS_WITHOUT),
        };
        if settings.scripts_unconfined && settings.scripts == ScriptMode::Sandbox {
            let text = "scripts of definitions may run without a sandbox".to_owned();
            reader.warnings.push(Warning { name: env::TOOL_SCRIPTS_UNCONFINED.name.to_owned(), text });
        }
        settings
    }
}

/// What one call of a script may use, all its processes together.
#[derive(Debug, Clone)]
pub struct ScriptLimitSettings {
    /// Time from the request to the answer.
    pub wall: Duration,
    /// CPU time.
    pub cpu: Duration,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Processes at once.
    pub processes: usize,
    /// The whole working folder, in bytes.
    pub folder_bytes: u64,
    /// The result, in bytes.
    pub result_bytes: usize,
    /// Kept of each of stdout and stderr, in bytes.
    pub output_bytes: usize,
}

impl ScriptLimitSettings {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            wall: reader.get(&env::TOOL_SCRIPT_WALL_SECONDS),
            cpu: reader.get(&env::TOOL_SCRIPT_CPU_SECONDS),
            memory_bytes: reader.get(&env::TOOL_SCRIPT_MEMORY_BYTES),
            processes: reader.get(&env::TOOL_SCRIPT_PROCESSES),
            folder_bytes: reader.get(&env::TOOL_SCRIPT_FOLDER_BYTES),
            result_bytes: reader.get(&env::TOOL_SCRIPT_RESULT_BYTES),
            output_bytes: reader.get(&env::TOOL_SCRIPT_OUTPUT_BYTES),
        }
    }
}
