//! How writes become a channel's value: the reducers of `messages` and `files`.

use std::collections::HashMap;
use std::sync::Arc;

use crate::decode::{FilesWrite, MessagesWrite};
use crate::file::Files;
use crate::message::{Kind, Message};

/// Up to this many written messages the ids are searched for; from then on they are indexed.
const SEARCHED: usize = 4;

/// Where each id stands in a list of messages. Keep it beside a long list to make every fold
/// independent of the list's length; it must have been built from, or folded along with, that very list.
#[derive(Debug, Clone, Default)]
pub struct MessageIndex {
    places: HashMap<String, usize>,
}

impl MessageIndex {
    /// Indexes the list. Of equal ids the last place counts.
    pub fn of(messages: &[Arc<Message>]) -> Self {
        let places = messages.iter().enumerate().filter_map(|(at, message)| Some((message.id.clone()?, at)));
        Self { places: places.collect() }
    }

    /// The place of the message with this id.
    pub fn place(&self, id: &str) -> Option<usize> {
        self.places.get(id).copied()
    }
}

/// A sub-agent's reducer was told to remove a message that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot remove the message `{id}`: there is none with this id")]
pub struct UnknownRemoval {
    /// The id that was to be removed.
    pub id: String,
}

/// Folds writes of the delta channel `messages` (main agent), oldest first: an unknown or missing id
/// appends, a known one replaces in place, a removal removes (of an unknown id: nothing), and
/// [`Message::REMOVE_ALL`] empties the list. An Overwrite replaces the list as it is.
pub fn fold_messages(base: &mut Vec<Arc<Message>>, writes: impl IntoIterator<Item = MessagesWrite>) {
    let mut index: Option<MessageIndex> = None;
    let mut searched = 0;
    for write in writes {
        searched += write.messages.len();
        match &mut index {
            Some(index) => fold_one(base, index, write),
            None if write.overwrite => *base = write.messages,
            None if searched <= SEARCHED && !removes(&write.messages) => {
                write.messages.into_iter().for_each(|message| search_and_put(base, message));
            }
            None => fold_one(base, index.insert(MessageIndex::of(base)), write),
        }
    }
}

/// [`fold_messages`] with an index that lives as long as the list: appending or replacing takes the same
/// time however long the list is. A removal costs one pass.
pub fn fold_messages_indexed(
    base: &mut Vec<Arc<Message>>,
    index: &mut MessageIndex,
    writes: impl IntoIterator<Item = MessagesWrite>,
) {
    writes.into_iter().for_each(|write| fold_one(base, index, write));
}

fn removes(messages: &[Arc<Message>]) -> bool {
    messages.iter().any(|message| matches!(message.kind, Kind::Remove))
}

/// New messages are at the end far more often than not, so is a replaced one.
fn search_and_put(base: &mut Vec<Arc<Message>>, message: Arc<Message>) {
    let known =
        message.id.as_deref().and_then(|id| base.iter().rposition(|old| old.id.as_deref() == Some(id)));
    match known.and_then(|at| base.get_mut(at)) {
        Some(old) => *old = message,
        None => base.push(message),
    }
}

fn fold_one(base: &mut Vec<Arc<Message>>, index: &mut MessageIndex, write: MessagesWrite) {
    if write.overwrite {
        *base = write.messages;
        *index = MessageIndex::of(base);
        return;
    }
    let mut messages = write.messages;
    if let Some(last) = messages.iter().rposition(|message| message.removes_all()) {
        messages.drain(..=last);
        base.clear();
        index.places.clear();
    }
    let mut removed = Vec::new();
    for message in messages {
        let known = message.id.as_deref().and_then(|id| index.place(id));
        match (&message.kind, &message.id, known) {
            (Kind::Remove, Some(id), Some(at)) => {
                index.places.remove(id);
                removed.push(at);
            }
            (Kind::Remove, Some(_), None) => {}
            (_, _, Some(at)) => {
                if let Some(old) = base.get_mut(at) {
                    *old = message;
                }
            }
            (_, id, None) => {
                if let Some(id) = id {
                    index.places.insert(id.clone(), base.len());
                }
                base.push(message);
            }
        }
    }
    if !removed.is_empty() {
        drop_places(base, removed);
        *index = MessageIndex::of(base);
    }
}

fn drop_places(base: &mut Vec<Arc<Message>>, mut places: Vec<usize>) {
    places.sort_unstable();
    let mut at = 0;
    base.retain(|_| {
        let keep = places.binary_search(&at).is_err();
        at += 1;
        keep
    });
}

/// Folds one write with a sub-agent's reducer (`add_messages`). As [`fold_messages`], except: a removal of
/// an unknown id is an error, a message removed and written again in one write keeps its old place, and
/// what follows [`Message::REMOVE_ALL`] becomes the list unchanged.
///
/// # Errors
/// [`UnknownRemoval`]; then the list is as before.
pub fn add_messages(base: &mut Vec<Arc<Message>>, write: MessagesWrite) -> Result<(), UnknownRemoval> {
    let mut messages = write.messages;
    if write.overwrite {
        *base = messages;
        return Ok(());
    }
    if let Some(last) = messages.iter().rposition(|message| message.removes_all()) {
        *base = messages.split_off(last + 1);
        return Ok(());
    }
    if messages.len() <= SEARCHED && !removes(&messages) {
        messages.into_iter().for_each(|message| search_and_put(base, message));
        return Ok(());
    }
    let mut merged = base.clone();
    let mut index = MessageIndex::of(&merged);
    let mut removed: Vec<usize> = Vec::new();
    for message in messages {
        let known = message.id.as_deref().and_then(|id| index.place(id));
        match (matches!(message.kind, Kind::Remove), known) {
            (true, Some(at)) => removed.push(at),
            (true, None) => return Err(UnknownRemoval { id: message.id.clone().unwrap_or_default() }),
            (false, Some(at)) => {
                removed.retain(|gone| *gone != at);
                if let Some(old) = merged.get_mut(at) {
                    *old = message;
                }
            }
            (false, None) => {
                if let Some(id) = &message.id {
                    index.places.insert(id.clone(), merged.len());
                }
                merged.push(message);
            }
        }
    }
    if !removed.is_empty() {
        drop_places(&mut merged, removed);
    }
    *base = merged;
    Ok(())
}

/// Folds writes of the delta channel `files`, oldest first: per path a deletion removes, anything else
/// replaces in place or appends. An Overwrite replaces everything.
pub fn fold_files(base: &mut Files, writes: impl IntoIterator<Item = FilesWrite>) {
    for write in writes {
        if write.overwrite {
            base.clear();
        }
        for (path, file) in write.files {
            match file {
                Some(file) => {
                    base.insert(path, file);
                }
                None => {
                    base.shift_remove(&path);
                }
            }
        }
    }
}
