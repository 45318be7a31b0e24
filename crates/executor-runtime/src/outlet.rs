//! Everything that observers of one run are told: numbered, encoded once, journalled with the next commit, and handed
//! to the sink. What a commit makes true is numbered for it and told after it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use agent_checkpoint_store::JournalRow;
use agent_executor_core::{AgentLabel, Emission, StepCommit, StreamEvent};
use agent_langgraph_codec::{Files, Message};
use agent_stream_sink::{EventKind, SinkEvent, StreamSink};
use agent_wire::stream::StateChange;
use agent_wire::{FileForm, compat, journal, stream};
use bytes::Bytes;

use crate::deltas::{DeltaBuffer, Piece, Place};

/// The node that text pieces come from, as LangGraph names it.
const NODE: &str = "model";
/// Numbers that are surely reserved beyond the last one a commit has told of; text beyond waits for a commit.
const ROOM: u64 = 512;
/// Events that wait for a commit: so many, or so many bytes, get one of their own.
const JOURNAL_EVENTS: usize = 256;
const JOURNAL_BYTES: usize = 512 * 1024;

/// Where a run's events go, and what they say of it.
pub(crate) struct OutletParts {
    pub(crate) sink: Arc<dyn StreamSink>,
    pub(crate) thread_id: Arc<str>,
    pub(crate) job_id: Arc<str>,
    pub(crate) epoch: i64,
    pub(crate) next_seq: u64,
    pub(crate) form: FileForm,
    /// Adds the old members to what is told; the journal has none of them.
    pub(crate) python_compat: bool,
}

pub(crate) struct Outlet {
    parts: OutletParts,
    /// JSON of each message that was published, so that a state update joins and never rebuilds them.
    encoded: HashMap<usize, (Arc<Message>, Box<str>)>,
    pub(crate) deltas: DeltaBuffer,
    /// Messages that are being streamed, to say what a broken attempt covers.
    streaming: BTreeMap<Arc<str>, Streaming>,
    /// Per namespace, the state that the journal's readers know.
    known: HashMap<Arc<str>, Known>,
    /// What is numbered and not yet handed to a commit.
    waiting: Vec<(u64, Bytes)>,
    waiting_bytes: usize,
    /// What a commit in flight carries.
    carried: Vec<(u64, Bytes)>,
    /// Events that may be told only when the commit in flight is durable. `None`: no commit is in flight.
    held: Option<Held>,
    /// Numbers up to here are reserved in the lease.
    reserved: u64,
}

#[derive(Debug)]
struct Streaming {
    from: u64,
    place: Arc<Place>,
}

#[derive(Debug, Default)]
struct Held {
    events: Vec<SinkEvent>,
    /// The first number that nobody has been told of.
    from: u64,
}

/// A state as the journal's readers have it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    pub(crate) messages: Vec<Arc<Message>>,
    pub(crate) files: Arc<Files>,
}

impl Outlet {
    /// `root`: the orchestrator's state as earlier runs of the thread have left it.
    pub(crate) fn new(parts: OutletParts, root: Known) -> Self {
        let reserved = parts.next_seq.saturating_sub(1).saturating_add(ROOM);
        Self {
            parts,
            encoded: HashMap::new(),
            deltas: DeltaBuffer::default(),
            streaming: BTreeMap::new(),
            known: HashMap::from([(Arc::from(""), root)]),
            waiting: Vec::new(),
            waiting_bytes: 0,
            carried: Vec::new(),
            held: None,
            reserved,
        }
    }

    /// Replaces what the journal's readers are thought to know of the orchestrator.
    pub(crate) fn knows(&mut self, root: Known) {
        self.known.insert(Arc::from(""), root);
    }

    /// The highest number used so far.
    pub(crate) const fn last_seq(&self) -> u64 {
        self.parts.next_seq.saturating_sub(1)
    }

    /// Whether so much has gathered that it should not wait for the run's next commit.
    pub(crate) const fn wants_commit(&self) -> bool {
        self.waiting.len() >= JOURNAL_EVENTS || self.waiting_bytes >= JOURNAL_BYTES
    }

    fn common<'a>(&'a self, step: i64, attempt: u32, label: Option<&'a AgentLabel>) -> stream::Common<'a> {
        let Self { parts, .. } = self;
        stream::Common {
            seq: parts.next_seq,
            job_id: &parts.job_id,
            epoch: parts.epoch,
            step,
            attempt,
            label,
        }
    }

