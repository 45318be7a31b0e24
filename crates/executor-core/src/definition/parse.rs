//! From JSON to a definition (wire contract 2.3).

use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::ModelRef;
use crate::definition::agent::{self, Node};
use crate::definition::canonical::{canonical_json, sha256_hex};
use crate::definition::channels;
use crate::definition::context;
use crate::definition::error::DefinitionError;
use crate::definition::field::FieldPath;
use crate::definition::limits::{
    MAX_NAME_CHARS, MAX_NODES, MAX_PATTERN_BYTES, MAX_PATTERNS, MAX_RECURSION_LIMIT, MAX_SCRIPT_BYTES,
    MAX_TOOL_DEFINITIONS, SCHEMA_VERSION,
};
use crate::definition::read::{Members, at_most, wrong};
use crate::definition::response;
use crate::definition::types::{AgentSpec, Definition, ScriptTool};
use crate::definition::warning::{Notes, Warning};
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

/// What was found in a document: the definition if it can be run, and everything there is to say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Examined {
    /// The definition; `None` where there are problems.
    pub definition: Option<Definition>,
    /// Why it cannot be run, in the order in which they were met, at most 100.
    pub problems: Vec<DefinitionError>,
    /// What its author should know, likewise.
    pub warnings: Vec<Warning>,
}

/// Members of a definition.
pub(super) const TOP: &[&str] = &[
    "$schema",
    "schema_version",
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

/// Members of a tool definition.
pub(super) const TOOL: &[&str] =
    &["name", "description", "runtime", "script", "dependencies", "effect", "version", "type"];

/// Members of a tool's runtime.
pub(super) const RUNTIME: &[&str] = &["script", "dependencies", "effect", "language", "type"];

impl Definition {
    /// Reads every form that is found in practice. A specialist that names no model has `None`: it takes the
    /// orchestrator's.
    ///
    /// # Errors
    /// [`DefinitionError`]: the definition cannot mean anything, or would mean something else than its author thinks.
    pub fn parse(value: &Value, defaults: &Defaults) -> Result<Parsed, DefinitionError> {
        let Examined { definition, problems, warnings } = Self::examine(value, defaults);
        match (definition, problems.into_iter().next()) {
            (Some(definition), None) => Ok(Parsed { definition, warnings }),
            (_, Some(problem)) => Err(problem),
            // Not reached: a definition is only missing where there is a problem.
            (None, None) => Err(wrong(&root(), "a definition", value)),
        }
    }

    /// Reads the document and tells all that is wrong with it, not only the first thing.
    pub fn examine(value: &Value, defaults: &Defaults) -> Examined {
        let mut notes = Notes::default();
        let read = Members::of(value, root()).map(|top| of_members(&top, value, defaults, &mut notes));
        let read = notes.keep(read.map(Some)).flatten();
        let (problems, warnings) = notes.into_parts();
        Examined { definition: read.filter(|_| problems.is_empty()), problems, warnings }
    }
}

const fn root() -> FieldPath {
    FieldPath::root("agent_definition")
}

fn of_members(
    top: &Members<'_>,
    document: &Value,
    defaults: &Defaults,
    notes: &mut Notes,
) -> Option<Definition> {
    notes.unknown("a definition", top.map, &top.at, TOP);
    schema_version(top, notes);
    let tools = scripts(top, notes);
    let nodes = nodes(top, &tools, notes);
    edges(top, &nodes, notes);
    let (mut orchestrator, mut specialists) = roles(nodes, top, notes)?;
    orchestrator.model = orchestrator.model.or_else(|| defaults.model.clone());
    let limit = notes.keep(top.limit("recursion_limit", MAX_RECURSION_LIMIT));
    orchestrator.recursion_limit = orchestrator.recursion_limit.or(limit);
    let response = response::read(top, "response_format", notes);
    let response = notes.keep(response);
    orchestrator.response_format = orchestrator.response_format.or(response);
    let without = notes.keep(agent::without_tools(top));
    let context = context::settings(top, notes);
    let context = notes.keep(context);
    for agent in std::iter::once(&mut orchestrator).chain(&mut specialists) {
        agent.without_tools.extend_from_slice(&without);
        agent.context = std::mem::take(&mut agent.context).over(&context);
    }
    conflicts(&orchestrator, &specialists, top, notes);
    Some(Definition {
        name: label(top, "name", notes),
        recursion_limit: orchestrator.recursion_limit,
        orchestrator,
        specialists,
        tools,
        user_request: user_request(top, notes),
        required_files: notes.keep(required_files(top)),
        fail_if_output_matches: notes.keep(patterns(top)),
        general_purpose: notes.keep(top.flag("general_purpose")).unwrap_or(true),
        hash: sha256_hex(&canonical_json(document)),
        document: Arc::new(document.clone()),
    })
}

/// Absent is 1. A higher one may mean something that would be missed here.
fn schema_version(top: &Members<'_>, notes: &mut Notes) {
    let Some(value) = top.get("schema_version") else { return };
    let at = top.at("schema_version");
    match value.as_u64() {
        Some(1..=SCHEMA_VERSION) => {}
        Some(0) | None => notes.problem(wrong(&at, "a whole number from 1", value)),
        Some(found) => notes.problem(DefinitionError::NewerSchema { at, found }),
    }
}

/// The orchestrator has the channels of all; where two declare one differently the first stands.
fn conflicts(orchestrator: &AgentSpec, specialists: &[AgentSpec], top: &Members<'_>, notes: &mut Notes) {
    let agents = std::iter::once(orchestrator).chain(specialists);
    channels::union(agents.map(|agent| (agent.name.as_str(), &agent.channels)), |agent, channel| {
        let message =
            format!("`{agent}` declares the channel `{channel}` with another reducer than an agent before");
        let fix = "declare it alike everywhere: for the orchestrator the first declaration stands";
        notes.warn("definition.channel_conflict", top.at("nodes"), message, fix);
    });
}

/// One regular expression or a list of them.
fn patterns(top: &Members<'_>) -> Result<Vec<String>, DefinitionError> {
    const NAME: &str = "fail_if_output_matches";
    let found = match top.get(NAME) {
        Some(Value::String(_)) => {
            let pattern = top.text(NAME, MAX_PATTERN_BYTES)?;
            pattern.into_iter().map(|pattern| (top.at(NAME), pattern)).collect()
        }
        Some(_) | None => top.names(NAME, MAX_PATTERN_BYTES)?,
    };
    at_most(&top.at(NAME), found.len(), MAX_PATTERNS, "patterns")?;
    for (at, pattern) in &found {
        output_pattern(pattern).map_err(|error| DefinitionError::BadPattern {
            at: at.clone(),
            pattern: pattern.chars().take(80).collect(),
            reason: error.to_string().lines().last().unwrap_or_default().to_owned(),
        })?;
    }
    Ok(found.into_iter().map(|(_, pattern)| pattern).filter(|pattern| !pattern.is_empty()).collect())
}

/// Matches at the beginning of an output, white space before it left out, as Python's `re.match` does.
pub(crate) fn output_pattern(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&format!(r"\A\s*(?:{pattern})")).size_limit(1 << 20).build()
}

