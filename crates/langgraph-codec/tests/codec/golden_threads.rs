//! Each recorded thread loaded from its rows gives what LangGraph's `get_state` said about it.

use agent_langgraph_codec::{
    ChannelValue, GraphState, Message, Metadata, Rows, TaskKind, decode_json, encode_message, load_graph,
};
use serde_json::{Map, Value, json};

use crate::examples::{Example, all, text};

fn root(example: &Example) -> GraphState {
    load_graph(&example.rows, "").unwrap().unwrap()
}

/// The message with those of its fields that the recording shows.
fn shown(message: &Message, like: &Value) -> Value {
    let fields = decode_json("msgpack", &encode_message(message)).unwrap();
    like.as_object()
        .unwrap()
        .keys()
        .map(|key| (key.clone(), fields[key].clone()))
        .collect::<Map<_, _>>()
        .into()
}

fn plain(value: &ChannelValue) -> Value {
    value.to_json().unwrap()
}

#[test]
fn every_thread_has_the_recorded_messages_files_and_values() {
    let mut count = 0;
    for example in all() {
        let (messages, files, values) = root(&example).current().unwrap();
        let recorded = example.get_state["values"].as_object().unwrap();
        let expected = recorded["messages"].as_array().unwrap();
        assert_eq!(messages.len(), expected.len(), "{}", example.name);
        for (message, expected) in messages.iter().zip(expected) {
            assert_eq!(&shown(message, expected), expected, "{}", example.name);
        }
        let expected = recorded["files"].as_object().unwrap();
        assert!(files.keys().eq(expected.keys()), "{}", example.name);
        let bytes = agent_langgraph_codec::encode_files_map(&files);
        assert_eq!(decode_json("msgpack", &bytes).unwrap(), recorded["files"], "{}", example.name);
        for (channel, value) in
            recorded.iter().filter(|(name, _)| !matches!(name.as_str(), "messages" | "files"))
        {
            let found = plain(&values[channel]);
            match channel.as_str() {
                "_summarization_event" => assert_eq!(found["cutoff_index"], value["cutoff_index"]),
                _ => assert_eq!(&found, value, "{channel} of {}", example.name),
            }
        }
        assert_eq!(values.len() + 2, recorded.len(), "{}: {:?}", example.name, values.keys());
        count += 1;
    }
    println!("{count} threads read as LangGraph reads them");
}

#[test]
fn every_thread_has_the_recorded_next_nodes_and_tasks() {
    let mut tasks = 0;
    for example in all() {
        let state = root(&example);
        assert_eq!(json!(state.next()), example.get_state["next"], "{}", example.name);
        for recorded in example.get_state["tasks"].as_array().unwrap() {
            let task = state.tasks.iter().find(|task| task.id == text(recorded, "id")).unwrap();
            assert_eq!(task.node, recorded["name"]);
            let path = match task.kind {
                TaskKind::Pull => json!(["__pregel_pull", task.node]),
                TaskKind::Push(at) => json!(["__pregel_push", at, false]),
            };
            assert_eq!(path, recorded["path"]);
            let asked: Vec<Value> = state
                .interrupts_of(&task.id)
                .unwrap()
                .into_iter()
                .map(|one| json!({"value": one.value, "id": one.id, "response_schema": one.response_schema}))
                .collect();
            assert_eq!(json!(asked), recorded["interrupts"], "{}", example.name);
            assert_eq!(task.interrupted, !asked.is_empty(), "{}", example.name);
            let error = state.error_of(&task.id).unwrap();
            // The recording shows the error's own text between quotes.
            assert_eq!(
                json!(error.map(|error| json!(error).to_string())),
                recorded["error"],
                "{}",
                example.name
            );
            tasks += 1;
        }
    }
    println!("{tasks} tasks of half-done threads found");
}

#[test]
fn metadata_reads_and_writes_the_same_object() {
    for example in all() {
        for row in &example.rows.checkpoints {
            let metadata = Metadata::from_json(&row.metadata).unwrap();
            let written: Value = serde_json::from_str(&metadata.to_json()).unwrap();
            let mut recorded: Value = serde_json::from_str(&row.metadata).unwrap();
            // The stub of exit mode has none; we always write the key.
            recorded.as_object_mut().unwrap().entry("parents").or_insert_with(|| json!({}));
            assert_eq!(written, recorded, "{}", example.name);
        }
        assert_eq!(root(&example).metadata.step, example.get_state["metadata"]["step"].as_i64().unwrap());
    }
}

