//! Threads that a Python deep agent left half done, gone on with: the recorded rows come in, the scripted model and
//! tools do what is due and nothing else.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::unwrap_in_result,
    reason = "helpers of tests stand outside of the test functions"
)]

mod common;

use std::sync::Arc;

use agent_executor_core::{
    Class, Compiled, CustomTool, Defaults, Definition, Effect, Event, Finish, Input, ModelReply,
    ModelRequest, Outcome, ResumeError, Run, RunInput, RunLimits, RunSetup, StopReason, ToolResult, ToolSpec,
};
use agent_langgraph_codec::{Content, GraphState, Message, Rows, ToolCall, ToolStatus, load_graph};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use common::Thread;

#[path = "../../langgraph-codec/tests/codec/examples.rs"]
#[expect(dead_code, reason = "the codec's tests use all of it")]
mod examples;

/// The recorded thread whose name begins so; `None` where the recordings are absent.
fn thread(number: &str) -> Option<(Rows, Value)> {
    let all = examples::all();
    if all.is_empty() {
        return None;
    }
    let found = all.into_iter().find(|example| example.name.starts_with(number)).unwrap();
    let start = found.get_state["values"]["messages"][0]["content"].clone();
    Some((found.rows, json!({ "messages": [{ "role": "user", "content": start }] })))
}

fn compiled() -> Arc<Compiled> {
    let model = json!({ "provider": "openai", "model": "scripted" });
    let agent = |kind: &str, name: &str, prompt: &str| {
        json!({ "type": kind, "config": {
            "name": name, "description": "does it", "system_prompt": prompt, "model": model } })
    };
    let definition = json!({ "nodes": [
        agent("orchestrator", "main", "You lead."),
        agent("specialist", "researcher", "You research."),
    ] });
    let parsed = Definition::parse(&definition, &Defaults::default()).unwrap();
    let mut definition = parsed.definition;
    let names = ["ok_tool", "bad_tool", "ask"];
    definition.orchestrator.tools = names.map(str::to_owned).to_vec();
    let tools: IndexMap<String, CustomTool> = names
        .map(|name| {
            let parameters = json!({ "type": "object" });
            let spec = ToolSpec { name: name.to_owned(), description: String::new(), parameters };
            (name.to_owned(), CustomTool { spec, class: Class::Pure, return_direct: false })
        })
        .into_iter()
        .collect();
    Arc::new(Compiled::new(Arc::new(definition), &tools, &[]).unwrap())
}

/// A thread that is gone on with.
struct Played {
    thread: Thread,
    asked: Vec<ModelRequest>,
    called: Vec<String>,
    finish: Finish,
}

impl Played {
    fn state(&self) -> GraphState {
        self.thread.state()
    }

    fn texts(&self) -> Vec<String> {
        self.state().messages.iter().map(|message| message.text("")).collect()
    }
}

/// Later than every recorded row.
const LATER_NS: u64 = 1_900_000_000_000_000_000;

fn resumed(thread: &mut Thread, payload: &Value) -> Result<(Run, Vec<Effect>), ResumeError> {
    let compiled = compiled();
    let payload = payload.as_object().unwrap().clone();
    let stamp = thread.stamp();
    let input = Input::from_payload(&payload, compiled.definition(), stamp).unwrap();
    let input = RunInput::new(payload, input, &compiled, stamp).unwrap();
    let setup = RunSetup {
        compiled,
        job_id: Arc::from("a-job"),
        own_thread: true,
        limits: RunLimits::default(),
        model: None,
    };
    let stamp = thread.stamp();
    Run::resume(setup, &thread.rows, input, stamp)
}

/// Goes on with the thread; every model call is answered with the next of `answers`.
fn play(rows: Rows, payload: &Value, answers: &[&str]) -> Played {
    let mut thread = Thread::new(rows, LATER_NS);
    let mut answers = answers.iter();
    let (mut asked, mut called) = (Vec::new(), Vec::new());
    let (run, effects) = resumed(&mut thread, payload).unwrap();
    let finish = thread.drive(run, effects, |call| {
        Some(match call {
            Effect::AskModel { agent, request, .. } => {
                asked.push(*request);
                let text = answers.next().unwrap_or_else(|| panic!("asked once too often: {asked:?}"));
                let message = Message::ai(Content::Text((*text).to_owned()), Vec::new(), None);
                let reply = ModelReply { message, stop: StopReason::Stop, usage: None };
                Event::ModelReply(agent, Box::new(reply))
            }
            Effect::RunTool { call_ref, call, .. } => {
                called.push(call.name.clone());
                Event::ToolReturned(call_ref, told(&call))
            }
            other @ (Effect::Commit(_) | Effect::Finish(_) | Effect::Emit(_)) => panic!("no call: {other:?}"),
        })
    });
    Played { thread, asked, called, finish: finish.unwrap() }
}

