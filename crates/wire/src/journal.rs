//! The journal of a thread's events: what the store keeps, and how a reader gets the events back.
//!
//! A row's bytes are the events' texts as they were published, one a line. Only `on_state_update` differs: the journal
//! keeps what changed, in a last member `change` {`begins`?, `keep`, `add`, `files`, `gone`, `todos`}, so that it
//! grows with what is said and never with how long the conversation already is. [`StateFold`] makes the whole update.

use std::collections::HashMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::{self, Object};

/// Beginning of every event's text.
const TYPE: &[u8] = b"{\"event_type\":\"";
/// What stands between the type and the number.
const DATA: &[u8] = b"\",\"data\":{\"seq\":";
/// What stands before a change. Inside of a JSON string it could not stand: its quotes would be escaped.
const CHANGE: &[u8] = b",\"change\":";

/// Events as one row's bytes.
pub fn join<'a>(events: impl IntoIterator<Item = &'a Bytes>) -> Bytes {
    let mut out = Vec::new();
    for event in events {
        if !out.is_empty() {
            out.push(b'\n');
        }
        out.extend_from_slice(event);
    }
    Bytes::from(out)
}

/// The events of a row's bytes.
pub fn split(row: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    row.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| row.slice_ref(line))
}

/// What every event says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// `event_type`.
    pub event_type: &'a str,
    /// `data.seq`.
    pub seq: u64,
}

/// Reads the head of an event's text without parsing the rest. `None`: not an event of ours.
pub fn head(event: &[u8]) -> Option<Head<'_>> {
    let rest = event.strip_prefix(TYPE)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    let (event_type, rest) = rest.split_at(end);
    let digits = rest.strip_prefix(DATA)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    let seq = std::str::from_utf8(digits.get(..end)?).ok()?.parse().ok()?;
    Some(Head { event_type: std::str::from_utf8(event_type).ok()?, seq })
}

/// Name and number of an event's text, for sinks that do not know its shape.
pub fn name_and_seq(event: &[u8]) -> Option<(&str, u64)> {
    head(event).map(|head| (head.event_type, head.seq))
}

/// The `data` object of an event's text.
pub fn data(event: &Bytes) -> Option<Bytes> {
    let rest = event.strip_prefix(TYPE)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    let from = TYPE.len() + end + b"\",\"data\":".len();
    (from < event.len()).then(|| event.slice(from..event.len() - 1))
}

/// The members of an event that say what it belongs to; any kind has those that make sense for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Place {
    /// The job.
    #[serde(default)]
    pub job_id: String,
    /// The lease's epoch.
    #[serde(default)]
    pub epoch: i64,
    /// The super-step.
    #[serde(default)]
    pub step: i64,
    /// The attempt.
    #[serde(default)]
    pub attempt: u32,
    /// The sub-agent.
    #[serde(default)]
    pub agent: Option<String>,
    /// Its namespace; empty for the orchestrator.
    #[serde(default)]
    pub ns: String,
    /// The message that text belongs to.
    #[serde(default)]
    pub message_id: Option<String>,
    /// From where on something does not count.
    #[serde(default)]
    pub from_seq: Option<u64>,
    /// `completed` or `failed`, of an `end`.
    #[serde(default)]
    pub status: Option<String>,
}

impl Place {
    /// Of an event's text. `None`: it is none.
    pub fn of(event: &Bytes) -> Option<Self> {
        serde_json::from_slice(&data(event)?).ok()
    }
}

/// A state as texts: messages, files by path, todos.
#[derive(Debug, Clone, Default)]
pub struct StateText {
    /// Texts of [`crate::stream::message_json`].
    pub messages: Vec<Box<str>>,
    /// Path and text of each file, in their order.
    pub files: Vec<(String, Box<str>)>,
    /// The list, where there is one.
    pub todos: Option<Box<str>>,
}

/// A change says that messages stay of which this reader has never heard: the journal's beginning is gone, or
/// somebody else wrote the thread. The state must come from the checkpoint that `place` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Which checkpoint: job, namespace, step.
    pub place: Box<Place>,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(default)]
    begins: bool,
    keep: Option<usize>,
    #[serde(borrow, default)]
    add: Vec<&'a RawValue>,
    #[serde(borrow)]
    files: Option<Members<'a>>,
    #[serde(default)]
    gone: Vec<String>,
    #[serde(borrow)]
    todos: Option<&'a RawValue>,
}

/// Members of an object, in their order.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> serde::de::Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object of files")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(InOrder).map(Members)
    }
}

