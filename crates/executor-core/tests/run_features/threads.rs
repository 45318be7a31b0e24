//! Threads that another program began (wire contract 2.2.2), and what a take-over must not forget.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use agent_executor_core::{Compiled, Finish, Outcome, RunLimits};
use agent_langgraph_codec::{Kind, Metadata, Rows, ToolStatus};
use serde_json::{Value, json};

use crate::machine::{World, agent, compile, definition, told};

fn compiled() -> Arc<Compiled> {
    let mut definition = definition(agent("main", "m"), vec![agent("worker", "w")]);
    definition.hash = "h".repeat(64);
    compile(definition, &[], &[])
}

fn input(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": text}]})
}

fn ls(id: &str) -> Value {
    json!({"content": "", "tool_calls": [{"id": id, "name": "ls", "args": {"path": "/"}}], "usage": 10})
}

fn scripts(main: Vec<Value>) -> HashMap<Option<String>, VecDeque<Value>> {
    HashMap::from([(None, VecDeque::from(main))])
}

/// A whole run of one job on its own thread.
fn whole() -> World {
    let mut world = World::new(scripts(vec![ls("c1"), json!({"content": "done", "usage": 10})]), |_| {
        told("fine", ToolStatus::Success)
    });
    world.own_thread = true;
    world.play(&compiled(), "job", &input("go"));
    world
}

/// As another program would have written them: without our tags.
fn foreign(rows: &mut Rows) {
    for row in &mut rows.checkpoints {
        let mut metadata = Metadata::from_json(&row.metadata).expect("metadata");
        metadata.extra.retain(|key, _| !key.starts_with("agent_executor"));
        row.metadata = metadata.to_json();
    }
}

fn output(finish: &Finish) -> Value {
    match &finish.outcome {
        Outcome::Completed { output, .. } => output.clone(),
        Outcome::Failed { .. } => panic!("{:?}", finish.outcome),
    }
}

fn users(world: &World) -> Vec<String> {
    let state = world.state();
    let users = state.messages.iter().filter(|message| matches!(message.kind, Kind::Human));
    users.map(|message| message.text("")).collect()
}

#[test]
fn a_thread_at_rest_that_another_program_began_completes_its_job_and_asks_nobody() {
    let whole = whole();
    let mut world = World::after(&whole, whole.commits.len());
    world.own_thread = true;
    foreign(&mut world.rows);
    let before = world.rows.clone();
    let finish = world.play(&compiled(), "job", &input("something else"));
    assert_eq!((output(&finish), world.asked.len()), (json!("done"), 0));
    assert_eq!(world.rows, before, "nothing is written");
}

#[test]
fn a_half_done_thread_goes_on_after_the_same_input_and_takes_another_as_a_new_turn() {
    let whole = whole();
    for commits in 1..whole.commits.len() {
        for (text, expected) in [("go", vec!["go"]), ("other", vec!["go", "other"])] {
            let mut world = World::after(&whole, commits);
            world.own_thread = true;
            foreign(&mut world.rows);
            let answered = whole.asked.len().min(commits);
            let rest = [ls("c1"), json!({"content": "done"})].into_iter().skip(answered.saturating_sub(1));
            world.scripts = if text == "go" { scripts(rest.collect()) } else { HashMap::new() };
            world.play(&compiled(), "job", &input(text));
            assert_eq!(users(&world), expected, "after {commits} commits");
            let state = world.state();
            assert!(state.tasks.is_empty(), "at rest");
        }
    }
}

#[test]
fn a_thread_of_another_name_takes_every_job_as_a_new_turn() {
    let whole = whole();
    let mut world = World::after(&whole, whole.commits.len());
    foreign(&mut world.rows);
    world.play(&compiled(), "job", &input("go"));
    assert_eq!(users(&world), ["go", "go"]);
}

#[test]
fn what_was_spent_before_a_take_over_counts() {
    let whole = whole();
    let mut world = World::after(&whole, 2);
    let limits = RunLimits { max_model_calls: Some(1), ..RunLimits::default() };
    let finish = world.play_with(&compiled(), "job", &input("go"), limits);
    assert!(matches!(finish.outcome, Outcome::Failed { code: "job.budget", .. }), "{:?}", finish.outcome);
    assert_eq!((finish.model_calls, finish.usage.input_tokens, world.asked.len()), (1, 10, 0));

    let mut world = World::after(&whole, 2);
    world.scripts = scripts(vec![json!({"content": "done", "usage": 10})]);
    let finish = world.play(&compiled(), "job", &input("go"));
    assert_eq!((finish.model_calls, finish.usage.input_tokens, finish.usage.output_tokens), (2, 20, 2));
}

#[test]
fn steps_before_a_take_over_count_even_if_the_inputs_checkpoint_is_out_of_reach() {
    let whole = whole();
    let mut world = World::after(&whole, 2);
    // What a store hands over may begin behind the input's checkpoint.
    let newest = world.rows.checkpoints.pop().expect("checkpoints");
    world.rows.checkpoints.retain(|row| Metadata::from_json(&row.metadata).expect("metadata").step > 0);
    world.rows.checkpoints.push(newest);
    let limits = RunLimits { recursion_limit: Some(3), ..RunLimits::default() };
    let finish = world.play_with(&compiled(), "job", &input("go"), limits);
    // before_agent, model, tools: the second model call would be the fourth step.
    let code = match &finish.outcome {
        Outcome::Failed { code, .. } => *code,
        Outcome::Completed { .. } => "completed",
    };
    assert_eq!((code, world.asked.len()), ("run.recursion_limit", 0));
}

#[test]
fn the_checkpoint_of_an_input_names_its_definition() {
    let world = whole();
    let metadata =
        world.rows.checkpoints.iter().map(|row| Metadata::from_json(&row.metadata).expect("metadata"));
    let named: Vec<(i64, Value)> = metadata
        .filter_map(|metadata| {
            Some((metadata.step, metadata.extra.get("agent_executor_definition")?.clone()))
        })
        .collect();
    assert_eq!(named, [(-1, json!("h".repeat(64)))]);
}
