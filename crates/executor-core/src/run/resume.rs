//! Going on from what the store holds: a half-done job, or a new turn on an old thread.

use std::sync::Arc;

use agent_langgraph_codec as codec;
use agent_langgraph_codec::{CodecError, GraphState, Rows, TaskKind, ToolCall, WriteRow};
use serde_json::Value;

use super::start::{RunInput, root_tags};
use super::subagents::sub_tags;
use super::{JOB_TAG, ORCHESTRATOR, Phase, Run, RunSetup, Slot};
use crate::effect::{AgentId, CallRef, Effect};
use crate::graph::{
    AFTER_AGENT, BEFORE_AGENT, Graph, MODEL, START, Shape, TOOLS, TaskOutput, Unfinished, Write, trigger_of,
};
use crate::ids::{Ids, Stamp};
use crate::tools;

/// Why a stored thread cannot be gone on with. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// A row holds what we cannot read.
    #[error("the stored thread cannot be read: {0}")]
    Unreadable(#[from] CodecError),
    /// The head waits for something that this machine does not run.
    #[error("the stored thread waits for node `{node}`, which this definition does not have")]
    UnknownNode {
        /// The node's name.
        node: String,
    },
}

/// How a stored thread stands towards a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The newest checkpoint was written for this job: its input is stored.
    Begun,
    /// The newest checkpoint belongs to another job, or to somebody else's program.
    New,
}

impl Run {
    /// Goes on with a job on a thread that has checkpoints. If the newest is not this job's, its input becomes a
    /// new turn; else what is pending goes on and the input is ignored.
    ///
    /// # Errors
    /// [`ResumeError`]; nothing is written then.
    pub fn resume(
        setup: RunSetup,
        rows: &Rows,
        input: RunInput,
        stamp: Stamp,
    ) -> Result<(Self, Vec<Effect>), ResumeError> {
        let Some(state) = codec::load_graph(rows, "")? else { return Ok(Self::start(setup, input, stamp)) };
        let mut ids = Ids::new(stamp);
        let turn = turn_of(&state, &setup.job_id);
        let mut run = Self::empty(setup);
        run.found = (state.messages.clone(), state.files.clone());
        match turn {
            Turn::New => run.new_turn(state, input, &mut ids),
            Turn::Begun => run.go_on(rows, state, &mut ids)?,
        }
        let effects = run.flush();
        Ok((run, effects))
    }

    fn new_turn(&mut self, state: GraphState, input: RunInput, ids: &mut Ids) {
        let mut unfinished = Unfinished::default();
        for task in state.tasks.iter().filter(|task| !task.finished) {
            if !unfinished.nodes.contains(&task.node) {
                unfinished.nodes.push(task.node.clone());
            }
        }
        if !unfinished.nodes.is_empty() {
            let dropped = |channel: &str| state.pending.iter().any(|row| row.channel == channel);
            unfinished.dropped = [dropped("messages"), dropped("files")];
        }
        let graph = Graph::from_state(Arc::from(""), Shape::Root, state, root_tags(&self.setup));
        self.add_orchestrator(graph);
        self.take_input(input, &unfinished, ids);
    }

    /// Puts the orchestrator where the store has it, and its unfinished sub-agents with it.
    fn go_on(&mut self, rows: &Rows, state: GraphState, ids: &mut Ids) -> Result<(), ResumeError> {
        let steps = steps_since_input(rows, "", state.metadata.step);
        let pending = Pending::of(&state);
        let graph = Graph::from_state(Arc::from(""), Shape::Root, state, root_tags(&self.setup));
        self.add_orchestrator(graph);
        if let Some(agent) = self.agents.get_mut(&ORCHESTRATOR) {
            agent.steps_taken = steps;
        }
        self.stand_at(ORCHESTRATOR, pending, rows, ids)
    }

