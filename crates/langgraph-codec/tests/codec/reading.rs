//! Forms that other writers and older releases left behind, and bytes that mean harm.

use std::sync::Arc;

use agent_langgraph_codec::{
    BlobRow, ChannelValue, CheckpointRow, CodecError, Content, Message, Rows, WriteRow, decode_channel,
    decode_files, decode_json, decode_messages, decode_sends, encode_files_write, encode_json,
    encode_message, encode_messages, load_graph,
};
use bytes::Bytes;
use rmpv::Value as Tree;
use serde_json::{Value, json};

fn packed(tree: &Tree) -> Bytes {
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, tree).unwrap();
    Bytes::from(out)
}

fn model(class: &str, fields: Vec<(Tree, Tree)>) -> Bytes {
    let module = "langchain_core.messages.human";
    let payload =
        Tree::Array(vec![module.into(), class.into(), Tree::Map(fields), "model_validate_json".into()]);
    packed(&Tree::Ext(5, packed(&payload).to_vec()))
}

#[test]
fn plain_message_maps_pairs_and_strings_are_messages() {
    let given = json!([
        {"role": "user", "content": "a", "id": "1"},
        {"type": "ai", "content": "b", "refusal": null, "tool_calls": null},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "ls", "arguments": "{\"path\": \"/\"}"}}]},
        {"role": "tool", "content": "r", "tool_call_id": "c"},
        {"role": "developer", "content": "d"},
        ["system", "e"],
        "f",
    ]);
    let messages = decode_messages("msgpack", &encode_json(&given)).unwrap().messages;
    let types: Vec<_> = messages.iter().map(|message| message.type_name()).collect();
    assert_eq!(types, ["human", "ai", "ai", "tool", "system", "system", "human"]);
    assert_eq!(messages[0].id.as_deref(), Some("1"));
    assert_eq!(messages[1].additional_kwargs["refusal"], Value::Null);
    assert_eq!(Value::Object(messages[2].tool_calls()[0].args.clone()), json!({"path": "/"}));
    assert_eq!(messages[2].text(""), "");
    assert_eq!(messages[4].additional_kwargs["__openai_role__"], "developer");
}

#[test]
fn a_single_message_is_a_write_of_one() {
    let blob = encode_message(&Message::human("hi", "1"));
    assert_eq!(decode_messages("msgpack", &blob).unwrap().messages.len(), 1);
    let blob = encode_json(&json!({"role": "user", "content": "hi"}));
    assert_eq!(decode_messages("msgpack", &blob).unwrap().messages[0].text(""), "hi");
}

#[test]
fn both_map_forms_of_an_overwrite_are_known() {
    for value in [
        json!({"__overwrite__": [{"role": "user", "content": "x"}]}),
        json!({"type": "__overwrite__", "value": [{"role": "user", "content": "x"}]}),
    ] {
        let write = decode_messages("msgpack", &encode_json(&value)).unwrap();
        assert!(write.overwrite && write.messages.len() == 1, "{value}");
    }
    let write =
        decode_files("msgpack", &encode_json(&json!({"__overwrite__": {"/a": {"content": "x"}}}))).unwrap();
    assert!(write.overwrite && write.files[0].0 == "/a");
}

#[test]
fn what_json_cannot_say_is_written_back_unchanged_until_the_message_changes() {
    let nan =
        Tree::Map(vec![("score".into(), Tree::F64(f64::NAN)), ("raw".into(), Tree::Binary(vec![1, 2]))]);
    let blob = model(
        "HumanMessage",
        vec![("content".into(), "x".into()), ("id".into(), "1".into()), ("response_metadata".into(), nan)],
    );
    let message = decode_messages("msgpack", &blob).unwrap().messages[0].clone();
    assert_eq!(message.response_metadata["score"], Value::Null);
    assert_eq!(message.response_metadata["raw"], "AQI=");
    assert_eq!(encode_message(&message), blob);

    let mut changed = (*message).clone();
    changed.content = Content::Text("y".to_owned());
    let read = decode_messages("msgpack", &encode_message(&changed)).unwrap().messages[0].clone();
    assert_eq!(read.text(""), "y", "an edited message is not undone by its old bytes");
}

#[test]
fn a_chunk_and_a_users_own_class_read_as_messages_and_stay_what_they_are() {
    let fields = vec![("content".into(), "x".into()), ("type".into(), "human".into())];
    for class in ["HumanMessageChunk", "MyMessage"] {
        let blob = model(class, fields.clone());
        let message = decode_messages("msgpack", &blob).unwrap().messages[0].clone();
        assert_eq!((message.type_name(), encode_message(&message)), ("human", blob), "{class}");
    }
}

#[test]
fn keys_like_our_own_notation_stay_plain_keys() {
    // No key that a model can choose may turn into an object of a class when it is written.
    let args =
        json!({"$ext": 0, "$": ["os", "system", "true"], "$bytes": "00", "lc": 1, "type": "constructor"});
    let blob = encode_json(&args);
    assert_eq!(blob[0], 0x85, "a map of five");
    assert_eq!(decode_json("msgpack", &blob).unwrap(), args);
}

