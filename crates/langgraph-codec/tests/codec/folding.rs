//! The reducers' laws.

use std::sync::Arc;

use agent_langgraph_codec::{
    Content, FileContent, FileData, Files, FilesWrite, Kind, Message, MessageIndex, MessagesWrite,
    add_messages, fold_files, fold_messages, fold_messages_indexed,
};
use proptest::prelude::*;
use serde_json::Map;

fn said(id: &str, text: &str) -> Arc<Message> {
    Arc::new(Message::human(text, id))
}

fn gone(id: &str) -> Arc<Message> {
    Arc::new(Message::remove(id))
}

fn write(messages: &[Arc<Message>]) -> MessagesWrite {
    MessagesWrite { overwrite: false, messages: messages.to_vec() }
}

fn overwrite(messages: &[Arc<Message>]) -> MessagesWrite {
    MessagesWrite { overwrite: true, messages: messages.to_vec() }
}

fn folded(writes: &[MessagesWrite]) -> Vec<String> {
    let mut base = Vec::new();
    fold_messages(&mut base, writes.to_vec());
    texts(&base)
}

fn texts(messages: &[Arc<Message>]) -> Vec<String> {
    messages.iter().map(|message| message.text("")).collect()
}

#[test]
fn an_unknown_id_appends_and_a_known_one_replaces_in_place() {
    let writes = [write(&[said("1", "a"), said("2", "b")]), write(&[said("1", "A"), said("3", "c")])];
    assert_eq!(folded(&writes), ["A", "b", "c"]);
}

#[test]
fn messages_without_id_always_append() {
    let nameless = Arc::new(Message::new(Kind::Human, Content::Text("x".to_owned()), None));
    assert_eq!(folded(&[write(&[nameless.clone(), nameless.clone()]), write(&[nameless])]), ["x", "x", "x"]);
}

#[test]
fn removing_an_unknown_id_does_nothing() {
    assert_eq!(folded(&[write(&[said("1", "a"), gone("9")])]), ["a"]);
}

#[test]
fn a_message_removed_and_written_again_moves_to_the_end() {
    let writes = [write(&[said("1", "a"), said("2", "b")]), write(&[gone("1"), said("1", "again")])];
    assert_eq!(folded(&writes), ["b", "again"]);
}

#[test]
fn the_last_remove_all_drops_everything_before_it() {
    let all = gone(Message::REMOVE_ALL);
    let writes = [write(&[said("1", "a")]), write(&[all.clone(), said("2", "b"), all, said("3", "c")])];
    assert_eq!(folded(&writes), ["c"]);
}

#[test]
fn an_overwrite_replaces_the_list_and_later_writes_follow_it() {
    let writes = [write(&[said("1", "a")]), overwrite(&[said("2", "b")]), write(&[said("3", "c")])];
    assert_eq!(folded(&writes), ["b", "c"]);
}

#[test]
fn a_sub_agents_list_keeps_the_place_of_a_message_written_again() {
    let mut base = vec![said("1", "a"), said("2", "b")];
    add_messages(&mut base, write(&[gone("1"), said("1", "again")])).unwrap();
    assert_eq!(texts(&base), ["again", "b"]);
    add_messages(&mut base, write(&[gone("2")])).unwrap();
    assert_eq!(texts(&base), ["again"]);
    add_messages(&mut base, write(&[said("3", "c"), said("1", "A")])).unwrap();
    assert_eq!(texts(&base), ["A", "c"]);
    add_messages(&mut base, write(&[gone(Message::REMOVE_ALL), said("4", "d")])).unwrap();
    assert_eq!(texts(&base), ["d"]);
}

#[test]
fn a_sub_agents_removal_of_an_unknown_id_fails_and_changes_nothing() {
    let mut base = vec![said("1", "a")];
    let error = add_messages(&mut base, write(&[said("1", "A"), gone("zz")])).unwrap_err();
    assert_eq!(error.to_string(), "cannot remove the message `zz`: there is none with this id");
    assert_eq!(texts(&base), ["a"]);
}

fn file(text: &str) -> Option<Arc<FileData>> {
    let content = FileContent::Text(text.to_owned());
    let file = FileData { content, encoding: None, created_at: None, modified_at: None, extra: Map::new() };
    Some(Arc::new(file))
}

fn changes(files: &[(&str, Option<Arc<FileData>>)]) -> FilesWrite {
    let files = files.iter().map(|(path, file)| ((*path).to_owned(), file.clone())).collect();
    FilesWrite { overwrite: false, files }
}