    /// Notes an event for the journal, and tells it now or with the commit in flight.
    fn publish(&mut self, kind: EventKind, line: Bytes, payload: Bytes) {
        let seq = self.parts.next_seq;
        self.parts.next_seq += 1;
        self.waiting_bytes += line.len();
        self.waiting.push((seq, line));
        let payload = if self.parts.python_compat { compat::python(&payload) } else { payload };
        let event = SinkEvent { thread_id: self.parts.thread_id.clone(), seq, payload, kind };
        match &mut self.held {
            Some(held) => held.events.push(event),
            None => self.parts.sink.publish(event),
        }
    }

    /// Numbers what these commits make true, and gives the journal everything that it does not have yet.
    pub(crate) fn begin_commit(&mut self, commits: &[StepCommit]) -> Vec<JournalRow> {
        self.held = Some(Held { events: Vec::new(), from: self.parts.next_seq });
        self.flush_deltas();
        for emission in commits.iter().flat_map(|commit| &commit.events) {
            self.tell(emission);
        }
        self.take_rows()
    }

    fn take_rows(&mut self) -> Vec<JournalRow> {
        self.waiting_bytes = 0;
        self.carried = std::mem::take(&mut self.waiting);
        let (Some((first, _)), Some((last, _))) = (self.carried.first(), self.carried.last()) else {
            return Vec::new();
        };
        vec![JournalRow {
            first_seq: *first,
            last_seq: *last,
            job_id: self.parts.job_id.clone(),
            epoch: self.parts.epoch,
            events: journal::join(self.carried.iter().map(|(_, line)| line)),
        }]
    }

    /// The commit is durable: what it made true is told, and what came meanwhile.
    pub(crate) fn commit_made(&mut self) {
        if let Some((last, _)) = self.carried.last() {
            self.reserved = self.reserved.max(last.saturating_add(ROOM));
        }
        self.carried.clear();
        for event in self.held.take().map(|held| held.events).unwrap_or_default() {
            self.parts.sink.publish(event);
        }
    }

    /// The commit was refused: nobody was told what it held, so its numbers are free again.
    pub(crate) fn commit_refused(&mut self) {
        let Some(held) = self.held.take() else { return };
        self.waiting.splice(0..0, std::mem::take(&mut self.carried));
        self.waiting.retain(|(seq, _)| *seq < held.from);
        self.waiting_bytes = self.waiting.iter().map(|(_, line)| line.len()).sum();
        self.parts.next_seq = held.from;
    }

    /// Numbers an event and tells it, at once or with the commit in flight.
    pub(crate) fn tell(&mut self, emission: &Emission) {
        let label = emission.label.as_ref();
        let common = self.common(emission.step, 1, label);
        let (kind, payload) = match &emission.event {
            StreamEvent::StateUpdate { messages, files, todos } => {
                let whole =
                    Whole { messages: messages.as_deref(), files: files.as_ref(), todos: todos.as_ref() };
                let (line, payload) = self.state_update(emission, &whole);
                return self.publish(EventKind::StateUpdate, line, payload);
            }
            StreamEvent::ToolStart { id, name, args } => {
                (EventKind::ToolStart, stream::tool_start(&common, id, name, args))
            }
            StreamEvent::ToolEnd { id, name, output, status, duration_ms, interim } => {
                let payload = stream::tool_end(&common, id, name, output, *status, *duration_ms, *interim);
                (EventKind::ToolEnd, payload)
            }
            StreamEvent::Error { kind, code, message } => {
                (EventKind::Error, stream::error(&common, kind, code, message))
            }
            StreamEvent::End { completed } => (EventKind::End, stream::end(&common, *completed)),
        };
        self.publish(kind, payload.clone(), payload);
    }

    /// A state update as the journal keeps it, and as it is published.
    fn state_update(&mut self, emission: &Emission, whole: &Whole<'_>) -> (Bytes, Bytes) {
        for message in whole.messages.unwrap_or_default() {
            let key = Arc::as_ptr(message).addr();
            self.encoded
                .entry(key)
                .or_insert_with(|| (message.clone(), stream::message_json(message).into_boxed_str()));
        }
        let label = emission.label.as_ref();
        let ns: Arc<str> = label.map_or_else(|| Arc::from(""), |label| label.ns.clone());
        let begins = !self.known.contains_key(&ns);
        let before = self.known.remove(&ns).unwrap_or_else(|| Known {
            messages: Vec::new(),
            files: self.known.get("").map(|root| root.files.clone()).unwrap_or_default(),
        });
        let text =
            |message: &Arc<Message>| self.encoded.get(&Arc::as_ptr(message).addr()).map(|(_, json)| &**json);
        let messages = whole.messages.map(|messages| {
            let keep = kept(&before.messages, messages);
            (keep, messages.iter().skip(keep).filter_map(text).collect())
        });
        let (files, gone) = whole.files.map_or((None, Vec::new()), |files| changed(&before.files, files));
        let change = StateChange { begins, messages, files, gone, todos: whole.todos };
        let common = self.common(emission.step, 1, label);
        let line = stream::state_change(&common, &change, self.parts.form);
        let all = whole.messages.map(|messages| messages.iter().filter_map(text));
        let payload = stream::state_update(
            &common,
            all,
            whole.files.map(|files| &**files),
            whole.todos,
            self.parts.form,
        );
        let known = Known {
            messages: whole.messages.map_or(before.messages, <[_]>::to_vec),
            files: whole.files.cloned().unwrap_or(before.files),
        };
        self.known.insert(ns, known);
        (line, payload)
    }

