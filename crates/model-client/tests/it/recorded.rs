//! The conversations that were recorded with the Python stack: what it sent, what it made of the answers.
//!
//! Compared as JSON. Left out on purpose, each by its row of deepagents-semantics.md section 10: `name` of assistant
//! messages (11), `stream` and `stream_options` (12: we always stream and always ask for usage), order and spacing of
//! calls' arguments and the place of invalid calls among a message's items (13), cut-off arguments (1).

use std::{fs, path::PathBuf};

use agent_executor_core::ModelErrorKind;
use agent_langgraph_codec::{Content, InvalidToolCall, Kind, Message, ToolCall, ToolStatus};
use agent_model_client::ModelClient;
use serde_json::{Map, Value};

use crate::server::{Server, hello, plain, request, responses, stream};

const PROMPT: &str = "You are the main agent.";

fn cases() -> Option<Vec<Value>> {
    let shared = std::env::var_os("AGENT_EXECUTOR_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let file = shared.join("golden/tool-results/wire.json");
    let Ok(text) = fs::read_to_string(&file) else {
        println!("skipped: no recorded conversations at {}", file.display());
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

fn text(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().map(str::to_owned)
}

/// A message of the recorded final state.
fn message(value: &Value) -> Message {
    let content = match &value["content"] {
        Value::Array(blocks) => Content::Blocks(blocks.clone()),
        other => Content::Text(other.as_str().unwrap().to_owned()),
    };
    let kind = match value["type"].as_str().unwrap() {
        "human" => Kind::Human,
        "tool" => Kind::Tool {
            tool_call_id: text(value, "tool_call_id").unwrap(),
            artifact: Value::Null,
            status: if value["status"] == "error" { ToolStatus::Error } else { ToolStatus::Success },
        },
        "ai" => Kind::Ai {
            tool_calls: value["tool_calls"].as_array().unwrap().iter().map(valid_call).collect(),
            invalid_tool_calls: value["invalid_tool_calls"]
                .as_array()
                .unwrap()
                .iter()
                .map(invalid_call)
                .collect(),
            usage_metadata: Some(value["usage_metadata"].clone()).filter(|usage| !usage.is_null()),
        },
        other => panic!("{other}"),
    };
    let mut message = Message::new(kind, content, text(value, "id"));
    message.additional_kwargs = value["additional_kwargs"].as_object().unwrap().clone();
    message.response_metadata = value["response_metadata"].as_object().unwrap().clone();
    message.name = text(value, "name");
    message
}

fn valid_call(value: &Value) -> ToolCall {
    let args = value["args"].as_object().unwrap().clone();
    ToolCall { id: text(value, "id"), name: text(value, "name").unwrap(), args }
}

fn invalid_call(value: &Value) -> InvalidToolCall {
    let [id, name, args, error] = ["id", "name", "args", "error"].map(|key| text(value, key));
    InvalidToolCall { id, name, args, error }
}

/// Exchanges of the main agent, each with the place of its answer among the final messages.
fn main_exchanges(case: &Value) -> Vec<(&Value, usize)> {
    let empty = Vec::new();
    let messages = case["messages"].as_array().unwrap_or(&empty);
    let answers = messages
        .iter()
        .enumerate()
        .filter(|(_, m)| {
            m["type"] == "ai" && m["response_metadata"].as_object().is_some_and(|map| !map.is_empty())
        })
        .map(|(place, _)| place);
    let asked = case["exchanges"].as_array().unwrap().iter().filter(|exchange| {
        let prompt = [&exchange["request"]["messages"][0], &exchange["request"]["input"][0]]
            .into_iter()
            .any(|first| first["content"] == PROMPT);
        prompt || exchange["request"]["system"][0]["text"] == PROMPT
    });
    asked.zip(answers).collect()
}

fn parsed(text: &Value) -> Value {
    text.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| text.clone())
}

/// What remains when the deliberate differences are taken away.
fn normal_request(mut body: Value) -> Value {
    let map = body.as_object_mut().unwrap();
    for key in ["tools", "stream", "stream_options"] {
        map.remove(key);
    }
    for message in map.get_mut("messages").and_then(Value::as_array_mut).into_iter().flatten() {
        let map = message.as_object_mut().unwrap();
        map.remove("name");
        for call in map.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
            let arguments = parsed(&call["function"]["arguments"]);
            call["function"]["arguments"] = arguments;
        }
    }
    if let Some(items) = map.get_mut("input").and_then(Value::as_array_mut) {
        for item in items.iter_mut().filter(|item| item["type"] == "function_call") {
            let arguments = parsed(&item["arguments"]);
            item["arguments"] = arguments;
            item.as_object_mut().unwrap().remove("status");
        }
        items.sort_by_key(|item| (item["type"] == "function_call").then(|| item["call_id"].to_string()));
    }
    body
}

#[tokio::test]
async fn requests_are_those_of_the_python_stack() {
    let Some(cases) = cases() else { return };
    let (mut compared, mut held) = (0, 0);
    for case in &cases {
        let id = case["id"].as_str().unwrap();
        let exchanges = main_exchanges(case);
        held += u32::from(!exchanges.is_empty());
        for (exchange, place) in exchanges {
            let recorded = &exchange["request"];
            let messages = case["messages"].as_array().unwrap()[..place].iter().map(message).collect();
            let provider = if id.starts_with("anthropic") { "anthropic" } else { "openai" };
            let mut asked = request(provider, recorded["model"].as_str().unwrap(), messages);
            asked.system = Some(PROMPT.to_owned());
            let server = Server::start(vec![plain(400, "", "{}")]).await;
            let client = server.client(|config| {
                if id.starts_with("openai-responses") {
                    responses(config);
                }
            });
            client.complete(&asked, &mut |_| {}).await.unwrap_err();
            let seen = server.seen().remove(0);
            assert_eq!(seen.path, exchange["path"].as_str().unwrap());
            let (ours, theirs) = (normal_request(seen.body), normal_request(recorded.clone()));
            assert_eq!(ours, theirs, "{id}, answer at message {place}:\n{ours}\n{theirs}");
            compared += 1;
        }
    }
    println!("{held} of {} recorded conversations hold: {compared} requests are the same", cases.len());
    assert!(compared > 40, "{compared}");
    assert_eq!(held as usize + FAILED.len(), cases.len(), "the others are those that failed");
}

/// Conversations that ended with a failure of their first request, and what it means.
const FAILED: &[(&str, ModelErrorKind)] =
    &[("openai-chat-400", ModelErrorKind::Refused), ("openai-chat-context", ModelErrorKind::ContextOverflow)];

#[tokio::test]
async fn failures_are_told_as_the_python_stack_tells_them() {
    let Some(cases) = cases() else { return };
    for (id, kind) in FAILED {
        let case = cases.iter().find(|case| case["id"] == *id).unwrap();
        let response = &case["exchanges"][0]["response"];
        let body = response["body"].as_str().map_or_else(|| response["body"].to_string(), str::to_owned);
        let server = Server::start(vec![plain(400, "", &body)]).await;
        let error =
            server.client(|_| {}).complete(&hello("openai"), &mut |_| {}).await.map(|_| ()).unwrap_err();
        assert_eq!(error.kind, *kind, "{id}: {error}");
        if *kind == ModelErrorKind::Refused {
            assert_eq!(error.message, case["raises"]["message"].as_str().unwrap());
        }
        assert_eq!(server.seen().len(), 1, "asking again is no use");
    }
    println!("{} of {} recorded conversations hold: their failures", FAILED.len(), cases.len());
}

/// Blocks of a streamed Anthropic answer in our form: without `index` and `toolset_name`, arguments as understood.
fn normal_content(id: &str, content: &Value, calls: &Value) -> Value {
    let (true, Some(blocks)) = (id.starts_with("anthropic"), content.as_array()) else {
        return content.clone();
    };
    if let [only] = blocks.as_slice()
        && only["type"] == "text"
    {
        return only["text"].clone();
    }
    let block = |block: &Value| {
        let mut map: Map<String, Value> = block.as_object().unwrap().clone();
        for key in ["index", "toolset_name", "partial_json"] {
            map.remove(key);
        }
        let call = calls.as_array().unwrap().iter().find(|call| call["id"] == block["id"]);
        if let Some(call) = call.filter(|_| block["type"] == "tool_use") {
            map.insert("input".to_owned(), call["args"].clone());
        }
        Value::Object(map)
    };
    blocks.iter().map(block).collect()
}

#[tokio::test]
async fn streamed_answers_become_the_messages_of_the_python_stack() {
    let Some(cases) = cases() else { return };
    let mut compared = 0;
    for case in cases.iter().filter(|case| case["stream"] == true) {
        let id = case["id"].as_str().unwrap();
        for (exchange, place) in main_exchanges(case) {
            let recorded = &case["messages"][place];
            let server = Server::start(vec![stream(exchange["response"]["body"].as_str().unwrap())]).await;
            let client = server.client(|config| {
                if id.starts_with("openai-responses") {
                    responses(config);
                }
            });
            let provider = if id.starts_with("anthropic") { "anthropic" } else { "openai" };
            let reply = client.complete(&request(provider, "m", Vec::new()), &mut |_| {}).await.unwrap();
            let ours = reply.message;
            let theirs = message(recorded);
            assert_eq!(ours.response_metadata, theirs.response_metadata, "{id}");
            assert_eq!(ours.additional_kwargs, theirs.additional_kwargs, "{id}");
            if id.starts_with("openai-responses") {
                assert_eq!(ours.id, theirs.id);
            } else {
                assert_eq!(ours.id, None, "the run gives one");
            }
            let Kind::Ai { tool_calls, invalid_tool_calls, usage_metadata } = &ours.kind else {
                panic!("{id}")
            };
            assert_eq!(usage_metadata.as_ref(), Some(&recorded["usage_metadata"]), "{id}");
            compared += 1;
            if id.ends_with("cut-args") && place == 1 {
                // Row 1: Python executed the half call.
                assert!(tool_calls.is_empty(), "{id}");
                assert_eq!(
                    invalid_tool_calls[0].args.as_deref(),
                    Some("{\"file_path\":\"/f\",\"content\":\"half of")
                );
                continue;
            }
            let content = match &ours.content {
                Content::Text(text) => Value::from(text.clone()),
                Content::Blocks(blocks) => Value::from(blocks.clone()),
            };
            assert_eq!(content, normal_content(id, &recorded["content"], &recorded["tool_calls"]), "{id}");
            assert_eq!(*tool_calls, theirs.tool_calls(), "{id}");
            let raw = |calls: &[InvalidToolCall]| {
                calls.iter().map(|c| (c.id.clone(), c.args.clone())).collect::<Vec<_>>()
            };
            let Kind::Ai { invalid_tool_calls: expected, .. } = &theirs.kind else { panic!("{id}") };
            assert_eq!(raw(invalid_tool_calls), raw(expected), "{id}");
        }
    }
    println!("{compared} recorded answers are the same");
    assert!(compared > 15, "{compared}");
}