/// Makes whole state updates out of changes, read in their order from the beginning.
#[derive(Debug, Default)]
pub struct StateFold {
    by_ns: HashMap<String, StateText>,
}

impl StateFold {
    /// The whole event for a journalled line. Any line but a state change is its own event.
    ///
    /// # Errors
    /// [`Unknown`]: ask the checkpoint, give its state to [`StateFold::put`], then call [`StateFold::whole`].
    pub fn apply(&mut self, line: &Bytes) -> Result<Bytes, Unknown> {
        let Some((head, change)) = taken_apart(line) else { return Ok(line.clone()) };
        let place = Place::of(line).unwrap_or_default();
        if change.begins {
            let files = self.by_ns.get("").map(|root| root.files.clone()).unwrap_or_default();
            self.by_ns.insert(place.ns.clone(), StateText { files, ..StateText::default() });
        }
        let state = self.by_ns.entry(place.ns.clone()).or_default();
        if let Some(keep) = change.keep {
            if keep > state.messages.len() {
                return Err(Unknown { place: Box::new(place) });
            }
            state.messages.truncate(keep);
            state.messages.extend(change.add.iter().map(|text| Box::from(text.get())));
        }
        for path in &change.gone {
            state.files.retain(|(known, _)| known != path);
        }
        if let Some(Members(files)) = &change.files {
            for (path, text) in files {
                match state.files.iter_mut().find(|(known, _)| known == path) {
                    Some((_, known)) => *known = Box::from(text.get()),
                    None => state.files.push((path.clone(), Box::from(text.get()))),
                }
            }
        }
        if let Some(todos) = change.todos {
            state.todos = Some(Box::from(todos.get()));
        }
        Ok(written(line, head, &change, state))
    }

    /// Notes an agent's state from elsewhere.
    pub fn put(&mut self, ns: &str, state: StateText) {
        self.by_ns.insert(ns.to_owned(), state);
    }

    /// The whole event for a change, from the state as it is known after it.
    pub fn whole(&self, line: &Bytes) -> Bytes {
        let Some((head, change)) = taken_apart(line) else { return line.clone() };
        let place = Place::of(line).unwrap_or_default();
        let empty = StateText::default();
        written(line, head, &change, self.by_ns.get(&place.ns).unwrap_or(&empty))
    }
}

/// The text before the change, and the change. `None`: the line is no state change.
fn taken_apart(line: &Bytes) -> Option<(&[u8], Change<'_>)> {
    if head(line)?.event_type != "on_state_update" {
        return None;
    }
    let at = line.windows(CHANGE.len()).position(|window| window == CHANGE)?;
    let change = line.get(at + CHANGE.len()..line.len().checked_sub(2)?)?;
    Some((line.get(..at)?, serde_json::from_slice(change).ok()?))
}

