//! The host for `TOOL_SCRIPTS=off`: it runs nothing and says so.

use std::sync::Arc;

use agent_executor_core::{Class, CustomTool, ScriptTool, ToolResult};
use agent_langgraph_codec::{Content, ToolStatus};
use async_trait::async_trait;

use crate::{Invocation, ToolHost, ToolHostError};

/// Refuses every definition that brings scripts along.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScriptsOff;

#[async_trait]
impl ToolHost for ScriptsOff {
    async fn describe(&self, tools: &[ScriptTool]) -> Result<Vec<(String, CustomTool)>, ToolHostError> {
        tools.first().map_or_else(
            || Ok(Vec::new()),
            |tool| Err(ToolHostError::ScriptsOff { index: 0, name: tool.name.clone() }),
        )
    }

    async fn call(&self, _: &Arc<[ScriptTool]>, call: Invocation, _: Class) -> Option<ToolResult> {
        // Only reached by a thread whose definition was accepted by another worker.
        Some(ToolResult {
            content: Content::Text(format!("Error: `{}` is a script, and this worker runs none", call.tool)),
            status: ToolStatus::Error,
            files: Vec::new(),
            values: serde_json::Map::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(name: &str) -> ScriptTool {
        ScriptTool { name: name.to_owned(), script: "print(1)".to_owned(), effect: None }
    }

    #[tokio::test]
    async fn a_definition_without_scripts_is_accepted() {
        assert_eq!(ScriptsOff.describe(&[]).await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn a_definition_with_a_script_is_refused_by_name() {
        let refused = ScriptsOff.describe(&[script("pre_work")]).await.unwrap_err();
        assert_eq!(refused.code(), "tools.scripts_off");
        assert!(refused.to_string().contains("pre_work"), "{refused}");
    }
}