    /// Goes on with whatever is due at an agent's newest checkpoint.
    fn stand_at(
        &mut self,
        id: AgentId,
        pending: Pending,
        rows: &Rows,
        ids: &mut Ids,
    ) -> Result<(), ResumeError> {
        let Some(agent) = self.agents.get_mut(&id) else { return Ok(()) };
        let sends = agent.graph.sends.clone();
        if !sends.is_empty() {
            return self.go_on_with_calls(id, sends, &pending, rows, ids);
        }
        for node in [START, BEFORE_AGENT, MODEL, AFTER_AGENT] {
            let due = agent.graph.triggered(node);
            let Some(stored) = due.then(|| pending.output(&agent.graph, node)).transpose()? else { continue };
            if let Some(output) = stored {
                // The task had ended before its checkpoint was put: what it wrote is applied, nothing runs again.
                agent.graph.advance(&[output], ids, &mut self.rows);
                agent.steps_taken += u32::from(node != START);
                let next = Pending::default();
                return self.stand_at(id, next, rows, ids);
            }
            match node {
                START => self.restart(id, rows, ids)?,
                BEFORE_AGENT => self.before_agent(id, ids),
                MODEL => self.ask_model(id, ids),
                _ => self.after_agent(ids),
            }
            return Ok(());
        }
        match id {
            ORCHESTRATOR => self.complete(),
            _ => self.subagent_done(id, ids),
        }
        Ok(())
    }

    /// The input's checkpoint stands alone: its values are applied again.
    fn restart(&mut self, id: AgentId, rows: &Rows, ids: &mut Ids) -> Result<(), ResumeError> {
        let Some(agent) = self.agents.get(&id) else { return Ok(()) };
        let version = agent.graph.version_of(START);
        let blob = rows.blobs.iter().find(|row| {
            *row.ns == *agent.graph.ns && row.channel == START && Some(row.version.as_str()) == version
        });
        let mut writes = Vec::new();
        if let Some((row, bytes)) = blob.and_then(|row| Some((row, row.blob.as_ref()?))) {
            let payload = codec::decode_json(&row.type_, bytes)?;
            writes = start_writes(&payload, ids)?;
        }
        writes.push(Write::Branch(BEFORE_AGENT));
        self.run_start(id, writes, ids);
        Ok(())
    }

    /// A round of tool calls was begun: ended calls keep their stored outputs, the others run.
    fn go_on_with_calls(
        &mut self,
        id: AgentId,
        calls: Vec<ToolCall>,
        pending: &Pending,
        rows: &Rows,
        ids: &mut Ids,
    ) -> Result<(), ResumeError> {
        let Some(agent) = self.agents.get_mut(&id) else { return Ok(()) };
        if let Err(failure) = agent.step_allowed() {
            self.agent_failed(id, failure, ids);
            return Ok(());
        }
        let mut slots = Vec::with_capacity(calls.len());
        let mut open = Vec::new();
        for (index, call) in calls.iter().enumerate() {
            let output = pending.call_output(&agent.graph, index)?;
            if output.is_none() {
                open.push((index, call.clone()));
            }
            slots.push(Slot { call: call.clone(), started_ns: ids.now_ns(), output });
        }
        agent.phase = Phase::Tools(slots);
        let mut fresh = Vec::new();
        for (index, call) in open {
            if !self.resume_subagent(CallRef { agent: id, index }, &call, rows, ids)? {
                fresh.push((index, call));
            }
        }
        self.perform(id, &calls, fresh, ids);
        Ok(())
    }

    /// Puts a sub-agent back into the tree if it had begun on this call.
    fn resume_subagent(
        &mut self,
        call_ref: CallRef,
        call: &ToolCall,
        rows: &Rows,
        ids: &mut Ids,
    ) -> Result<bool, ResumeError> {
        let Some(parent) = self.agents.get(&call_ref.agent) else { return Ok(false) };
        if !parent.spec.delegates || call.name != tools::task::NAME {
            return Ok(false);
        }
        let Ok(args) = tools::task::parse(&call.args) else { return Ok(false) };
        let ns = codec::child_namespace(&parent.graph.ns, TOOLS, &parent.graph.push_id(call_ref.index));
        let given = parent.graph.files.clone();
        let Some(state) = codec::load_graph(rows, &ns)? else { return Ok(false) };
        let steps = steps_since_input(rows, &ns, state.metadata.step);
        let pending = Pending::of(&state);
        let tags = sub_tags(&self.setup.job_id, &args.subagent_type);
        let graph = Graph::from_state(Arc::from(ns.as_str()), Shape::Sub, state, tags);
        let Some(id) = self.add_subagent(call_ref, &args.subagent_type, graph, given) else {
            return Ok(false);
        };
        if let Some(agent) = self.agents.get_mut(&id) {
            agent.steps_taken = steps;
        }
        self.stand_at(id, pending, rows, ids)?;
        Ok(true)
    }
}

/// Whether the newest checkpoint of the thread was written for this job: its input is stored, and there is something
/// to go on with.
pub fn has_begun(rows: &Rows, job_id: &str) -> bool {
    let state = codec::load_graph(rows, "");
    // What cannot be read cannot be gone on with either; a resume says so.
    matches!(state, Ok(Some(state)) if turn_of(&state, job_id) == Turn::Begun)
}

