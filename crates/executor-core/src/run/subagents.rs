//! The `task` tool: a sub-agent with its own messages, the same files, its own namespace.

use std::sync::Arc;

use agent_langgraph_codec as codec;
use agent_langgraph_codec::{ChannelValue, Content, FileData, Files, Kind, Message, ToolStatus};
use bytes::Bytes;
use serde_json::{Map, Value};

use super::calls::Ended;
use super::{Agent, Failure, Given, ORCHESTRATOR, Phase, Run, Unpublished, channels, tags};
use crate::effect::{AgentId, CallRef};
use crate::graph::{BEFORE_AGENT, Graph, Shape, TOOLS, Unfinished, Write};
use crate::ids::Ids;
use crate::tools::ToolAnswer;
use crate::tools::task::TaskArgs;
use crate::{AgentLabel, pyjson};

impl Run {
    /// Starts a sub-agent on a `task` call.
    pub(super) fn delegate(&mut self, call_ref: CallRef, args: &TaskArgs, ids: &mut Ids) {
        let Some(parent) = self.agents.get(&call_ref.agent) else { return };
        let Some(spec) = self.setup.compiled.subagents.get(&args.subagent_type) else { return };
        let ns = codec::child_namespace(&parent.graph.ns, TOOLS, &parent.graph.push_id(call_ref.index));
        let given = channels::given(&parent.graph, &spec.channels);
        let ns: Arc<str> = Arc::from(ns);
        let tags = sub_tags(&self.setup.job_id, &args.subagent_type);
        let parents = parent.graph.parents_of_child();
        let graph = Graph::new(ns, Shape::Sub, parents, tags, spec.channels.clone());
        let Some(id) = self.add_subagent(call_ref, &args.subagent_type, graph, given.clone()) else { return };
        let task = Arc::new(Message::human(args.description.clone(), ids.uuid()));
        let Given { files, values } = given;
        let extra: Vec<_> = values.iter().map(|(name, value)| (name.clone(), packed(value))).collect();
        let start = codec::encode_start_state(Some(&files), std::slice::from_ref(&task), &extra);
        let Some(agent) = self.agents.get_mut(&id) else { return };
        agent.graph.put_input(start, &Unfinished::default(), ids, &mut self.rows);
        let files = files.iter().map(|(path, file)| (path.clone(), Some(file.clone()))).collect();
        let mut writes = vec![Write::Files(files)];
        writes.extend(values.into_iter().map(|(name, value)| Write::Value(name, value)));
        writes.extend([Write::Messages(vec![task]), Write::Branch(BEFORE_AGENT)]);
        self.run_start(id, writes, ids);
    }

    /// Puts a sub-agent into the tree.
    pub(super) fn add_subagent(
        &mut self,
        call_ref: CallRef,
        name: &str,
        graph: Graph,
        given: Given,
    ) -> Option<AgentId> {
        let mut spec = self.setup.compiled.subagents.get(name)?.clone();
        if spec.inherits_model && self.setup.model.is_some() {
            spec = Arc::new(spec.with_overrides(None, self.setup.model.clone()));
        }
        let id = AgentId(self.next_agent);
        self.next_agent += 1;
        let label = AgentLabel { agent: Arc::from(name), ns: graph.ns.clone() };
        let agent = Agent {
            spec,
            label: Some(label),
            graph,
            parent: Some(call_ref),
            given,
            phase: Phase::Tools(Vec::new()),
            steps_taken: 0,
            patched: None,
            unpublished: Unpublished::default(),
        };
        self.agents.insert(id, agent);
        Some(id)
    }

    /// A sub-agent has come to its end: its report and what it changed go to the call that started it.
    pub(super) fn subagent_done(&mut self, id: AgentId, ids: &mut Ids) {
        let Some(agent) = self.agents.remove(&id) else { return };
        let Some(call_ref) = agent.parent else { return };
        let Report { text, interim } = report(&agent);
        let answer = ToolAnswer {
            content: Content::Text(text),
            status: ToolStatus::Success,
            files: changed_files(&agent.given.files, &agent.graph.files),
            todos: None,
            additional_kwargs: Map::new(),
        };
        let values = channels::changed(&agent.given.values, &agent.graph, &agent.spec.channels);
        self.put_answer(call_ref, Ended { answer, values, interim }, ids);
        self.end_round_if_done(call_ref.agent, ids);
    }

    /// An agent cannot go on. A sub-agent's failure is an answer to its parent; the orchestrator's ends the job.
    pub(super) fn agent_failed(&mut self, id: AgentId, failure: Failure, ids: &mut Ids) {
        if id == ORCHESTRATOR {
            return self.end(failure.kind, failure.code, failure.message);
        }
        let Some(agent) = self.agents.remove(&id) else {
            self.out_of_phase += 1;
            return;
        };
        let Some(call_ref) = agent.parent else { return };
        let name = agent.spec.name.as_deref().unwrap_or_default();
        let text = format!("Error: sub-agent '{name}' failed: {}", failure.message);
        self.put_answer(call_ref, ToolAnswer::error(text).into(), ids);
        self.end_round_if_done(call_ref.agent, ids);
    }
}

pub(super) fn sub_tags(job_id: &str, name: &str) -> Map<String, Value> {
    let more = [
        ("ls_integration", "langchain_create_agent"),
        ("lc_agent_name", name),
        ("ls_agent_type", "subagent"),
    ];
    tags(job_id, &more)
}

/// What the parent is told.
struct Report {
    text: String,
    /// The text is not the last message's.
    interim: bool,
}

/// The structured response, else the result that is the answer of a tool's own, else the last text of the sub-agent
/// that is not empty.
fn report(agent: &Agent) -> Report {
    if let Some(value) = agent.graph.structured_response().filter(|_| agent.spec.structured.is_some()) {
        return Report { text: pyjson::dumps(value), interim: false };
    }
    if let Some(last) = agent.graph.messages.last().filter(|last| matches!(last.kind, Kind::Tool { .. })) {
        return Report { text: last.text("").trim_end().to_owned(), interim: false };
    }
    let messages = agent.graph.messages.iter().rev();
    let mut spoken = messages.filter(|message| matches!(message.kind, Kind::Ai { .. })).enumerate();
    let text = spoken.find_map(|(back, message)| {
        let text = message.text("").trim_end().to_owned();
        (!text.is_empty()).then_some((back > 0, text))
    });
    text.map_or(Report { text: String::new(), interim: false }, |(interim, text)| Report { text, interim })
}

/// A channel's value as it stands inside of a packed map.
fn packed(value: &ChannelValue) -> Bytes {
    match value {
        // As a row it would be empty; in a map it is a value like others.
        ChannelValue::Json(Value::Null) => codec::encode_json(&Value::Null),
        ChannelValue::Json(_) | ChannelValue::Messages(_) | ChannelValue::Raw { .. } => value.encode().1,
    }
}

/// Only the paths that differ from what the sub-agent was given; `None` for those that it deleted.
fn changed_files(given: &Files, now: &Files) -> Vec<(String, Option<Arc<FileData>>)> {
    let written = now.iter().filter(|(path, file)| {
        given.get(*path).is_none_or(|before| !Arc::ptr_eq(before, file) && before != *file)
    });
    let mut changes: Vec<_> = written.map(|(path, file)| (path.clone(), Some(file.clone()))).collect();
    let deleted = given.keys().filter(|path| !now.contains_key(*path));
    changes.extend(deleted.map(|path| (path.clone(), None)));
    changes
}
