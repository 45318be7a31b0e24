//! A definition made ready once and shared by every run of it: prompts, tools on offer, models.

use std::sync::Arc;

use agent_langgraph_codec::ToolCall;
use indexmap::IndexMap;

use crate::context::{ContextSettings, Limits, tokens};
use crate::effect::Class;
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
}

impl CompileError {
    /// Stable code of the failure.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoModel { .. } => "definition.no_model",
        }
    }
}

/// One agent, ready to run.
#[derive(Debug)]
pub(crate) struct CompiledAgent {
    /// Name on its messages; `None` for the orchestrator.
    pub(crate) name: Option<Arc<str>>,
    pub(crate) system: String,
    pub(crate) model: ModelRef,
    /// Everything on offer, in the order in which the model sees it.
    pub(crate) offered: Arc<[ToolSpec]>,
    /// Own tools by name; they stand before a built-in of the same name.
    pub(crate) custom: IndexMap<String, Class>,
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
        self.offered.iter().map(|tool| tool.name.as_str()).collect()
    }

    /// The same agent under a job's own limit and model.
    pub(crate) fn with_overrides(&self, limit: Option<u32>, model: Option<ModelRef>) -> Self {
        let model = model.unwrap_or_else(|| self.model.clone());
        Self {
            name: self.name.clone(),
            system: self.system.clone(),
            limits: Limits::of(&self.context, &model),
            tool_chars: self.tool_chars,
            context: self.context.clone(),
            model,
            offered: self.offered.clone(),
            custom: self.custom.clone(),
            recursion_limit: limit.unwrap_or(self.recursion_limit),
            without: self.without.clone(),
            delegates: self.delegates,
        }
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
        let mut subagents = IndexMap::new();
        let general = definition.general_purpose
            && !definition.specialists.iter().any(|spec| spec.name == GENERAL_PURPOSE);
        let mut about: Vec<(String, String)> = Vec::new();
        if general {
            let spec = AgentSpec {
                name: GENERAL_PURPOSE.to_owned(),
                system_prompt: GENERAL_PURPOSE_PROMPT.to_owned(),
                description: GENERAL_PURPOSE_ABOUT.to_owned(),
                ..main.clone()
            };
            about.push((spec.name.clone(), spec.description.clone()));
            let agent = agent(&spec, Some(&spec.name), main_model.clone(), None, custom, without);
            subagents.insert(spec.name, Arc::new(agent));
        }
        for spec in &definition.specialists {
            about.push((spec.name.clone(), spec.description.clone()));
            let model = spec.model.clone().unwrap_or_else(|| main_model.clone());
            let agent = agent(spec, Some(&spec.name), model, None, custom, without);
            subagents.insert(spec.name.clone(), Arc::new(agent));
        }
        let task = (!about.is_empty()).then(|| tools::task::spec(&about));
        let root = Arc::new(agent(main, None, main_model, task, custom, without));
        let agents = std::iter::once(&root).chain(subagents.values());
        let responses_api = agents.into_iter().any(|agent| agent.needs_responses());
        Ok(Self { definition, root, subagents, responses_api })
    }

    /// The definition that this was made from.
    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }
}

fn agent(
    spec: &AgentSpec,
    name: Option<&str>,
    model: ModelRef,
    task: Option<ToolSpec>,
    custom: &IndexMap<String, CustomTool>,
    operator_without: &[String],
) -> CompiledAgent {
    let mut without = spec.without_tools.clone();
    without.extend_from_slice(operator_without);
    let own: IndexMap<&str, &CustomTool> =
        spec.tools.iter().filter_map(|name| Some((name.as_str(), custom.get(name)?))).collect();
    let delegates = task.is_some() && !without.iter().any(|name| name == tools::task::NAME);
    let mut built_in: Vec<ToolSpec> = Vec::new();
    let mut task = task.filter(|_| delegates);
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
    for (name, tool) in &own {
        if !offered.iter().any(|offered| offered.name == *name) {
            offered.push(tool.spec.clone());
        }
    }
    let delegates = delegates && !own.contains_key(tools::task::NAME);
    CompiledAgent {
        name: name.map(Arc::from),
        system: spec.system_prompt.clone(),
        limits: Limits::of(&spec.context, &model),
        tool_chars: tokens::tool_chars(&offered),
        context: spec.context.clone(),
        model,
        offered: offered.into(),
        custom: own.into_iter().map(|(name, tool)| (name.to_owned(), tool.class)).collect(),
        recursion_limit: spec.recursion_limit.unwrap_or(DEFAULT_RECURSION_LIMIT),
        without,
        delegates,
    }
}
