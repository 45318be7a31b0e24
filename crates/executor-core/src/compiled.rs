//! A definition made ready once and shared by every run of it: prompts, tools on offer, models.

use std::sync::Arc;

use agent_langgraph_codec::ToolCall;
use indexmap::IndexMap;
use regex::Regex;

use crate::context::{ContextSettings, Limits, tokens};
use crate::definition::{Channels, output_pattern, union};
use crate::effect::Class;
use crate::profiles::guidance::system_prompt;
use crate::structured::Structured;
use crate::tools::ToolAnswer;
use crate::{AgentSpec, Definition, ModelRef, ToolSpec, profiles, tools};

/// Name of the sub-agent that exists without being defined.
pub(crate) const GENERAL_PURPOSE: &str = "general-purpose";
/// Name of the to-do tool.
pub(crate) const WRITE_TODOS: &str = "write_todos";
/// Name of a tool that Python registers and never offers.
pub(crate) const EXECUTE: &str = "execute";
/// Super-steps of an agent that names no limit, as deepagents binds it.
pub(crate) const DEFAULT_RECURSION_LIMIT: u32 = 9999;

const GENERAL_PURPOSE_ABOUT: &str = "A helper without a speciality, for research, searching files and work of several \
    steps. It has the same tools as you. Use it when you are not sure to find the right thing in the first tries, \
    or to keep long intermediate work out of this conversation.";
const GENERAL_PURPOSE_PROMPT: &str = "You are a helper that works on one task on behalf of another agent. You see only \
    the task's text and the shared files. Use your tools to finish it, then answer with everything the other agent \
    needs to know: it sees nothing of your work but your last message.";

/// A tool of the definition that runs outside of the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomTool {
    /// What the model is told.
    pub spec: ToolSpec,
    /// What may be assumed of its effects.
    pub class: Class,
    /// Its result is the agent's answer: the model is not asked again.
    pub return_direct: bool,
}

/// Why a definition cannot run although it could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// Neither the definition nor the settings name a model.
    #[error(
        "agent `{agent}`: `model` is missing: expected an object {{provider, model}}, or LLM_MODEL_NAME to be set"
    )]
    NoModel {
        /// Name of the agent.
        agent: String,
    },
    /// The tool that takes an agent's structured answer has the name of another tool.
    #[error(
        "agent `{agent}`: `response_format`: its name `{name}` is a tool's already; give it another `name`"
    )]
    ResponseName {
        /// Name of the agent.
        agent: String,
        /// Name of the schema.
        name: String,
    },
}

impl CompileError {
    /// Stable code of the failure.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoModel { .. } => "definition.no_model",
            Self::ResponseName { .. } => "definition.duplicate_name",
        }
    }
}

/// One agent, ready to run.
#[derive(Debug)]
pub(crate) struct CompiledAgent {
    /// Name on its messages; `None` for the orchestrator.
    pub(crate) name: Option<Arc<str>>,
    /// Its own prompt, as the definition has it.
    prompt: String,
    /// What its model is sent: the prompt, and what this model is told besides.
    pub(crate) system: String,
    pub(crate) model: ModelRef,
    /// Whether it has the orchestrator's model, since it names none.
    pub(crate) inherits_model: bool,
    /// Tools that can be run, in the order in which the model sees them.
    tools: Arc<[ToolSpec]>,
    /// Everything on offer: the tools, and the one that takes a structured answer.
    pub(crate) offered: Arc<[ToolSpec]>,
    /// The form of its answer, where it has one.
    pub(crate) structured: Option<Arc<Structured>>,
    /// Channels beside those that every agent has.
    pub(crate) channels: Arc<Channels>,
    /// Own tools by name; they stand before a built-in of the same name.
    pub(crate) custom: IndexMap<String, Class>,
    /// Own tools whose results are the agent's answer.
    direct: Vec<String>,
    pub(crate) recursion_limit: u32,
    /// What its model can hold, and what is done about it.
    pub(crate) limits: Limits,
    /// Characters of its tools, as they count in every request.
    pub(crate) tool_chars: usize,
    context: ContextSettings,
    without: Vec<String>,
    /// Whether it may call sub-agents.
    pub(crate) delegates: bool,
}

impl CompiledAgent {
    /// Whether this agent may call the built-in tool of this name.
    pub(crate) fn has_built_in(&self, name: &str) -> bool {
        !self.without.iter().any(|taken| taken == name)
    }

    /// Whether a model that it asks exists on OpenAI's Responses API only.
    pub(crate) fn needs_responses(&self) -> bool {
        let models = std::iter::once(&self.model).chain(&self.limits.summary_model);
        models.into_iter().any(|model| model.provider == "openai" && profiles::responses_only(&model.model))
    }

