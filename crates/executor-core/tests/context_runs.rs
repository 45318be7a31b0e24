//! Recorded runs of the Python agent that touch context management, played by the machine: the same requests to the
//! model, the same stored messages, files and summary.
//!
//! Differences on purpose: the words of the summary request (ours; its conversation part is compared), and the ids of
//! tools' answers.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "helpers of tests stand outside of the test functions"
)]

mod common;

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use agent_executor_core::{
    Class, Compiled, CustomTool, Defaults, Definition, Effect, Event, Finish, Input, ModelError,
    ModelErrorKind, ModelReply, ModelRequest, Outcome, Run, RunInput, RunLimits, RunSetup, StopReason,
    ToolResult, ToolSpec,
};
use agent_langgraph_codec::{Content, GraphState, Kind, Message, Rows, ToolCall, ToolStatus, decode_json};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use common::Thread;

const RUNS: &[&str] = &[
    "eviction-tool",
    "eviction-human",
    "arg-truncation",
    "summarise",
    "overflow-retry",
    "overflow-nothing-to-cut",
];

fn recorded() -> Option<Vec<Value>> {
    let shared = std::env::var_os("AGENT_EXECUTOR_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let file = shared.join("golden/tool-results/runs.json");
    let Ok(text) = fs::read_to_string(&file) else {
        println!("skipped: no recorded runs at {}", file.display());
        return None;
    };
    serde_json::from_str(&text).unwrap()
}

/// Recorded values with repeated texts written out.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(map) if map.contains_key("$repeat") => {
            let times = usize::try_from(map["times"].as_u64().unwrap()).unwrap();
            map["$repeat"].as_str().unwrap().repeat(times).into()
        }
        Value::Object(map) => {
            map.iter().map(|(key, item)| (key.clone(), plain(item))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// A text with generated parts named, as the recording names them.
fn named(text: &str) -> String {
    let hex = |letter: char| letter.is_ascii_hexdigit();
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let run: usize = rest.chars().take_while(|c| hex(*c) || *c == '-').map(char::len_utf8).sum();
        let word = &rest[..run];
        if run == 36 && word.matches('-').count() == 4 {
            out.push_str("$uuid4");
        } else if run == 32 && out.ends_with("session_") {
            out.push_str("$hex");
        } else if let Some(time) = rest.strip_prefix("20").filter(|_| out.ends_with("Summarized at ")) {
            let end = time.find("+00:00").unwrap() + "+00:00".len();
            out.push_str("$now");
            rest = &time[end..];
            continue;
        } else {
            out.push_str(word);
        }
        rest = &rest[run..];
        if let Some(next) = rest.chars().next() {
            out.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    out
}

/// Equal to a recorded text, which may be recorded by its beginning, end and length.
fn same(recorded: &Value, ours: &str, what: &str) {
    let ours = named(ours);
    if let Some(text) = recorded.as_str() {
        assert_eq!(text, ours, "{what}");
        return;
    }
    assert_eq!(recorded["chars"].as_u64().unwrap(), ours.chars().count() as u64, "{what}");
    assert!(ours.starts_with(recorded["head"].as_str().unwrap()), "{what}: {}", &ours[..200]);
    assert!(ours.ends_with(recorded["tail"].as_str().unwrap()), "{what}");
}

/// The part of a summary request that is no prompt.
fn conversation(text: &str) -> &str {
    let (_, rest) = text.split_once("Messages to summarize:\n").unwrap();
    rest.strip_suffix("\n</messages>").unwrap()
}

fn check_message(recorded: &Value, ours: &Message, what: &str) {
    assert_eq!(recorded["type"], ours.type_name(), "{what}");
    let text = ours.text("");
    if text.starts_with("<role>") {
        // Recorded by its ends only where it is long.
        let tail = recorded["content"].get("tail").unwrap_or(&recorded["content"]).as_str().unwrap();
        let theirs = tail.split_once("Messages to summarize:\n").map_or(tail, |(_, rest)| rest);
        assert!(conversation(&text).ends_with(theirs.strip_suffix("\n</messages>").unwrap()), "{what}");
    } else {
        same(&recorded["content"], &text, what);
    }
    let calls: Vec<Value> = ours
        .tool_calls()
        .iter()
        .map(|call| json!({"name": call.name, "args": call.args, "id": call.id}))
        .collect();
    assert_eq!(plain(recorded.get("tool_calls").unwrap_or(&json!([]))), Value::from(calls), "{what}");
    if let Some(kwargs) = recorded.get("additional_kwargs") {
        assert_eq!(
            kwargs.to_string(),
            named(&Value::Object(ours.additional_kwargs.clone()).to_string()),
            "{what}"
        );
    }
}

fn check_request(recorded: &Value, ours: &ModelRequest, what: &str) {
    let mut theirs = recorded.as_array().unwrap().as_slice();
    let system = theirs.first().filter(|first| first["type"] == "system");
    assert_eq!(system.map(|first| first["content"].as_str().unwrap()), ours.system.as_deref(), "{what}");
    if system.is_some() {
        theirs = &theirs[1..];
    }
    assert_eq!(theirs.len(), ours.messages.len(), "{what}");
    for (place, (theirs, ours)) in theirs.iter().zip(&ours.messages).enumerate() {
        check_message(theirs, ours, &format!("{what}, message {place}"));
    }
}

/// Plays the model's part and the big tool's.
struct Player {
    script: VecDeque<Value>,
    asked: Vec<ModelRequest>,
}

impl Player {
    fn answer(&mut self) -> Result<ModelReply, ModelError> {
        let answer = self.script.pop_front().unwrap_or_else(|| json!({"content": "final"}));
        if answer.get("raise").is_some() {
            assert_eq!(answer["raise"], "ContextOverflowError");
            let message = answer["message"].as_str().unwrap().to_owned();
            let kind = ModelErrorKind::ContextOverflow;
            return Err(ModelError { kind, message, status: Some(400), request_id: None });
        }
        let calls = answer.get("tool_calls").and_then(Value::as_array).cloned().unwrap_or_default();
        let calls = calls.iter().map(|call| ToolCall {
            id: call["id"].as_str().map(str::to_owned),
            name: call["name"].as_str().unwrap().to_owned(),
            args: call["args"].as_object().unwrap().clone(),
        });
        let content = Content::Text(answer["content"].as_str().unwrap().to_owned());
        Ok(ModelReply {
            message: Message::ai(content, calls.collect(), None),
            stop: StopReason::Stop,
            usage: None,
        })
    }

    fn event(&mut self, call: Effect) -> Event {
        match call {
            Effect::AskModel { agent, request, .. } => {
                self.asked.push(*request);
                match self.answer() {
                    Ok(reply) => Event::ModelReply(agent, Box::new(reply)),
                    Err(error) => Event::ModelFailed(agent, error),
                }
            }
            Effect::RunTool { call_ref, call, .. } => Event::ToolReturned(call_ref, big_result(&call)),
            other @ (Effect::Commit(_) | Effect::Finish(_) | Effect::Emit(_)) => panic!("no call: {other:?}"),
        }
    }
}

fn big_result(call: &ToolCall) -> ToolResult {
    let unit = call.args.get("unit").and_then(Value::as_str).unwrap_or("x");
    let times = usize::try_from(call.args["n"].as_u64().unwrap()).unwrap();
    ToolResult {
        content: Content::Text(unit.repeat(times)),
        status: ToolStatus::Success,
        files: Vec::new(),
        values: Map::new(),
    }
}

fn compiled(case: &Value) -> Compiled {
    let mut context = Map::new();
    if let Some(window) = case.get("profile_max_input_tokens") {
        context.insert("max_input_tokens".to_owned(), window.clone());
    }
    let definition = json!({
        "nodes": [{"type": "orchestrator", "name": "main", "system_prompt": "S", "model": "openai:scripted",
            "tools": ["big_result"], "context": context}],
        "tool_definitions": [{"name": "big_result", "runtime": {"script": "pass"}}],
    });
    let parsed = Definition::parse(&definition, &Defaults::default()).unwrap();
    let spec = ToolSpec {
        name: "big_result".to_owned(),
        description: String::new(),
        parameters: json!({"type": "object", "properties": {}}),
    };
    let custom = IndexMap::from([(
        "big_result".to_owned(),
        CustomTool { spec, class: Class::Pure, return_direct: false },
    )]);
    Compiled::new(Arc::new(parsed.definition), &custom, &[]).unwrap()
}

fn check_case(case: &Value) {
    let id = case["id"].as_str().unwrap();
    let compiled = Arc::new(compiled(case));
    let script = case["model_script"].as_array().unwrap().iter().map(plain).collect();
    let mut player = Player { script, asked: Vec::new() };
    let mut thread = Thread::new(Rows::default(), 1_790_000_000_123_456_000);
    for (number, turn) in case["turns"].as_array().unwrap().iter().enumerate() {
        let what = format!("{id}, turn {number}");
        let setup = RunSetup {
            compiled: compiled.clone(),
            job_id: Arc::from(format!("job-{number}")),
            own_thread: false,
            limits: RunLimits::default(),
            model: None,
        };
        let payload = plain(&turn["input"]).as_object().unwrap().clone();
        let read = Input::from_payload(&payload, compiled.definition(), thread.stamp()).unwrap();
        let input = RunInput {
            payload,
            messages: read.messages.into_iter().map(Arc::new).collect(),
            files: Vec::new(),
            values: Vec::new(),
        };
        let stamp = thread.stamp();
        let (run, first) = Run::resume(setup, &thread.rows, input, stamp).unwrap();
        let finish = thread.drive(run, first, |call| Some(player.event(call))).unwrap();
        check_end(turn, &finish, &what);
        let theirs = turn["model_requests"].as_array().unwrap();
        let ours = std::mem::take(&mut player.asked);
        assert_eq!(theirs.len(), ours.len(), "{what}: model calls");
        for (place, (theirs, ours)) in theirs.iter().zip(&ours).enumerate() {
            check_request(theirs, ours, &format!("{what}, request {place}"));
        }
        check_thread(turn, &thread.state(), &what);
    }
}

fn check_end(turn: &Value, finish: &Finish, what: &str) {
    match (&finish.outcome, turn.get("raises")) {
        (Outcome::Completed { .. }, None) => {}
        (Outcome::Failed { code, message, .. }, Some(raised)) => {
            assert_eq!(*code, "model.context_overflow", "{what}");
            assert_eq!(*message, format!("Graph execution failed: {}", raised["message"].as_str().unwrap()));
        }
        (outcome, raised) => panic!("{what}: {outcome:?}, recorded {raised:?}"),
    }
}

fn check_thread(turn: &Value, state: &GraphState, what: &str) {
    let messages = turn["messages"].as_array().unwrap();
    assert_eq!(messages.len(), state.messages.len(), "{what}: stored messages");
    for (place, (theirs, ours)) in messages.iter().zip(&state.messages).enumerate() {
        check_message(theirs, ours, &format!("{what}, stored message {place}"));
        if let Kind::Ai { .. } = ours.kind
            && theirs["id"] == "$run_id"
        {
            assert!(ours.id.as_deref().unwrap().starts_with("lc_run--"));
        }
    }
    let files = turn["files"].as_object().unwrap();
    let mut expected: Vec<&String> = files.keys().collect();
    let mut found: Vec<String> = state.files.keys().map(|path| named(path)).collect();
    expected.sort();
    found.sort();
    assert_eq!(expected, found.iter().collect::<Vec<_>>(), "{what}: files");
    for (path, file) in &state.files {
        same(&files[&named(path)]["content"], &file.text(), &format!("{what}, file {path}"));
    }
    let Some(other) = turn.get("other_state") else { return };
    let json = |channel: &str| match &state.values[channel] {
        agent_langgraph_codec::ChannelValue::Json(value) => value.clone(),
        agent_langgraph_codec::ChannelValue::Raw { type_, blob } => decode_json(type_, blob).unwrap(),
        agent_langgraph_codec::ChannelValue::Messages(_) => panic!("{channel}"),
    };
    let session = json("_summarization_session_id");
    assert_eq!(other["_summarization_session_id"], named(session.as_str().unwrap()), "{what}");
    let (theirs, ours) = (&other["_summarization_event"], json("_summarization_event"));
    for key in ["cutoff_index", "created_at_index"] {
        assert_eq!(theirs[key], ours[key], "{what}: {key}");
    }
    assert_eq!(theirs["file_path"], named(ours["file_path"].as_str().unwrap()), "{what}");
    let (theirs, ours) = (&theirs["summary_message"], &ours["summary_message"]);
    assert_eq!(theirs["content"], named(ours["content"].as_str().unwrap()), "{what}");
    assert_eq!(
        (&theirs["id"], &theirs["additional_kwargs"]),
        (&ours["id"], &ours["additional_kwargs"]),
        "{what}"
    );
}

#[test]
fn recorded_runs_go_as_they_went_in_python() {
    let Some(cases) = recorded() else { return };
    let mut held = 0;
    for id in RUNS {
        let case = cases.iter().find(|case| case["id"] == *id).unwrap();
        check_case(case);
        held += 1;
    }
    println!("{held} of {} recorded runs about context hold", RUNS.len());
}
