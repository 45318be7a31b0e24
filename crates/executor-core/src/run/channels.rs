//! Declared channels (`state_schema`): what tools, inputs and sub-agents write to them.

use std::sync::Arc;

use agent_langgraph_codec::{ChannelValue, Message};
use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{Given, Run};
use crate::definition::{Channels, FieldPath, Reducer};
use crate::effect::AgentId;
use crate::graph::{Graph, TaskOutput, Write};
use crate::ids::Ids;
use crate::input::{self, InputError};

/// Values for those channels that the agent declares, in their channel's form. The others have no place, as in
/// Python, where unknown keys of an update vanish.
///
/// # Errors
/// [`InputError`]: a channel of messages was given something else.
pub(super) fn declared(
    channels: &Channels,
    values: &Map<String, Value>,
    at: &FieldPath,
    ids: &mut Ids,
) -> Result<Vec<(String, ChannelValue)>, InputError> {
    let mut declared = Vec::new();
    for (name, value) in values {
        let value = match channels.get(name) {
            None => continue,
            Some(Reducer::Messages) if !value.is_null() => {
                let messages = input::messages(value, &at.member(name), &mut || ids.uuid())?;
                ChannelValue::Messages(messages.into_iter().map(Arc::new).collect())
            }
            Some(Reducer::Last | Reducer::Append | Reducer::Messages) => ChannelValue::Json(value.clone()),
        };
        declared.push((name.clone(), value));
    }
    Ok(declared)
}

/// What a sub-agent with these channels gets from its parent.
pub(super) fn given(parent: &Graph, channels: &Channels) -> Given {
    let values = channels.keys().filter_map(|name| Some((name.clone(), parent.values.get(name)?.clone())));
    Given { files: parent.files.clone(), values: values.collect() }
}

/// What a sub-agent changed in its channels, as writes to the parent's.
pub(super) fn changed(
    given: &IndexMap<String, ChannelValue>,
    graph: &Graph,
    channels: &Channels,
) -> Vec<Write> {
    let mut writes = Vec::new();
    for (name, reducer) in channels {
        let Some(now) = graph.values.get(name) else { continue };
        let before = given.get(name);
        if before == Some(now) {
            continue;
        }
        let value = match (reducer, before, now) {
            // The parent's list grows by what is new, not by the whole list once more.
            (
                Reducer::Append,
                Some(ChannelValue::Json(Value::Array(before))),
                ChannelValue::Json(Value::Array(now)),
            ) if now.starts_with(before) => {
                ChannelValue::Json(Value::Array(now.get(before.len()..).unwrap_or_default().to_vec()))
            }
            (Reducer::Messages, Some(ChannelValue::Messages(before)), ChannelValue::Messages(now)) => {
                ChannelValue::Messages(with_removals(before, now))
            }
            (Reducer::Last | Reducer::Append | Reducer::Messages, _, _) => now.clone(),
        };
        writes.push(Write::Value(name.clone(), value));
    }
    writes
}

/// Messages that are new or changed, and a removal for each that is gone.
fn with_removals(before: &[Arc<Message>], now: &[Arc<Message>]) -> Vec<Arc<Message>> {
    let gone = before.iter().filter(|old| !now.iter().any(|message| message.id == old.id));
    let removals = gone.filter_map(|old| Some(Arc::new(Message::remove(old.id.as_deref()?))));
    let changed = now.iter().filter(|message| !before.contains(message)).cloned();
    removals.chain(changed).collect()
}

impl Run {
    /// Notes for the log where two calls of a round write one place: the later call wins.
    pub(super) fn note_overwrites(&mut self, id: AgentId, outputs: &[TaskOutput], channels: &Channels) {
        let mut written: IndexMap<(&str, &str), usize> = IndexMap::new();
        let mut found: Vec<String> = Vec::new();
        for (call, output) in outputs.iter().enumerate() {
            let mut note = |kind, place| {
                if written.insert((kind, place), call).is_some_and(|earlier| earlier != call) {
                    found.push(format!(
                        "{kind} `{place}` was written by two calls of one step; the later one stands"
                    ));
                }
            };
            for write in &output.writes {
                match write {
                    Write::Files(files) => files.iter().for_each(|(path, _)| note("file", path)),
                    Write::Value(name, _) if channels.get(name).is_none_or(|it| *it == Reducer::Last) => {
                        note("channel", name);
                    }
                    Write::Value(..)
                    | Write::Messages(_)
                    | Write::Send(_)
                    | Write::Branch(_)
                    | Write::NoWrites => {}
                }
            }
        }
        for message in found {
            self.note(id, "state.overwritten", message);
        }
    }
}
