//! Whole runs of the machine without any server: what it asks, what it stores, and that it goes on from any commit.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_in_result,
    reason = "helpers of tests stand outside of the test functions"
)]

#[cfg(test)]
#[path = "recorded_runs/machine.rs"]
#[expect(dead_code, reason = "every test takes its part of the helpers")]
mod machine;

use std::collections::VecDeque;
use std::sync::Arc;

use agent_executor_core::{
    Compiled, Definition, Effect, Event, Finish, ModelReply, ModelRequest, Outcome, Run, RunInput, RunLimits,
    RunSetup, Stamp, StepCommit, StopReason, StreamEvent, has_begun,
};
use agent_langgraph_codec::{Content, Kind, Message, Rows, ToolCall};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

fn definition() -> Definition {
    machine::definition(machine::agent("main", "[main]"), vec![machine::agent("writer one", "[sub]")])
}

fn setup(limits: RunLimits) -> RunSetup {
    let compiled = Compiled::new(Arc::new(definition()), &IndexMap::new(), &[]).unwrap();
    RunSetup {
        compiled: Arc::new(compiled),
        job_id: Arc::from("job-1"),
        own_thread: true,
        limits,
        model: None,
    }
}

fn input(text: &str) -> RunInput {
    let payload: Map<String, Value> =
        serde_json::from_value(json!({ "messages": [{ "role": "user", "content": text }] })).unwrap();
    RunInput {
        payload,
        messages: vec![Arc::new(Message::human(text, format!("user-{text}")))],
        files: Vec::new(),
        values: Vec::new(),
    }
}

struct Stamps(u64);

impl Stamps {
    fn next(&mut self) -> Stamp {
        self.0 += 1;
        Stamp { now_ns: 1_700_000_000_000_000_000 + self.0 * 1000, seed: u128::from(self.0) }
    }
}

fn calls(calls: &[(&str, Value)], turn: usize) -> ModelReply {
    let calls = calls.iter().enumerate().map(|(index, (name, args))| ToolCall {
        id: Some(format!("call_{turn}_{index}")),
        name: (*name).to_owned(),
        args: args.as_object().unwrap().clone(),
    });
    ModelReply {
        message: Message::ai(Content::Text(String::new()), calls.collect(), None),
        stop: StopReason::ToolCalls,
        usage: None,
    }
}

fn text(text: &str) -> ModelReply {
    ModelReply {
        message: Message::ai(Content::Text(text.to_owned()), Vec::new(), None),
        stop: StopReason::Stop,
        usage: None,
    }
}

/// A model that knows how often it has answered in this conversation, and so always plays the same part.
fn play(request: &ModelRequest) -> ModelReply {
    let turn = request.messages.iter().filter(|message| matches!(message.kind, Kind::Ai { .. })).count();
    let task = request.messages[0].text("");
    match (request.system.as_deref().unwrap(), turn) {
        ("[main]", 0) => calls(
            &[
                ("write_file", json!({ "file_path": "/a.md", "content": "alpha\n" })),
                ("task", json!({ "description": "part 1", "subagent_type": "writer one" })),
                ("task", json!({ "description": "part 2", "subagent_type": "writer one" })),
            ],
            turn,
        ),
        ("[main]", 1) => calls(&[("ls", json!({ "path": "/" })), ("no_such_tool", json!({}))], turn),
        ("[main]", _) => text("all done"),
        (_, 0) => calls(
            &[(
                "write_file",
                json!({ "file_path": format!("/{}.md", task.replace(' ', "-")), "content": task }),
            )],
            turn,
        ),
        (_, _) => text(&format!("{task} is written")),
    }
}

/// What is durable, and everything that was asked of the model.
#[derive(Default)]
struct World {
    rows: Rows,
    asked: Vec<(String, usize)>,
    events: Vec<StreamEvent>,
    commits: usize,
}

impl World {
    fn store(&mut self, commit: StepCommit) {
        self.rows.checkpoints.extend(commit.rows.checkpoints);
        self.rows.blobs.extend(commit.rows.blobs);
        self.rows.writes.extend(commit.rows.writes);
        self.events.extend(commit.events.into_iter().map(|emission| emission.event));
        self.commits += 1;
    }
}

