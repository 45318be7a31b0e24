//! A model that plays a script, in this process: for the demo without a key, and for tests.

use std::time::Duration;

use agent_executor_core::{ModelError, ModelErrorKind, ModelReply, ModelRequest, StopReason, Usage};
use agent_langgraph_codec::{Content, Kind};
use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::{
    args::CallDraft,
    port::{ModelClient, OnDelta},
    turn::{Deltas, Tally, Turn},
};

/// One call of a scripted answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScriptedCall {
    /// `None`: one is made from the turn and the call's place, so it is unique within a conversation.
    pub id: Option<String>,
    /// The tool.
    pub name: String,
    /// The arguments' JSON text, valid or not.
    pub arguments: String,
}

/// What a scripted model says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Reasoning, said before the text.
    pub thinking: String,
    /// The text.
    pub text: String,
    /// Calls, after the text.
    pub calls: Vec<ScriptedCall>,
    /// `None`: `ToolCalls` or `Stop`, as fits.
    pub stop: Option<StopReason>,
    /// `None`: a rough count of letters.
    pub usage: Option<Usage>,
    /// Breaks off after so many pieces.
    pub breaks_after: Option<usize>,
}

impl Answer {
    /// An answer of text only.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// Adds a call with these arguments.
    #[must_use]
    pub fn call(self, name: impl Into<String>, arguments: &Value) -> Self {
        self.raw_call(name, arguments.to_string())
    }

    /// Adds a call with this argument text, valid or not.
    #[must_use]
    pub fn raw_call(mut self, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        self.calls.push(ScriptedCall { id: None, name: name.into(), arguments: arguments.into() });
        self
    }
}

/// When an answer is given. All conditions must hold; a rule without any always does.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// The system prompt holds this.
    pub system_contains: Option<String>,
    /// The newest message holds this.
    pub last_contains: Option<String>,
    /// So many assistant messages are there already.
    pub turn: Option<usize>,
    /// What is said then.
    pub answer: Answer,
}

impl Rule {
    fn holds(&self, request: &ModelRequest) -> bool {
        let within = |wanted: &Option<String>, text: &dyn Fn() -> String| {
            wanted.as_ref().is_none_or(|wanted| text().contains(wanted.as_str()))
        };
        within(&self.system_contains, &|| request.system.clone().unwrap_or_default())
            && within(&self.last_contains, &|| {
                request.messages.last().map(|m| m.text("\n")).unwrap_or_default()
            })
            && self.turn.is_none_or(|turn| turn == turns(request))
    }
}

/// Assistant messages in the request.
fn turns(request: &ModelRequest) -> usize {
    request.messages.iter().filter(|message| matches!(message.kind, Kind::Ai { .. })).count()
}

type Play = dyn Fn(&ModelRequest) -> Result<Answer, ModelError> + Send + Sync;

/// The scripted model. Whatever provider and model a request names, it answers.
pub struct Scripted {
    play: Box<Play>,
    piece_chars: usize,
    delay: Duration,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripted").field("delay", &self.delay).finish_non_exhaustive()
    }
}

impl Scripted {
    /// A model that answers as this function says. Pieces of 8 letters, no delay.
    pub fn new(play: impl Fn(&ModelRequest) -> Result<Answer, ModelError> + Send + Sync + 'static) -> Self {
        Self { play: Box::new(play), piece_chars: 8, delay: Duration::ZERO }
    }

    /// A model that gives the answer of the first rule that holds, and refuses a request that none fits.
    pub fn rules(rules: Vec<Rule>) -> Self {
        Self::new(move |request| {
            let rule = rules.iter().find(|rule| rule.holds(request));
            rule.map(|rule| rule.answer.clone()).ok_or_else(|| ModelError {
                kind: ModelErrorKind::Refused,
                message: format!("the script has no answer for turn {} of this conversation", turns(request)),
                status: None,
                request_id: None,
            })
        })
    }

    /// Letters per piece, at least one.
    #[must_use]
    pub fn pieces_of(mut self, chars: usize) -> Self {
        self.piece_chars = chars.max(1);
        self
    }

