//! From JSON to a definition (wire contract 2.3).

use serde_json::Value;

use crate::ModelRef;
use crate::definition::agent::{self, Node};
use crate::definition::canonical::{canonical_json, sha256_hex};
use crate::definition::context;
use crate::definition::error::DefinitionError;
use crate::definition::field::FieldPath;
use crate::definition::limits::{
    MAX_NAME_CHARS, MAX_NODES, MAX_PROMPT_BYTES, MAX_RECURSION_LIMIT, MAX_SCRIPT_BYTES, MAX_TOOL_DEFINITIONS,
};
use crate::definition::read::{Members, at_most};
use crate::definition::types::{AgentSpec, Definition, ScriptTool};
use crate::definition::warning::{Warning, Warnings};
use crate::tools;

/// What fills the places that a definition leaves open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// Model of the orchestrator where the definition names none (`LLM_MODEL_NAME`).
    pub model: Option<ModelRef>,
}

/// A definition and what its author should know.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The definition.
    pub definition: Definition,
    /// In the order in which they were met, at most 100.
    pub warnings: Vec<Warning>,
}

const TOP: &[&str] = &[
    "name",
    "version",
    "description",
    "tool_definitions",
    "nodes",
    "edges",
    "user_request",
    "initial_state",
    "recursion_limit",
    "required_files",
    "fail_if_output_matches",
    "general_purpose",
    "without_tools",
    "response_format",
    "context",
];

const TOOL: &[&str] =
    &["name", "description", "runtime", "script", "dependencies", "effect", "version", "type"];

const RUNTIME: &[&str] = &["script", "dependencies", "effect", "language", "type"];

impl Definition {
    /// Reads every form that is found in practice. A specialist that names no model has `None`: it takes the
    /// orchestrator's.
    ///
    /// # Errors
    /// [`DefinitionError`]: the definition cannot mean anything, or would mean something else than its author thinks.
    pub fn parse(value: &Value, defaults: &Defaults) -> Result<Parsed, DefinitionError> {
        let top = Members::of(value, FieldPath::root("agent_definition"))?;
        let mut warnings = Warnings::default();
        warnings.unknown("a definition", top.map, &top.at, TOP);
        let tools = scripts(&top, &mut warnings)?;
        let nodes = nodes(&top, &tools, &mut warnings)?;
        edges(&top, &mut warnings);
        let (mut orchestrator, mut specialists) = roles(nodes, &top, &mut warnings)?;
        orchestrator.model = orchestrator.model.or_else(|| defaults.model.clone());
        let limit = top.limit("recursion_limit", MAX_RECURSION_LIMIT)?;
        orchestrator.recursion_limit = orchestrator.recursion_limit.or(limit);
        if orchestrator.response_format.is_null() {
            orchestrator.response_format = top.get("response_format").cloned().unwrap_or_default();
        }
        let without = agent::without_tools(&top)?;
        let context = context::settings(&top, &mut warnings)?;
        for agent in std::iter::once(&mut orchestrator).chain(&mut specialists) {
            agent.without_tools.extend_from_slice(&without);
            agent.context = std::mem::take(&mut agent.context).over(&context);
        }
        let definition = Self {
            name: label(&top, "name", &mut warnings),
            recursion_limit: orchestrator.recursion_limit,
            orchestrator,
            specialists,
            tools,
            user_request: user_request(&top, &mut warnings),
            required_files: required_files(&top)?,
            fail_if_output_matches: top.text("fail_if_output_matches", MAX_PROMPT_BYTES)?,
            general_purpose: top.flag("general_purpose")?.unwrap_or(true),
            hash: sha256_hex(&canonical_json(value)),
        };
        Ok(Parsed { definition, warnings: warnings.into_list() })
    }
}

/// A text that has no effect on the run: a wrong kind is worth a warning only.
fn label(top: &Members<'_>, name: &str, warnings: &mut Warnings) -> String {
    match top.get(name) {
        None => String::new(),
        Some(Value::String(text)) => text.chars().take(MAX_NAME_CHARS).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            warnings.add("definition.ignored_member", top.at(name), "expected a string; it is ignored");
            String::new()
        }
    }
}

fn user_request(top: &Members<'_>, warnings: &mut Warnings) -> Option<String> {
    match top.get("user_request") {
        None => None,
        Some(Value::String(text)) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            warnings.add(
                "definition.ignored_member",
                top.at("user_request"),
                "expected a string; it is ignored",
            );
            None
        }
    }
}

