//! One agent's graph as LangGraph keeps it: channels, versions, and the rows of a super-step.
//!
//! Source: langgraph 1.2 `pregel/_algo.py` as observed in recorded runs; docs/checkpoints.md.

use std::collections::BTreeSet;
use std::sync::Arc;

use agent_langgraph_codec as codec;
use agent_langgraph_codec::{
    ChannelValue, Checkpoint, CheckpointRow, FileData, Files, FilesWrite, Message, MessagesWrite, Metadata,
    Rows, Source, ToolCall, WriteRow,
};
use bytes::Bytes;
use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::definition::{Channels, Reducer};
use crate::ids::Ids;

mod rows;

/// Channel of the structured answer.
pub(crate) const STRUCTURED_RESPONSE: &str = "structured_response";
/// Node that heals dangling tool calls before the first model call.
pub(crate) const BEFORE_AGENT: &str = "PatchToolCallsMiddleware.before_agent";
/// Node of the model call.
pub(crate) const MODEL: &str = "model";
/// Node of the tool calls.
pub(crate) const TOOLS: &str = "tools";
/// Node that ends the orchestrator's run; sub-agents have none.
pub(crate) const AFTER_AGENT: &str = "_ParentNotifierMiddleware.after_agent";
/// Node after the model where Python keeps to-dos (models with a profile that asks for them). We have none; a
/// thread that Python left there is gone on with.
pub(crate) const TODO_AFTER_MODEL: &str = "TodoListMiddleware.after_model";
/// Node that takes the input.
pub(crate) const START: &str = "__start__";
/// Every node that may be due in a thread that this machine goes on with.
pub(crate) const NODES: [&str; 5] = [START, BEFORE_AGENT, MODEL, TODO_AFTER_MODEL, AFTER_AGENT];
const SENDS: &str = "__pregel_tasks";
/// Metadata key: the super-step of the input that the current turn began with.
const TURN_TAG: &str = "agent_executor_turn";
const NO_WRITES: &str = "__no_writes__";
/// A delta channel is written whole after this many updates (LangGraph's `DeltaChannel` of deepagents).
const SNAPSHOT_UPDATES: u64 = 50;
/// … or after this many super-steps.
const SNAPSHOT_STEPS: u64 = 5000;

/// The channel that triggers a node.
pub(crate) fn trigger_of(node: &str) -> String {
    if node == START { START.to_owned() } else { format!("branch:to:{node}") }
}

/// One value that a task writes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Write {
    Messages(Vec<Arc<Message>>),
    Files(Vec<(String, Option<Arc<FileData>>)>),
    /// Any other channel: todos, structured_response, a definition's own.
    Value(String, ChannelValue),
    Send(ToolCall),
    /// Triggers the node.
    Branch(&'static str),
    NoWrites,
}

/// A finished task of a super-step.
#[derive(Debug, Clone)]
pub(crate) struct TaskOutput {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) node: &'static str,
    /// Push tasks have no trigger.
    pub(crate) trigger: Option<String>,
    pub(crate) writes: Vec<Write>,
}

/// Which of Python's two graphs this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The orchestrator: `messages` is a delta channel, an after_agent node ends the run.
    Root,
    /// A sub-agent: `messages` is stored whole at every change.
    Sub,
}

/// Channels and bookkeeping of one agent's graph.
#[derive(Debug, Clone)]
pub(crate) struct Graph {
    pub(crate) ns: Arc<str>,
    pub(crate) shape: Shape,
    /// Checkpoint of each ancestor namespace that this graph was started from.
    parents: IndexMap<String, String>,
    /// Tags that go into every checkpoint's metadata.
    tags: Map<String, Value>,
    /// Channels beside those that every graph has.
    channels: Arc<Channels>,
    /// The super-step of the input that the current turn began with, where it is known.
    turn: Option<i64>,
    /// Newest checkpoint and its super-step; `None` before the first.
    head: Option<(String, i64)>,
    versions: IndexMap<String, String>,
    seen: IndexMap<String, IndexMap<String, String>>,
    /// Updates and super-steps since the last snapshot.
    message_counter: [u64; 2],
    file_counter: [u64; 2],
    /// Trigger channels that hold a value for the coming super-step.
    present: BTreeSet<String>,
    pub(crate) sends: Vec<ToolCall>,
    pub(crate) messages: Vec<Arc<Message>>,
    pub(crate) files: Arc<Files>,
    pub(crate) values: IndexMap<String, ChannelValue>,
}

impl Graph {
    pub(crate) fn new(
        ns: Arc<str>,
        shape: Shape,
        parents: IndexMap<String, String>,
        tags: Map<String, Value>,
        channels: Arc<Channels>,
    ) -> Self {
        Self {
            ns,
            shape,
            parents,
            tags,
            channels,
            turn: None,
            head: None,
            versions: IndexMap::new(),
            seen: IndexMap::new(),
            message_counter: [0; 2],
            file_counter: [0; 2],
            present: BTreeSet::new(),
            sends: Vec::new(),
            messages: Vec::new(),
            files: Arc::default(),
            values: IndexMap::new(),
        }
    }

