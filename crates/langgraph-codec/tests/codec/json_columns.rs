//! The JSON columns `checkpoint` and `metadata`.

use agent_langgraph_codec::{Checkpoint, CodecError, Metadata, Source, is_inline};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::examples::all;

#[test]
fn every_recorded_checkpoint_is_written_as_it_was_read() {
    let mut count = 0;
    for example in all() {
        for row in &example.rows.checkpoints {
            let checkpoint = Checkpoint::from_json(&row.checkpoint).unwrap();
            let written: Value = serde_json::from_str(&checkpoint.to_json()).unwrap();
            let mut recorded: Value = serde_json::from_str(&row.checkpoint).unwrap();
            // The stub of exit mode lacks the key; null means the same.
            recorded.as_object_mut().unwrap().entry("updated_channels").or_insert(Value::Null);
            assert_eq!(written, recorded, "{}", example.name);
            count += 1;
        }
    }
    println!("{count} checkpoints written again");
}

fn with_value(value: Value) -> Checkpoint {
    let mut checkpoint = Checkpoint { id: "c".to_owned(), ..Checkpoint::default() };
    checkpoint.channel_values.insert("x".to_owned(), value);
    checkpoint
}

#[test]
fn a_null_channel_value_stays_a_member() {
    let text = with_value(Value::Null).to_json();
    assert!(text.contains(r#""channel_values":{"x":null}"#), "{text}");
}

#[test]
fn postgres_never_sees_a_nul_character() {
    let checkpoint = with_value(json!("a\0b"));
    assert!(!is_inline(&json!("a\0b")), "such a string belongs in a blob, where it is kept");
    let text = checkpoint.to_json();
    assert!(!text.contains("\\u0000"), "{text}");
    assert_eq!(Checkpoint::from_json(&text).unwrap().channel_values["x"], "ab");

    let extra = json!({"a\0": {"deep": ["x\0y"]}, "kept": "back\\u0000slash"});
    let metadata = Metadata { extra: extra.as_object().unwrap().clone(), ..Metadata::default() };
    let read = Metadata::from_json(&metadata.to_json()).unwrap();
    assert_eq!(Value::Object(read.extra), json!({"a": {"deep": ["xy"]}, "kept": "back\\u0000slash"}));
}

#[test]
fn only_scalars_are_inline() {
    for value in [json!(null), json!(true), json!(1.0), json!("text")] {
        assert!(is_inline(&value), "{value}");
    }
    assert!(!is_inline(&json!([])) && !is_inline(&json!({})));
}

#[test]
fn floats_stay_floats_in_the_column() {
    let text = with_value(json!(1.0)).to_json();
    assert!(text.contains("1.0"), "{text}");
    assert!(Checkpoint::from_json(&text).unwrap().channel_values["x"].is_f64());
}

#[test]
fn metadata_leaves_out_empty_counters_and_lets_no_extra_key_hide_a_field() {
    let mut metadata = Metadata { source: Some(Source::Fork), step: 3, ..Metadata::default() };
    metadata.counters = IndexMap::from([("messages".to_owned(), [0, 0])]);
    metadata.extra = Map::from_iter([("step".to_owned(), json!(99)), ("agent".to_owned(), json!("a"))]);
    let written: Value = serde_json::from_str(&metadata.to_json()).unwrap();
    assert_eq!(written, json!({"source": "fork", "step": 3, "parents": {}, "agent": "a"}));
}

#[test]
fn a_metadata_column_without_step_is_refused_by_name() {
    let error = Metadata::from_json("{}").unwrap_err();
    assert!(matches!(error, CodecError::Missing { at: "metadata.step" }), "{error}");
    let error = Metadata::from_json(r#"{"step": "1"}"#).unwrap_err();
    assert_eq!(error.to_string(), "`metadata.step`: expected an integer, found a string");
}

#[test]
fn columns_of_older_releases_are_read() {
    let old = r#"{"v": 1, "id": "i", "ts": "t", "channel_values": {}, "channel_versions": {"a": 3},
        "versions_seen": {"n": {"a": 2}}, "pending_sends": []}"#;
    let checkpoint = Checkpoint::from_json(old).unwrap();
    assert_eq!(checkpoint.channel_versions["a"], "3");
    assert_eq!(checkpoint.versions_seen["n"]["a"], "2");
    assert_eq!(checkpoint.updated_channels, None);
    let metadata = Metadata::from_json(r#"{"step": 1, "source": "of the future", "writes": null}"#).unwrap();
    assert_eq!((metadata.source, &metadata.extra["source"]), (None, &json!("of the future")));
}

#[test]
fn damaged_columns_are_errors() {
    for text in ["", "[]", "{", r#"{"channel_versions": []}"#, r#"{"versions_seen": {"n": 1}}"#] {
        assert!(Checkpoint::from_json(text).is_err(), "{text}");
    }
}