    /// Which calls of a turn are refused because of each other; own tools take no part in that.
    pub(crate) fn refused(&self, calls: &[ToolCall]) -> Vec<Option<ToolAnswer>> {
        let built_in: Vec<ToolCall> =
            calls.iter().filter(|call| !self.custom.contains_key(&call.name)).cloned().collect();
        let mut refused = tools::parallel_conflicts(&built_in).into_iter();
        let each = calls.iter().map(|call| match self.custom.contains_key(&call.name) {
            true => None,
            false => refused.next().flatten(),
        });
        each.collect()
    }

    /// Every name that the agent can call, offered or not, as an unknown call is told.
    pub(crate) fn registered(&self) -> Vec<&str> {
        self.tools.iter().map(|tool| tool.name.as_str()).collect()
    }

    /// Whether a turn with these calls is the last one, unless one of them fails: all that name a tool are of tools
    /// whose results are the answer.
    pub(crate) fn answers_directly(&self, calls: &[ToolCall]) -> bool {
        let known = |name: &str| name == EXECUTE || self.tools.iter().any(|tool| tool.name == name);
        let mut known = calls.iter().filter(|call| known(&call.name)).peekable();
        known.peek().is_some() && known.all(|call| self.direct.contains(&call.name))
    }

    /// The same agent under a job's own limit and model.
    pub(crate) fn with_overrides(&self, limit: Option<u32>, model: Option<ModelRef>) -> Self {
        let model = model.unwrap_or_else(|| self.model.clone());
        // Another model may need another way to the same form.
        let structured = self.structured.as_deref().map(|structured| Arc::new(structured.of(&model)));
        let offered = offered(&self.tools, structured.as_deref());
        Self {
            name: self.name.clone(),
            system: system_prompt(&self.prompt, &model.provider, &model.model, &self.tools),
            prompt: self.prompt.clone(),
            inherits_model: self.inherits_model,
            limits: Limits::of(&self.context, &model),
            tool_chars: tokens::tool_chars(&offered),
            context: self.context.clone(),
            tools: self.tools.clone(),
            offered,
            model,
            structured,
            channels: self.channels.clone(),
            custom: self.custom.clone(),
            direct: self.direct.clone(),
            recursion_limit: limit.unwrap_or(self.recursion_limit),
            without: self.without.clone(),
            delegates: self.delegates,
        }
    }
}

/// The tools, and last the one that takes a structured answer.
fn offered(tools: &Arc<[ToolSpec]>, structured: Option<&Structured>) -> Arc<[ToolSpec]> {
    match structured.and_then(Structured::tool) {
        Some(tool) => tools.iter().cloned().chain([tool]).collect(),
        None => tools.clone(),
    }
}

/// A definition, ready to run. Immutable; cached by the definition's hash.
#[derive(Debug)]
pub struct Compiled {
    pub(crate) definition: Arc<Definition>,
    pub(crate) root: Arc<CompiledAgent>,
    /// Sub-agents by `subagent_type`, general-purpose first.
    pub(crate) subagents: IndexMap<String, Arc<CompiledAgent>>,
    /// One of its OpenAI models exists on the Responses API only.
    pub(crate) responses_api: bool,
    /// Outputs that count as failures, as written and ready to match.
    pub(crate) refused_outputs: Vec<(String, Regex)>,
}

impl Compiled {
    /// Resolves tools and models. `custom` are the definition's own tools as their host describes them;
    /// `without` are built-in tools that the operator takes away from everybody.
    ///
    /// # Errors
    /// [`CompileError`] where an agent has no model.
    pub fn new(
        definition: Arc<Definition>,
        custom: &IndexMap<String, CustomTool>,
        without: &[String],
    ) -> Result<Self, CompileError> {
        let main = &definition.orchestrator;
        let main_model =
            main.model.clone().ok_or_else(|| CompileError::NoModel { agent: main.name.clone() })?;
        // Every channel exists on the orchestrator too. The parser has told of those declared in two ways.
        let agents = std::iter::once(main).chain(&definition.specialists);
        let all = union(agents.map(|spec| (spec.name.as_str(), &spec.channels)), |_, _| {});
        let builder = Builder { custom, without, main_model: &main_model };
        let mut subagents = IndexMap::new();
        let general = definition.general_purpose
            && !definition.specialists.iter().any(|spec| spec.name == GENERAL_PURPOSE);
        let mut about: Vec<(String, String)> = Vec::new();
        if general {
            let spec = general_purpose(main, all.clone());
            about.push((spec.name.clone(), spec.description.clone()));
            subagents.insert(spec.name.clone(), Arc::new(builder.agent(&spec, Some(&spec.name), None)?));
        }
        for spec in &definition.specialists {
            about.push((spec.name.clone(), spec.description.clone()));
            subagents.insert(spec.name.clone(), Arc::new(builder.agent(spec, Some(&spec.name), None)?));
        }
        let task = (!about.is_empty()).then(|| tools::task::spec(&about));
        let root = AgentSpec { channels: all, ..main.clone() };
        let root = Arc::new(builder.agent(&root, None, task)?);
        let agents = std::iter::once(&root).chain(subagents.values());
        let responses_api = agents.into_iter().any(|agent| agent.needs_responses());
        // The parser lets no pattern pass that is none.
        let patterns = definition.fail_if_output_matches.iter();
        let refused_outputs =
            patterns.filter_map(|pattern| Some((pattern.clone(), output_pattern(pattern).ok()?))).collect();
        Ok(Self { definition, root, subagents, responses_api, refused_outputs })
    }