/// Drives the run to its end, or until so many commits are durable.
fn drive(
    run: &mut Run,
    first: Vec<Effect>,
    world: &mut World,
    stop_after: usize,
    stamps: &mut Stamps,
) -> Option<Finish> {
    let mut effects: VecDeque<Effect> = first.into();
    while let Some(effect) = effects.pop_front() {
        if world.commits >= stop_after {
            return None;
        }
        let event = match effect {
            Effect::AskModel { agent, request, .. } => {
                let conversation =
                    format!("{}|{}", request.system.as_deref().unwrap(), request.messages[0].text(""));
                world.asked.push((conversation, request.messages.len()));
                Event::ModelReply(agent, Box::new(play(&request)))
            }
            Effect::Commit(commit) => {
                let number = commit.number;
                world.store(commit);
                Event::Committed(number)
            }
            Effect::Finish(finish) => {
                world.store(finish.commit.clone());
                return Some(*finish);
            }
            Effect::RunTool { .. } | Effect::Emit(_) => continue,
        };
        effects.extend(run.handle(event, stamps.next()));
    }
    panic!("the run stopped asking without an end");
}

fn whole_run() -> (World, Finish) {
    let (mut world, mut stamps) = (World::default(), Stamps(0));
    let (mut run, first) = Run::start(setup(RunLimits::default()), input("go"), stamps.next());
    let finish = drive(&mut run, first, &mut world, usize::MAX, &mut stamps).unwrap();
    (world, finish)
}

fn contents(finish: &Finish) -> (Value, Vec<(String, String)>) {
    let Outcome::Completed { output, files, .. } = &finish.outcome else { panic!("{:?}", finish.outcome) };
    let files = files.iter().map(|(path, file)| (path.clone(), file.text().into_owned())).collect();
    (output.clone(), files)
}

#[test]
fn a_job_with_tools_and_parallel_sub_agents_comes_to_its_end() {
    let (world, finish) = whole_run();
    let (output, mut files) = contents(&finish);
    files.sort();
    assert_eq!(output, json!("all done"));
    let expected = [("/a.md", "alpha\n"), ("/part-1.md", "part 1"), ("/part-2.md", "part 2")];
    assert_eq!(files, expected.map(|(path, text)| (path.to_owned(), text.to_owned())));
    assert_eq!(finish.model_calls, 7, "three of the orchestrator, two of each sub-agent");
    assert!(matches!(world.events.last(), Some(StreamEvent::End { completed: true })));
}

#[test]
fn tool_results_stand_in_call_order_and_mistakes_are_answered() {
    let (world, _) = whole_run();
    let state = agent_langgraph_codec::load_graph(&world.rows, "").unwrap().unwrap();
    let answers: Vec<(String, String)> = state
        .messages
        .iter()
        .filter_map(|message| match &message.kind {
            Kind::Tool { tool_call_id, .. } => Some((tool_call_id.clone(), message.text(""))),
            _ => None,
        })
        .collect();
    let ids: Vec<&str> = answers.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, ["call_0_0", "call_0_1", "call_0_2", "call_1_0", "call_1_1"]);
    assert_eq!(answers[1].1, "part 1 is written");
    assert_eq!(answers[3].1, "['/a.md', '/part-1.md', '/part-2.md']");
    assert!(answers[4].1.starts_with("Error: no_such_tool is not a valid tool"), "{}", answers[4].1);
}

#[test]
fn the_stored_thread_is_at_rest_and_holds_what_the_run_held() {
    let (world, finish) = whole_run();
    let state = agent_langgraph_codec::load_graph(&world.rows, "").unwrap().unwrap();
    assert!(state.tasks.is_empty(), "{:?}", state.tasks);
    assert_eq!(state.metadata.step, 7, "2t + 3 super-steps from -1 on, with two rounds of tools");
    let Outcome::Completed { files, .. } = &finish.outcome else { panic!() };
    assert_eq!(&state.files, files.as_ref());
}

