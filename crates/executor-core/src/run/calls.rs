//! A round of tool calls: built-in tools run here, at the cost of a function call; the others are handed out.

use std::sync::Arc;

use agent_langgraph_codec as codec;
use agent_langgraph_codec::{ChannelValue, Content, FileData, Message, ToolCall, ToolStatus};
use serde_json::{Map, Value};

use super::{Agent, Phase, Run, Slot, channels};
use crate::StreamEvent;
use crate::compiled::EXECUTE;
use crate::definition::FieldPath;
use crate::effect::{AgentId, CallRef, Class, Effect, StateView, ToolResult};
use crate::graph::{AFTER_AGENT, MODEL, Shape, Write};
use crate::ids::Ids;
use crate::tools::{self, ToolAnswer, ToolContext};

/// What becomes of a call when its step begins.
enum Start {
    /// Answered at once.
    Answer(ToolAnswer),
    /// Runs outside of the machine.
    Outside(Class),
    /// A sub-agent works on it.
    Delegate(tools::task::TaskArgs),
}

/// How a call ended.
pub(super) struct Ended {
    pub(super) answer: ToolAnswer,
    /// Writes to declared channels.
    pub(super) values: Vec<Write>,
    /// The answer is a sub-agent's text from before its end.
    pub(super) interim: bool,
}

impl From<ToolAnswer> for Ended {
    fn from(answer: ToolAnswer) -> Self {
        Self { answer, values: Vec::new(), interim: false }
    }
}

impl Run {
    /// Begins the round: everything that can be answered at once is, the rest is handed out.
    pub(super) fn start_calls(&mut self, id: AgentId, calls: Vec<ToolCall>, ids: &mut Ids) {
        let Some(agent) = self.agents.get_mut(&id) else { return };
        if let Err(failure) = agent.step_allowed() {
            return self.agent_failed(id, failure, ids);
        }
        let now = ids.now_ns();
        let slots = calls.iter().map(|call| Slot { call: call.clone(), started_ns: now, output: None });
        agent.phase = Phase::Tools(slots.collect());
        let all: Vec<(usize, ToolCall)> = calls.iter().cloned().enumerate().collect();
        self.perform(id, &calls, all, ids);
    }

    /// Performs those calls of the round that are still open. `round` are all its calls.
    pub(super) fn perform(
        &mut self,
        id: AgentId,
        round: &[ToolCall],
        open: Vec<(usize, ToolCall)>,
        ids: &mut Ids,
    ) {
        let Some(agent) = self.agents.get(&id) else { return };
        let mut refused = agent.spec.refused(round);
        for (index, call) in open {
            self.emit(id, tool_start(&call));
            let refusal = refused.get_mut(index).and_then(Option::take);
            let Some(start) = self.decide(id, &call, refusal, ids) else { return };
            let call_ref = CallRef { agent: id, index };
            match start {
                Start::Answer(answer) => self.put_answer(call_ref, answer.into(), ids),
                Start::Outside(class) => self.hand_out(call_ref, call, class),
                Start::Delegate(args) => self.delegate(call_ref, &args, ids),
            }
        }
        self.end_round_if_done(id, ids);
    }

    fn decide(&self, id: AgentId, call: &ToolCall, refusal: Option<ToolAnswer>, ids: &Ids) -> Option<Start> {
        let agent = self.agents.get(&id)?;
        if let Some(refusal) = refusal {
            return Some(Start::Answer(refusal));
        }
        if let Some(class) = agent.spec.custom.get(&call.name) {
            return Some(Start::Outside(*class));
        }
        if agent.spec.delegates && call.name == tools::task::NAME {
            return Some(match tools::task::parse(&call.args) {
                Err(answer) => Start::Answer(answer),
                Ok(args) if self.setup.compiled.subagents.contains_key(&args.subagent_type) => {
                    Start::Delegate(args)
                }
                Ok(args) => {
                    let known: Vec<String> = self.setup.compiled.subagents.keys().cloned().collect();
                    Start::Answer(tools::task::unknown_subagent(&args.subagent_type, &known))
                }
            });
        }
        let built_in = tools::find(&call.name).filter(|tool| agent.spec.has_built_in(tool.name));
        let answer = match built_in {
            Some(tool) => {
                let now = codec::iso_timestamp(ids.now_ns());
                (tool.run)(&ToolContext { files: &agent.graph.files, now: &now }, &call.args)
            }
            None if call.name == EXECUTE => tools::execute_unavailable(&call.args),
            None => tools::unknown_tool(&call.name, &agent.spec.registered()),
        };
        Some(Start::Answer(answer))
    }

