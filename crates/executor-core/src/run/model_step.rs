//! Asking a model, and the super-step that its answer makes.

use std::sync::Arc;

use agent_langgraph_codec::{Kind, Message};

use super::start::{heal, rewrite};
use super::{Failure, ORCHESTRATOR, Phase, Run};
use crate::compiled::WRITE_TODOS;
use crate::effect::AgentId;
use crate::graph::{AFTER_AGENT, MODEL, Shape, Write};
use crate::ids::Ids;
use crate::{ModelReply, Usage};

/// Turns with nothing but unreadable calls that are answered before the run ends with what there is
/// (deepagents-semantics 10, row 2).
const MALFORMED_TURNS: u32 = 3;

impl Run {
    /// Asks the agent's model, once everything before is durable.
    pub(super) fn ask_model(&mut self, id: AgentId, ids: &mut Ids) {
        let budget = self.budget();
        let Some(agent) = self.agents.get_mut(&id) else { return };
        if let Err(failure) = agent.step_allowed() {
            return self.agent_failed(id, failure, ids);
        }
        if let Err(failure) = budget {
            return self.end(failure.kind, failure.code, failure.message);
        }
        agent.patched =
            last_turn_unreadable(&agent.graph.messages).then(|| heal(&agent.graph.messages, ids)).flatten();
        self.begin_asking(id, ids);
    }

    /// Counts a model call that was answered.
    pub(super) fn count_call(&mut self, usage: Option<Usage>) {
        self.model_calls += 1;
        if let Some(usage) = usage {
            self.usage.input_tokens += usage.input_tokens;
            self.usage.output_tokens += usage.output_tokens;
        }
    }

    /// Whether one more model call fits the job's budget.
    pub(super) fn budget(&self) -> Result<(), Failure> {
        let limits = &self.setup.limits;
        let spent = self.usage.input_tokens + self.usage.output_tokens;
        let asking =
            self.agents.values().filter(|a| matches!(a.phase, Phase::AwaitingModel { .. })).count() as u64;
        let message = if limits.max_model_calls.is_some_and(|max| self.model_calls + asking >= max) {
            format!("the job's budget of {} model calls is spent", limits.max_model_calls.unwrap_or_default())
        } else if limits.max_tokens.is_some_and(|max| spent >= max) {
            format!("the job's budget of {} tokens is spent", limits.max_tokens.unwrap_or_default())
        } else {
            return Ok(());
        };
        Err(Failure { kind: "BudgetExceeded", code: "job.budget", message })
    }

    /// A model has answered: its super-step, and what follows from it.
    pub(super) fn model_replied(&mut self, id: AgentId, reply: ModelReply, ids: &mut Ids) {
        let waiting =
            self.agents.get_mut(&id).filter(|agent| matches!(agent.phase, Phase::AwaitingModel { .. }));
        let Some(agent) = waiting else {
            self.out_of_phase += 1;
            return;
        };
        let Phase::AwaitingModel { asking } = &mut agent.phase else { return };
        let mut beside = std::mem::take(&mut asking.written);
        let mut message = reply.message;
        message.id.get_or_insert_with(|| std::mem::take(&mut asking.message_id));
        message.name = agent.spec.name.as_deref().map(str::to_owned);
        let calls = message.tool_calls().to_vec();
        let malformed = calls.is_empty() && unreadable_message(&message);
        agent.malformed_turns = if malformed { agent.malformed_turns + 1 } else { 0 };
        // Two to-do lists in one turn are refused here, before other calls run, as Python's after_model node does.
        let mut artificial = Vec::new();
        let mut pending = Vec::new();
        let refused = agent.spec.refused(&calls);
        for (call, refusal) in calls.into_iter().zip(refused) {
            match refusal {
                Some(answer) if call.name == WRITE_TODOS => {
                    let call_id = call.id.unwrap_or_default();
                    let mut message = Message::tool(answer.content, "", call_id, answer.status, ids.uuid());
                    message.name = None;
                    artificial.push(Arc::new(message));
                }
                Some(_) | None => pending.push(call),
            }
        }
        let mut written = vec![Arc::new(message)];
        let answered = !artificial.is_empty();
        written.extend(artificial);
        let mut writes: Vec<Write> = beside.before().into_iter().collect();
        writes.push(match agent.patched.take() {
            Some(history) => rewrite(history.into_iter().chain(written).collect()),
            None => Write::Messages(written),
        });
        writes.extend(beside.after());
        let again = answered || (malformed && agent.malformed_turns <= MALFORMED_TURNS);
        let root = agent.graph.shape == Shape::Root;
        if !pending.is_empty() {
            writes.extend(pending.iter().cloned().map(Write::Send));
        } else if again {
            writes.push(Write::Branch(MODEL));
        } else if root {
            writes.push(Write::Branch(AFTER_AGENT));
        }
        let task = agent.graph.pull(MODEL, writes);
        agent.graph.put_task(&task, &mut self.rows);
        agent.graph.advance(&[task], ids, &mut self.rows);
        agent.steps_taken += 1;
        agent.phase = Phase::Tools(Vec::new());
        self.count_call(reply.usage);
        let last = pending.is_empty() && !again;
        self.emit_state(id, true, last && root);
        if !pending.is_empty() {
            self.start_calls(id, pending, ids);
        } else if again {
            self.ask_model(id, ids);
        } else {
            self.agent_done(id, ids);
        }
    }

    /// The agent has nothing more to do.
    pub(super) fn agent_done(&mut self, id: AgentId, ids: &mut Ids) {
        if id == ORCHESTRATOR { self.after_agent(ids) } else { self.subagent_done(id, ids) }
    }

    /// The orchestrator's last node.
    pub(super) fn after_agent(&mut self, ids: &mut Ids) {
        let Some(agent) = self.agents.get_mut(&ORCHESTRATOR) else { return };
        if let Err(failure) = agent.step_allowed() {
            return self.agent_failed(ORCHESTRATOR, failure, ids);
        }
        let task = agent.graph.pull(AFTER_AGENT, vec![Write::NoWrites]);
        agent.graph.put_task(&task, &mut self.rows);
        agent.graph.advance(&[task], ids, &mut self.rows);
        agent.steps_taken += 1;
        self.complete();
    }
}

/// Whether the newest assistant message holds calls that could not be read.
fn last_turn_unreadable(messages: &[Arc<Message>]) -> bool {
    let newest = messages.iter().rev().find(|message| matches!(message.kind, Kind::Ai { .. }));
    newest.is_some_and(|message| unreadable_message(message))
}

fn unreadable_message(message: &Message) -> bool {
    matches!(&message.kind, Kind::Ai { invalid_tool_calls, .. } if !invalid_tool_calls.is_empty())
}