/// The members that the change touched, whole; byte for byte as [`crate::stream::state_update`] writes them.
fn written(line: &Bytes, head: &[u8], change: &Change<'_>, state: &StateText) -> Bytes {
    let mut out = Vec::with_capacity(line.len() + 1024);
    out.extend_from_slice(head);
    let raw = |out: &mut Vec<u8>, text: &str| out.extend_from_slice(text.as_bytes());
    let mut members = Vec::new();
    let mut object = Object::open(&mut members);
    if change.keep.is_some() {
        json::array(object.key("messages_json"), state.messages.iter().map(|text| &**text), raw);
    }
    if change.files.is_some() {
        let mut files = Object::open(object.key("files"));
        for (path, text) in &state.files {
            files.raw(path, text.as_bytes());
        }
        files.close();
    }
    if let Some(todos) = state.todos.as_deref().filter(|_| change.todos.is_some()) {
        object.raw("todos", todos.as_bytes());
    }
    object.close();
    if let Some(inner) = members.get(1..).filter(|inner| inner.len() > 1) {
        out.push(b',');
        out.extend_from_slice(inner);
        out.push(b'}');
    } else {
        out.extend_from_slice(b"}}");
    }
    Bytes::from(out)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use agent_executor_core::AgentLabel;
    use agent_langgraph_codec::{Encoding, FileContent, FileData, Files, Message};
    use serde_json::{Map, json};

    use super::*;
    use crate::FileForm;
    use crate::stream::{self, Common, StateChange, message_json};

    fn file(text: &str) -> Arc<FileData> {
        Arc::new(FileData {
            content: FileContent::Text(text.to_owned()),
            encoding: Some(Encoding::Utf8),
            created_at: None,
            modified_at: None,
            extra: Map::new(),
        })
    }

    const fn common(seq: u64) -> Common<'static> {
        Common { seq, job_id: "j", epoch: 1, step: 2, attempt: 1, label: None }
    }

    #[test]
    fn a_change_gives_back_the_very_update_that_was_published() {
        let messages: Vec<String> =
            ["one \n two", "\",\"change\":{"].map(|text| message_json(&Message::human(text, "id"))).to_vec();
        let files = Files::from([("/a".to_owned(), file("1")), ("/b\"".to_owned(), file("2"))]);
        let todos = json!([{ "content": "x", "status": "pending" }]);
        let mut fold = StateFold::default();
        let first = StateChange {
            begins: true,
            messages: Some((0, messages.iter().map(String::as_str).collect())),
            files: Some(files.clone()),
            gone: Vec::new(),
            todos: Some(&todos),
        };
        let whole = stream::state_update(
            &common(1),
            Some(messages.iter().map(String::as_str)),
            Some(&files),
            Some(&todos),
            FileForm::Lines,
        );
        assert_eq!(fold.apply(&stream::state_change(&common(1), &first, FileForm::Lines)), Ok(whole));

        let second = StateChange {
            begins: false,
            messages: Some((1, vec![&messages[0]])),
            files: Some(Files::from([("/c".to_owned(), file("3"))])),
            gone: vec!["/a"],
            todos: None,
        };
        let left = Files::from([("/b\"".to_owned(), file("2")), ("/c".to_owned(), file("3"))]);
        let whole = stream::state_update(
            &common(2),
            Some([&*messages[0], &*messages[0]].into_iter()),
            Some(&left),
            None,
            FileForm::Lines,
        );
        let line = stream::state_change(&common(2), &second, FileForm::Lines);
        assert_eq!(fold.apply(&line), Ok(whole.clone()));
        assert_eq!(fold.whole(&line), whole);
    }

    #[test]
    fn a_sub_agent_begins_with_the_orchestrators_files() {
        let mut fold = StateFold::default();
        let files = Files::from([("/a".to_owned(), file("1"))]);
        let root = StateChange {
            begins: true,
            messages: None,
            files: Some(files.clone()),
            gone: Vec::new(),
            todos: None,
        };
        fold.apply(&stream::state_change(&common(1), &root, FileForm::Lines)).unwrap();
        let label = AgentLabel { agent: Arc::from("s"), ns: Arc::from("tools:1") };
        let common = Common { label: Some(&label), ..common(2) };
        let begins = StateChange { files: Some(Files::new()), ..root };
        let line = stream::state_change(&common, &begins, FileForm::Lines);
        let no_messages: Option<std::iter::Empty<&str>> = None;
        let whole = stream::state_update(&common, no_messages, Some(&files), None, FileForm::Lines);
        assert_eq!(fold.apply(&line), Ok(whole));
    }

    #[test]
    fn what_the_reader_never_heard_of_is_asked_for() {
        let change = StateChange {
            begins: false,
            messages: Some((3, vec![])),
            files: None,
            gone: vec![],
            todos: None,
        };
        let line = stream::state_change(&common(9), &change, FileForm::Lines);
        let mut fold = StateFold::default();
        let unknown = fold.apply(&line).unwrap_err();
        assert_eq!((unknown.place.job_id.as_str(), unknown.place.step), ("j", 2));
        let text = message_json(&Message::human("hi", "id"));
        fold.put("", StateText { messages: vec![text.clone().into_boxed_str()], ..StateText::default() });
        let none: (Option<&Files>, _) = (None, None);
        let whole =
            stream::state_update(&common(9), Some([&*text].into_iter()), none.0, none.1, FileForm::Lines);
        assert_eq!(fold.whole(&line), whole);
    }

    #[test]
    fn rows_are_lines_and_heads_are_read_without_parsing() {
        let end = stream::end(&common(41), true);
        let text = stream::llm_stream(&common(42), "a\nb", None, "model", "m", None);
        let row = join([&end, &text]);
        assert_eq!(split(&row).collect::<Vec<_>>(), [end.clone(), text.clone()]);
        assert_eq!(head(&end), Some(Head { event_type: "end", seq: 41 }));
        assert_eq!(head(b"{\"event_type\":\"x\"}"), None);
        assert!(data(&text).unwrap().starts_with(b"{\"seq\":42,"));
    }
}
