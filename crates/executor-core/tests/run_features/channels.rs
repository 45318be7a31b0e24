//! `state_schema` (deepagents-semantics 10, row 30).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use agent_executor_core::{Channels, Compiled, Outcome, Reducer, ToolResult};
use agent_langgraph_codec::{ChannelValue, GraphState, ToolCall, ToolStatus, load_graph};
use serde_json::{Value, json};

use crate::machine::{World, agent, compile, definition, told};

/// `set` writes its arguments to the channels of their names.
fn set(call: &ToolCall) -> ToolResult {
    ToolResult { values: call.args.clone(), ..told("set", ToolStatus::Success) }
}

fn compiled() -> Arc<Compiled> {
    let mut main = agent("main", "[main]");
    main.tools = vec!["set".to_owned()];
    let mut scout = agent("scout", "[scout]");
    scout.tools = vec!["set".to_owned()];
    scout.channels = Channels::from_iter([
        ("mode".to_owned(), Reducer::Last),
        ("log".to_owned(), Reducer::Append),
        ("chat".to_owned(), Reducer::Messages),
    ]);
    let mut blind = agent("blind", "[blind]");
    blind.tools = vec!["set".to_owned()];
    let definition = definition(main, vec![scout, blind]);
    compile(definition, &["set"], &[])
}

fn turn(calls: &[(&str, Value)]) -> Value {
    let calls = calls.iter().enumerate();
    let calls: Vec<Value> = calls
        .map(|(nth, (name, args))| json!({"id": format!("c{nth}"), "name": name, "args": args}))
        .collect();
    json!({ "content": "", "tool_calls": calls })
}

fn task(name: &str) -> (&'static str, Value) {
    ("task", json!({"description": "go", "subagent_type": name}))
}

fn played(main: Vec<Value>, subs: &[(&str, Vec<Value>)], input: &Value) -> (World, GraphState) {
    let mut scripts = HashMap::from([(None, VecDeque::from(main))]);
    for (name, script) in subs {
        scripts.insert(Some((*name).to_owned()), VecDeque::from(script.clone()));
    }
    let mut world = World::new(scripts, set);
    let finish = world.play(&compiled(), "job", input);
    assert!(matches!(finish.outcome, Outcome::Completed { .. }), "{:?}", finish.outcome);
    let state = world.state();
    (world, state)
}

fn value(state: &GraphState, channel: &str) -> Option<Value> {
    state.values.get(channel).map(|value| value.to_json().expect("plain"))
}

fn texts(state: &GraphState, channel: &str) -> Vec<String> {
    match state.values.get(channel) {
        Some(ChannelValue::Messages(messages)) => messages.iter().map(|message| message.text("")).collect(),
        other => panic!("{channel}: {other:?}"),
    }
}

#[test]
fn a_specialist_gets_its_channels_and_gives_back_what_it_changed() {
    let input = json!({
        "messages": [{"role": "user", "content": "go"}],
        "mode": "slow", "log": ["a"], "chat": [{"role": "user", "content": "hello", "id": "m1"}], "other": 1
    });
    let main = vec![turn(&[task("scout")])];
    let scout = vec![turn(&[(
        "set",
        json!({"log": ["b"], "chat": [{"role": "assistant", "content": "yes"}], "unknown": 1}),
    )])];
    let (world, state) = played(main, &[("scout", scout)], &input);
    assert_eq!(value(&state, "mode"), Some(json!("slow")));
    assert_eq!(value(&state, "log"), Some(json!(["a", "b"])), "the parent's list grows by what is new");
    assert_eq!(texts(&state, "chat"), ["hello", "yes"]);
    for dropped in ["other", "unknown"] {
        assert_eq!(value(&state, dropped), None, "{dropped} is declared nowhere");
    }
    let ns = world.rows.checkpoints.iter().find(|row| !row.ns.is_empty()).expect("a sub-agent").ns.clone();
    let inner = load_graph(&world.rows, &ns).expect("readable rows").expect("a sub-agent");
    assert_eq!(value(&inner, "mode"), Some(json!("slow")), "it was given what the parent had");
    assert!(world.commits.iter().all(|commit| commit.notes.is_empty()));
}

#[test]
fn of_two_writers_in_one_step_the_later_call_wins_and_the_log_hears_of_it() {
    let main = vec![turn(&[
        ("set", json!({"mode": "one", "log": [1]})),
        ("set", json!({"mode": "two", "log": [2]})),
    ])];
    let (world, state) = played(main, &[], &json!({"messages": "go"}));
    assert_eq!(value(&state, "mode"), Some(json!("two")));
    assert_eq!(value(&state, "log"), Some(json!([1, 2])), "a list that grows has room for both");
    let notes: Vec<&str> =
        world.commits.iter().flat_map(|commit| &commit.notes).map(|note| note.message.as_str()).collect();
    assert_eq!(notes, ["channel `mode` was written by two calls of one step; the later one stands"]);
}

#[test]
fn an_agent_that_does_not_declare_a_channel_has_no_part_in_it() {
    let main = vec![turn(&[task("blind"), ("set", json!({"mode": "main"}))])];
    let blind = vec![turn(&[("set", json!({"mode": "blind"}))])];
    let (_, state) = played(main, &[("blind", blind)], &json!({"messages": "go"}));
    assert_eq!(value(&state, "mode"), Some(json!("main")));
}

#[test]
fn a_channel_of_messages_takes_nothing_else() {
    let main = vec![turn(&[("set", json!({"chat": [{"content": "no role"}]}))])];
    let (_, state) = played(main, &[], &json!({"messages": "go"}));
    assert_eq!(value(&state, "chat"), None);
    let answer =
        state.messages.iter().find(|message| message.text("").starts_with("Error: `update.chat[0]`"));
    assert!(answer.is_some(), "the model is told");
}

#[test]
fn two_sub_agents_of_one_path_are_told_to_the_log() {
    let write = |text: &str| turn(&[("write_file", json!({"file_path": "/same", "content": text}))]);
    let main = vec![turn(&[task("blind"), task("scout")])];
    let subs = [("blind", vec![write("1")]), ("scout", vec![write("2")])];
    let (world, state) = played(main, &subs, &json!({"messages": "go"}));
    assert_eq!(state.files["/same"].text(), "2");
    let notes = world.commits.iter().flat_map(|commit| &commit.notes);
    let codes: Vec<&str> = notes.map(|note| note.code).collect();
    assert_eq!(codes, ["state.overwritten"]);
}
