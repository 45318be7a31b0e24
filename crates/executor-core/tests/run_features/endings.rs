//! How runs end: structured answers, unreadable calls, requirements, limits of sub-agents.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use agent_executor_core::{
    AgentSpec, Compiled, Definition, Finish, ModelRef, Outcome, ResponseFormat, ResponseSpec, Strategy,
    StreamEvent,
};
use agent_langgraph_codec::ToolStatus;
use serde_json::{Value, json};

use crate::machine::{World, agent, compile, definition, told};

fn world(main: Vec<Value>, sub: Vec<Value>) -> World {
    let scripts =
        HashMap::from([(None, VecDeque::from(main)), (Some("worker".to_owned()), VecDeque::from(sub))]);
    World::new(scripts, |_| told("fine", ToolStatus::Success))
}

fn compiled(definition: Definition) -> Arc<Compiled> {
    compile(definition, &[], &[])
}

fn with_form(name: &str, strategy: Strategy) -> AgentSpec {
    let schema = json!({
        "type": "object", "required": ["score"], "properties": {"score": {"type": "integer"}, "é": {}}
    });
    let form = ResponseSpec { name: "Ans".to_owned(), schema, strategy };
    AgentSpec { response_format: Some(form), ..agent(name, "p") }
}

fn go() -> Value {
    json!({"messages": [{"role": "user", "content": "go"}]})
}

fn call(name: &str, args: &Value) -> Value {
    json!({"content": "", "tool_calls": [{"id": "c1", "name": name, "args": args}]})
}

fn task() -> Value {
    call("task", &json!({"description": "do", "subagent_type": "worker"}))
}

fn failure(finish: &Finish) -> (&str, &str) {
    match &finish.outcome {
        Outcome::Failed { code, message, .. } => (code, message),
        Outcome::Completed { .. } => panic!("{:?}", finish.outcome),
    }
}

#[test]
fn an_answer_that_fits_is_the_result_whichever_way_it_came() {
    let by_tool = call("Ans", &json!({"score": 3}));
    let by_text = json!({"content": "{\"score\": 3}"});
    for (strategy, right) in [(Strategy::Tool, by_tool), (Strategy::Provider, by_text)] {
        let wrong = json!({"content": "three"});
        let mut world = world(vec![wrong, right], Vec::new());
        let compiled = compiled(definition(with_form("main", strategy), Vec::new()));
        let finish = world.play(&compiled, "job", &go());
        let Outcome::Completed { structured_response, .. } = &finish.outcome else {
            panic!("{:?}", finish.outcome)
        };
        assert_eq!(*structured_response, Some(json!({"score": 3})), "{strategy:?}");
        assert_eq!(finish.model_calls, 2, "asked again once");
        let (_, request) = &world.asked[0];
        match (strategy, &request.response_format) {
            (Strategy::Tool, Some(ResponseFormat::AnyTool)) => {
                assert_eq!(request.tools.last().map(|tool| tool.name.as_str()), Some("Ans"));
            }
            (Strategy::Provider, Some(ResponseFormat::Schema { name, .. })) => assert_eq!(name, "Ans"),
            other => panic!("{other:?}"),
        }
        let state = world.state();
        assert!(state.tasks.is_empty(), "at rest: {:?}", state.tasks);
        assert!(state.values.contains_key("structured_response"));
    }
}

#[test]
fn three_wrong_answers_end_the_job_and_the_next_turn_begins_anew() {
    let wrong = call("Ans", &json!({"score": "x"}));
    let mut world = world(vec![wrong.clone(), wrong.clone(), wrong], Vec::new());
    let compiled = compiled(definition(with_form("main", Strategy::Tool), Vec::new()));
    let finish = world.play(&compiled, "job", &go());
    let (code, message) = failure(&finish);
    assert_eq!((code, finish.model_calls), ("result.response_format", 3));
    assert!(message.contains("score: expected integer, found string"), "{message}");
    world.scripts.insert(None, VecDeque::from([call("Ans", &json!({"score": 1}))]));
    let finish = world.play(&compiled, "job-2", &go());
    assert!(matches!(finish.outcome, Outcome::Completed { .. }), "{:?}", finish.outcome);
}

#[test]
fn a_specialists_structured_answer_is_its_report() {
    let mut world = world(vec![task()], vec![call("Ans", &json!({"score": 1, "é": "ü"}))]);
    let compiled = compiled(definition(agent("main", "m"), vec![with_form("worker", Strategy::Tool)]));
    world.play(&compiled, "job", &go());
    let state = world.state();
    assert_eq!(state.messages[2].text(""), "{\"score\": 1, \"\\u00e9\": \"\\u00fc\"}");
}

