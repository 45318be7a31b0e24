//! The agent definition as the machine uses it: every accepted form is brought to this one.

use std::sync::Arc;

use serde_json::Value;

use crate::ModelRef;
use crate::context::ContextSettings;
use crate::definition::channels::Channels;
use crate::definition::response::ResponseSpec;

/// One agent: the orchestrator or a specialist.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentSpec {
    /// Name; for specialists the literal `subagent_type`, which may hold spaces.
    pub name: String,
    /// What the orchestrator is told about a specialist.
    pub description: String,
    /// System prompt, possibly empty.
    pub system_prompt: String,
    /// Names of the definition's own tools that this agent is offered, in order.
    pub tools: Vec<String>,
    /// Provider and model; `None` where the definition names none.
    pub model: Option<ModelRef>,
    /// Most super-steps of this agent (`config.recursion_limit`), 1 to 9999.
    pub recursion_limit: Option<u32>,
    /// Built-in tools that are taken away from this agent.
    pub without_tools: Vec<String>,
    /// Own state channels (`state_schema`).
    pub channels: Channels,
    /// Structured output (`response_format`), where it is asked for.
    pub response_format: Option<ResponseSpec>,
    /// How its context is managed: its own settings over the definition's (docs/context.md).
    pub context: ContextSettings,
}

/// A tool that the definition brings along as a Python script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptTool {
    /// Name by which agents list it.
    pub name: String,
    /// Python source (`runtime.script`, or `script` beside the name).
    pub script: String,
    /// Effect class as written (`pure`, `idempotent`, `at_most_once`), where it is.
    pub effect: Option<String>,
}

/// A definition, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// The definition's own name; empty where it has none.
    pub name: String,
    /// The main agent.
    pub orchestrator: AgentSpec,
    /// Agents that the orchestrator can call by `task`, in definition order; names are unique.
    pub specialists: Vec<AgentSpec>,
    /// Script tools by definition order.
    pub tools: Vec<ScriptTool>,
    /// Text of the first user message where the input has none.
    pub user_request: Option<String>,
    /// Files that must exist when the job completes.
    pub required_files: Vec<String>,
    /// Regular expressions; a completed job whose output begins with a match of one of them fails.
    pub fail_if_output_matches: Vec<String>,
    /// Most super-steps of the main agent where the job names no limit.
    pub recursion_limit: Option<u32>,
    /// Whether the automatic `general-purpose` sub-agent is offered; true by default.
    pub general_purpose: bool,
    /// SHA-256 of the canonical JSON, 64 hex digits.
    pub hash: String,
    /// The document as it was given, members that nobody reads included.
    pub document: Arc<Value>,
}
