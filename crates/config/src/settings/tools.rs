//! Tools.

use std::path::PathBuf;

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
    /// Built-in tools that no agent is offered.
    pub without: Vec<String>,
}

impl ToolSettings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let settings = Self {
            scripts: reader.get(&env::TOOL_SCRIPTS),
            scripts_unconfined: reader.get(&env::TOOL_SCRIPTS_UNCONFINED),
            scripts_python: reader.find(&env::TOOL_SCRIPTS_PYTHON),
            without: reader.get(&env::TOOLS_WITHOUT),
        };
        if settings.scripts_unconfined && settings.scripts == ScriptMode::Sandbox {
            let text = "scripts of definitions may run without a sandbox".to_owned();
            reader.warnings.push(Warning { name: env::TOOL_SCRIPTS_UNCONFINED.name.to_owned(), text });
        }
        settings
    }
}
