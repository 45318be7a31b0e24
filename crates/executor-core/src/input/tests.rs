use agent_langgraph_codec::{Content, Encoding, FileContent, Kind, ToolStatus};
use serde_json::{Value, json};

use super::*;
use crate::definition::Defaults;

fn definition(user_request: Value) -> Definition {
    let value = json!({"nodes": [{"type": "orchestrator"}], "user_request": user_request});
    Definition::parse(&value, &Defaults::default()).unwrap().definition
}

fn read(payload: Value) -> Result<Input, InputError> {
    let stamp = Stamp { now_ns: 1_767_225_600_000_000_000, seed: 7 };
    Input::from_payload(payload.as_object().unwrap(), &definition(Value::Null), stamp)
}

fn refused(payload: Value) -> String {
    let error = read(payload).unwrap_err();
    format!("{} {error}", error.code())
}

#[test]
fn every_form_of_a_message_is_read_and_gets_an_id() {
    let input = read(json!({"messages": [
        "hello",
        ["ai", "hi"],
        {"role": "user", "content": "x", "id": "own"},
        {"type": "human", "content": null, "id": 5},
        {"role": "developer", "content": "d"},
        {"role": "assistant", "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": "{\"path\": \"/\"}"}},
            {"id": "c2", "name": "ls", "args": {"path": "/a"}},
        ]},
        {"role": "tool", "content": "out", "tool_call_id": "c1", "status": "error", "name": "ls"},
        {"role": "user", "content": [{"type": "text", "text": "b"}, "c"], "mood": 1},
        {"type": "remove", "id": "gone"},
    ]}))
    .unwrap();
    let words: Vec<&str> = input.messages.iter().map(Message::type_name).collect();
    assert_eq!(words, ["human", "ai", "human", "human", "system", "ai", "tool", "human", "remove"]);
    let mut ids: Vec<&str> = input.messages.iter().filter_map(|message| message.id.as_deref()).collect();
    assert_eq!((ids.len(), ids[2], ids[3], ids[8]), (9, "own", "5", "gone"));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 9);
    let calls = input.messages[5].tool_calls();
    assert_eq!(calls[0].args["path"], json!("/"));
    assert_eq!(calls[1].id.as_deref(), Some("c2"));
    assert!(matches!(&input.messages[6].kind, Kind::Tool { status: ToolStatus::Error, .. }));
    assert_eq!(input.messages[4].additional_kwargs["__openai_role__"], json!("developer"));
    assert_eq!(input.messages[7].additional_kwargs["mood"], json!(1));
    assert!(matches!(&input.messages[7].content, Content::Blocks(blocks) if blocks.len() == 2));
}

#[test]
fn one_message_needs_no_list() {
    assert_eq!(read(json!({"messages": "hello"})).unwrap().messages[0].text(""), "hello");
    assert_eq!(read(json!({"messages": {"role": "user", "content": "x"}})).unwrap().messages.len(), 1);
}

#[test]
fn messages_as_langchain_serialises_them_are_read() {
    let class = |name: &str| json!(["langchain", "schema", "messages", name]);
    let made = |name: &str, kwargs: Value| json!({"lc": 1, "type": "constructor", "id": class(name), "kwargs": kwargs});
    let call = json!({"name": "ls", "args": {"path": "/"}, "id": "c1", "type": "tool_call"});
    let input = read(json!({"messages": [
        made("HumanMessage", json!({"content": "x", "id": "own", "type": "human"})),
        made("AIMessage", json!({"content": "", "tool_calls": [call]})),
        made("ToolMessage", json!({"content": "out", "tool_call_id": "c1"})),
    ]}))
    .unwrap();
    let words: Vec<&str> = input.messages.iter().map(Message::type_name).collect();
    assert_eq!(words, ["human", "ai", "tool"]);
    assert_eq!((input.messages[0].id.as_deref(), input.messages[0].text("")), (Some("own"), "x".to_owned()));
    assert_eq!(input.messages[1].tool_calls()[0].args["path"], json!("/"));
    assert!(input.messages[0].additional_kwargs.is_empty());
    let other = read(json!({"messages": [made("Person", json!({"content": "x"}))]}));
    assert!(matches!(other, Err(InputError::NoRoleOrContent { .. } | InputError::UnknownRole { .. })));
}

#[test]
fn an_empty_list_of_blocks_is_an_empty_text() {
    let input = read(json!({"messages": [{"role": "user", "content": []}]})).unwrap();
    assert!(matches!(&input.messages[0].content, Content::Text(text) if text.is_empty()));
}

#[test]
fn the_same_stamp_gives_the_same_ids() {
    let payload = json!({"messages": ["a", "b"]});
    assert_eq!(read(payload.clone()).unwrap(), read(payload).unwrap());
}

