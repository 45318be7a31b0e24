//! One answer being put together from the frames of its stream.

use std::time::{Duration, Instant};

use agent_executor_core::{ModelReply, StopReason, Usage};
use agent_langgraph_codec::{Content, Kind, Message};
use serde_json::{Map, Value, json};

use crate::{
    args::{CallDraft, settle_all, split},
    port::{Delta, OnDelta},
};

/// A stream that names more parts than this is malformed; no model writes so many calls in one answer.
const MAX_PARTS: usize = 4096;

/// Where a codec puts the pieces that people may see. Remembers whether there was one: then no retry may follow.
pub(crate) struct Deltas<'a> {
    on_delta: OnDelta<'a>,
    started: Instant,
    first: Option<Duration>,
}

impl<'a> Deltas<'a> {
    pub(crate) fn new(on_delta: OnDelta<'a>) -> Self {
        Self { on_delta, started: Instant::now(), first: None }
    }

    /// A new request goes out: the time to the first token counts from here.
    pub(crate) fn restart(&mut self) {
        self.started = Instant::now();
    }

    /// Time from the request to its first piece; `None` while nothing was handed out.
    pub(crate) fn first(&self) -> Option<Duration> {
        self.first
    }

    pub(crate) fn text(&mut self, text: &str) {
        if !text.is_empty() {
            self.send(Delta::Text(text));
        }
    }

    pub(crate) fn thinking(&mut self, text: &str) {
        if !text.is_empty() {
            self.send(Delta::Thinking(text));
        }
    }

    pub(crate) fn call(&mut self, index: u32, name: Option<&str>, arguments: &str) {
        if name.is_some() || !arguments.is_empty() {
            self.send(Delta::ToolCall { index, name, arguments });
        }
    }

    fn send(&mut self, delta: Delta<'_>) {
        if self.first.is_none() {
            self.first = Some(self.started.elapsed());
        }
        (self.on_delta)(delta);
    }
}

/// Why a frame could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// Not what the provider's protocol says.
    Malformed(String),
    /// The provider reports a failure inside the stream; its words as it sent them.
    Provider(String),
}

impl From<serde_json::Error> for DecodeError {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// One part of an answer.
#[derive(Debug)]
pub(crate) enum Part {
    Text(String),
    Thinking {
        text: String,
        signature: String,
    },
    Call {
        /// Which call of the answer, from 0.
        ordinal: u32,
        draft: CallDraft,
    },
    /// Kept as the provider sent it.
    Opaque(Value),
}

/// A part with the place that the provider gave it and the provider's id of it, where there is one.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) at: (u32, u32),
    pub(crate) id: Option<String>,
    pub(crate) part: Part,
}