#[test]
fn a_run_goes_on_from_every_commit_without_asking_again_what_was_answered() {
    let (whole, finish) = whole_run();
    for stop_after in 1..whole.commits {
        let (mut world, mut stamps) = (World::default(), Stamps(0));
        let (mut run, first) = Run::start(setup(RunLimits::default()), input("go"), stamps.next());
        assert!(drive(&mut run, first, &mut world, stop_after, &mut stamps).is_none());
        let answered: Vec<_> = world.asked.clone();

        let setup = setup(RunLimits::default());
        let (mut run, first) = Run::resume(setup, &world.rows, input("go"), stamps.next()).unwrap();
        let resumed = drive(&mut run, first, &mut world, usize::MAX, &mut stamps).unwrap();

        let (output, mut files) = contents(&resumed);
        let (expected_output, mut expected_files) = contents(&finish);
        files.sort();
        expected_files.sort();
        assert_eq!((output, files), (expected_output, expected_files), "after {stop_after} commits");
        let users = agent_langgraph_codec::load_graph(&world.rows, "").unwrap().unwrap().messages;
        let users = users.iter().filter(|message| matches!(message.kind, Kind::Human)).count();
        assert_eq!(users, 1, "the user's message is appended once");
        // Only calls that were in flight when it stopped may be made twice: at most one an agent.
        let mut counts = std::collections::BTreeMap::new();
        for call in &world.asked {
            *counts.entry(call.clone()).or_insert(0) += 1;
        }
        let repeated = counts.values().filter(|count| **count > 1).count();
        assert!(repeated <= 2, "after {stop_after} commits {repeated} calls were repeated: {answered:?}");
    }
}

#[test]
fn a_second_job_on_the_thread_sees_the_first_ones_messages() {
    let (mut world, _) = whole_run();
    let mut stamps = Stamps(1000);
    let setup = RunSetup { job_id: Arc::from("job-2"), ..setup(RunLimits::default()) };
    let (mut run, first) = Run::resume(setup, &world.rows, input("again"), stamps.next()).unwrap();
    drive(&mut run, first, &mut world, usize::MAX, &mut stamps).unwrap();
    let state = agent_langgraph_codec::load_graph(&world.rows, "").unwrap().unwrap();
    let humans = state.messages.iter().filter(|message| matches!(message.kind, Kind::Human));
    let texts: Vec<String> = humans.map(|message| message.text("")).collect();
    assert_eq!(texts, ["go", "again"]);
    assert_eq!(state.metadata.step, 12, "input, start, before_agent, model, after_agent");
}

#[test]
fn the_recursion_limit_ends_the_job_with_the_known_text_and_the_next_job_heals() {
    let limits = RunLimits { recursion_limit: Some(2), ..RunLimits::default() };
    let (mut world, mut stamps) = (World::default(), Stamps(0));
    let (mut run, first) = Run::start(setup(limits), input("go"), stamps.next());
    let finish = drive(&mut run, first, &mut world, usize::MAX, &mut stamps).unwrap();
    let Outcome::Failed { kind, code, message } = &finish.outcome else { panic!("{:?}", finish.outcome) };
    assert_eq!((*kind, *code), ("ExecutionError", "run.recursion_limit"));
    assert!(message.starts_with("Graph execution failed: Recursion limit of 2 reached"), "{message}");

    let setup = RunSetup { job_id: Arc::from("job-2"), ..setup(RunLimits::default()) };
    let (mut run, first) = Run::resume(setup, &world.rows, input("more"), stamps.next()).unwrap();
    drive(&mut run, first, &mut world, usize::MAX, &mut stamps).unwrap();
    let state = agent_langgraph_codec::load_graph(&world.rows, "").unwrap().unwrap();
    let healed =
        state.messages.iter().filter(|message| message.text("").contains("did not complete")).count();
    assert_eq!(healed, 3, "each call of the round that never ran has an answer");
}

