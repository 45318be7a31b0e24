//! How a run begins: the input's checkpoint, healing, and the first model call.

use std::collections::HashSet;
use std::sync::Arc;

use agent_langgraph_codec as codec;
use agent_langgraph_codec::{ChannelValue, Content, FileData, Kind, Message, ToolStatus};
use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{Agent, Given, ORCHESTRATOR, Phase, Run, RunSetup, Unpublished, channels, tags};
use crate::compiled::Compiled;
use crate::definition::FieldPath;
use crate::effect::{AgentId, Effect};
use crate::graph::{BEFORE_AGENT, Graph, MODEL, START, Shape, Unfinished, Write};
use crate::ids::{Ids, Stamp};
use crate::input::{Input, InputError};
use crate::tools;

/// A job's input, checked and with ids given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunInput {
    /// The input as the caller sent it; stored as LangGraph stores it.
    pub payload: Map<String, Value>,
    /// New messages, each with an id.
    pub messages: Vec<Arc<Message>>,
    /// Files to begin with; `None` deletes.
    pub files: Vec<(String, Option<Arc<FileData>>)>,
    /// Values for channels that the definition declares, in their channels' form.
    pub values: Vec<(String, ChannelValue)>,
}

impl RunInput {
    /// An input that was read, with the values of declared channels in their channels' form.
    ///
    /// # Errors
    /// [`InputError`] where a channel of messages was given something else.
    pub fn new(
        payload: Map<String, Value>,
        input: Input,
        compiled: &Compiled,
        stamp: Stamp,
    ) -> Result<Self, InputError> {
        let root = FieldPath::root("input_payload").member("input_payload");
        // Not the stamp's own: those ids went to the input's messages.
        let mut ids = Ids::new(Stamp { seed: !stamp.seed, ..stamp });
        let values = channels::declared(&compiled.root.channels, &input.extra, &root, &mut ids)?;
        Ok(Self {
            payload,
            messages: input.messages.into_iter().map(Arc::new).collect(),
            files: input.files.into_iter().map(|(path, file)| (path, file.map(Arc::new))).collect(),
            values,
        })
    }
}

impl Run {
    /// Begins a run on a thread that has no checkpoint. The first effect is the commit of the input.
    pub fn start(setup: RunSetup, input: RunInput, stamp: Stamp) -> (Self, Vec<Effect>) {
        let mut ids = Ids::new(stamp);
        let channels = setup.compiled.root.channels.clone();
        let graph = Graph::new(Arc::from(""), Shape::Root, IndexMap::new(), root_tags(&setup), channels);
        let mut run = Self::empty(setup);
        run.add_orchestrator(graph);
        run.take_input(input, &Unfinished::default(), &mut ids);
        let effects = run.flush();
        (run, effects)
    }

    pub(super) fn add_orchestrator(&mut self, graph: Graph) {
        let mut spec = self.setup.compiled.root.clone();
        let limit = self.setup.limits.recursion_limit.or(self.setup.compiled.definition.recursion_limit);
        if limit.is_some() || self.setup.model.is_some() {
            // The job's own limit and model stand above the definition's; what stands in the orchestrator's node was
            // taken for the definition's by the parser.
            spec = Arc::new(spec.with_overrides(limit, self.setup.model.clone()));
        }
        let agent = Agent {
            spec,
            label: None,
            given: Given::default(),
            graph,
            parent: None,
            phase: Phase::Tools(Vec::new()),
            steps_taken: 0,
            patched: None,
            unpublished: Unpublished::default(),
        };
        self.agents.insert(ORCHESTRATOR, agent);
    }

    /// Stores the orchestrator's input and goes on to its first model call.
    pub(super) fn take_input(&mut self, input: RunInput, unfinished: &Unfinished, ids: &mut Ids) {
        let Some(agent) = self.agents.get_mut(&ORCHESTRATOR) else { return };
        let start = codec::encode_json(&Value::Object(input.payload.clone()));
        agent.graph.tag(DEFINITION_TAG, Value::from(self.setup.compiled.definition.hash.as_str()));
        agent.graph.put_input(start, unfinished, ids, &mut self.rows);
        agent.graph.untag(DEFINITION_TAG);
        self.apply_input(ORCHESTRATOR, input, ids);
    }