    /// Pause before each piece.
    #[must_use]
    pub fn delayed_by(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// One more piece is due.
    async fn pace(&self, left: &mut Option<usize>) -> Result<(), ModelError> {
        if let Some(left) = left {
            *left = left.checked_sub(1).ok_or_else(|| ModelError {
                kind: ModelErrorKind::Interrupted,
                message: "the script breaks the answer off here".to_owned(),
                status: None,
                request_id: None,
            })?;
        }
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        Ok(())
    }
}

#[async_trait]
impl ModelClient for Scripted {
    async fn complete(
        &self,
        request: &ModelRequest,
        on_delta: OnDelta<'_>,
    ) -> Result<ModelReply, ModelError> {
        let answer = (self.play)(request)?;
        let mut deltas = Deltas::new(on_delta);
        let mut turn = Turn::default();
        let mut left = answer.breaks_after;
        for piece in pieces(&answer.thinking, self.piece_chars) {
            self.pace(&mut left).await?;
            deltas.thinking(piece);
        }
        for piece in pieces(&answer.text, self.piece_chars) {
            self.pace(&mut left).await?;
            deltas.text(piece);
        }
        for (place, call) in answer.calls.iter().enumerate() {
            self.pace(&mut left).await?;
            let at = (u32::try_from(place).unwrap_or(u32::MAX), 0);
            let id = call.id.clone().unwrap_or_else(|| format!("call_{}_{place}", turns(request)));
            let draft = CallDraft { id: Some(id), name: call.name.clone(), arguments: String::new() };
            turn.begin_call(at, draft, None, &mut deltas).map_err(too_much)?;
            for piece in pieces(&call.arguments, self.piece_chars) {
                self.pace(&mut left).await?;
                turn.more_arguments(at, piece, &mut deltas).map_err(too_much)?;
            }
        }
        if left == Some(0) {
            self.pace(&mut left).await?;
        }
        Ok(reply(turn, answer, request))
    }
}

fn reply(mut turn: Turn, answer: Answer, request: &ModelRequest) -> ModelReply {
    let usage = answer.usage.unwrap_or_else(|| rough_usage(&answer, request));
    turn.tally = Some(Tally { input: usage.input_tokens, output: usage.output_tokens, ..Tally::default() });
    let word = match &answer.stop {
        Some(StopReason::Length) => "length",
        Some(StopReason::ContentFilter) => "content_filter",
        Some(StopReason::Refusal) => "refusal",
        Some(StopReason::Other(word)) => word,
        Some(StopReason::ToolCalls) => "tool_calls",
        Some(StopReason::Stop) | None if answer.calls.is_empty() => "stop",
        Some(StopReason::Stop) | None => "tool_calls",
    };
    turn.set("finish_reason", word);
    turn.set("model_name", request.model.model.clone());
    turn.set("model_provider", request.model.provider.clone());
    turn.stop = answer.stop;
    let mut kwargs = Map::new();
    if !answer.thinking.is_empty() {
        kwargs.insert("reasoning_content".to_owned(), Value::from(answer.thinking));
    }
    turn.into_reply(Content::Text(answer.text), kwargs)
}

/// Four letters a token: the scale is right, and the same request always costs the same.
fn rough_usage(answer: &Answer, request: &ModelRequest) -> Usage {
    let tokens = |letters: usize| u64::try_from(letters.div_ceil(4)).unwrap_or(u64::MAX);
    let prompt: usize = request.messages.iter().map(|message| message.text("").len()).sum();
    let calls: usize = answer.calls.iter().map(|call| call.name.len() + call.arguments.len()).sum();
    Usage {
        input_tokens: tokens(prompt + request.system.as_ref().map_or(0, String::len)),
        output_tokens: tokens(answer.text.len() + answer.thinking.len() + calls).max(1),
    }
}

fn pieces(text: &str, chars: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let at = rest.char_indices().nth(chars).map_or(rest.len(), |(at, _)| at);
        let (piece, left) = rest.split_at_checked(at).filter(|(piece, _)| !piece.is_empty())?;
        rest = left;
        Some(piece)
    })
}

fn too_much(_: crate::turn::DecodeError) -> ModelError {
    ModelError {
        kind: ModelErrorKind::Refused,
        message: "the script has too many calls in one answer".to_owned(),
        status: None,
        request_id: None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use agent_executor_core::{ModelOptions, ModelRef};
    use agent_langgraph_codec::Message;

    use super::*;

    fn request(system: &str, turn: usize, last: &str) -> ModelRequest {
        let mut messages: Vec<_> = (0..turn)
            .map(|_| Arc::new(Message::ai(Content::Text("x".to_owned()), Vec::new(), None)))
            .collect();
        messages.push(Arc::new(Message::human(last, "h")));
        ModelRequest {
            model: ModelRef { provider: "p".to_owned(), model: "m".to_owned() },
            system: Some(system.to_owned()),
            messages,
            tools: Vec::new().into(),
            max_output_tokens: None,
            response_format: None,
            options: ModelOptions::default(),
        }
    }

    #[tokio::test]
    async fn the_first_rule_that_holds_answers() {
        let rule = |system: Option<&str>, turn, text: &str| Rule {
            system_contains: system.map(str::to_owned),
            turn,
            answer: Answer::text(text),
            ..Rule::default()
        };
        let model = Scripted::rules(vec![
            rule(Some("boss"), Some(0), "boss first"),
            Rule { last_contains: Some("ping".to_owned()), answer: Answer::text("pong"), ..Rule::default() },
            rule(Some("boss"), None, "boss later"),
        ]);
        for (asked, expected) in [
            (request("the boss", 0, "ping"), Ok("boss first")),
            (request("the boss", 1, "ping"), Ok("pong")),
            (request("the boss", 1, "x"), Ok("boss later")),
            (request("else", 2, "x"), Err("the script has no answer for turn 2 of this conversation")),
        ] {
            let answered = model.complete(&asked, &mut |_| {}).await;
            let answered = answered.map(|reply| reply.message.text("")).map_err(|error| error.message);
            assert_eq!(answered.as_deref().map_err(String::as_str), expected);
        }
    }

    #[test]
    fn pieces_are_whole_letters() {
        assert_eq!(pieces("äöü€x", 2).collect::<Vec<_>>(), ["äö", "ü€", "x"]);
        assert_eq!(pieces("", 2).count(), 0);
    }
}