/// A text that has no effect on the run: a wrong kind is worth a warning only.
fn label(top: &Members<'_>, name: &str, notes: &mut Notes) -> String {
    match top.get(name) {
        None => String::new(),
        Some(Value::String(text)) => text.chars().take(MAX_NAME_CHARS).collect(),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            ignored(top, name, notes);
            String::new()
        }
    }
}

fn ignored(top: &Members<'_>, name: &str, notes: &mut Notes) {
    let message = "expected a string; it is ignored";
    notes.warn("definition.ignored_member", top.at(name), message, "write a string, or leave the member out");
}

fn user_request(top: &Members<'_>, notes: &mut Notes) -> Option<String> {
    match top.get("user_request") {
        None => None,
        Some(Value::String(text)) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            ignored(top, "user_request", notes);
            None
        }
    }
}

/// In the form in which the file system keeps paths, so that they can be found there.
fn required_files(top: &Members<'_>) -> Result<Vec<String>, DefinitionError> {
    let listed = top.names("required_files", MAX_NAME_CHARS * 16)?;
    Ok(listed.into_iter().map(|(_, path)| tools::normalise_path(&path).unwrap_or(path)).collect())
}

fn scripts(top: &Members<'_>, notes: &mut Notes) -> Vec<ScriptTool> {
    let listed = notes.keep(top.list("tool_definitions"));
    notes.keep(at_most(&top.at("tool_definitions"), listed.len(), MAX_TOOL_DEFINITIONS, "tool definitions"));
    let mut scripts: Vec<ScriptTool> = Vec::with_capacity(listed.len().min(MAX_TOOL_DEFINITIONS));
    for (at, value) in listed.into_iter().take(MAX_TOOL_DEFINITIONS) {
        let read = script(value, &at, notes);
        let Some(script) = notes.keep(read) else { continue };
        match scripts.iter_mut().find(|other| other.name == script.name) {
            None => scripts.push(script),
            Some(earlier) => {
                let message = format!("a tool before it is called `{}` too; this one is taken", script.name);
                let fix = "remove one of them, or give it another name";
                notes.warn("definition.duplicate_tool", at.member("name"), message, fix);
                *earlier = script;
            }
        }
    }
    scripts
}