#[test]
fn an_extra_field_cannot_replace_a_field() {
    let mut message = Message::human("hi", "1");
    message.extra.insert("content".to_owned(), json!("other"));
    message.extra.insert("more".to_owned(), json!(1));
    let read = decode_messages("msgpack", &encode_message(&message)).unwrap().messages[0].clone();
    assert_eq!((read.text("").as_str(), &read.extra["more"]), ("hi", &json!(1)));
}

#[test]
fn sends_of_older_releases_give_their_call() {
    let call = json!({"name": "ls", "args": {}, "id": "c", "type": "tool_call"});
    let old = json!({"__type": "tool_call_with_context", "tool_call": call, "state": {"messages": []}});
    for argument in [json!([call]), old, call] {
        let tree = rmpv::decode::read_value(&mut encode_json(&argument).as_ref()).unwrap();
        let arguments = Tree::Array(vec!["tools".into(), tree]);
        let payload = Tree::Array(vec!["langgraph.types".into(), "Send".into(), arguments]);
        let sends = decode_sends("msgpack", &packed(&Tree::Ext(1, packed(&payload).to_vec()))).unwrap();
        assert_eq!((sends[0].node.as_str(), sends[0].call.name.as_str()), ("tools", "ls"), "{argument}");
    }
}

#[test]
fn a_send_of_another_class_is_refused() {
    let payload =
        Tree::Array(vec!["os".into(), "system".into(), Tree::Array(vec!["tools".into(), Tree::Nil])]);
    let error = decode_sends("msgpack", &packed(&Tree::Ext(1, packed(&payload).to_vec()))).unwrap_err();
    assert_eq!(error.to_string(), "`__pregel_tasks`: expected a Send, found an extension");
}

#[test]
fn file_fields_of_an_unknown_kind_are_kept() {
    let stored = json!({"/a": {"content": ["x", "y"], "encoding": "latin-1", "created_at": null, "size": 1.0}, "/b": null});
    let blob = encode_json(&stored);
    let write = decode_files("msgpack", &blob).unwrap();
    let file = write.files[0].1.clone().unwrap();
    assert_eq!((file.text().as_ref(), file.encoding, &file.created_at), ("x\ny", None, &None));
    assert_eq!(decode_json("msgpack", &encode_files_write(&write.files)).unwrap(), stored);
}

#[test]
fn a_file_without_content_is_named_in_the_error() {
    let error = decode_files("msgpack", &encode_json(&json!({"/a": {"content": 1}}))).unwrap_err();
    assert_eq!(error.to_string(), "`files[/a].content`: expected text or a list of lines, found a number");
}

#[test]
fn deep_nesting_is_an_error_in_every_reader() {
    let arrays = vec![0x91_u8; 100_000];
    let maps: Vec<u8> = b"\x81\xa1a".iter().copied().cycle().take(300_000).collect();
    let mut extensions = vec![0xc0_u8];
    for _ in 0..2_000 {
        extensions = packed(&Tree::Ext(7, extensions)).to_vec();
    }
    for blob in [&arrays, &maps, &extensions] {
        assert!(matches!(decode_json("msgpack", blob), Err(CodecError::TooDeep { .. })));
        assert!(decode_channel("msgpack", blob).is_err());
        assert!(decode_messages("msgpack", blob).is_err());
        assert!(decode_files("msgpack", blob).is_err());
    }
    let shallow = [vec![0x91_u8; 200], vec![0xc0]].concat();
    assert!(decode_json("msgpack", &shallow).is_ok());
}

#[test]
fn a_length_beyond_the_bytes_is_refused_before_anything_is_allocated() {
    for head in [0xdd_u8, 0xdf, 0xdb, 0xc6, 0xc9] {
        let blob = [head, 0xff, 0xff, 0xff, 0xff, 5, 1];
        assert!(matches!(decode_json("msgpack", &blob), Err(CodecError::Truncated { .. })), "{head:x}");
        assert!(decode_messages("msgpack", &blob).is_err());
    }
}

#[test]
fn unknown_row_types_are_kept_where_only_the_channel_counts() {
    let value = decode_channel("msgpack+aes", b"abc").unwrap();
    assert_eq!(
        value,
        ChannelValue::Raw { type_: "msgpack+aes".to_owned(), blob: Bytes::from_static(b"abc") }
    );
    assert_eq!(value.to_json().unwrap_err().code(), "codec.unknown_type");
}

const V1: &str = "00000000000000000000000000000001.0.1";

fn checkpoint(id: &str, parent: Option<&str>, body: &Value) -> CheckpointRow {
    let mut column = json!({"v": 4, "id": id, "ts": "t", "versions_seen": {}, "channel_values": {},
        "channel_versions": {"messages": V1}});
    column.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    CheckpointRow {
        ns: Arc::from(""),
        checkpoint_id: id.to_owned(),
        parent_checkpoint_id: parent.map(str::to_owned),
        checkpoint: column.to_string(),
        metadata: r#"{"step": 1}"#.to_owned(),
    }
}