#[test]
fn sub_agents_load_from_their_own_namespace() {
    let mut count = 0;
    for example in all() {
        let mut namespaces: Vec<_> = example.rows.checkpoints.iter().map(|row| row.ns.clone()).collect();
        namespaces.dedup();
        namespaces.retain(|ns| !ns.is_empty());
        for ns in namespaces {
            let state = load_graph(&example.rows, &ns).unwrap().unwrap();
            assert_eq!(state.messages[0].type_name(), "human", "{} {ns}", example.name);
            assert!(state.metadata.parents.contains_key(""), "{} {ns}", example.name);
            let open = matches!(&example.name[..2], "16" | "18");
            assert_eq!(state.next().is_empty(), !open, "{} {ns}", example.name);
            count += 1;
        }
    }
    println!("{count} sub-agents' namespaces loaded");
}

#[test]
fn row_order_does_not_matter() {
    for example in all() {
        let mut rows = example.rows.clone();
        rows.checkpoints.reverse();
        rows.blobs.reverse();
        rows.writes.reverse();
        assert_eq!(
            load_graph(&rows, "").unwrap(),
            load_graph(&example.rows, "").unwrap(),
            "{}",
            example.name
        );
    }
}

/// The smaller set of rows that the documentation of `load_graph` asks for, without history before snapshots.
fn needed(rows: &Rows, ns: &str) -> Rows {
    let mut own: Vec<_> = rows.checkpoints.iter().filter(|row| &*row.ns == ns).cloned().collect();
    own.sort_by(|a, b| a.checkpoint_id.cmp(&b.checkpoint_id));
    let head = own.last().unwrap().clone();
    let version = |row: &agent_langgraph_codec::CheckpointRow, channel: &str| {
        let checkpoint: Value = serde_json::from_str(&row.checkpoint).unwrap();
        checkpoint["channel_versions"][channel].as_str().map(str::to_owned)
    };
    let has_blob = |row: &agent_langgraph_codec::CheckpointRow, channel: &str| {
        let version = version(row, channel);
        rows.blobs
            .iter()
            .any(|blob| &*blob.ns == ns && blob.channel == channel && Some(&blob.version) == version.as_ref())
    };
    let (mut chain, mut open) = (vec![head.clone()], vec!["messages", "files"]);
    open.retain(|channel| !has_blob(&head, channel));
    while let Some(parent) = chain.last().unwrap().parent_checkpoint_id.clone().filter(|_| !open.is_empty()) {
        let row = own.iter().find(|row| row.checkpoint_id == parent).unwrap().clone();
        open.retain(|channel| !has_blob(&row, channel));
        chain.push(row);
    }
    let blob_wanted = |blob: &agent_langgraph_codec::BlobRow| {
        &*blob.ns == ns
            && chain.iter().enumerate().any(|(at, row)| {
                version(row, &blob.channel).as_ref() == Some(&blob.version)
                    && (at == 0 || matches!(blob.channel.as_str(), "messages" | "files"))
            })
    };
    let write_wanted = |write: &agent_langgraph_codec::WriteRow| {
        &*write.ns == ns
            && chain.iter().enumerate().any(|(at, row)| {
                row.checkpoint_id == write.checkpoint_id
                    && (at == 0 || matches!(write.channel.as_str(), "messages" | "files"))
            })
    };
    let blobs = rows.blobs.iter().filter(|blob| blob_wanted(blob)).cloned().collect();
    let writes = rows.writes.iter().filter(|write| write_wanted(write)).cloned().collect();
    Rows { checkpoints: chain, blobs, writes }
}

#[test]
fn the_documented_smaller_set_of_rows_is_enough() {
    for example in all() {
        let some = needed(&example.rows, "");
        assert_eq!(
            load_graph(&some, "").unwrap(),
            load_graph(&example.rows, "").unwrap(),
            "{}",
            example.name
        );
        println!("{}: {} of {} write rows", example.name, some.writes.len(), example.rows.writes.len());
    }
}

#[test]
fn a_namespace_without_checkpoints_has_no_state() {
    assert_eq!(load_graph(&Rows::default(), "").unwrap(), None);
}