#[test]
fn an_overwritten_file_keeps_its_place_and_a_created_again_one_moves_to_the_end() {
    let mut files = Files::new();
    fold_files(&mut files, [changes(&[("/a", file("1")), ("/b", file("2")), ("/c", file("3"))])]);
    fold_files(&mut files, [changes(&[("/a", file("4")), ("/b", None), ("/none", None)])]);
    fold_files(&mut files, [changes(&[("/b", file("5"))])]);
    assert!(files.keys().eq(["/a", "/c", "/b"]), "{:?}", files.keys());
    assert_eq!(files["/a"].text(), "4");
    fold_files(&mut files, [FilesWrite { overwrite: true, ..changes(&[("/z", file("6"))]) }]);
    assert!(files.keys().eq(["/z"]));
}

/// One message: a small id or none, a removal or not.
fn any_message() -> impl Strategy<Value = Arc<Message>> {
    (0..12_u8, 0..10_u8, any::<u16>()).prop_map(|(id, kind, text)| match (kind, id) {
        (0, 11) => gone(Message::REMOVE_ALL),
        (0 | 1, _) => gone(&id.to_string()),
        (2, _) => Arc::new(Message::new(Kind::Human, Content::Text(text.to_string()), None)),
        _ => said(&id.to_string(), &text.to_string()),
    })
}

fn any_writes() -> impl Strategy<Value = Vec<MessagesWrite>> {
    let one = (prop::bool::weighted(0.05), prop::collection::vec(any_message(), 0..6));
    let plain = |message: &Arc<Message>| !matches!(message.kind, Kind::Remove);
    prop::collection::vec(one, 0..12).prop_map(move |writes| {
        let write = |(overwrite, mut messages): (bool, Vec<Arc<Message>>)| {
            if overwrite {
                messages.retain(plain);
                messages.dedup_by(|a, b| a.id == b.id);
            }
            MessagesWrite { overwrite, messages }
        };
        writes.into_iter().map(write).collect()
    })
}

/// The delta reducer as the specification says it, without regard to speed.
fn model(writes: &[MessagesWrite]) -> Vec<Arc<Message>> {
    let mut list: Vec<Arc<Message>> = Vec::new();
    for write in writes {
        if write.overwrite {
            list = write.messages.clone();
            continue;
        }
        for message in &write.messages {
            let known = list.iter().rposition(|old| old.id.is_some() && old.id == message.id);
            match (message.removes_all(), matches!(message.kind, Kind::Remove), known) {
                (true, ..) => list.clear(),
                (_, true, Some(at)) => drop(list.remove(at)),
                (_, true, None) => {}
                (_, _, Some(at)) => list[at] = message.clone(),
                (_, _, None) => list.push(message.clone()),
            }
        }
    }
    list
}

proptest! {
    #[test]
    fn folding_agrees_with_the_plain_model(writes in any_writes()) {
        let mut base = Vec::new();
        fold_messages(&mut base, writes.clone());
        prop_assert_eq!(&base, &model(&writes));
    }

    #[test]
    fn folding_in_one_go_write_by_write_or_with_an_index_is_the_same(writes in any_writes()) {
        let mut at_once = Vec::new();
        fold_messages(&mut at_once, writes.clone());
        let mut one_by_one = Vec::new();
        writes.iter().for_each(|write| fold_messages(&mut one_by_one, [write.clone()]));
        prop_assert_eq!(&at_once, &one_by_one);
        let (mut indexed, mut index) = (Vec::new(), MessageIndex::default());
        writes.iter().for_each(|write| fold_messages_indexed(&mut indexed, &mut index, [write.clone()]));
        prop_assert_eq!(&at_once, &indexed);
        for message in &indexed {
            let Some(id) = &message.id else { continue };
            prop_assert_eq!(&indexed[index.place(id).unwrap()].id, &message.id);
        }
    }

    #[test]
    fn a_snapshot_in_between_changes_nothing(writes in any_writes(), at in 0..12_usize) {
        let (before, after) = writes.split_at(at.min(writes.len()));
        let mut base = Vec::new();
        fold_messages(&mut base, before.to_vec());
        fold_messages(&mut base, after.to_vec());
        prop_assert_eq!(base, model(&writes));
    }

    #[test]
    fn both_reducers_agree_where_nothing_is_removed(writes in any_writes()) {
        let (mut delta, mut list) = (Vec::new(), Vec::new());
        for mut write in writes {
            write.messages.retain(|message| !matches!(message.kind, Kind::Remove));
            add_messages(&mut list, write.clone()).unwrap();
            fold_messages(&mut delta, [write]);
        }
        prop_assert_eq!(delta, list);
    }
}