    /// Applies an input whose checkpoint is put: one write for each of its members, in their order.
    pub(super) fn apply_input(&mut self, id: AgentId, input: RunInput, ids: &mut Ids) {
        let mut values: IndexMap<String, ChannelValue> = input.values.into_iter().collect();
        let mut messages = Some(input.messages).filter(|messages| !messages.is_empty()).map(Write::Messages);
        let mut files = Some(input.files).filter(|files| !files.is_empty()).map(Write::Files);
        let mut writes = Vec::with_capacity(values.len() + 3);
        // A first message that stands for `instructions` has no member of its own.
        if !input.payload.contains_key("messages") {
            writes.extend(messages.take());
        }
        for name in input.payload.keys() {
            match name.as_str() {
                "messages" => writes.extend(messages.take()),
                "files" => writes.extend(files.take()),
                name => {
                    let value = values.shift_remove(name);
                    writes.extend(value.map(|value| Write::Value(name.to_owned(), value)));
                }
            }
        }
        writes.extend(messages.into_iter().chain(files));
        writes.extend(values.into_iter().map(|(name, value)| Write::Value(name, value)));
        writes.push(Write::Branch(BEFORE_AGENT));
        self.run_start(id, writes, ids);
    }

    /// Runs node `__start__`, then everything up to the first model call.
    pub(super) fn run_start(&mut self, id: AgentId, writes: Vec<Write>, ids: &mut Ids) {
        let Some(agent) = self.agents.get_mut(&id) else { return };
        let task = agent.graph.pull(START, writes);
        agent.graph.put_task(&task, &mut self.rows);
        agent.graph.advance(&[task], ids, &mut self.rows);
        self.emit_state(id, true, true);
        self.before_agent(id, ids);
    }

    /// The node that gives dangling tool calls an answer, so that no provider refuses the history.
    pub(super) fn before_agent(&mut self, id: AgentId, ids: &mut Ids) {
        let Some(agent) = self.agents.get_mut(&id) else { return };
        let healed = heal(&agent.graph.messages, ids);
        let changed = healed.is_some();
        let mut writes = Vec::new();
        if let Some(healed) = healed {
            writes.push(rewrite(healed));
        }
        writes.push(Write::Branch(MODEL));
        let task = agent.graph.pull(BEFORE_AGENT, writes);
        agent.graph.put_task(&task, &mut self.rows);
        agent.graph.advance(&[task], ids, &mut self.rows);
        agent.steps_taken += 1;
        if changed {
            self.emit_state(id, true, false);
        }
        self.ask_model(id, ids);
    }
}

/// Metadata key under which the checkpoint of an input names the turn's definition (SHA-256 of its canonical JSON).
const DEFINITION_TAG: &str = "agent_executor_definition";

pub(super) fn root_tags(setup: &RunSetup) -> Map<String, Value> {
    tags(&setup.job_id, &[("ls_integration", "deepagents")])
}

/// A write that replaces the whole history.
pub(super) fn rewrite(messages: Vec<Arc<Message>>) -> Write {
    let mut written = Vec::with_capacity(messages.len() + 1);
    written.push(Arc::new(Message::remove(Message::REMOVE_ALL)));
    written.extend(messages);
    Write::Messages(written)
}

/// The history with an error answer after each assistant message whose calls have none; `None` if none is missing.
pub(super) fn heal(messages: &[Arc<Message>], ids: &mut Ids) -> Option<Vec<Arc<Message>>> {
    let answered: HashSet<&str> = messages
        .iter()
        .filter_map(|message| match &message.kind {
            Kind::Tool { tool_call_id, .. } => Some(tool_call_id.as_str()),
            Kind::Human
            | Kind::Ai { .. }
            | Kind::System
            | Kind::Remove
            | Kind::Chat { .. }
            | Kind::Function => None,
        })
        .collect();
    let mut healed = Vec::with_capacity(messages.len() + 1);
    let mut missing = false;
    for message in messages {
        healed.push(message.clone());
        for (id, name, text) in open_calls(message) {
            if !answered.contains(id) {
                missing = true;
                healed.push(Arc::new(Message::tool(
                    Content::Text(text),
                    name.unwrap_or("unknown"),
                    id,
                    ToolStatus::Error,
                    ids.uuid(),
                )));
            }
        }
    }
    missing.then_some(healed)
}

/// Calls of an assistant message that have an id, with the text that answers them when nothing else did.
fn open_calls(message: &Message) -> Vec<(&str, Option<&str>, String)> {
    let Kind::Ai { tool_calls, invalid_tool_calls, .. } = &message.kind else { return Vec::new() };
    let valid = tool_calls.iter().filter_map(|call| {
        let id = call.id.as_deref()?;
        Some((id, Some(call.name.as_str()), tools::dangling_call_text(&call.name, id)))
    });
    let invalid = invalid_tool_calls.iter().filter_map(|call| {
        let id = call.id.as_deref()?;
        Some((id, call.name.as_deref(), tools::malformed_call_text(call.name.as_deref(), id)))
    });
    valid.chain(invalid).collect()
}