#[test]
fn a_bad_message_is_refused_with_its_place_in_langchains_words() {
    for (messages, expected) in [
        (
            json!([{"role": "bogus", "content": "x"}]),
            "input.bad_message `input_payload.messages[0]`: Unexpected message type: 'bogus'. Use one of 'human', \
             'user', 'ai', 'assistant', 'function', 'tool', 'system', or 'developer'.",
        ),
        (
            json!(["a", {"content": "x"}]),
            "input.bad_message `input_payload.messages[1]`: Message dict must contain 'role' and 'content' keys, got \
             {content}",
        ),
        (
            json!([{"role": "user"}]),
            "input.bad_message `input_payload.messages[0]`: Message dict must contain 'role' and 'content' keys, got \
             {role}",
        ),
        (
            json!([{"role": "user", "content": 4}]),
            "input.wrong_type `input_payload.messages[0].content`: expected a string or a list of content blocks, \
             found a number",
        ),
        (
            json!([{"role": "tool", "content": "x"}]),
            "input.bad_message `input_payload.messages[0].tool_call_id`: expected the id of the call that this \
             answers, found nothing",
        ),
        (json!(7), "input.wrong_type `input_payload.messages`: expected a list of messages, found a number"),
        (
            json!([["user"]]),
            "input.wrong_type `input_payload.messages[0]`: expected a pair of role and content, found a list",
        ),
        (
            json!([{"role": "ai", "tool_calls": [{"function": {"name": "ls", "arguments": "[]"}}]}]),
            "input.bad_message `input_payload.messages[0].tool_calls[0].function.arguments`: expected a JSON object in \
             a string, found a list",
        ),
    ] {
        assert_eq!(refused(json!({"messages": messages.clone()})), expected, "{messages}");
    }
}

#[test]
fn without_messages_the_request_is_made_of_what_there_is() {
    let text = |payload: Value, user_request: Value| {
        let stamp = Stamp { now_ns: 0, seed: 1 };
        let input =
            Input::from_payload(payload.as_object().unwrap(), &definition(user_request), stamp).unwrap();
        input.messages.first().map(|message| message.text(""))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(text(json!({"instructions": "do"}), json!("ask")), some("do"));
    assert_eq!(text(json!({"instructions": " "}), json!("ask")), some("ask"));
    assert_eq!(text(json!({"context": "c"}), json!("ask")), some("ask\n\nc"));
    assert_eq!(
        text(json!({"instructions": "do", "context": {"a": 1}}), Value::Null),
        some("do\n\n{\"a\":1}")
    );
    assert_eq!(text(json!({"context": "c"}), Value::Null), some("c"));
    assert_eq!(text(json!({"messages": [], "instructions": "do"}), Value::Null), some("do"));
    assert_eq!(text(json!({"messages": null}), Value::Null), None);
    assert_eq!(text(json!({"context": ""}), Value::Null), None);
    assert_eq!(text(json!({"messages": ["m"], "instructions": "do"}), Value::Null), some("m"));
}

#[test]
fn files_are_brought_to_todays_form_under_one_name() {
    let input = read(json!({"files": {
        "a.txt": "text\u{0}",
        "//b//c.txt": {"content": ["x", "", "y"], "created_at": "2025-01-01T00:00:00+00:00", "type": "markdown"},
        "/gone": null,
        "/image.png": {"content": "QUJD", "encoding": "base64"},
    }}))
    .unwrap();
    let paths: Vec<&str> = input.files.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/a.txt", "/b/c.txt", "/gone", "/image.png"]);
    let a = input.files[0].1.as_ref().unwrap();
    assert_eq!(a.content, FileContent::Text("text\u{0}".into()));
    assert_eq!(
        (a.encoding, a.created_at.as_deref()),
        (Some(Encoding::Utf8), Some("2026-01-01T00:00:00+00:00"))
    );
    let c = input.files[1].1.as_ref().unwrap();
    assert_eq!(c.content, FileContent::Text("x\n\ny".into()));
    assert_eq!(c.modified_at.as_deref(), Some("2025-01-01T00:00:00+00:00"));
    assert_eq!(c.extra["type"], json!("markdown"));
    assert!(input.files[2].1.is_none());
    assert_eq!(input.files[3].1.as_ref().unwrap().encoding, Some(Encoding::Base64));
    assert!(read(json!({"files": null})).unwrap().files.is_empty());
}

#[test]
fn a_bad_file_is_refused_before_any_tool_meets_it() {
    for (files, expected) in [
        (
            json!([]),
            "input.wrong_type `input_payload.files`: expected an object of files by path, found a list",
        ),
        (
            json!({"/a": 4}),
            "input.wrong_type `input_payload.files./a`: expected a file: an object with `content`, or a string, found \
             a number",
        ),
        (
            json!({"/a": {}}),
            "input.wrong_type `input_payload.files./a.content`: expected a string or a list of lines, found null",
        ),
        (
            json!({"/a": {"content": ["x", 1]}}),
            "input.wrong_type `input_payload.files./a.content[1]`: expected a string, found a number",
        ),
        (
            json!({"/a": {"content": "", "encoding": "latin-1"}}),
            "input.bad_file `input_payload.files./a.encoding`: expected `utf-8` or `base64`, found `latin-1`",
        ),
        (
            json!({"/../etc": ""}),
            "input.bad_file `input_payload.files./../etc`: Path traversal not allowed: /../etc",
        ),
    ] {
        assert_eq!(refused(json!({"files": files.clone()})), expected, "{files}");
    }
    for root in ["", "/", ".", "//"] {
        assert!(refused(json!({"files": {root: "x"}})).starts_with("input.bad_file"), "{root:?}");
    }
}

#[test]
fn everything_else_is_kept_for_declared_channels() {
    let input = read(json!({"messages": ["m"], "files": {}, "topic": 1, "instructions": "x"})).unwrap();
    assert_eq!(input.extra.keys().collect::<Vec<_>>(), ["topic", "instructions"]);
}
