//! What holds for every value and for arbitrary bytes.

use std::sync::{Arc, LazyLock};

use agent_langgraph_codec::{
    ChannelValue, Content, Encoding, FileContent, FileData, Files, InvalidToolCall, Kind, Message, Rows,
    Send, ToolCall, ToolStatus, decode_channel, decode_files, decode_interrupts, decode_json, decode_map,
    decode_messages, decode_sends, encode_files_map, encode_files_snapshot, encode_files_write, encode_json,
    encode_messages, encode_messages_snapshot, encode_overwrite, encode_send, encode_sends, encode_start,
    load_graph,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::examples::all;

/// The rows of the first recorded thread, read once for all cases.
static FIRST: LazyLock<Rows> =
    LazyLock::new(|| all().into_iter().next().map(|example| example.rows).unwrap_or_default());

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-300_i64..70_000).prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        (-9_i32..9).prop_map(|whole| json!(f64::from(whole))),
        any::<String>().prop_map(Value::from),
        Just(Value::from("x".repeat(300))),
    ];
    leaf.prop_recursive(4, 40, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
            prop::collection::vec((".{0,5}", inner), 0..20).prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

fn any_map() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec(("[a-z]{1,6}", any_json()), 0..4).prop_map(|entries| entries.into_iter().collect())
}

fn any_text() -> impl Strategy<Value = Option<String>> {
    prop::option::of(any::<String>())
}

fn any_call() -> impl Strategy<Value = ToolCall> {
    (any_text(), any::<String>(), any_map()).prop_map(|(id, name, args)| ToolCall { id, name, args })
}

fn any_ai() -> impl Strategy<Value = Kind> {
    let invalid = (any_text(), any_text(), any_text(), any_text())
        .prop_map(|(id, name, args, error)| InvalidToolCall { id, name, args, error });
    let usage = prop::option::of(any_map().prop_map(Value::from));
    (prop::collection::vec(any_call(), 0..3), prop::collection::vec(invalid, 0..2), usage).prop_map(
        |(tool_calls, invalid_tool_calls, usage_metadata)| Kind::Ai {
            tool_calls,
            invalid_tool_calls,
            usage_metadata,
        },
    )
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Human),
        Just(Kind::System),
        Just(Kind::Remove),
        Just(Kind::Function),
        any::<String>().prop_map(|role| Kind::Chat { role }),
        (any::<String>(), any_json(), any::<bool>()).prop_map(|(tool_call_id, artifact, fine)| Kind::Tool {
            tool_call_id,
            artifact,
            status: if fine { ToolStatus::Success } else { ToolStatus::Error },
        }),
        any_ai(),
    ]
}

fn any_message() -> impl Strategy<Value = Arc<Message>> {
    let content = prop_oneof![
        any::<String>().prop_map(Content::Text),
        prop::collection::vec(any_json(), 0..3).prop_map(Content::Blocks),
    ];
    (any_kind(), content, any_text(), any_text(), any_map(), any_map(), any_map()).prop_map(
        |(kind, content, id, name, kwargs, metadata, extra)| {
            let mut message = Message::new(kind, content, id);
            message.name = name;
            message.additional_kwargs = kwargs;
            message.response_metadata = metadata;
            message.extra = extra.into_iter().map(|(key, value)| (format!("x_{key}"), value)).collect();
            Arc::new(message)
        },
    )
}

fn any_file() -> impl Strategy<Value = Arc<FileData>> {
    let content = prop_oneof![
        any::<String>().prop_map(FileContent::Text),
        prop::collection::vec(any::<String>(), 0..4).prop_map(FileContent::Lines),
    ];
    let encoding = prop::option::of(prop_oneof![Just(Encoding::Utf8), Just(Encoding::Base64)]);
    (content, encoding, any_text(), any_text(), any_map()).prop_map(
        |(content, encoding, created_at, modified_at, extra)| {
            let extra = extra.into_iter().map(|(key, value)| (format!("x_{key}"), value)).collect();
            Arc::new(FileData { content, encoding, created_at, modified_at, extra })
        },
    )
}

fn read_all(type_: &str, blob: &[u8]) {
    drop(decode_messages(type_, blob));
    drop(decode_files(type_, blob));
    drop(decode_sends(type_, blob));
    drop(decode_interrupts(type_, blob));
    drop(decode_map(type_, blob));
    drop(decode_json(type_, blob));
    if let Ok(value) = decode_channel(type_, blob) {
        drop(value.to_json());
        drop(value.encode());
    }
}

