//! Every stored value decoded to its type and encoded again: the same bytes as Python's.

use std::collections::BTreeMap;

use agent_langgraph_codec::{
    ChannelValue, decode_channel, decode_files, decode_interrupts, decode_json, decode_map, decode_messages,
    decode_sends, empty_list, encode_files_map, encode_files_snapshot, encode_files_write, encode_interrupts,
    encode_json, encode_map, encode_message, encode_messages, encode_messages_snapshot, encode_overwrite,
    encode_send, encode_sends, encode_start_state,
};
use bytes::Bytes;
use serde_json::Value;

use crate::examples::{all, hex, text, unhex, vectors};

const SNAPSHOT: u8 = 7;

/// Whether the value is an extension with this code.
fn is_ext(blob: &[u8], code: u8) -> bool {
    match blob {
        [0xd4..=0xd8, found, ..] => *found == code,
        [0xc7, _, found, ..] => *found == code,
        [0xc8, _, _, found, ..] => *found == code,
        [0xc9, _, _, _, _, found, ..] => *found == code,
        _ => false,
    }
}

/// The value of a channel, by way of its typed form.
fn again(channel: &str, ns: &str, blob: &Bytes) -> Bytes {
    match channel {
        "messages" if is_ext(blob, SNAPSHOT) => {
            encode_messages_snapshot(&decode_messages("msgpack", blob).unwrap().messages)
        }
        "messages" => encode_messages(&decode_messages("msgpack", blob).unwrap().messages),
        "files" if is_ext(blob, SNAPSHOT) => encode_files_snapshot(&files(blob)),
        "files" => encode_files_write(&decode_files("msgpack", blob).unwrap().files),
        "__pregel_tasks" => {
            let sends = decode_sends("msgpack", blob).unwrap();
            let calls: Vec<_> = sends.iter().map(|send| send.call.clone()).collect();
            match sends.first() {
                None => empty_list(),
                Some(send) if is_ext(blob, 1) => encode_send(&send.node, &send.call),
                Some(send) => encode_sends(&send.node, &calls),
            }
        }
        "__interrupt__" => encode_interrupts(&decode_interrupts("msgpack", blob).unwrap()),
        "__start__" if !ns.is_empty() => {
            let entries = decode_map("msgpack", blob).unwrap();
            let entry = |key: &str| entries.iter().find(|(name, _)| name == key).unwrap().1.clone();
            let messages = decode_messages("msgpack", &entry("messages")).unwrap().messages;
            encode_start_state(Some(&files(&entry("files"))), &messages, &[])
        }
        // A caller may hand in message objects; then the input is no plain JSON.
        "__start__" if matches!(decode_channel("msgpack", blob).unwrap(), ChannelValue::Raw { .. }) => {
            let entries = decode_map("msgpack", blob).unwrap();
            let packed: Vec<(&str, Bytes)> = entries
                .iter()
                .map(|(key, value)| match key.as_str() {
                    "messages" => {
                        (key.as_str(), encode_messages(&decode_messages("msgpack", value).unwrap().messages))
                    }
                    _ => (key.as_str(), encode_json(&json_only(key, value))),
                })
                .collect();
            encode_map(&packed)
        }
        "_summarization_event" => {
            let entries = decode_map("msgpack", blob).unwrap();
            let packed: Vec<(&str, Bytes)> =
                entries.iter().map(|(key, value)| (key.as_str(), part(key, value))).collect();
            encode_map(&packed)
        }
        _ => encode_json(&json_only(channel, blob)),
    }
}

fn part(key: &str, value: &Bytes) -> Bytes {
    match key {
        "summary_message" => encode_message(&decode_messages("msgpack", value).unwrap().messages[0]),
        _ => encode_json(&json_only(key, value)),
    }
}

fn json_only(channel: &str, blob: &Bytes) -> Value {
    match decode_channel("msgpack", blob).unwrap() {
        ChannelValue::Json(value) => value,
        other => panic!("{channel} is not plain: {other:?}"),
    }
}

fn files(blob: &Bytes) -> agent_langgraph_codec::Files {
    let write = decode_files("msgpack", blob).unwrap();
    write.files.into_iter().map(|(path, file)| (path, file.unwrap())).collect()
}

