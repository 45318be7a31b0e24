//! One node of a definition: its own members beside `type`, or gathered in `config`.

use serde_json::{Map, Value};

use crate::definition::error::DefinitionError;
use crate::definition::field::FieldPath;
use crate::definition::limits::{
    MAX_DESCRIPTION_BYTES, MAX_NAME_CHARS, MAX_PROMPT_BYTES, MAX_RECURSION_LIMIT, MAX_TOOL_DEFINITIONS,
};
use crate::definition::near::meant;
use crate::definition::read::{Members, at_most};
use crate::definition::response;
use crate::definition::types::{AgentSpec, ScriptTool};
use crate::definition::warning::Notes;
use crate::definition::{channels, context};
use crate::{ModelRef, tools};

/// Members of an agent, in `config` or beside it.
pub(super) const CONFIG: &[&str] = &[
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
pub(super) const NODE: &[&str] = &["id", "type", "config"];

/// How many characters of a prompt stand for a description.
const DESCRIPTION_CHARS: usize = 200;

/// The name of a node that has none, as the Python service gives it.
const NAMELESS: &str = "unnamed_agent";

/// A node, read.
pub(super) struct Node {
    pub(super) at: FieldPath,
    pub(super) id: Option<String>,
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

/// `None`: it is no object, which is noted. Every other problem is noted too, and something harmless read.
pub(super) fn node(value: &Value, at: FieldPath, scripts: &[ScriptTool], notes: &mut Notes) -> Option<Node> {
    let node = notes.keep(Members::of(value, at).map(Some))?;
    let config = match node.get("config") {
        Some(config) => notes.keep(Members::of(config, node.at("config")).map(Some))?,
        None => node.clone(),
    };
    let flat: Vec<&str> = NODE.iter().chain(CONFIG).copied().collect();
    notes.unknown("a node", node.map, &node.at, &flat);
    if node.get("config").is_some() {
        notes.unknown("a node's config", config.map, &config.at, CONFIG);
    }
    let kind = notes.keep(node.text("type", MAX_NAME_CHARS)).unwrap_or_default();
    let at = node.at.clone();
    let id = node.get("id").and_then(Value::as_str).map(str::to_owned);
    let both = Both { config, node };
    let agent = agent(&both, scripts, notes);
    Some(Node { at, id, is_orchestrator: kind.trim().to_lowercase() == "orchestrator", agent })
}

fn agent(both: &Both<'_>, scripts: &[ScriptTool], notes: &mut Notes) -> AgentSpec {
    let text = |name: &str, limit: usize| both.place(name).text(name, limit);
    let name = match notes.keep(text("name", MAX_NAME_CHARS * 4)).filter(|name| !name.is_empty()) {
        Some(name) => name,
        None => notes
            .keep(both.node.text("id", MAX_NAME_CHARS * 4))
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| NAMELESS.to_owned()),
    };
    notes.keep(at_most(&both.place("name").at("name"), name.chars().count(), MAX_NAME_CHARS, "characters"));
    let system_prompt = notes.keep(text("system_prompt", MAX_PROMPT_BYTES)).unwrap_or_default();
    let description = notes.keep(text("description", MAX_DESCRIPTION_BYTES)).filter(|text| !text.is_empty());
    let limit = both.place("recursion_limit").limit("recursion_limit", MAX_RECURSION_LIMIT);
    let tools = own_tools(both.place("tools"), scripts, notes);
    let channels = channels::read(both.place("state_schema"), notes);
    let response_format = response::read(both.place("response_format"), "response_format", notes);
    let context = context::settings(both.place("context"), notes);
    AgentSpec {
        name,
        description: description.unwrap_or_else(|| beginning_of(&system_prompt)),
        system_prompt,
        tools: notes.keep(tools),
        model: notes.keep(model(both)),
        recursion_limit: notes.keep(limit),
        without_tools: notes.keep(without_tools(both.place("without_tools"))),
        channels: notes.keep(channels),
        response_format: notes.keep(response_format),
        context: notes.keep(context),
    }
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
    notes: &mut Notes,
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
            let fix = match (meant(&name, &known), known.is_empty()) {
                (Some(meant), _) => format!("did you mean `{meant}`?"),
                (None, true) => "add it to `tool_definitions`, with its `runtime.script`".to_owned(),
                (None, false) => format!("add it to `tool_definitions`; there are {}", known.join(", ")),
            };
            let message = format!("no tool is called `{name}`; the agent goes without it");
            notes.warn("definition.unknown_tool", at, message, fix);
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