fn told(call: &ToolCall) -> ToolResult {
    let content = Content::Text(format!("{} of ours", call.name));
    ToolResult { content, status: ToolStatus::Success, files: Vec::new(), values: Map::new() }
}

fn assert_completed(played: &Played) {
    assert!(matches!(played.finish.outcome, Outcome::Completed { .. }), "{:?}", played.finish.outcome);
    assert!(played.state().next().is_empty());
}

#[test]
fn a_round_of_tools_that_never_began_is_run_and_the_model_asked_once() {
    let Some((rows, payload)) = thread("09") else { return };
    let played = play(rows, &payload, &["Done."]);
    assert_completed(&played);
    assert_eq!(
        played.texts(),
        ["Write alpha to /a.txt.", "I will write it.", "Updated file /a.txt", "Done."]
    );
    assert_eq!(played.state().files["/a.txt"].text(), "alpha\nbeta");
    assert_eq!(played.asked.len(), 1);
}

#[test]
fn of_two_tools_only_the_one_that_raised_runs_again() {
    let Some((rows, payload)) = thread("10") else { return };
    let played = play(rows, &payload, &["Done."]);
    assert_completed(&played);
    assert_eq!(played.called, ["bad_tool"]);
    assert_eq!(played.texts(), ["Fail one.", "", "ok 1", "bad_tool of ours", "Done."]);
}

#[test]
fn a_model_call_that_failed_is_made_again() {
    let Some((rows, payload)) = thread("11") else { return };
    let played = play(rows, &payload, &["Now it works."]);
    assert_completed(&played);
    assert_eq!(played.texts(), ["Model fails.", "Now it works."]);
}

#[test]
fn a_thread_that_lacks_only_its_last_step_asks_nobody() {
    let Some((rows, payload)) = thread("13") else { return };
    let played = play(rows, &payload, &[]);
    assert_completed(&played);
    assert_eq!(played.texts().last().unwrap(), "Done.");
    assert!(played.asked.is_empty() && played.called.is_empty());
}

#[test]
fn a_sub_agent_goes_on_where_it_failed_and_its_file_reaches_the_parent() {
    let Some((rows, payload)) = thread("16") else { return };
    let ns = rows.checkpoints.iter().find(|row| !row.ns.is_empty()).unwrap().ns.clone();
    let before = load_graph(&rows, &ns).unwrap().unwrap();
    let played = play(rows, &payload, &["Y is researched.", "All done."]);
    assert_completed(&played);
    assert_eq!(played.texts(), ["Delegate Y.", "", "Y is researched.", "All done."]);
    let asked: Vec<&str> = played.asked.iter().map(|request| request.system.as_deref().unwrap()).collect();
    assert!(asked[0].contains("You research.") && asked[1].contains("You lead."), "{asked:?}");
    assert_eq!(
        played.asked[0].messages.len(),
        before.messages.len(),
        "nothing of the sub-agent is done again"
    );
    assert!(!before.files.is_empty() && played.state().files == before.files);
}

#[test]
fn a_thread_that_waits_for_an_answer_says_so_and_a_new_turn_gets_it_out() {
    for number in ["07", "18", "23"] {
        let Some((rows, payload)) = thread(number) else { return };
        let mut waiting = Thread::new(rows.clone(), LATER_NS);
        let refused = resumed(&mut waiting, &payload).map(|(_, effects)| effects).unwrap_err();
        assert!(matches!(refused, ResumeError::WaitsForAnswer { .. }), "{number}: {refused}");
        assert_eq!(refused.code(), "thread.waiting");

        let other = json!({ "messages": [{ "role": "user", "content": "Never mind." }] });
        let open = load_graph(&rows, "").unwrap().unwrap().messages.len();
        let played = play(rows, &other, &["As you like."]);
        assert_completed(&played);
        let texts = played.texts();
        assert!(texts.len() > open + 2 && texts.last().unwrap() == "As you like.", "{texts:?}");
        assert!(texts.iter().any(|text| text.contains("did not complete")), "{texts:?}");
    }
}

#[test]
fn every_other_thread_at_rest_is_completed_from_its_state() {
    let mut count = 0;
    for example in examples::all() {
        if !example.get_state["next"].as_array().unwrap().is_empty() {
            continue;
        }
        let before = load_graph(&example.rows, "").unwrap().unwrap();
        let played = play(example.rows, &json!({ "messages": "anything" }), &[]);
        assert_completed(&played);
        assert_eq!(played.state().messages, before.messages, "{}", example.name);
        assert!(played.asked.is_empty());
        count += 1;
    }
    println!("{count} threads at rest were completed without asking anybody");
}