/// In the form in which the file system keeps paths, so that they can be found there.
fn required_files(top: &Members<'_>) -> Result<Vec<String>, DefinitionError> {
    let listed = top.names("required_files", MAX_NAME_CHARS * 16)?;
    Ok(listed.into_iter().map(|(_, path)| tools::normalise_path(&path).unwrap_or(path)).collect())
}

fn scripts(top: &Members<'_>, warnings: &mut Warnings) -> Result<Vec<ScriptTool>, DefinitionError> {
    let listed = top.list("tool_definitions")?;
    at_most(&top.at("tool_definitions"), listed.len(), MAX_TOOL_DEFINITIONS, "tool definitions")?;
    let mut scripts: Vec<ScriptTool> = Vec::with_capacity(listed.len());
    for (at, value) in listed {
        let tool = Members::of(value, at.clone())?;
        warnings.unknown("a tool definition", tool.map, &tool.at, TOOL);
        let runtime = tool.get("runtime").map(|value| Members::of(value, tool.at("runtime"))).transpose()?;
        if let Some(runtime) = &runtime {
            warnings.unknown("a tool's runtime", runtime.map, &runtime.at, RUNTIME);
        }
        let text = |name: &str, limit: usize| {
            let inner = runtime.as_ref().filter(|runtime| runtime.get(name).is_some());
            inner.unwrap_or(&tool).text(name, limit)
        };
        let missing = || DefinitionError::Missing { at: tool.at("name"), expected: "the tool's name" };
        let name =
            tool.text("name", MAX_NAME_CHARS * 4)?.filter(|name| !name.is_empty()).ok_or_else(missing)?;
        at_most(&tool.at("name"), name.chars().count(), MAX_NAME_CHARS, "characters")?;
        let Some(script) = text("script", MAX_SCRIPT_BYTES)?.filter(|script| !script.trim().is_empty())
        else {
            let message = format!("`{name}` has no `runtime.script`; agents that list it go without it");
            warnings.add("definition.tool_without_script", at, message);
            continue;
        };
        let script = ScriptTool { name, script, effect: text("effect", MAX_NAME_CHARS)? };
        match scripts.iter_mut().find(|other| other.name == script.name) {
            None => scripts.push(script),
            Some(earlier) => {
                let message = format!("a tool before it is called `{}` too; this one is taken", script.name);
                warnings.add("definition.duplicate_tool", tool.at("name"), message);
                *earlier = script;
            }
        }
    }
    Ok(scripts)
}

fn nodes(
    top: &Members<'_>,
    tools: &[ScriptTool],
    warnings: &mut Warnings,
) -> Result<Vec<Node>, DefinitionError> {
    let listed = top.list("nodes")?;
    at_most(&top.at("nodes"), listed.len(), MAX_NODES, "nodes")?;
    listed.into_iter().map(|(at, value)| agent::node(value, at, tools, warnings)).collect()
}

/// Edges have no effect: who may call whom follows from the types. Both forms (`source`/`target`, `from`/`to`) pass.
fn edges(top: &Members<'_>, warnings: &mut Warnings) {
    if let Some(other) = top.get("edges").filter(|edges| !edges.is_array()) {
        let message = format!("expected a list, found {}; edges have no effect", super::kind_of(other));
        warnings.add("definition.ignored_member", top.at("edges"), message);
    }
}

/// The last orchestrator is the main agent; without one the first node is, and can be called as well.
fn roles(
    nodes: Vec<Node>,
    top: &Members<'_>,
    warnings: &mut Warnings,
) -> Result<(AgentSpec, Vec<AgentSpec>), DefinitionError> {
    let first = nodes.first().map(|node| node.agent.clone());
    let mut main: Option<Node> = None;
    let mut specialists: Vec<AgentSpec> = Vec::with_capacity(nodes.len());
    for node in nodes {
        if node.is_orchestrator {
            if let Some(earlier) = main.replace(node) {
                let message =
                    format!("`{}` is not the last orchestrator and is left out", earlier.agent.name);
                warnings.add("definition.several_orchestrators", earlier.at, message);
            }
        } else if specialists.iter().any(|other| other.name == node.agent.name) {
            return Err(DefinitionError::DuplicateName { at: node.at, name: node.agent.name });
        } else {
            specialists.push(node.agent);
        }
    }
    let main = main.map(|node| node.agent).or(first).ok_or_else(|| DefinitionError::Missing {
        at: top.at("nodes"),
        expected: "a list with at least one node",
    })?;
    Ok((main, specialists))
}