#[test]
fn the_fourth_turn_in_a_row_that_cannot_be_read_ends_the_job() {
    let bad = json!({"content": "", "invalid_tool_calls": [{"id": "c1", "name": "ls", "args": "{"}]});
    let compiled = compiled(definition(agent("main", "m"), Vec::new()));
    let mut world_ends = world(vec![bad.clone(), bad.clone(), bad.clone(), bad.clone()], Vec::new());
    let finish = world_ends.play(&compiled, "job", &go());
    assert_eq!((failure(&finish).0, finish.model_calls), ("model.malformed_calls", 4));

    let good = json!({"content": "done"});
    let mut world = world(vec![bad.clone(), bad.clone(), bad, good], Vec::new());
    let finish = world.play(&compiled, "job", &go());
    assert!(matches!(finish.outcome, Outcome::Completed { .. }), "{:?}", finish.outcome);
    let (_, last) = world.asked.last().expect("asked");
    let answers = last.messages.iter().filter(|message| message.text("").contains("could not be executed"));
    assert_eq!(answers.count(), 1, "calls of one id are answered once");
}

#[test]
fn requirements_are_checked_at_the_end() {
    let mut wanted = definition(agent("main", "m"), Vec::new());
    wanted.required_files = vec!["/report.md".to_owned()];
    let finish = world(vec![], vec![]).play(&compiled(wanted), "job", &go());
    assert_eq!(failure(&finish).0, "result.requirement");

    for (output, fails) in
        [("HALT: no", true), (" \n HALT", true), ("we HALT", false), ("HALTED", true), ("ok", false)]
    {
        let mut refusing = definition(agent("main", "m"), Vec::new());
        refusing.fail_if_output_matches = vec!["error \\d+".to_owned(), "HALT".to_owned()];
        let mut world = world(vec![json!({"content": output})], Vec::new());
        let finish = world.play(&compiled(refusing), "job", &go());
        assert_eq!(matches!(finish.outcome, Outcome::Failed { .. }), fails, "{output:?}");
    }
}

#[test]
fn a_failing_sub_agent_is_an_answer_to_its_parent() {
    let raise = json!({"raise": "ValueError", "message": "no credit"});
    let mut world = world(vec![task()], vec![raise]);
    let compiled = compiled(definition(agent("main", "m"), vec![agent("worker", "w")]));
    let finish = world.play(&compiled, "job", &go());
    assert!(matches!(finish.outcome, Outcome::Completed { .. }), "{:?}", finish.outcome);
    let state = world.state();
    assert_eq!(state.messages[2].text(""), "Error: sub-agent 'worker' failed: no credit");
}

#[test]
fn a_limit_of_the_main_agent_is_not_general_purposes() {
    let mut limited = definition(AgentSpec { recursion_limit: Some(4), ..agent("main", "m") }, Vec::new());
    limited.recursion_limit = Some(4);
    let general = call("task", &json!({"description": "do", "subagent_type": "general-purpose"}));
    let scripts = HashMap::from([
        (None, VecDeque::from([general])),
        (Some("general-purpose".to_owned()), (0..3).map(|_| call("ls", &json!({"path": "/"}))).collect()),
    ]);
    let mut world = World::new(scripts, |_| told("fine", ToolStatus::Success));
    let finish = world.play(&compiled(limited), "job", &go());
    // before_agent, model, tools, model are four; after_agent is a fifth step that is due.
    assert_eq!(failure(&finish).0, "run.recursion_limit");
    let helper = world.asked.iter().filter(|(who, _)| who.is_some()).count();
    assert_eq!(helper, 4, "the helper ran to its end");
}

#[test]
fn an_interim_report_is_marked_in_the_tools_end() {
    let talk =
        json!({"content": "so far", "tool_calls": [{"id": "s1", "name": "ls", "args": {"path": "/"}}]});
    let mut world = world(vec![task()], vec![talk, json!({"content": ""})]);
    let compiled = compiled(definition(agent("main", "m"), vec![agent("worker", "w")]));
    world.play(&compiled, "job", &go());
    let events = world.commits.iter().flat_map(|commit| &commit.events);
    let ends: Vec<(String, bool)> = events
        .filter_map(|emission| match &emission.event {
            StreamEvent::ToolEnd { name, interim, .. } => Some((name.clone(), *interim)),
            StreamEvent::StateUpdate { .. }
            | StreamEvent::ToolStart { .. }
            | StreamEvent::Error { .. }
            | StreamEvent::End { .. } => None,
        })
        .collect();
    assert_eq!(ends, [("ls".to_owned(), false), ("task".to_owned(), true)]);
}

#[test]
fn a_provider_that_needs_a_message_is_not_asked_without_one() {
    for (provider, expected) in [("anthropic", Some("input.no_message")), ("openai", None)] {
        let mut main = agent("main", "m");
        main.model = Some(ModelRef { provider: provider.to_owned(), model: "m".to_owned() });
        let mut world = world(Vec::new(), Vec::new());
        let finish = world.play(&compiled(definition(main, Vec::new())), "job", &json!({"x": 1}));
        let code = match &finish.outcome {
            Outcome::Failed { code, .. } => Some(*code),
            Outcome::Completed { .. } => None,
        };
        assert_eq!((code, world.asked.len()), (expected, usize::from(expected.is_none())), "{provider}");
    }
}
