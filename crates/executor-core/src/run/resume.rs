//! Going on from what the store holds: a half-done job, or a new turn on an old thread.

use std::sync::Arc;

use agent_langgraph_codec as codec;
use agent_langgraph_codec::{CodecError, GraphState, Kind, Rows, ToolCall};
use serde_json::Value;

use super::start::{RunInput, root_tags};
use super::stored::{Pending, newest_input, same_input, start_writes};
use super::subagents::sub_tags;
use super::turn::Turn;
use super::{JOB_TAG, ORCHESTRATOR, Phase, Run, RunSetup, Slot, channels};
use crate::effect::{AgentId, CallRef, Effect};
use crate::graph::{
    AFTER_AGENT, BEFORE_AGENT, Graph, MODEL, START, Shape, TODO_AFTER_MODEL, TOOLS, Unfinished, Write,
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
    #[error(
        "the stored thread waits for node `{node}`, which this program does not have; a new job with another id begins a new turn"
    )]
    UnknownNode {
        /// The node's name.
        node: String,
    },
    /// The head waits for somebody's answer.
    #[error(
        "the stored thread waits for an answer to a question that node `{node}` asked; a new job with another id \
         begins a new turn without it"
    )]
    WaitsForAnswer {
        /// The node's name.
        node: String,
    },
}

impl ResumeError {
    /// Stable code of the failure.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "thread.unreadable",
            Self::UnknownNode { .. } => "thread.unknown_node",
            Self::WaitsForAnswer { .. } => "thread.waiting",
        }
    }
}

/// How a stored thread stands towards a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Its input is stored: what is pending goes on.
    Begun,
    /// Its input is still to come.
    New,
}

impl Run {
    /// Goes on with a job on a thread that has checkpoints. If the newest is not this job's, its input becomes a
    /// new turn; else what is pending goes on and the input is ignored.
    ///
    /// On the job's own thread a newest checkpoint that nobody's job is named in is another program's: at rest, the
    /// job completes from it; half done after the same input, it goes on; else the input is a new turn.
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
        let standing = standing(&state, rows, &setup, &input)?;
        let mut run = Self::empty(setup);
        run.found = (state.messages.clone(), state.files.clone());
        match standing {
            Standing::New => run.new_turn(state, input, &mut ids),
            Standing::Begun => run.go_on(rows, state, input, &mut ids)?,
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
        let channels = self.setup.compiled.root.channels.clone();
        let graph = Graph::from_state(Arc::from(""), Shape::Root, state, root_tags(&self.setup), channels);
        self.add_orchestrator(graph);
        self.take_input(input, &unfinished, ids);
    }

    /// Puts the orchestrator where the store has it, and its unfinished sub-agents with it.
    fn go_on(
        &mut self,
        rows: &Rows,
        state: GraphState,
        input: RunInput,
        ids: &mut Ids,
    ) -> Result<(), ResumeError> {
        if let Some(task) = state.tasks.iter().find(|task| task.interrupted) {
            return Err(ResumeError::WaitsForAnswer { node: task.node.clone() });
        }
        self.count_stored(rows);
        let pending = Pending::of(&state);
        let channels = self.setup.compiled.root.channels.clone();
        let graph = Graph::from_state(Arc::from(""), Shape::Root, state, root_tags(&self.setup), channels);
        let steps = steps_taken(&graph, rows)?;
        self.add_orchestrator(graph);
        if let Some(agent) = self.agents.get_mut(&ORCHESTRATOR) {
            agent.steps_taken = steps;
        }
        self.stand_at(ORCHESTRATOR, pending, rows, Some(input), ids)
    }

    /// Goes on with whatever is due at an agent's newest checkpoint.
    fn stand_at(
        &mut self,
        id: AgentId,
        pending: Pending,
        rows: &Rows,
        input: Option<RunInput>,
        ids: &mut Ids,
    ) -> Result<(), ResumeError> {
        let Some(agent) = self.agents.get_mut(&id) else { return Ok(()) };
        let sends = agent.graph.sends.clone();
        if !sends.is_empty() {
            return self.go_on_with_calls(id, sends, &pending, rows, ids);
        }
        if let Some(node) = agent.graph.unknown_node() {
            return Err(ResumeError::UnknownNode { node: node.to_owned() });
        }
        for node in [START, BEFORE_AGENT, MODEL, TODO_AFTER_MODEL, AFTER_AGENT] {
            let due = agent.graph.triggered(node);
            let Some(stored) = due.then(|| pending.output(&agent.graph, node)).transpose()? else { continue };
            if let Some(output) = stored {
                // The task had ended before its checkpoint was put: what it wrote is applied, nothing runs again.
                agent.graph.advance(&[output], ids, &mut self.rows);
                agent.steps_taken += u32::from(node != START);
                let next = Pending::default();
                return self.stand_at(id, next, rows, input, ids);
            }
            match node {
                START => self.restart(id, rows, input, ids)?,
                BEFORE_AGENT => self.before_agent(id, ids),
                MODEL => self.ask_model(id, ids),
                TODO_AFTER_MODEL => self.after_model(id, ids),
                _ => self.after_agent(ids),
            }
            return Ok(());
        }
        // Nothing is due: the agent had come to its end.
        if id == ORCHESTRATOR {
            self.emit_state(id, true, true);
            self.complete();
        } else {
            self.subagent_done(id, ids);
        }
        Ok(())
    }