    fn hand_out(&mut self, call_ref: CallRef, call: ToolCall, class: Class) {
        let Some(agent) = self.agents.get(&call_ref.agent) else { return };
        let view = StateView {
            messages: agent.graph.messages.clone(),
            files: agent.graph.files.clone(),
            values: agent.graph.visible_values(),
        };
        let (task_id, step) = (agent.graph.push_id(call_ref.index), agent.graph.step() + 1);
        self.deferred.push(Effect::RunTool { call_ref, task_id, call, class, step, view });
    }

    /// A tool outside of the machine has answered.
    pub(super) fn tool_returned(&mut self, call_ref: CallRef, result: ToolResult, ids: &mut Ids) {
        if !self.is_open(call_ref) {
            self.out_of_phase += 1;
            return;
        }
        let mut values = result.values;
        let mut answer = ToolAnswer {
            content: result.content,
            status: result.status,
            files: result.files,
            todos: values.shift_remove("todos"),
            additional_kwargs: Map::new(),
        };
        let Some(agent) = self.agents.get(&call_ref.agent) else { return };
        let at = FieldPath::root("update").member("update");
        let values = channels::declared(&agent.spec.channels, &values, &at, ids).unwrap_or_else(|error| {
            answer = ToolAnswer::error(format!("Error: {error}"));
            Vec::new()
        });
        let values = values.into_iter().map(|(channel, value)| Write::Value(channel, value)).collect();
        self.put_answer(call_ref, Ended { answer, values, interim: false }, ids);
        self.end_round_if_done(call_ref.agent, ids);
    }

    pub(super) fn is_open(&self, call_ref: CallRef) -> bool {
        let agent = self.agents.get(&call_ref.agent);
        agent.is_some_and(|agent| match &agent.phase {
            Phase::Tools(slots) => slots.get(call_ref.index).is_some_and(|slot| slot.output.is_none()),
            Phase::AwaitingModel { .. } => false,
        })
    }

    /// Puts the rows of one ended call. The next super-step begins only when all calls of the round have ended.
    pub(super) fn put_answer(&mut self, call_ref: CallRef, ended: Ended, ids: &mut Ids) {
        let Ended { mut answer, values, interim } = ended;
        let Some(agent) = self.agents.get_mut(&call_ref.agent) else { return };
        let next = agent.node_after_call(answer.status);
        let Phase::Tools(slots) = &mut agent.phase else { return };
        let Some(slot) = slots.get_mut(call_ref.index) else { return };
        let call_id = slot.call.id.clone().unwrap_or_default();
        let now = codec::iso_timestamp(ids.now_ns());
        let limit = agent.spec.limits.large_tool_result;
        if let Some((path, file, pointer)) =
            tools::eviction::evict_above(limit, &call_id, &slot.call.name, &answer, &now)
        {
            answer.files.push((path, Some(Arc::new(file))));
            answer.content = pointer;
        }
        let ended = StreamEvent::ToolEnd {
            id: call_id.clone(),
            name: slot.call.name.clone(),
            output: text_of(&answer.content),
            status: answer.status,
            duration_ms: ids.now_ns().saturating_sub(slot.started_ns) / 1_000_000,
            interim,
        };
        let mut message =
            Message::tool(answer.content, slot.call.name.clone(), call_id, answer.status, ids.uuid());
        message.additional_kwargs = answer.additional_kwargs;
        let writes = call_writes(answer.files, answer.todos, values, message, next);
        let task = agent.graph.push(call_ref.index, writes);
        agent.graph.put_task(&task, &mut self.rows);
        slot.output = Some(task);
        self.emit(call_ref.agent, ended);
    }