/// Tokens as the provider counted them, in LangChain's words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) input: u64,
    pub(crate) output: u64,
    /// `None`: the sum.
    pub(crate) total: Option<u64>,
    pub(crate) input_details: Vec<(&'static str, u64)>,
    /// `None`: this provider has none.
    pub(crate) output_details: Option<Vec<(&'static str, u64)>>,
}

impl Tally {
    fn details(list: &[(&'static str, u64)]) -> Value {
        list.iter().map(|(key, count)| ((*key).to_owned(), Value::from(*count))).collect::<Map<_, _>>().into()
    }

    /// LangChain's `usage_metadata`.
    pub(crate) fn metadata(&self) -> Value {
        let mut value = json!({
            "input_tokens": self.input,
            "output_tokens": self.output,
            "total_tokens": self.total.unwrap_or(self.input.saturating_add(self.output)),
            "input_token_details": Self::details(&self.input_details),
        });
        if let (Some(details), Value::Object(map)) = (&self.output_details, &mut value) {
            map.insert("output_token_details".to_owned(), Self::details(details));
        }
        value
    }
}

/// What has been seen of one answer. Filled by a codec's `decode`, turned into a reply by its `reply`.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(crate) parts: Vec<Placed>,
    calls: u32,
    /// Set with the provider's own end mark.
    pub(crate) stop: Option<StopReason>,
    /// Nothing more will come.
    pub(crate) ended: bool,
    /// The provider's id of the answer.
    pub(crate) id: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) refusal: String,
    /// For `response_metadata`, in the order of arrival.
    pub(crate) metadata: Map<String, Value>,
    pub(crate) tally: Option<Tally>,
}

impl Turn {
    /// The newest part at this place.
    pub(crate) fn find(&mut self, at: (u32, u32)) -> Option<&mut Placed> {
        self.parts.iter_mut().rev().find(|placed| placed.at == at)
    }

    fn add(&mut self, at: (u32, u32), part: Part) -> Result<&mut Placed, DecodeError> {
        if self.parts.len() >= MAX_PARTS {
            return Err(DecodeError::Malformed(format!("more than {MAX_PARTS} parts in one answer")));
        }
        self.parts.push(Placed { at, id: None, part });
        self.parts.last_mut().ok_or_else(|| DecodeError::Malformed("no part".to_owned()))
    }

    /// The text at this place, begun if need be.
    pub(crate) fn text(&mut self, at: (u32, u32)) -> Result<&mut String, DecodeError> {
        let place = self.parts.iter().rposition(|p| p.at == at && matches!(p.part, Part::Text(_)));
        let placed = match place {
            Some(place) => self.parts.get_mut(place),
            None => Some(self.add(at, Part::Text(String::new()))?),
        };
        match placed.map(|placed| &mut placed.part) {
            Some(Part::Text(text)) => Ok(text),
            Some(Part::Thinking { .. } | Part::Call { .. } | Part::Opaque(_)) | None => Err(mixed("text")),
        }
    }

    /// Reasoning at this place: its text and its signature.
    pub(crate) fn thinking(&mut self, at: (u32, u32)) -> Result<(&mut String, &mut String), DecodeError> {
        let place = self.parts.iter().rposition(|p| p.at == at && matches!(p.part, Part::Thinking { .. }));
        let placed = match place {
            Some(place) => self.parts.get_mut(place),
            None => Some(self.add(at, Part::Thinking { text: String::new(), signature: String::new() })?),
        };
        match placed.map(|placed| &mut placed.part) {
            Some(Part::Thinking { text, signature }) => Ok((text, signature)),
            Some(Part::Text(_) | Part::Call { .. } | Part::Opaque(_)) | None => Err(mixed("thinking")),
        }
    }

    /// Begins a call and reports its name.
    pub(crate) fn begin_call(
        &mut self,
        at: (u32, u32),
        draft: CallDraft,
        item: Option<String>,
        deltas: &mut Deltas<'_>,
    ) -> Result<(), DecodeError> {
        let ordinal = self.calls;
        deltas.call(ordinal, Some(&draft.name), &draft.arguments);
        self.add(at, Part::Call { ordinal, draft })?.id = item;
        self.calls += 1;
        Ok(())
    }

    /// More of the arguments of the call at this place.
    pub(crate) fn more_arguments(
        &mut self,
        at: (u32, u32),
        piece: &str,
        deltas: &mut Deltas<'_>,
    ) -> Result<(), DecodeError> {
        match self.find(at).map(|placed| &mut placed.part) {
            Some(Part::Call { ordinal, draft }) => {
                draft.arguments.push_str(piece);
                deltas.call(*ordinal, None, piece);
                Ok(())
            }
            Some(Part::Text(_) | Part::Thinking { .. } | Part::Opaque(_)) | None => {
                Err(DecodeError::Malformed("arguments for a call that did not begin".to_owned()))
            }
        }
    }

    pub(crate) fn opaque(&mut self, at: (u32, u32), value: Value) -> Result<(), DecodeError> {
        self.add(at, Part::Opaque(value)).map(|_| ())
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.metadata.insert(key.to_owned(), value.into());
    }

    pub(crate) fn drafts(&self) -> Vec<CallDraft> {
        let draft = |placed: &Placed| match &placed.part {
            Part::Call { draft, .. } => Some(draft.clone()),
            Part::Text(_) | Part::Thinking { .. } | Part::Opaque(_) => None,
        };
        self.parts.iter().filter_map(draft).collect()
    }

    /// The reply with this content; calls are settled here, strictly.
    pub(crate) fn into_reply(self, content: Content, additional_kwargs: Map<String, Value>) -> ModelReply {
        let mut stop = self.stop.clone().unwrap_or(StopReason::Stop);
        let drafts = self.drafts();
        if stop == StopReason::Stop && !drafts.is_empty() {
            stop = StopReason::ToolCalls;
        }
        if stop == StopReason::Stop && !self.refusal.is_empty() {
            stop = StopReason::Refusal;
        }
        let (tool_calls, invalid_tool_calls) = split(settle_all(drafts, stop == StopReason::Length));
        let usage_metadata = self.tally.as_ref().map(Tally::metadata);
        let mut message = Message::ai(content, tool_calls, self.id);
        message.additional_kwargs = additional_kwargs;
        message.response_metadata = self.metadata;
        if let Kind::Ai { invalid_tool_calls: invalid, usage_metadata: usage, .. } = &mut message.kind {
            *invalid = invalid_tool_calls;
            *usage = usage_metadata;
        }
        let usage = self.tally.map(|t| Usage { input_tokens: t.input, output_tokens: t.output });
        ModelReply { message, stop, usage }
    }
}

fn mixed(kind: &str) -> DecodeError {
    DecodeError::Malformed(format!("{kind} in the place of another part"))
}