/// Drives until so many model calls are open, none of which is answered then.
fn drive_until_asked(run: &mut Run, first: Vec<Effect>, world: &mut World, open: usize, stamps: &mut Stamps) {
    let mut effects: VecDeque<Effect> = first.into();
    let mut asked = Vec::new();
    loop {
        let Some(effect) = effects.pop_front() else {
            if asked.len() >= open {
                return;
            }
            let (agent, request): (_, Box<ModelRequest>) = asked.remove(0);
            effects.extend(run.handle(Event::ModelReply(agent, Box::new(play(&request))), stamps.next()));
            continue;
        };
        match effect {
            Effect::AskModel { agent, request, .. } => asked.push((agent, request)),
            Effect::Commit(commit) => {
                let number = commit.number;
                world.store(commit);
                effects.extend(run.handle(Event::Committed(number), stamps.next()));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_cancelled_thread_is_healed_and_at_rest_and_keeps_what_had_ended() {
    let (mut world, mut stamps) = (World::default(), Stamps(0));
    let (mut run, first) = Run::start(setup(RunLimits::default()), input("go"), stamps.next());
    drive_until_asked(&mut run, first, &mut world, 2, &mut stamps);
    let effects = run.handle(Event::Cancelled, stamps.next());
    let [Effect::Finish(finish)] = effects.as_slice() else { panic!("{effects:?}") };
    let Outcome::Failed { kind, code, .. } = &finish.outcome else { panic!("{:?}", finish.outcome) };
    assert_eq!((*kind, *code), ("Cancelled", "job.cancelled"));
    world.store(finish.commit.clone());

    let state = agent_langgraph_codec::load_graph(&world.rows, "").unwrap().unwrap();
    assert!(state.tasks.is_empty(), "{:?}", state.tasks);
    assert!(state.files.contains_key("/a.md"), "what a finished call did stays");
    let texts: Vec<String> = state.messages.iter().map(|message| message.text("")).collect();
    assert_eq!(texts.len(), 5, "the user, the calls, and an answer to each: {texts:?}");
    assert!(texts[2].contains("/a.md"), "{texts:?}");
    assert!(texts[3..].iter().all(|text| text.contains("did not complete")), "{texts:?}");
    let cut = world.events.iter().filter(
        |event| matches!(event, StreamEvent::ToolEnd { output, .. } if output.contains("did not complete")),
    );
    assert_eq!(cut.count(), 2, "observers are told of both");
    assert!(has_begun(&world.rows, "job-1") && !has_begun(&world.rows, "job-2"));

    let setup = RunSetup { job_id: Arc::from("job-2"), ..setup(RunLimits::default()) };
    let (mut run, first) = Run::resume(setup, &world.rows, input("more"), stamps.next()).unwrap();
    drive(&mut run, first, &mut world, usize::MAX, &mut stamps).unwrap();
    let after = agent_langgraph_codec::load_graph(&world.rows, "").unwrap().unwrap();
    assert_eq!(after.messages[..5], state.messages[..], "nothing was left for the next job to heal");
}

#[test]
fn a_job_that_is_cancelled_while_its_first_model_thinks_leaves_nothing_due() {
    let (mut world, mut stamps) = (World::default(), Stamps(0));
    let (mut run, first) = Run::start(setup(RunLimits::default()), input("go"), stamps.next());
    drive_until_asked(&mut run, first, &mut world, 1, &mut stamps);
    let effects = run.handle(Event::Cancelled, stamps.next());
    let [Effect::Finish(finish)] = effects.as_slice() else { panic!("{effects:?}") };
    world.store(finish.commit.clone());
    let state = agent_langgraph_codec::load_graph(&world.rows, "").unwrap().unwrap();
    assert!(state.tasks.is_empty(), "{:?}", state.tasks);
    assert_eq!(state.messages.len(), 1);
}

#[test]
fn late_and_repeated_events_yield_nothing() {
    let mut stamps = Stamps(0);
    let (mut run, _) = Run::start(setup(RunLimits::default()), input("go"), stamps.next());
    let effects = run.handle(Event::Cancelled, stamps.next());
    assert!(matches!(effects.as_slice(), [Effect::Finish(_)]));
    for event in [Event::Cancelled, Event::DeadlinePassed, Event::Committed(9)] {
        assert!(run.handle(event, stamps.next()).is_empty());
    }
    assert_eq!(run.out_of_phase(), 3);
}

#[test]
fn the_same_stamps_give_the_same_rows() {
    let (first, second) = (whole_run().0, whole_run().0);
    assert_eq!(first.rows, second.rows);
}

#[test]
fn a_spent_budget_ends_the_job_before_the_next_call() {
    let limits = RunLimits { max_model_calls: Some(1), ..RunLimits::default() };
    let (mut world, mut stamps) = (World::default(), Stamps(0));
    let (mut run, first) = Run::start(setup(limits), input("go"), stamps.next());
    let finish = drive(&mut run, first, &mut world, usize::MAX, &mut stamps).unwrap();
    let Outcome::Failed { kind, .. } = finish.outcome else { panic!() };
    assert_eq!(kind, "BudgetExceeded");
    assert_eq!(world.asked.len(), 1);
}