    /// Numbers and publishes the text that has gathered, as far as numbers are reserved.
    pub(crate) fn flush_deltas(&mut self) {
        let room = self.reserved.saturating_sub(self.last_seq());
        // With a commit in flight nothing is told before that commit has reserved more.
        if self.held.is_none() && room < 64 {
            return;
        }
        for Piece { place, text, thinking } in self.deltas.take() {
            let from = self.parts.next_seq;
            self.streaming
                .entry(place.message_id.clone())
                .or_insert_with(|| Streaming { from, place: place.clone() });
            let common = self.common(place.step, place.attempt, place.label.as_ref());
            let (content, thought) = if thinking { ("", Some(text.as_str())) } else { (text.as_str(), None) };
            let payload =
                stream::llm_stream(&common, content, thought, NODE, &place.message_id, place.source);
            self.publish(EventKind::LlmStream, payload.clone(), payload);
        }
    }

    /// Says that the text of this message's attempt does not count, if there was any.
    pub(crate) fn supersede(&mut self, message_id: &str) {
        self.flush_deltas();
        self.deltas.forget(message_id);
        let Some(Streaming { from, place }) = self.streaming.remove(message_id) else { return };
        self.supersede_text(&place, from);
    }

    pub(crate) fn supersede_text(&mut self, place: &Place, from: u64) {
        let common = self.common(place.step, place.attempt + 1, place.label.as_ref());
        let payload = stream::attempt_superseded(&common, from, Some(&place.message_id));
        self.publish(EventKind::AttemptSuperseded, payload.clone(), payload);
    }

    /// Says that everything from this number on came from a worker that was lost before it was durable.
    pub(crate) fn supersede_all(&mut self, from: u64) {
        let payload = stream::attempt_superseded(&self.common(0, 1, None), from, None);
        self.publish(EventKind::AttemptSuperseded, payload.clone(), payload);
    }

    /// Whether a commit is in flight, as far as this outlet was told.
    pub(crate) const fn commit_open(&self) -> bool {
        self.held.is_some()
    }

    /// The run stops here and another worker goes on: text of calls in flight does not count. Returns what the
    /// journal must still be given.
    pub(crate) fn close(&mut self) -> Vec<JournalRow> {
        let open = std::mem::take(&mut self.streaming);
        for Streaming { from, place } in open.values() {
            self.supersede_text(place, *from);
        }
        self.take_rows()
    }

    /// A finished message needs no memory of where it began.
    pub(crate) fn settled(&mut self, message_id: &str) {
        self.streaming.remove(message_id);
    }
}

/// What an update tells.
struct Whole<'a> {
    messages: Option<&'a [Arc<Message>]>,
    files: Option<&'a Arc<Files>>,
    todos: Option<&'a serde_json::Value>,
}

/// How many messages stay at the front.
fn kept(before: &[Arc<Message>], after: &[Arc<Message>]) -> usize {
    let same = |(a, b): &(&Arc<Message>, &Arc<Message>)| Arc::ptr_eq(a, b) || a == b;
    before.iter().zip(after).take_while(same).count()
}

/// Files that are new or other, and paths that are gone.
fn changed<'a>(before: &'a Files, after: &Files) -> (Option<Files>, Vec<&'a str>) {
    let same =
        |path: &String, file| before.get(path).is_some_and(|known| Arc::ptr_eq(known, file) || known == file);
    let files = after.iter().filter(|(path, file)| !same(path, file));
    let files = files.map(|(path, file)| (path.clone(), file.clone())).collect();
    let gone = before.keys().filter(|path| !after.contains_key(*path)).map(String::as_str).collect();
    (Some(files), gone)
}