#[test]
fn every_stored_value_of_every_example_is_written_again_byte_for_byte() {
    let (mut values, mut by_channel) = (0, BTreeMap::<String, usize>::new());
    for example in all() {
        let blobs = example
            .rows
            .blobs
            .iter()
            .map(|row| (&row.channel, &row.ns, &row.type_, row.blob.as_ref().unwrap()));
        let writes = example.rows.writes.iter().map(|row| (&row.channel, &row.ns, &row.type_, &row.blob));
        for (channel, ns, type_, blob) in blobs.chain(writes) {
            if type_ == "null" {
                let value = decode_channel(type_, blob).unwrap();
                assert_eq!(value, ChannelValue::Json(Value::Null));
                assert_eq!(value.encode(), ("null".into(), Bytes::new()));
                continue;
            }
            assert_eq!(type_, "msgpack");
            assert_eq!(hex(&again(channel, ns, blob)), hex(blob), "{channel} of {}", example.name);
            let value = decode_channel(type_, blob).unwrap();
            assert_eq!(value.encode(), (type_.clone(), blob.clone()), "{channel} of {}", example.name);
            values += 1;
            *by_channel.entry(channel.clone()).or_default() += 1;
        }
    }
    println!("{values} stored values written again byte for byte: {by_channel:?}");
    assert!(values == 0 || values == 446, "the examples hold 446 msgpack values, found {values}");
}

/// Values of classes that agents do not store and this crate has no type for; they pass through untouched.
const FOREIGN: &[&str] = &[
    "float inf",
    "float nan",
    "bytes top level",
    "bytearray top level",
    "bytes nested",
    "dict int keys",
    "dict none/bool/float key",
    "dict tuple key",
    "set",
    "set empty",
    "frozenset",
    "deque",
    "uuid",
    "datetime naive",
    "datetime utc",
    "datetime +02:00",
    "date",
    "time",
    "time tz",
    "timedelta",
    "timezone utc",
    "timezone named",
    "zoneinfo",
    "decimal",
    "path",
    "regex",
    "ipv4",
    "ipv6net",
    "enum",
    "intenum",
    "str enum",
    "namedtuple",
    "dataclass",
    "pydantic v2",
    "secretstr",
    "send list",
    "send timeout",
    "command",
    "delta snapshot list",
    "store item",
    "document",
    "pydantic v1",
    "numpy int32 C",
    "numpy float64 F",
];

fn typed_again(name: &str, blob: &Bytes) -> Bytes {
    match name {
        "send" => again("__pregel_tasks", "", blob),
        "interrupt" => again("__interrupt__", "", blob),
        "summarization event" => again("_summarization_event", "", blob),
        "delta snapshot messages" => again("messages", "", blob),
        "delta snapshot files" => again("files", "", blob),
        "file delete" => again("files", "", blob),
        "overwrite" => {
            let write = decode_json("msgpack", blob).unwrap();
            encode_overwrite(&encode_json(&write["value"]))
        }
        _ if is_ext(blob, 5) => encode_message(&decode_messages("msgpack", blob).unwrap().messages[0]),
        _ => match decode_channel("msgpack", blob).unwrap() {
            ChannelValue::Json(value) => encode_json(&value),
            ChannelValue::Messages(messages) => encode_messages(&messages),
            ChannelValue::Raw { .. } => panic!("{name} has no type here"),
        },
    }
}

#[test]
fn every_writable_vector_is_written_again_byte_for_byte() {
    let (mut typed, mut untouched) = (0, 0);
    for vector in vectors() {
        let (name, type_) = (text(&vector, "name"), text(&vector, "type"));
        if name.starts_with("read: ") {
            continue;
        }
        let blob = unhex(vector["hex"].as_str().unwrap());
        let value = decode_channel(&type_, &blob).unwrap();
        assert_eq!(value.encode(), (type_.clone().into(), blob.clone()), "{name}");
        if FOREIGN.contains(&name.as_str()) {
            assert!(matches!(value, ChannelValue::Raw { .. }), "{name} has a type by now");
            untouched += 1;
        } else {
            if type_ == "msgpack" {
                assert_eq!(hex(&typed_again(&name, &blob)), hex(&blob), "{name}");
            }
            typed += 1;
        }
    }
    println!("{typed} vectors written again from their types, {untouched} of foreign classes passed through");
}

