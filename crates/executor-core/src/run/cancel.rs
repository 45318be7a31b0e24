//! The end by request. The only failure after which the thread is left healed and at rest: nobody asked for a next turn
//! that would do it.

use std::sync::Arc;

use agent_langgraph_codec::{Content, Message, ToolCall, ToolStatus};

use super::calls::tool_cut;
use super::start::{heal, rewrite};
use super::{Agent, ORCHESTRATOR, Phase, Run, Slot};
use crate::graph::{MODEL, TaskOutput, Write};
use crate::ids::Ids;
use crate::tools;

impl Run {
    /// Ends everything at once. Calls that have ended keep their results, the others are answered as the next turn's
    /// healing would, and nothing is due any more.
    pub(super) fn cancel(&mut self, ids: &mut Ids) {
        // Sub-agents end with the calls that they work on.
        self.agents.retain(|id, _| *id == ORCHESTRATOR);
        let Some(agent) = self.agents.get_mut(&ORCHESTRATOR) else { return };
        let (outputs, cut) = match std::mem::replace(&mut agent.phase, Phase::Tools(Vec::new())) {
            Phase::Tools(slots) if !slots.is_empty() => end_calls(agent, slots, ids),
            Phase::Tools(_) | Phase::AwaitingModel { .. } => (end_turn(agent, ids), Vec::new()),
        };
        for (index, output) in outputs.iter().enumerate() {
            if cut.iter().any(|(at, _)| *at == index) || cut.is_empty() {
                agent.graph.put_task(output, &mut self.rows);
            }
        }
        let changed = outputs.iter().any(|output| !matches!(output.writes.as_slice(), [Write::NoWrites]));
        if agent.graph.step() >= 0 {
            agent.graph.advance(&outputs, ids, &mut self.rows);
        }
        for (_, call) in &cut {
            let text = tools::dangling_call_text(&call.name, call.id.as_deref().unwrap_or_default());
            self.emit(ORCHESTRATOR, tool_cut(call, &text));
        }
        if changed {
            self.emit_state(ORCHESTRATOR, true, false);
        }
        self.end("Cancelled", "job.cancelled", "the job was cancelled".to_owned());
    }
}

/// The round's outputs without what they trigger, and the calls that got an answer here, with their places.
fn end_calls(agent: &Agent, slots: Vec<Slot>, ids: &mut Ids) -> (Vec<TaskOutput>, Vec<(usize, ToolCall)>) {
    let mut outputs = Vec::with_capacity(slots.len());
    let mut cut = Vec::new();
    for (index, slot) in slots.into_iter().enumerate() {
        let output = match slot.output {
            Some(mut ended) => {
                ended.writes.retain(|write| !matches!(write, Write::Branch(_)));
                ended
            }
            None => {
                let id = slot.call.id.clone().unwrap_or_default();
                let text = Content::Text(tools::dangling_call_text(&slot.call.name, &id));
                let name = slot.call.name.clone();
                let answer = Message::tool(text, name, id, ToolStatus::Error, ids.uuid());
                cut.push((index, slot.call));
                agent.graph.push(index, vec![Write::Messages(vec![Arc::new(answer)])])
            }
        };
        outputs.push(output);
    }
    (outputs, cut)
}

/// The node that was due counts as run. It writes nothing, or the answers that unreadable calls lack.
fn end_turn(agent: &Agent, ids: &mut Ids) -> Vec<TaskOutput> {
    let healed = heal(&agent.graph.messages, ids).map_or(Write::NoWrites, rewrite);
    vec![agent.graph.pull(MODEL, vec![healed])]
}
