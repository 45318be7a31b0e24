//! One node of a definition: its own members beside `type`, or gathered in `config`.

use serde_json::{Map, Value};

use crate::definition::error::DefinitionError;
use crate::definition::field::FieldPath;
use crate::definition::limits::{
    MAX_DESCRIPTION_BYTES, MAX_NAME_CHARS, MAX_PROMPT_BYTES, MAX_RECURSION_LIMIT, MAX_TOOL_DEFINITIONS,
};
use crate::definition::read::{Members, at_most, wrong};
use crate::definition::types::{AgentSpec, ScriptTool};
use crate::definition::warning::Warnings;
use crate::{ModelRef, tools};

/// Members of an agent, in `config` or beside it.
const CONFIG: &[&str] = &[
    "name",
    "description",
    "system_prompt",
    "tools",
    "model",
    "model_name",
    "provider",
    "recursion_limit",
    "without_tools",
    "state_schema",
    "response_format",
    "context",
];

/// Members of a node that are no agent's.
const NODE: &[&str] = &["id", "type", "config"];

/// How many characters of a prompt stand for a description.
const DESCRIPTION_CHARS: usize = 200;

/// The name of a node that has none, as the Python service gives it.
const NAMELESS: &str = "unnamed_agent";

/// A node, read.
pub(super) struct Node {
    pub(super) at: FieldPath,
    pub(super) is_orchestrator: bool,
    pub(super) agent: AgentSpec,
}

/// `config` first, then the node itself: what only one of them has is taken from there.
struct Both<'a> {
    config: Members<'a>,
    node: Members<'a>,
}

impl<'a> Both<'a> {
    fn place(&self, name: &str) -> &Members<'a> {
        if self.config.get(name).is_some() || self.node.get(name).is_none() {
            &self.config
        } else {
            &self.node
        }
    }
}

pub(super) fn node(
    value: &Value,
    at: FieldPath,
    scripts: &[ScriptTool],
    warnings: &mut Warnings,
) -> Result<Node, DefinitionError> {
    let node = Members::of(value, at.clone())?;
    let config = match node.get("config") {
        Some(config) => Members::of(config, node.at("config"))?,
        None => node.clone(),
    };
    let flat: Vec<&str> = NODE.iter().chain(CONFIG).copied().collect();
    warnings.unknown("a node", node.map, &node.at, &flat);
    if node.get("config").is_some() {
        warnings.unknown("a node's config", config.map, &config.at, CONFIG);
    }
    let kind = node.text("type", MAX_NAME_CHARS)?.unwrap_or_default();
    let both = Both { config, node };
    let agent = agent(&both, scripts, warnings)?;
    Ok(Node { at, is_orchestrator: kind.trim().to_lowercase() == "orchestrator", agent })
}

fn agent(
    both: &Both<'_>,
    scripts: &[ScriptTool],
    warnings: &mut Warnings,
) -> Result<AgentSpec, DefinitionError> {
    let text = |name: &str, limit: usize| both.place(name).text(name, limit);
    let name = match text("name", MAX_NAME_CHARS * 4)?.filter(|name| !name.is_empty()) {
        Some(name) => name,
        None => both.node.text("id", MAX_NAME_CHARS * 4)?.unwrap_or_else(|| NAMELESS.to_owned()),
    };
    at_most(&both.place("name").at("name"), name.chars().count(), MAX_NAME_CHARS, "characters")?;
    let system_prompt = text("system_prompt", MAX_PROMPT_BYTES)?.unwrap_or_default();
    let description = text("description", MAX_DESCRIPTION_BYTES)?.filter(|text| !text.is_empty());
    Ok(AgentSpec {
        name,
        description: description.unwrap_or_else(|| beginning_of(&system_prompt)),
        system_prompt,
        tools: own_tools(both.place("tools"), scripts, warnings)?,
        model: model(both)?,
        recursion_limit: both.place("recursion_limit").limit("recursion_limit", MAX_RECURSION_LIMIT)?,
        without_tools: without_tools(both.place("without_tools"))?,
        state_schema: state_schema(both.place("state_schema"))?,
        response_format: both.place("response_format").get("response_format").cloned().unwrap_or_default(),
        context: super::context::settings(both.place("context"), warnings)?,
    })
}

/// Always with dots, as Python writes it, so that a definition gives the same request here and there.
fn beginning_of(prompt: &str) -> String {
    let mut text: String = prompt.chars().take(DESCRIPTION_CHARS).collect();
    text.push_str("...");
    text
}

/// Names that the definition brings a script for, each once. A built-in may be listed: everybody has it anyway.
fn own_tools(
    place: &Members<'_>,
    scripts: &[ScriptTool],
    warnings: &mut Warnings,
) -> Result<Vec<String>, DefinitionError> {
    let listed = place.names("tools", MAX_NAME_CHARS * 4)?;
    at_most(&place.at("tools"), listed.len(), MAX_TOOL_DEFINITIONS, "tools")?;
    let mut own: Vec<String> = Vec::with_capacity(listed.len());
    for (at, name) in listed {
        let defined = scripts.iter().any(|script| script.name == name);
        if defined && !own.contains(&name) {
            own.push(name);
        } else if !defined && !is_built_in(&name) {
            let known: Vec<&str> = scripts.iter().map(|script| script.name.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let message = format!("no tool is called `{name}`; there are {known}; the agent goes without it");
            warnings.add("definition.unknown_tool", at, message);
        }
    }
    Ok(own)
}

fn is_built_in(name: &str) -> bool {
    tools::find(name).is_some() || name == tools::task::NAME
}

pub(super) fn without_tools(place: &Members<'_>) -> Result<Vec<String>, DefinitionError> {
    let names = place.names("without_tools", MAX_NAME_CHARS * 4)?;
    Ok(names.into_iter().map(|(_, name)| name).collect())
}

/// `model` in any form, or `model_name` (and `provider`) in its place.
fn model(both: &Both<'_>) -> Result<Option<ModelRef>, DefinitionError> {
    let place = both.place("model");
    if let Some(value) = place.get("model") {
        let named = ModelRef::from_value(value, &place.at("model"))?;
        let bare = value.as_str().is_some_and(|text| !text.contains(':'));
        return match (named, both.place("provider").get("provider")) {
            // `provider` beside a bare name.
            (Some(model), Some(provider)) if bare => of_pair(provider, &model.model, both.place("provider")),
            (named, _) => Ok(named),
        };
    }
    let place = both.place("model_name");
    let Some(name) = place.text("model_name", MAX_NAME_CHARS * 4)? else { return Ok(None) };
    match both.place("provider").get("provider") {
        Some(provider) => of_pair(provider, &name, both.place("provider")),
        None => ModelRef::from_text(&name, &place.at("model_name")),
    }
}

fn of_pair(provider: &Value, model: &str, place: &Members<'_>) -> Result<Option<ModelRef>, DefinitionError> {
    let mut pair = Map::new();
    pair.insert("provider".to_owned(), provider.clone());
    pair.insert("model".to_owned(), Value::String(model.to_owned()));
    ModelRef::from_value(&Value::Object(pair), &place.at)
}

fn state_schema(place: &Members<'_>) -> Result<Value, DefinitionError> {
    match place.get("state_schema") {
        None => Ok(Value::Object(Map::new())),
        Some(schema @ Value::Object(_)) => Ok(schema.clone()),
        Some(
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)),
        ) => Err(wrong(&place.at("state_schema"), "an object of channels", other)),
    }
}