fn script(value: &Value, at: &FieldPath, notes: &mut Notes) -> Result<Option<ScriptTool>, DefinitionError> {
    let tool = Members::of(value, at.clone())?;
    notes.unknown("a tool definition", tool.map, &tool.at, TOOL);
    let runtime = tool.get("runtime").map(|value| Members::of(value, tool.at("runtime"))).transpose()?;
    if let Some(runtime) = &runtime {
        notes.unknown("a tool's runtime", runtime.map, &runtime.at, RUNTIME);
    }
    let text = |name: &str, limit: usize| {
        let inner = runtime.as_ref().filter(|runtime| runtime.get(name).is_some());
        inner.unwrap_or(&tool).text(name, limit)
    };
    let missing = || DefinitionError::Missing { at: tool.at("name"), expected: "the tool's name" };
    let name = tool.text("name", MAX_NAME_CHARS * 4)?.filter(|name| !name.is_empty()).ok_or_else(missing)?;
    at_most(&tool.at("name"), name.chars().count(), MAX_NAME_CHARS, "characters")?;
    let Some(script) = text("script", MAX_SCRIPT_BYTES)?.filter(|script| !script.trim().is_empty()) else {
        let message = format!("`{name}` has no `runtime.script`; agents that list it go without it");
        let fix = "add the Python source as `runtime.script`";
        notes.warn("definition.tool_without_script", at.clone(), message, fix);
        return Ok(None);
    };
    Ok(Some(ScriptTool { name, script, effect: text("effect", MAX_NAME_CHARS)? }))
}

fn nodes(top: &Members<'_>, tools: &[ScriptTool], notes: &mut Notes) -> Vec<Node> {
    let listed = notes.keep(top.list("nodes"));
    notes.keep(at_most(&top.at("nodes"), listed.len(), MAX_NODES, "nodes"));
    let listed = listed.into_iter().take(MAX_NODES);
    listed.filter_map(|(at, value)| agent::node(value, at, tools, notes)).collect()
}

/// Edges have no effect: who may call whom follows from the types. Both forms (`source`/`target`, `from`/`to`) are
/// read, so that an end that no node has can be told.
fn edges(top: &Members<'_>, nodes: &[Node], notes: &mut Notes) {
    let Some(value) = top.get("edges") else { return };
    let Value::Array(edges) = value else {
        let message = format!("expected a list, found {}; edges have no effect", super::kind_of(value));
        notes.warn("definition.ignored_member", top.at("edges"), message, "write a list, or leave it out");
        return;
    };
    let known = |end: &str| {
        ["__start__", "__end__", "START", "END"].contains(&end)
            || nodes.iter().any(|node| node.agent.name == end || node.id.as_deref() == Some(end))
    };
    for (nth, edge) in edges.iter().enumerate() {
        for name in ["source", "target", "from", "to"] {
            if let Some(end) = edge.get(name).and_then(Value::as_str).filter(|end| !known(end)) {
                let end: String = end.chars().take(80).collect();
                let message = format!("no node has the id or name `{end}`; edges have no effect");
                let fix = "write the `id` of a node, or remove the edge";
                let at = top.at("edges").item(nth).member(name);
                notes.warn("definition.unknown_edge_end", at, message, fix);
            }
        }
    }
}

/// The last orchestrator is the main agent; without one the first node is, and can be called as well.
fn roles(nodes: Vec<Node>, top: &Members<'_>, notes: &mut Notes) -> Option<(AgentSpec, Vec<AgentSpec>)> {
    let first = nodes.first().map(|node| node.agent.clone());
    let mut main: Option<Node> = None;
    let mut specialists: Vec<AgentSpec> = Vec::with_capacity(nodes.len());
    for node in nodes {
        if node.is_orchestrator {
            if let Some(earlier) = main.replace(node) {
                let message =
                    format!("`{}` is not the last orchestrator and is left out", earlier.agent.name);
                let fix = "give one node the type `orchestrator`, every other another type";
                notes.warn("definition.several_orchestrators", earlier.at, message, fix);
            }
        } else if specialists.iter().any(|other| other.name == node.agent.name) {
            notes.problem(DefinitionError::DuplicateName { at: node.at, name: node.agent.name });
        } else {
            specialists.push(node.agent);
        }
    }
    let main = main.map(|node| node.agent).or(first).ok_or_else(|| DefinitionError::Missing {
        at: top.at("nodes"),
        expected: "a list with at least one node",
    });
    notes.keep(main.map(Some)).map(|main| (main, specialists))
}