#[test]
fn plain_vectors_read_as_the_recorded_json() {
    let mut count = 0;
    for vector in vectors() {
        let blob = unhex(vector["hex"].as_str().unwrap());
        if let Ok(ChannelValue::Json(value)) = decode_channel(&text(&vector, "type"), &blob) {
            assert_eq!(value, vector["json"], "{}", vector["name"]);
            count += 1;
        }
    }
    println!("{count} plain vectors read as recorded");
}

#[test]
fn messages_read_from_hand_made_vectors_equal_what_python_makes_of_them() {
    for vector in vectors() {
        let name = text(&vector, "name");
        let Some(case) = name.strip_prefix("read: ") else { continue };
        let (type_, blob) = (text(&vector, "type"), unhex(vector["hex"].as_str().unwrap()));
        let one = || decode_messages(&type_, &blob).unwrap().messages[0].clone();
        match case {
            "human minimal keys"
            | "human without type key"
            | "human triple without method"
            | "human as ext 4"
            | "human as ext 2"
            | "json lc1 message" => {
                assert_eq!((one().type_name(), one().text("")), ("human", "hi".to_owned()), "{case}");
            }
            "ai minimal" | "ai tool call without type key" => {
                let call = &one().tool_calls()[0].clone();
                assert_eq!((call.name.as_str(), call.id.as_deref()), ("ls", Some("c1")), "{case}");
            }
            "ai unknown extra key" => assert_eq!(one().extra["foo"], 1),
            "ai wrong content type" => {
                assert_eq!(one().text(""), "5");
                assert_eq!(encode_message(&one()), blob, "what cannot be typed is written back as it was");
            }
            "tool without tool_call_id" => assert_eq!(encode_message(&one()), blob),
            "message via package path" => {
                let strict = encode_message(&one());
                assert!(hex(&strict).contains(&hex(b"langchain_core.messages.ai")), "the defining module");
            }
            "unknown class" | "known module unknown class" => {
                assert_eq!(decode_json(&type_, &blob).unwrap(), serde_json::json!({"a": 1}), "{case}");
                assert!(decode_messages(&type_, &blob).is_err(), "{case}");
            }
            "pickle" | "empty type" | "unknown type" | "encrypted" => {
                assert_eq!(decode_json(&type_, &blob).unwrap_err().code(), "codec.unknown_type", "{case}");
            }
            "json lc2 safe" | "json lc2 unsafe" => {
                assert_eq!(decode_json(&type_, &blob).unwrap(), vector["json"], "{case}: stays a map");
            }
            "json plain" => assert_eq!(decode_json(&type_, &blob).unwrap(), vector["json"]),
            "ext 8 unknown code"
            | "ext 5 garbage payload"
            | "msgpack timestamp ext -1"
            | "null with bytes" => {
                assert_eq!(decode_json(&type_, &blob).unwrap(), Value::Null, "{case}");
            }
            "ext 0 unknown module" => assert_eq!(decode_json(&type_, &blob).unwrap(), "x"),
            "ext 1 unknown module" => assert_eq!(decode_json(&type_, &blob).unwrap(), serde_json::json!([1])),
            "ext 2 unknown module" => {
                assert_eq!(decode_json(&type_, &blob).unwrap(), serde_json::json!({"a": 1}))
            }
            "ext 3 other method" => assert_eq!(decode_json(&type_, &blob).unwrap(), 1),
            "msgpack float32"
            | "msgpack non-minimal int"
            | "msgpack str16 for short"
            | "msgpack trailing bytes" => {
                assert_eq!(decode_json(&type_, &blob).unwrap(), vector["json"], "{case}");
            }
            other => panic!("a vector without a check: {other}"),
        }
    }
}

#[test]
fn a_files_map_and_its_snapshot_differ_only_in_the_envelope() {
    for vector in vectors().iter().filter(|vector| vector["name"] == "delta snapshot files") {
        let blob = unhex(vector["hex"].as_str().unwrap());
        assert!(blob.ends_with(&encode_files_map(&files(&blob))));
    }
}