fn turn_of(state: &GraphState, job_id: &str) -> Turn {
    let owner = state.metadata.extra.get(JOB_TAG).and_then(Value::as_str);
    if owner == Some(job_id) { Turn::Begun } else { Turn::New }
}

/// Super-steps that were run since the newest input, as the recursion limit counts them.
fn steps_since_input(rows: &Rows, ns: &str, head_step: i64) -> u32 {
    let inputs = rows.checkpoints.iter().filter(|row| *row.ns == *ns);
    let newest = inputs
        .filter_map(|row| codec::Metadata::from_json(&row.metadata).ok())
        .filter(|metadata| metadata.source == Some(codec::Source::Input))
        .map(|metadata| metadata.step)
        .max()
        .unwrap_or(-1);
    // The super-step of `__start__` does not count.
    u32::try_from(head_step - newest - 1).unwrap_or(0)
}

/// What tasks of the newest checkpoint have written before the next one was put.
#[derive(Default)]
struct Pending {
    writes: Vec<WriteRow>,
    /// Ids and kinds of tasks that have ended.
    finished: Vec<(String, TaskKind)>,
}

impl Pending {
    fn of(state: &GraphState) -> Self {
        let ended = state.tasks.iter().filter(|task| task.finished);
        let finished = ended.map(|task| (task.id.clone(), task.kind)).collect();
        Self { writes: state.pending.clone(), finished }
    }

    /// The stored output of the node's task; `None` if it has not ended.
    fn output(&self, graph: &Graph, node: &'static str) -> Result<Option<TaskOutput>, ResumeError> {
        let task = graph.pull(node, Vec::new());
        self.stored(task)
    }

    fn call_output(&self, graph: &Graph, index: usize) -> Result<Option<TaskOutput>, ResumeError> {
        let task = graph.push(index, Vec::new());
        self.stored(task)
    }

    fn stored(&self, mut task: TaskOutput) -> Result<Option<TaskOutput>, ResumeError> {
        if !self.finished.iter().any(|(id, _)| *id == task.id) {
            return Ok(None);
        }
        for row in self.writes.iter().filter(|row| row.task_id == task.id) {
            task.writes.extend(decode_write(row)?);
        }
        Ok(Some(task))
    }
}

fn decode_write(row: &WriteRow) -> Result<Option<Write>, ResumeError> {
    if row.idx < 0 || row.channel.starts_with("__") && row.channel != "__pregel_tasks" {
        return Ok(None);
    }
    Ok(Some(match row.channel.as_str() {
        "messages" => Write::Messages(codec::decode_messages(&row.type_, &row.blob)?.messages),
        "files" => Write::Files(codec::decode_files(&row.type_, &row.blob)?.files),
        "__pregel_tasks" => match codec::decode_sends(&row.type_, &row.blob)?.into_iter().next() {
            Some(send) => Write::Send(send.call),
            None => return Ok(None),
        },
        channel => {
            match [BEFORE_AGENT, MODEL, AFTER_AGENT].into_iter().find(|node| trigger_of(node) == channel) {
                Some(node) => Write::Branch(node),
                None if channel.starts_with("branch:to:") => {
                    return Err(ResumeError::UnknownNode {
                        node: channel.trim_start_matches("branch:to:").to_owned(),
                    });
                }
                None => Write::Value(channel.to_owned(), codec::decode_channel(&row.type_, &row.blob)?),
            }
        }
    }))
}

/// What node `__start__` writes, from the stored input.
fn start_writes(payload: &Value, ids: &mut Ids) -> Result<Vec<Write>, ResumeError> {
    let mut writes = Vec::new();
    let Some(payload) = payload.as_object() else { return Ok(writes) };
    if let Some(messages) = payload.get("messages") {
        let bytes = codec::encode_json(messages);
        let mut messages = codec::decode_messages("msgpack", &bytes)?.messages;
        for message in &mut messages {
            if message.id.is_none() {
                Arc::make_mut(message).id = Some(ids.uuid());
            }
        }
        writes.push(Write::Messages(messages));
    }
    if let Some(files) = payload.get("files").filter(|files| files.is_object()) {
        let bytes = codec::encode_json(files);
        writes.push(Write::Files(codec::decode_files("msgpack", &bytes)?.files));
    }
    Ok(writes)
}
