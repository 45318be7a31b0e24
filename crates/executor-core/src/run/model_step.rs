//! Asking a model, and the super-step that its answer makes.

use std::sync::Arc;

use agent_langgraph_codec::{Kind, Message};

use super::start::{heal, rewrite};
use super::turn::{Next, Turn, last_turn_unreadable};
use super::{Agent, Failure, ORCHESTRATOR, Phase, Run};
use crate::ModelReply;
use crate::effect::AgentId;
use crate::graph::{AFTER_AGENT, MODEL, Shape, Write};
use crate::ids::Ids;

impl Run {
    /// Asks the agent's model, once everything before is durable.
    pub(super) fn ask_model(&mut self, id: AgentId, ids: &mut Ids) {
        let budget = self.budget();
        let Some(agent) = self.agents.get_mut(&id) else { return };
        if let Err(failure) = agent.step_allowed() {
            return self.agent_failed(id, failure, ids);
        }
        if let Err(failure) = budget.and_then(|()| agent.has_something_to_say()) {
            return self.end(failure.kind, failure.code, failure.message);
        }
        agent.patched =
            last_turn_unreadable(&agent.graph.messages).then(|| heal(&agent.graph.messages, ids)).flatten();
        self.begin_asking(id, ids);
    }

    /// A model has answered: its super-step, and what follows from it.
    pub(super) fn model_replied(&mut self, id: AgentId, reply: ModelReply, ids: &mut Ids) {
        let waits = |agent: &Agent| matches!(agent.phase, Phase::AwaitingModel { .. });
        if !self.agents.get(&id).is_some_and(waits) {
            self.out_of_phase += 1;
            return;
        }
        self.count_call(id, reply.usage);
        let Some(agent) = self.agents.get_mut(&id) else { return };
        let Phase::AwaitingModel { asking } = &mut agent.phase else { return };
        let mut beside = std::mem::take(&mut asking.written);
        let mut message = reply.message;
        message.id.get_or_insert_with(|| std::mem::take(&mut asking.message_id));
        message.name = agent.spec.name.as_deref().map(str::to_owned);
        let turn = Turn::of(agent, &message, ids);
        let mut written = vec![Arc::new(message)];
        written.extend(turn.answers.iter().cloned());
        let mut writes: Vec<Write> = beside.before().into_iter().collect();
        writes.push(match agent.patched.take() {
            Some(history) => rewrite(history.into_iter().chain(written).collect()),
            None => Write::Messages(written),
        });
        writes.extend(beside.after());
        self.end_turn(id, MODEL, writes, turn, ids);
    }

    /// Ends the super-step of a node that decides on a turn, and does what follows.
    pub(super) fn end_turn(
        &mut self,
        id: AgentId,
        node: &'static str,
        mut writes: Vec<Write>,
        turn: Turn,
        ids: &mut Ids,
    ) {
        let Some(agent) = self.agents.get_mut(&id) else { return };
        let shape = agent.graph.shape;
        let changed = !writes.is_empty();
        writes.extend(turn.writes(shape));
        let task = agent.graph.pull(node, writes);
        agent.graph.put_task(&task, &mut self.rows);
        agent.graph.advance(&[task], ids, &mut self.rows);
        agent.steps_taken += 1;
        agent.phase = Phase::Tools(Vec::new());
        let over = matches!(turn.next, Next::Over);
        self.emit_state(id, changed, over && shape == Shape::Root);
        match turn.next {
            Next::Calls(calls) => self.start_calls(id, calls, ids),
            Next::Again => self.ask_model(id, ids),
            Next::Over => self.agent_done(id, ids),
            Next::Fail(failure) => self.agent_failed(id, failure, ids),
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

impl Agent {
    /// Anthropic takes no conversation without a message; the others answer to a system prompt alone, as Python asks
    /// them (wire contract 2.4).
    fn has_something_to_say(&self) -> Result<(), Failure> {
        let said = |message: &Arc<Message>| !matches!(message.kind, Kind::System);
        if self.spec.model.provider != "anthropic" || self.graph.messages.iter().any(said) {
            return Ok(());
        }
        Err(Failure {
            kind: "ValidationError",
            code: "input.no_message",
            message: "`input_payload.messages`: expected a message, found none, and neither `instructions` nor the \
                      definition's `user_request` stands for one; Anthropic's models cannot be asked without"
                .to_owned(),
        })
    }
}