    /// Ends the round when its last call has ended.
    pub(super) fn end_round_if_done(&mut self, id: AgentId, ids: &mut Ids) {
        let Some(agent) = self.agents.get_mut(&id) else { return };
        let Phase::Tools(slots) = &mut agent.phase else { return };
        if slots.is_empty() || slots.iter().any(|slot| slot.output.is_none()) {
            return;
        }
        let outputs: Vec<_> = slots.drain(..).filter_map(|slot| slot.output).collect();
        // What the calls wrote decides, not what would be written now: some may have been stored by another program.
        let mut last = true;
        for write in outputs.iter().flat_map(|output| &output.writes) {
            match write {
                Write::Files(_) => agent.unpublished.files = true,
                Write::Value(channel, _) if channel == "todos" => agent.unpublished.todos = true,
                Write::Branch(node) if *node == MODEL => last = false,
                Write::Value(..)
                | Write::Messages(_)
                | Write::Send(_)
                | Write::Branch(_)
                | Write::NoWrites => {}
            }
        }
        agent.graph.advance(&outputs, ids, &mut self.rows);
        agent.steps_taken += 1;
        let (channels, shape) = (agent.spec.channels.clone(), agent.graph.shape);
        self.note_overwrites(id, &outputs, &channels);
        self.emit_state(id, true, last && shape == Shape::Root);
        if last { self.agent_done(id, ids) } else { self.ask_model(id, ids) }
    }
}

impl Agent {
    /// The node that a call asks for when it has ended. The model is asked if one call of the round wants it.
    fn node_after_call(&self, status: ToolStatus) -> Option<&'static str> {
        let direct = status == ToolStatus::Success && self.spec.answers_directly(self.newest_calls());
        match (direct || self.has_answered(), self.graph.shape) {
            (false, _) => Some(MODEL),
            (true, Shape::Root) => Some(AFTER_AGENT),
            (true, Shape::Sub) => None,
        }
    }

    /// The calls of the newest assistant message.
    fn newest_calls(&self) -> &[ToolCall] {
        let mut messages = self.graph.messages.iter().rev();
        let newest = messages.find(|message| matches!(message.kind, codec::Kind::Ai { .. }));
        newest.map(|message| message.tool_calls()).unwrap_or_default()
    }
}

/// What observers are told of a call that ended with the job.
pub(super) fn tool_cut(call: &ToolCall, text: &str) -> StreamEvent {
    StreamEvent::ToolEnd {
        id: call.id.clone().unwrap_or_default(),
        name: call.name.clone(),
        output: text.to_owned(),
        status: ToolStatus::Error,
        duration_ms: 0,
        interim: false,
    }
}

/// What a tool call's task writes, in the order in which LangGraph stores it.
fn call_writes(
    files: Vec<(String, Option<Arc<FileData>>)>,
    todos: Option<Value>,
    values: Vec<Write>,
    message: Message,
    next: Option<&'static str>,
) -> Vec<Write> {
    let mut writes = Vec::with_capacity(4);
    if !files.is_empty() {
        writes.push(Write::Files(files));
    }
    if let Some(todos) = todos {
        writes.push(Write::Value("todos".to_owned(), ChannelValue::Json(todos)));
    }
    writes.extend(values);
    writes.push(Write::Messages(vec![Arc::new(message)]));
    writes.extend(next.map(Write::Branch));
    writes
}

fn tool_start(call: &ToolCall) -> StreamEvent {
    StreamEvent::ToolStart {
        id: call.id.clone().unwrap_or_default(),
        name: call.name.clone(),
        args: call.args.clone(),
    }
}

/// A result as one text, for observers.
fn text_of(content: &Content) -> String {
    match content {
        Content::Text(text) => text.clone(),
        Content::Blocks(blocks) => serde_json::to_string(blocks).unwrap_or_default(),
    }
}