    /// The definition that this was made from.
    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }
}

/// The main agent's tools and model, a prompt of its own, and neither its limit nor the form of its answer.
fn general_purpose(main: &AgentSpec, channels: Channels) -> AgentSpec {
    AgentSpec {
        name: GENERAL_PURPOSE.to_owned(),
        system_prompt: GENERAL_PURPOSE_PROMPT.to_owned(),
        description: GENERAL_PURPOSE_ABOUT.to_owned(),
        model: None,
        recursion_limit: None,
        channels,
        response_format: None,
        ..main.clone()
    }
}

struct Builder<'a> {
    custom: &'a IndexMap<String, CustomTool>,
    /// What the operator takes away from everybody.
    without: &'a [String],
    main_model: &'a ModelRef,
}

impl Builder<'_> {
    fn agent(
        &self,
        spec: &AgentSpec,
        name: Option<&str>,
        task: Option<ToolSpec>,
    ) -> Result<CompiledAgent, CompileError> {
        let mut without = spec.without_tools.clone();
        without.extend_from_slice(self.without);
        let own: IndexMap<&str, &CustomTool> =
            spec.tools.iter().filter_map(|name| Some((name.as_str(), self.custom.get(name)?))).collect();
        let may_delegate = task.is_some() && !without.iter().any(|name| name == tools::task::NAME);
        let tools: Arc<[ToolSpec]> = on_offer(&own, &without, task.filter(|_| may_delegate)).into();
        let model = spec.model.clone().unwrap_or_else(|| self.main_model.clone());
        let structured = spec.response_format.as_ref().map(|form| Arc::new(Structured::new(form, &model)));
        if let Some(taken) =
            structured.as_ref().filter(|form| tools.iter().any(|tool| tool.name == form.name))
        {
            return Err(CompileError::ResponseName { agent: spec.name.clone(), name: taken.name.clone() });
        }
        let offered = offered(&tools, structured.as_deref());
        Ok(CompiledAgent {
            name: name.map(Arc::from),
            system: system_prompt(&spec.system_prompt, &model.provider, &model.model, &tools),
            prompt: spec.system_prompt.clone(),
            inherits_model: spec.model.is_none(),
            limits: Limits::of(&spec.context, &model),
            tool_chars: tokens::tool_chars(&offered),
            context: spec.context.clone(),
            offered,
            tools,
            model,
            structured,
            channels: Arc::new(spec.channels.clone()),
            delegates: may_delegate && !own.contains_key(tools::task::NAME),
            direct: own
                .iter()
                .filter(|(_, tool)| tool.return_direct)
                .map(|(name, _)| (*name).to_owned())
                .collect(),
            custom: own.into_iter().map(|(name, tool)| (name.to_owned(), tool.class)).collect(),
            recursion_limit: spec.recursion_limit.unwrap_or(DEFAULT_RECURSION_LIMIT),
            without,
        })
    }
}

/// The tools of an agent in their order: built-in ones, `task` among them, then its own.
fn on_offer(
    own: &IndexMap<&str, &CustomTool>,
    without: &[String],
    mut task: Option<ToolSpec>,
) -> Vec<ToolSpec> {
    let mut built_in: Vec<ToolSpec> = Vec::new();
    for tool in tools::BUILT_IN {
        // The task tool stands between the file tools and write_todos, as deepagents orders them.
        if tool.name == WRITE_TODOS {
            built_in.extend(task.take());
        }
        if !without.iter().any(|name| name == tool.name) {
            built_in.push((tool.spec)());
        }
    }
    built_in.extend(task);
    let mut offered = Vec::with_capacity(built_in.len() + own.len());
    for tool in built_in {
        // A tool of the definition replaces a built-in of its name in the built-in's place.
        offered.push(own.get(tool.name.as_str()).map_or(tool, |custom| custom.spec.clone()));
    }
    for (name, tool) in own {
        if !offered.iter().any(|offered| offered.name == *name) {
            offered.push(tool.spec.clone());
        }
    }
    offered
}

#[cfg(test)]
mod tests;