    /// The graph as its newest checkpoint has it, without that checkpoint's pending writes.
    pub(crate) fn from_state(
        ns: Arc<str>,
        shape: Shape,
        state: codec::GraphState,
        tags: Map<String, Value>,
        channels: Arc<Channels>,
    ) -> Self {
        let present = state.checkpoint.channel_values.keys().filter(|k| k.starts_with("branch:to:"));
        let mut present: BTreeSet<String> = present.cloned().collect();
        if state.checkpoint.updated_channels.as_ref().is_some_and(|c| c.iter().any(|c| c == START)) {
            present.insert(START.to_owned());
        }
        let counter = |name: &str| state.metadata.counters.get(name).copied().unwrap_or_default();
        Self {
            ns,
            shape,
            parents: state.metadata.parents.clone(),
            tags,
            channels,
            turn: state.metadata.extra.get(TURN_TAG).and_then(Value::as_i64),
            head: Some((state.checkpoint.id.clone(), state.metadata.step)),
            message_counter: counter("messages"),
            file_counter: counter("files"),
            versions: state.checkpoint.channel_versions,
            seen: state.checkpoint.versions_seen,
            present,
            sends: state.sends,
            messages: state.messages,
            files: Arc::new(state.files),
            values: state.values,
        }
    }

    /// The newest checkpoint's id; empty before the first.
    pub(crate) fn head_id(&self) -> &str {
        self.head.as_ref().map_or("", |(id, _)| id)
    }

    /// The newest checkpoint's super-step; -2 before the first.
    pub(crate) fn step(&self) -> i64 {
        self.head.as_ref().map_or(-2, |(_, step)| *step)
    }

    /// The super-step of the input that the current turn began with; `None` in threads of others.
    pub(crate) const fn turn(&self) -> Option<i64> {
        self.turn
    }

    /// Sets a tag of every checkpoint from now on.
    pub(crate) fn tag(&mut self, key: &str, value: Value) {
        self.tags.insert(key.to_owned(), value);
    }

    /// Takes a tag back.
    pub(crate) fn untag(&mut self, key: &str) {
        self.tags.shift_remove(key);
    }

    /// A node that is due and that this machine does not have.
    pub(crate) fn unknown_node(&self) -> Option<&str> {
        let due = self.present.iter().filter_map(|channel| channel.strip_prefix("branch:to:"));
        due.into_iter().find(|node| !NODES.contains(node))
    }

    /// `metadata.parents` of a graph that is started from this one's newest checkpoint.
    pub(crate) fn parents_of_child(&self) -> IndexMap<String, String> {
        let mut parents = self.parents.clone();
        parents.insert(self.ns.to_string(), self.head_id().to_owned());
        parents
    }

    /// A task of the coming super-step that a channel triggers.
    pub(crate) fn pull(&self, node: &'static str, writes: Vec<Write>) -> TaskOutput {
        let trigger = trigger_of(node);
        TaskOutput {
            id: codec::task_id_pull(self.head_id(), &self.ns, self.step() + 1, node, &[&trigger]),
            path: codec::task_path_pull(node),
            node,
            trigger: Some(trigger),
            writes,
        }
    }

    /// The id of the coming super-step's task for the tool call at this position.
    pub(crate) fn push_id(&self, index: usize) -> String {
        codec::task_id_push(self.head_id(), &self.ns, self.step() + 1, TOOLS, index)
    }

    /// A task of the coming super-step that runs the tool call at this position.
    pub(crate) fn push(&self, index: usize, writes: Vec<Write>) -> TaskOutput {
        TaskOutput {
            id: self.push_id(index),
            path: codec::task_path_push(index),
            node: TOOLS,
            trigger: None,
            writes,
        }
    }

    /// Puts the checkpoint that a new input makes. `unfinished` says that tasks of the head never ended:
    /// they count as run without output, and what they wrote must not come back.
    pub(crate) fn put_input(
        &mut self,
        start: Bytes,
        unfinished: &Unfinished,
        ids: &mut Ids,
        rows: &mut Rows,
    ) {
        let mut changed = BTreeSet::new();
        let version = self.next_version(ids);
        self.seen.entry("__input__".to_owned()).or_default();
        self.discard(unfinished, &version, rows);
        self.versions.insert(START.to_owned(), version.clone());
        changed.insert(START.to_owned());
        self.present.insert(START.to_owned());
        rows.blobs.push(self.blob(START, &version, start));
        self.put(Source::Input, &changed, unfinished.dropped, ids, rows);
    }

    /// Writes the rows of one finished task of the coming super-step.
    pub(crate) fn put_task(&self, task: &TaskOutput, rows: &mut Rows) {
        for (idx, write) in task.writes.iter().enumerate() {
            rows.writes.push(self.write_row(task, idx, write));
        }
    }

