//! What follows from a model's turn: answers that need no tool, calls to run, another try, or the end.

use std::sync::Arc;

use agent_langgraph_codec::{ChannelValue, Kind, Message, ToolCall};
use serde_json::Value;

use super::{Agent, Failure};
use crate::compiled::WRITE_TODOS;
use crate::graph::{AFTER_AGENT, MODEL, STRUCTURED_RESPONSE, Shape, Write};
use crate::ids::Ids;
use crate::structured::TRIES;

/// Turns in a row with nothing but unreadable calls that are answered; the next one ends the run
/// (deepagents-semantics 10, row 2).
const MALFORMED_TURNS: usize = 3;

/// What happens after the turn.
#[derive(Debug)]
pub(super) enum Next {
    /// These calls are run.
    Calls(Vec<ToolCall>),
    /// The model is asked again.
    Again,
    /// The agent is done.
    Over,
    /// The agent cannot go on.
    Fail(Failure),
}

/// A turn, read.
#[derive(Debug)]
pub(super) struct Turn {
    /// Messages that follow the model's at once.
    pub(super) answers: Vec<Arc<Message>>,
    /// What is written to `structured_response`.
    structured: Option<Value>,
    pub(super) next: Next,
}

impl Turn {
    /// Reads a turn of the agent; the message is not in its history yet.
    pub(super) fn of(agent: &Agent, message: &Message, ids: &mut Ids) -> Self {
        let mut calls = message.tool_calls().to_vec();
        let unreadable = unreadable(message);
        if calls.is_empty() && unreadable {
            let next = if malformed_turns(&agent.graph.messages) < MALFORMED_TURNS {
                Next::Again
            } else {
                Next::Fail(too_malformed())
            };
            return Self { answers: Vec::new(), structured: None, next };
        }
        let judged =
            agent.spec.structured.as_ref().map(|form| form.judge(message, &mut calls, !unreadable, ids));
        let judged = judged.unwrap_or_default();
        let mut answers = judged.answers;
        let mut pending = Vec::new();
        // Two to-do lists in one turn are refused here, before other calls run, as Python's after_model node does.
        let refused = agent.spec.refused(&calls);
        for (call, refusal) in calls.into_iter().zip(refused) {
            match refusal {
                Some(answer) if call.name == WRITE_TODOS => {
                    let call_id = call.id.unwrap_or_default();
                    let mut message = Message::tool(answer.content, "", call_id, answer.status, ids.uuid());
                    message.name = None;
                    answers.push(Arc::new(message));
                }
                Some(_) | None => pending.push(call),
            }
        }
        let done = judged.value.is_some();
        let next = match judged.rejected.filter(|_| agent.wrong_answers() + 1 >= TRIES) {
            Some(why) => Next::Fail(no_answer(&why)),
            None if !pending.is_empty() => Next::Calls(pending),
            None if done || answers.is_empty() => Next::Over,
            None => Next::Again,
        };
        // A turn without an answer takes back the one before, as in Python.
        let taken_back = agent.graph.structured_response().is_some() && agent.spec.structured.is_some();
        let structured = judged.value.or_else(|| taken_back.then_some(Value::Null));
        Self { answers, structured, next }
    }

    /// What the node writes for it, beside the messages.
    pub(super) fn writes(&self, shape: Shape) -> Vec<Write> {
        let mut writes = Vec::new();
        if let Some(value) = &self.structured {
            let value = ChannelValue::Json(value.clone());
            writes.push(Write::Value(STRUCTURED_RESPONSE.to_owned(), value));
        }
        match &self.next {
            Next::Calls(calls) => writes.extend(calls.iter().cloned().map(Write::Send)),
            Next::Again | Next::Fail(_) => writes.push(Write::Branch(MODEL)),
            Next::Over => writes.extend((shape == Shape::Root).then_some(Write::Branch(AFTER_AGENT))),
        }
        writes
    }
}

impl Agent {
    fn wrong_answers(&self) -> usize {
        self.spec.structured.as_ref().map_or(0, |form| form.wrong_answers(&self.graph.messages))
    }

    /// Whether the agent ends with the round of calls that is being run: its structured answer is there.
    pub(super) fn has_answered(&self) -> bool {
        self.spec.structured.is_some() && self.graph.structured_response().is_some()
    }
}

/// Whether the newest assistant message holds calls that could not be read.
pub(super) fn last_turn_unreadable(messages: &[Arc<Message>]) -> bool {
    let newest = messages.iter().rev().find(|message| matches!(message.kind, Kind::Ai { .. }));
    newest.is_some_and(|message| unreadable(message))
}

fn unreadable(message: &Message) -> bool {
    matches!(&message.kind, Kind::Ai { invalid_tool_calls, .. } if !invalid_tool_calls.is_empty())
}

/// Turns at the end of the history that hold only unreadable calls, their answers left out. Read from the history, so
/// that a resumed run counts on.
fn malformed_turns(messages: &[Arc<Message>]) -> usize {
    let turns = messages.iter().rev().filter(|message| !matches!(message.kind, Kind::Tool { .. }));
    turns.take_while(|message| unreadable(message) && message.tool_calls().is_empty()).count()
}

fn too_malformed() -> Failure {
    Failure {
        kind: "ExecutionError",
        code: "model.malformed_calls",
        message: format!(
            "the model's tool calls could not be read in {} turns in a row: their arguments are no JSON, or were cut \
             off by the model's output limit",
            MALFORMED_TURNS + 1
        ),
    }
}

fn no_answer(why: &str) -> Failure {
    Failure {
        kind: "ExecutionError",
        code: "result.response_format",
        message: format!(
            "the model gave no answer that fits `response_format` in {TRIES} tries; the last: {why}"
        ),
    }
}