    /// The input's checkpoint stands alone: its values are applied again.
    fn restart(
        &mut self,
        id: AgentId,
        rows: &Rows,
        input: Option<RunInput>,
        ids: &mut Ids,
    ) -> Result<(), ResumeError> {
        let Some(agent) = self.agents.get(&id) else { return Ok(()) };
        if let Some(input) = input {
            // The same input, read already.
            self.apply_input(id, input, ids);
            return Ok(());
        }
        let stored = newest_input(rows, &agent.graph.ns)?.and_then(|input| input.payload);
        let channels = agent.spec.channels.clone();
        let mut writes =
            stored.map(|stored| start_writes(&stored, &channels, ids)).transpose()?.unwrap_or_default();
        writes.push(Write::Branch(BEFORE_AGENT));
        self.run_start(id, writes, ids);
        Ok(())
    }

    /// Python's node that decides on a turn where it keeps to-dos: the model's answer is stored, nothing else.
    fn after_model(&mut self, id: AgentId, ids: &mut Ids) {
        let Some(agent) = self.agents.get(&id) else { return };
        let newest = agent.graph.messages.iter().rev().find(|it| matches!(it.kind, Kind::Ai { .. })).cloned();
        let Some(message) = newest else { return self.ask_model(id, ids) };
        let turn = match agent.step_allowed() {
            Ok(()) => Turn::of(agent, &message, ids),
            Err(failure) => return self.agent_failed(id, failure, ids),
        };
        let answers = Some(turn.answers.clone()).filter(|answers| !answers.is_empty());
        let answers = answers.into_iter().map(Write::Messages).collect();
        self.end_turn(id, TODO_AFTER_MODEL, answers, turn, ids);
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
        let Some(spec) = self.setup.compiled.subagents.get(&args.subagent_type) else { return Ok(false) };
        let ns = codec::child_namespace(&parent.graph.ns, TOOLS, &parent.graph.push_id(call_ref.index));
        let given = channels::given(&parent.graph, &spec.channels);
        let Some(state) = codec::load_graph(rows, &ns)? else { return Ok(false) };
        let pending = Pending::of(&state);
        let tags = sub_tags(&self.setup.job_id, &args.subagent_type);
        let channels = spec.channels.clone();
        let graph = Graph::from_state(Arc::from(ns.as_str()), Shape::Sub, state, tags, channels);
        let steps = steps_taken(&graph, rows)?;
        let Some(id) = self.add_subagent(call_ref, &args.subagent_type, graph, given) else {
            return Ok(false);
        };
        if let Some(agent) = self.agents.get_mut(&id) {
            agent.steps_taken = steps;
        }
        self.stand_at(id, pending, rows, None, ids)?;
        Ok(true)
    }
}

/// Whether the newest checkpoint of the thread was written for this job: its input is stored, and there is something
/// to go on with.
pub fn has_begun(rows: &Rows, job_id: &str) -> bool {
    let state = codec::load_graph(rows, "");
    // What cannot be read cannot be gone on with either; a resume says so.
    matches!(state, Ok(Some(state)) if owner_of(&state) == Some(job_id))
}

/// The job that the newest checkpoint was written for; `None` in threads of others.
fn owner_of(state: &GraphState) -> Option<&str> {
    state.metadata.extra.get(JOB_TAG).and_then(Value::as_str)
}

fn standing(
    state: &GraphState,
    rows: &Rows,
    setup: &RunSetup,
    input: &RunInput,
) -> Result<Standing, ResumeError> {
    match owner_of(state) {
        Some(owner) if *owner == *setup.job_id => return Ok(Standing::Begun),
        None if setup.own_thread => {}
        Some(_) | None => return Ok(Standing::New),
    }
    if state.tasks.is_empty() {
        return Ok(Standing::Begun);
    }
    let stored = newest_input(rows, "")?.and_then(|input| input.payload);
    let same = stored.is_some_and(|stored| same_input(&stored, &input.payload));
    Ok(if same { Standing::Begun } else { Standing::New })
}

/// Super-steps since the newest input, as the recursion limit counts them. The checkpoint of the input may be out of
/// reach of what the store handed over; ours name its step.
fn steps_taken(graph: &Graph, rows: &Rows) -> Result<u32, ResumeError> {
    let turn = match graph.turn() {
        Some(turn) => turn,
        None => newest_input(rows, &graph.ns)?.map_or(-1, |input| input.step),
    };
    // The super-step of `__start__` does not count.
    Ok(u32::try_from(graph.step() - turn - 1).unwrap_or(0))
}
