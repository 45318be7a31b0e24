//! The port.

use std::sync::Arc;

use agent_executor_core::{Class, CustomTool, ScriptTool, StateView, ToolResult};
use async_trait::async_trait;
use serde_json::{Map, Value};

/// Why a definition's tools cannot be offered. Nothing has run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ToolHostError {
    /// The operator has switched tool scripts off.
    #[error(
        "`tool_definitions[{index}]` (`{name}`) carries a script, and this worker runs none (TOOL_SCRIPTS=off)"
    )]
    ScriptsOff {
        /// Position of the tool in the definition.
        index: usize,
        /// Name of the tool.
        name: String,
    },
    /// Scripts cannot be run here as they must be.
    #[error("tool scripts cannot run here: {reason}")]
    NoSandbox {
        /// What is missing, and what an operator can do about it.
        reason: String,
    },
    /// The script does not give a tool of its name.
    #[error("`tool_definitions[{index}]` (`{name}`): {reason}")]
    Unusable {
        /// Position of the tool in the definition.
        index: usize,
        /// Name of the tool.
        name: String,
        /// What is wrong, for people.
        reason: String,
    },
}

impl ToolHostError {
    /// Stable code of the failure.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ScriptsOff { .. } => "tools.scripts_off",
            Self::NoSandbox { .. } => "tools.no_sandbox",
            Self::Unusable { .. } => "tools.unusable",
        }
    }
}

/// One call of a tool.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Name of the tool.
    pub tool: String,
    /// The call's id.
    pub call_id: String,
    /// The same for every try of this call; for tools that can tell a repeat.
    pub idempotency_key: String,
    /// Arguments as the model gave them.
    pub args: Map<String, Value>,
    /// The agent's state, for tools that look at it.
    pub view: StateView,
}

/// Runs a definition's own tools.
#[async_trait]
pub trait ToolHost: Send + Sync + 'static {
    /// What the tools of a definition look like to a model, by name and in order.
    ///
    /// # Errors
    /// [`ToolHostError`] where one of them cannot be offered.
    async fn describe(&self, tools: &[ScriptTool]) -> Result<Vec<(String, CustomTool)>, ToolHostError>;

    /// Runs one call. A tool that fails answers with an error text; a host that cannot tell whether the call took
    /// effect answers `None`. Dropping the future ends the call.
    async fn call(&self, tools: &Arc<[ScriptTool]>, call: Invocation, class: Class) -> Option<ToolResult>;
}