    /// Ends the super-step: applies what its tasks wrote (their rows are put elsewhere) and puts the next checkpoint.
    pub(crate) fn advance(&mut self, tasks: &[TaskOutput], ids: &mut Ids, rows: &mut Rows) {
        let version = self.next_version(ids);
        for task in tasks {
            let seen = self.seen.entry(task.node.to_owned()).or_default();
            if let Some(trigger) = &task.trigger
                && let Some(read) = self.versions.get(trigger)
            {
                seen.insert(trigger.clone(), read.clone());
            }
        }
        let mut changed = BTreeSet::new();
        let mut sends = Vec::new();
        let mut present = BTreeSet::new();
        for write in tasks.iter().flat_map(|task| &task.writes) {
            self.apply(write, &mut sends, &mut present, &mut changed);
        }
        for channel in std::mem::take(&mut self.present) {
            if !present.contains(&channel) {
                self.versions.insert(channel, version.clone());
            }
        }
        if !self.sends.is_empty() || !sends.is_empty() {
            self.versions.insert(SENDS.to_owned(), version.clone());
            rows.blobs.push(self.blob(SENDS, &version, codec::encode_sends(TOOLS, &sends)));
        }
        self.present = present;
        self.sends = sends;
        for channel in &changed {
            self.versions.insert(channel.clone(), version.clone());
        }
        self.put_blobs(&changed, &version, rows);
        self.put(Source::Loop, &changed, [false; 2], ids, rows);
    }

    fn apply(
        &mut self,
        write: &Write,
        sends: &mut Vec<ToolCall>,
        present: &mut BTreeSet<String>,
        changed: &mut BTreeSet<String>,
    ) {
        match write {
            Write::Messages(messages) => {
                let write = MessagesWrite { messages: messages.clone(), overwrite: false };
                codec::fold_messages(&mut self.messages, [write]);
                changed.insert("messages".to_owned());
            }
            Write::Files(files) => {
                let write = FilesWrite { files: files.clone(), overwrite: false };
                codec::fold_files(Arc::make_mut(&mut self.files), [write]);
                changed.insert("files".to_owned());
            }
            Write::Value(channel, value) => {
                self.reduce(channel, value);
                changed.insert(channel.clone());
            }
            Write::Send(call) => {
                sends.push(call.clone());
                changed.insert(SENDS.to_owned());
            }
            Write::Branch(node) => {
                let channel = trigger_of(node);
                present.insert(channel.clone());
                changed.insert(channel);
            }
            Write::NoWrites => {}
        }
    }

    /// Takes what is written to a channel as its reducer says.
    fn reduce(&mut self, channel: &str, value: &ChannelValue) {
        let reducer = self.channels.get(channel).copied().unwrap_or(Reducer::Last);
        let grown = match (reducer, self.values.get_mut(channel), value) {
            (Reducer::Append, Some(ChannelValue::Json(Value::Array(list))), ChannelValue::Json(more)) => {
                match more {
                    Value::Array(more) => list.extend(more.iter().cloned()),
                    Value::Null => {}
                    Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                        list.push(more.clone());
                    }
                }
                true
            }
            (Reducer::Messages, Some(ChannelValue::Messages(list)), ChannelValue::Messages(more)) => {
                let write = MessagesWrite { messages: more.clone(), overwrite: false };
                // A removal of what is not there removes nothing here; it would end a run of Python's.
                codec::fold_messages(list, [write]);
                true
            }
            (Reducer::Last | Reducer::Append | Reducer::Messages, _, _) => false,
        };
        if !grown {
            self.values.insert(channel.to_owned(), value.clone());
        }
    }

    /// Whether the coming super-step runs this node.
    pub(crate) fn triggered(&self, node: &str) -> bool {
        self.present.contains(&trigger_of(node))
    }

    /// The todo list, where there is one.
    pub(crate) fn todos(&self) -> Option<Value> {
        match self.values.get("todos") {
            Some(ChannelValue::Json(todos)) => Some(todos.clone()),
            Some(ChannelValue::Messages(_) | ChannelValue::Raw { .. }) | None => None,
        }
    }

    /// The structured answer, where there is one.
    pub(crate) fn structured_response(&self) -> Option<&Value> {
        match self.values.get(STRUCTURED_RESPONSE) {
            Some(ChannelValue::Json(value)) => Some(value).filter(|value| !value.is_null()),
            Some(ChannelValue::Messages(_) | ChannelValue::Raw { .. }) | None => None,
        }
    }

    /// Every other channel as a tool sees it: declared ones begin as null, private ones are left out.
    pub(crate) fn visible_values(&self) -> Map<String, Value> {
        let mut visible: Map<String, Value> =
            self.channels.keys().map(|channel| (channel.clone(), Value::Null)).collect();
        for (channel, value) in &self.values {
            if channel.starts_with('_') {
                continue;
            }
            if let Ok(value) = value.to_json() {
                visible.insert(channel.clone(), value);
            }
        }
        visible
    }

    fn next_version(&self, ids: &mut Ids) -> String {
        let newest = self.versions.values().max().map(String::as_str);
        codec::next_version(newest, ids.fraction())
    }
}

/// Tasks of the head that never ended, when a new input comes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unfinished {
    /// Nodes that were due, each once.
    pub(crate) nodes: Vec<String>,
    /// Whether finished siblings left writes to `messages`, `files`, that are now dropped.
    pub(crate) dropped: [bool; 2],
}