proptest! {
    #[test]
    fn plain_values_come_back(value in any_json()) {
        let blob = encode_json(&value);
        prop_assert_eq!(decode_json("msgpack", &blob).unwrap(), value.clone());
        prop_assert_eq!(decode_channel("msgpack", &blob).unwrap(), ChannelValue::Json(value));
    }

    #[test]
    fn plain_values_are_packed_as_an_independent_packer_does(value in any_json()) {
        let mut other = Vec::new();
        rmpv::encode::write_value(&mut other, &tree(&value)).unwrap();
        prop_assert_eq!(encode_json(&value).to_vec(), other);
    }

    #[test]
    fn messages_come_back_from_every_form(messages in prop::collection::vec(any_message(), 0..4)) {
        let list = encode_messages(&messages);
        for blob in [list.clone(), encode_messages_snapshot(&messages)] {
            let write = decode_messages("msgpack", &blob).unwrap();
            prop_assert!(!write.overwrite);
            prop_assert_eq!(&write.messages, &messages);
        }
        let write = decode_messages("msgpack", &encode_overwrite(&list)).unwrap();
        prop_assert!(write.overwrite);
        prop_assert_eq!(&write.messages, &messages);
        if !messages.is_empty() {
            prop_assert_eq!(decode_channel("msgpack", &list).unwrap(), ChannelValue::Messages(messages));
        }
    }

    #[test]
    fn files_come_back_from_every_form(
        changes in prop::collection::btree_map("/[a-z]{1,8}", prop::option::of(any_file()), 0..5),
    ) {
        let changes: Vec<_> = changes.into_iter().collect();
        let write = decode_files("msgpack", &encode_files_write(&changes)).unwrap();
        prop_assert_eq!(&write.files, &changes);
        let files: Files = changes.into_iter().filter_map(|(path, file)| Some((path, file?))).collect();
        for blob in [encode_files_map(&files), encode_files_snapshot(&files)] {
            let read = decode_files("msgpack", &blob).unwrap().files;
            let read: Files = read.into_iter().map(|(path, file)| (path, file.unwrap())).collect();
            prop_assert_eq!(&read, &files);
        }
    }

    #[test]
    fn sends_come_back(calls in prop::collection::vec(any_call(), 0..4), node in any::<String>()) {
        let sends: Vec<_> = calls.iter().map(|call| Send { node: node.clone(), call: call.clone() }).collect();
        prop_assert_eq!(decode_sends("msgpack", &encode_sends(&node, &calls)).unwrap(), sends.clone());
        for send in sends {
            prop_assert_eq!(decode_sends("msgpack", &encode_send(&node, &send.call)).unwrap(), vec![send]);
        }
    }

    #[test]
    fn input_comes_back(input in any_map()) {
        let read = decode_json("msgpack", &encode_start(&input)).unwrap();
        prop_assert_eq!(read, Value::Object(input));
    }

    #[test]
    fn arbitrary_bytes_never_panic(blob in prop::collection::vec(any::<u8>(), 0..200)) {
        for type_ in ["msgpack", "json", "bytes", "null", "other"] {
            read_all(type_, &blob);
        }
    }

    #[test]
    fn damaged_messages_never_panic(
        messages in prop::collection::vec(any_message(), 1..3), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut blob = encode_messages_snapshot(&messages).to_vec();
        let at = at.index(blob.len());
        blob[at] = byte;
        read_all("msgpack", &blob);
        read_all("msgpack", &blob[..at]);
    }

    #[test]
    fn arbitrary_columns_never_panic(checkpoint in any_json(), metadata in ".{0,40}") {
        let mut rows = FIRST.clone();
        for row in &mut rows.checkpoints {
            row.checkpoint = checkpoint.to_string();
            row.metadata.clone_from(&metadata);
        }
        drop(load_graph(&rows, ""));
    }
}

fn tree(value: &Value) -> rmpv::Value {
    match value {
        Value::Null => rmpv::Value::Nil,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(value), _) => value.into(),
            (None, Some(value)) => value.into(),
            (None, None) => number.as_f64().unwrap().into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => rmpv::Value::Array(items.iter().map(tree).collect()),
        Value::Object(map) => {
            rmpv::Value::Map(map.iter().map(|(key, value)| (key.as_str().into(), tree(value))).collect())
        }
    }
}
