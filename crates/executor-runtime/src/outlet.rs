//! Everything that observers of one run are told: numbered, encoded once, handed to the sink.

use std::collections::HashMap;
use std::sync::Arc;

use agent_executor_core::{AgentLabel, Emission, StreamEvent};
use agent_langgraph_codec::Message;
use agent_stream_sink::{EventKind, SinkEvent, StreamSink};
use agent_wire::{FileForm, stream};
use bytes::Bytes;

use crate::deltas::{DeltaBuffer, Piece};

/// The node that text pieces come from, as LangGraph names it.
const NODE: &str = "model";

pub(crate) struct Outlet {
    sink: Arc<dyn StreamSink>,
    thread_id: Arc<str>,
    job_id: Arc<str>,
    epoch: i64,
    next_seq: u64,
    form: FileForm,
    /// JSON of each message that was published, so that a state update joins and never rebuilds them.
    encoded: HashMap<usize, (Arc<Message>, Box<str>)>,
    pub(crate) deltas: DeltaBuffer,
    /// First number of each message that is being streamed, to say what a broken attempt covers.
    streaming: HashMap<Arc<str>, u64>,
}

impl Outlet {
    pub(crate) fn new(
        sink: Arc<dyn StreamSink>,
        thread_id: Arc<str>,
        job_id: Arc<str>,
        epoch: i64,
        next_seq: u64,
        form: FileForm,
    ) -> Self {
        Self {
            sink,
            thread_id,
            job_id,
            epoch,
            next_seq,
            form,
            encoded: HashMap::new(),
            deltas: DeltaBuffer::default(),
            streaming: HashMap::new(),
        }
    }

    /// The highest number used so far.
    pub(crate) const fn last_seq(&self) -> u64 {
        self.next_seq.saturating_sub(1)
    }

    fn common<'a>(&'a self, step: i64, attempt: u32, label: Option<&'a AgentLabel>) -> stream::Common<'a> {
        stream::Common { seq: self.next_seq, job_id: &self.job_id, epoch: self.epoch, step, attempt, label }
    }

    fn publish(&mut self, kind: EventKind, payload: Bytes) {
        let event = SinkEvent { thread_id: self.thread_id.clone(), seq: self.next_seq, payload, kind };
        self.next_seq += 1;
        self.sink.publish(event);
    }

    /// Tells what was committed.
    pub(crate) fn tell(&mut self, emission: &Emission) {
        let label = emission.label.as_ref();
        let common = self.common(emission.step, 1, label);
        let (kind, payload) = match &emission.event {
            StreamEvent::StateUpdate { messages, files, todos } => {
                let payload =
                    self.state_update(emission, messages.as_deref(), files.as_deref(), todos.as_ref());
                (EventKind::StateUpdate, payload)
            }
            StreamEvent::ToolStart { id, name, args } => {
                (EventKind::ToolStart, stream::tool_start(&common, id, name, args))
            }
            StreamEvent::ToolEnd { id, name, output, status, duration_ms } => {
                let payload = stream::tool_end(&common, id, name, output, *status, *duration_ms);
                (EventKind::ToolEnd, payload)
            }
            StreamEvent::Error { kind, code, message } => {
                (EventKind::Error, stream::error(&common, kind, code, message))
            }
            StreamEvent::End { completed } => (EventKind::End, stream::end(&common, *completed)),
        };
        self.publish(kind, payload);
    }

    fn state_update(
        &mut self,
        emission: &Emission,
        messages: Option<&[Arc<Message>]>,
        files: Option<&agent_langgraph_codec::Files>,
        todos: Option<&serde_json::Value>,
    ) -> Bytes {
        for message in messages.unwrap_or_default() {
            let key = Arc::as_ptr(message).addr();
            self.encoded
                .entry(key)
                .or_insert_with(|| (message.clone(), stream::message_json(message).into_boxed_str()));
        }
        let json = messages.map(|messages| {
            messages
                .iter()
                .filter_map(|message| self.encoded.get(&Arc::as_ptr(message).addr()).map(|(_, json)| &**json))
        });
        let common = self.common(emission.step, 1, emission.label.as_ref());
        stream::state_update(&common, json, files, todos, self.form)
    }

    /// Numbers and publishes the text that has gathered.
    pub(crate) fn flush_deltas(&mut self) {
        for Piece { place, text, thinking } in self.deltas.take() {
            self.streaming.entry(place.message_id.clone()).or_insert(self.next_seq);
            let common = self.common(place.step, place.attempt, place.label.as_ref());
            let (content, thought) = if thinking { ("", Some(text.as_str())) } else { (text.as_str(), None) };
            let payload = stream::llm_stream(&common, content, thought, NODE, &place.message_id, None);
            self.publish(EventKind::LlmStream, payload);
        }
    }

    /// Says that the text of this message's attempt does not count.
    pub(crate) fn supersede(
        &mut self,
        label: Option<&AgentLabel>,
        step: i64,
        attempt: u32,
        message_id: &str,
    ) {
        self.flush_deltas();
        let from = self.streaming.remove(message_id).unwrap_or(self.next_seq);
        let payload = stream::attempt_superseded(&self.common(step, attempt, label), from);
        self.publish(EventKind::AttemptSuperseded, payload);
    }

    /// A finished message needs no memory of where it began.
    pub(crate) fn settled(&mut self, message_id: &str) {
        self.streaming.remove(message_id);
    }
}
