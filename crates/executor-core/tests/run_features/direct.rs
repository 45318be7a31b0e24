//! Tools whose results are the agent's answer (`return_direct`).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use agent_executor_core::{Compiled, Finish, Outcome};
use agent_langgraph_codec::ToolStatus;
use serde_json::{Value, json};

use crate::machine::{World, agent, compile, definition, told};

/// The tool `direct` fails where it is told to.
fn world(main: Vec<Value>, sub: Vec<Value>) -> World {
    let scripts =
        HashMap::from([(None, VecDeque::from(main)), (Some("worker".to_owned()), VecDeque::from(sub))]);
    World::new(scripts, |call| match call.args.get("x").and_then(Value::as_str) {
        Some("fail") => told("Error: no luck", ToolStatus::Error),
        x => told(format!("direct {}", x.unwrap_or_default()), ToolStatus::Success),
    })
}

fn compiled() -> Arc<Compiled> {
    let with_tool = |name: &str| {
        let mut agent = agent(name, "p");
        agent.tools = vec!["direct".to_owned()];
        agent
    };
    compile(definition(with_tool("main"), vec![with_tool("worker")]), &["direct"], &[])
}

fn turn(calls: &[(&str, Value)]) -> Value {
    let calls = calls
        .iter()
        .enumerate()
        .map(|(index, (name, args))| json!({ "id": format!("c{index}"), "name": name, "args": args }));
    json!({ "content": "", "tool_calls": calls.collect::<Vec<_>>() })
}

fn go() -> Value {
    json!({ "messages": [{ "role": "user", "content": "go" }] })
}

fn output(finish: &Finish) -> &str {
    match &finish.outcome {
        Outcome::Completed { output, .. } => output.as_str().expect("a text"),
        Outcome::Failed { .. } => panic!("{:?}", finish.outcome),
    }
}

#[test]
fn the_last_of_several_direct_results_is_the_answer() {
    let round = turn(&[("direct", json!({ "x": "1" })), ("direct", json!({ "x": "2" }))]);
    let mut world = world(vec![round], Vec::new());
    let finish = world.play(&compiled(), "job", &go());
    assert_eq!((output(&finish), finish.model_calls), ("direct 2", 1));
    assert!(world.state().tasks.is_empty(), "at rest: {:?}", world.state().tasks);
}

#[test]
fn the_model_goes_on_where_a_call_of_the_round_failed_or_is_another_tools() {
    let good = || ("direct", json!({ "x": "1" }));
    for (what, others) in [
        ("a direct tool that fails", vec![("direct", json!({ "x": "fail" }))]),
        ("one of two fails, the last", vec![good(), ("direct", json!({ "x": "fail" }))]),
        ("one of two fails, the first", vec![("direct", json!({ "x": "fail" })), good()]),
        ("a built-in tool beside it", vec![good(), ("ls", json!({ "path": "/" }))]),
        ("a tool that nobody knows beside it", vec![("nothing", json!({})), good()]),
    ] {
        let mut world = world(vec![turn(&others), json!({ "content": "goes on" })], Vec::new());
        let finish = world.play(&compiled(), "job", &go());
        assert_eq!((output(&finish), finish.model_calls), ("goes on", 2), "{what}");
        assert!(world.state().tasks.is_empty(), "{what}, at rest: {:?}", world.state().tasks);
    }
}

#[test]
fn a_sub_agents_direct_result_is_its_report() {
    let task = turn(&[("task", json!({ "description": "do", "subagent_type": "worker" }))]);
    let mut world = world(vec![task], vec![turn(&[("direct", json!({ "x": "1" }))])]);
    let finish = world.play(&compiled(), "job", &go());
    assert_eq!((output(&finish), finish.model_calls), ("final", 3));
    assert_eq!(world.state().messages[2].text(""), "direct 1");
}

#[test]
fn it_ends_alike_whatever_was_stored_when_the_worker_was_lost() {
    let rounds = || {
        let mixed = turn(&[("direct", json!({ "x": "1" })), ("direct", json!({ "x": "fail" }))]);
        vec![mixed, turn(&[("direct", json!({ "x": "2" }))])]
    };
    let mut whole = world(rounds(), Vec::new());
    let finish = whole.play(&compiled(), "job", &go());
    assert_eq!((output(&finish), finish.model_calls), ("direct 2", 2));
    for commits in 1..whole.commits.len() {
        let mut resumed = World::after(&whole, commits);
        let answered = resumed.state().messages.iter().filter(|message| message.type_name() == "ai").count();
        resumed.scripts.insert(None, rounds().into_iter().skip(answered).collect());
        let finish = resumed.play(&compiled(), "job", &go());
        assert_eq!(output(&finish), "direct 2", "after {commits} commits");
        assert_eq!(resumed.asked.len(), 2 - answered, "after {commits} commits");
        assert!(resumed.state().tasks.is_empty(), "after {commits} commits");
    }
}