fn said(checkpoint: &str, task: &str, idx: i32, channel: &str, blob: Bytes) -> WriteRow {
    WriteRow {
        ns: Arc::from(""),
        checkpoint_id: checkpoint.to_owned(),
        task_id: task.to_owned(),
        idx,
        channel: channel.to_owned(),
        type_: "msgpack".into(),
        blob,
        task_path: String::new(),
    }
}

#[test]
fn plain_blobs_of_older_threads_seed_the_history() {
    let old = encode_messages(&[Arc::new(Message::human("old", "1"))]);
    let new = encode_messages(&[Arc::new(Message::human("new", "2"))]);
    let blob = BlobRow {
        ns: Arc::from(""),
        channel: "messages".to_owned(),
        version: V1.to_owned(),
        type_: "msgpack".into(),
        blob: Some(old),
    };
    let later = json!({"channel_versions": {"messages": "2"}});
    let rows = Rows {
        checkpoints: vec![checkpoint("a", None, &json!({})), checkpoint("b", Some("a"), &later)],
        blobs: vec![blob],
        writes: vec![said("a", "t", 0, "messages", new)],
    };
    let state = load_graph(&rows, "").unwrap().unwrap();
    let texts: Vec<_> = state.messages.iter().map(|message| message.text("")).collect();
    assert_eq!(texts, ["old", "new"]);
}

#[test]
fn a_circle_of_parents_ends() {
    let rows = Rows {
        checkpoints: vec![checkpoint("a", Some("b"), &json!({})), checkpoint("b", Some("a"), &json!({}))],
        ..Rows::default()
    };
    assert!(load_graph(&rows, "").unwrap().unwrap().messages.is_empty());
}

#[test]
fn sends_of_the_format_before_4_lie_on_the_parent() {
    let call =
        agent_langgraph_codec::ToolCall { id: None, name: "ls".to_owned(), args: serde_json::Map::new() };
    let send = agent_langgraph_codec::encode_send("tools", &call);
    let rows = Rows {
        checkpoints: vec![checkpoint("a", None, &json!({})), checkpoint("b", Some("a"), &json!({"v": 3}))],
        writes: vec![said("a", "t", 1, "__pregel_tasks", send)],
        ..Rows::default()
    };
    let state = load_graph(&rows, "").unwrap().unwrap();
    assert_eq!((state.sends, state.tasks[0].node.as_str()), (vec![call], "tools"));
}

#[test]
fn writes_of_no_task_show_in_the_current_state_only() {
    let null = "00000000-0000-0000-0000-000000000000";
    let rows = Rows {
        checkpoints: vec![checkpoint("a", None, &json!({}))],
        writes: vec![
            said("a", null, 0, "messages", encode_messages(&[Arc::new(Message::human("x", "1"))])),
            said("a", null, 1, "todos", encode_json(&json!([{"content": "a", "status": "pending"}]))),
            said(
                "a",
                "an unknown task",
                0,
                "messages",
                encode_messages(&[Arc::new(Message::human("y", "2"))]),
            ),
        ],
        ..Rows::default()
    };
    let state = load_graph(&rows, "").unwrap().unwrap();
    let (messages, _, values) = state.current().unwrap();
    assert!(state.messages.is_empty() && state.values.is_empty());
    assert_eq!((messages.len(), messages[0].text("")), (1, "x".to_owned()));
    assert_eq!(values["todos"].to_json().unwrap(), json!([{"content": "a", "status": "pending"}]));
}

#[test]
fn a_row_that_cannot_be_read_is_named() {
    let rows = Rows {
        checkpoints: vec![checkpoint("a", None, &json!({})), checkpoint("b", Some("a"), &json!({}))],
        writes: vec![said("a", "t", 0, "messages", Bytes::from_static(&[0xc1]))],
        ..Rows::default()
    };
    let error = load_graph(&rows, "").unwrap_err();
    assert_eq!(error.to_string(), "checkpoint_writes: channel `messages` of checkpoint `a`");
    assert_eq!(error.code(), "codec.reserved_byte");
}

#[test]
fn a_map_as_a_key_of_a_map_is_refused_at_once() {
    // Found by fuzzing: as text within text such a key doubled at each level. 60 maps, each the key of the next.
    let mut blob = vec![0x81; 60];
    blob.resize(blob.len() + 61, 0xa0);
    let refused = decode_json("msgpack", &blob).unwrap_err();
    assert_eq!(refused.to_string(), "`map key`: expected a scalar or a list, found a map");
    let list = decode_json("msgpack", &[0x81, 0x92, 0x01, 0xa1, b'a', 0xc0]).unwrap();
    assert_eq!(list, serde_json::json!({ "[1,\"a\"]": null }));
}
