//! Context management in whole runs, where no recording says it: a second summary, restarts, sub-agents, what the
//! provider reported, refused media, summaries that are too long, settings.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_in_result,
    reason = "helpers of tests stand outside of the test functions"
)]

mod common;

use std::collections::VecDeque;
use std::sync::Arc;

use agent_executor_core::{
    Compiled, Defaults, Definition, Effect, Event, Finish, Input, ModelError, ModelErrorKind, ModelReply,
    ModelRequest, Outcome, Purpose, Run, RunInput, RunLimits, RunSetup, StopReason, Usage,
};
use agent_langgraph_codec::{Content, Kind, Message, Rows, ToolCall};
use indexmap::IndexMap;
use serde_json::{Value, json};

use common::Thread;

type Answer = Result<ModelReply, ModelError>;

fn says(text: &str) -> Answer {
    let message = Message::ai(Content::Text(text.to_owned()), Vec::new(), None);
    let usage = Some(Usage { input_tokens: 10, output_tokens: 1 });
    Ok(ModelReply { message, stop: StopReason::Stop, usage })
}

fn calls(id: &str, name: &str, args: Value) -> Answer {
    let args = args.as_object().unwrap().clone();
    let call = ToolCall { id: Some(id.to_owned()), name: name.to_owned(), args };
    let message = Message::ai(Content::Text(String::new()), vec![call], None);
    Ok(ModelReply { message, stop: StopReason::ToolCalls, usage: None })
}

fn fails(kind: ModelErrorKind, status: u16) -> Answer {
    Err(ModelError { kind, message: "no".to_owned(), status: Some(status), request_id: None })
}

fn too_long() -> Answer {
    fails(ModelErrorKind::ContextOverflow, 400)
}

/// One thread, and a model that answers in order.
struct World {
    compiled: Arc<Compiled>,
    thread: Thread,
    script: VecDeque<Answer>,
    asked: Vec<(Purpose, ModelRequest)>,
    /// Stops before this question.
    dies_at: Option<usize>,
}

impl World {
    fn new(context: Value, script: Vec<Answer>) -> Self {
        let definition = json!({
            "context": context,
            "nodes": [
                {"type": "orchestrator", "name": "main", "system_prompt": "S", "model": "openai:m"},
                {"type": "specialist", "name": "helper", "system_prompt": "H", "model": "anthropic:m"},
            ],
        });
        let parsed = Definition::parse(&definition, &Defaults::default()).unwrap();
        assert!(parsed.warnings.is_empty(), "{:?}", parsed.warnings);
        let compiled = Compiled::new(Arc::new(parsed.definition), &IndexMap::new(), &[]).unwrap();
        let script = script.into();
        let compiled = Arc::new(compiled);
        let thread = Thread::new(Rows::default(), 1_790_000_000_000_000_000);
        Self { compiled, thread, script, asked: Vec::new(), dies_at: None }
    }

    /// A job on the thread; `None` if the worker died in it.
    fn job(&mut self, job: &str, input: Value, limits: RunLimits) -> Option<Finish> {
        let setup = RunSetup {
            compiled: self.compiled.clone(),
            job_id: Arc::from(job),
            own_thread: false,
            limits,
            model: None,
        };
        let payload = input.as_object().unwrap().clone();
        let stamp = self.thread.stamp();
        let read = Input::from_payload(&payload, self.compiled.definition(), stamp).unwrap();
        let files = read.files.into_iter().map(|(path, file)| (path, file.map(Arc::new))).collect();
        let messages = read.messages.into_iter().map(Arc::new).collect();
        let stamp = self.thread.stamp();
        let input = RunInput { payload, messages, files, ..RunInput::default() };
        let (run, first) = Run::resume(setup, &self.thread.rows, input, stamp).unwrap();
        self.drive(run, first)
    }

    fn drive(&mut self, run: Run, first: Vec<Effect>) -> Option<Finish> {
        let Self { thread, script, asked, dies_at, .. } = self;
        thread.drive(run, first, |call| {
            let Effect::AskModel { agent, purpose, request, .. } = call else { panic!("no tool: {call:?}") };
            if *dies_at == Some(asked.len()) {
                return None;
            }
            asked.push((purpose, *request));
            Some(match script.pop_front().unwrap() {
                Ok(reply) => Event::ModelReply(agent, Box::new(reply)),
                Err(error) => Event::ModelFailed(agent, error),
            })
        })
    }

    fn purposes(&self) -> Vec<Purpose> {
        self.asked.iter().map(|(purpose, _)| *purpose).collect()
    }

    /// Texts of a request's messages.
    fn texts(&self, question: usize) -> Vec<String> {
        self.asked[question].1.messages.iter().map(|message| message.text("")).collect()
    }
}

fn humans(texts: &[&str]) -> Value {
    let messages: Vec<Value> = texts.iter().map(|text| json!({"role": "user", "content": text})).collect();
    json!({ "messages": messages })
}

fn completed(finish: Option<Finish>) -> Finish {
    let finish = finish.unwrap();
    assert!(matches!(finish.outcome, Outcome::Completed { .. }), "{:?}", finish.outcome);
    finish
}

fn from_five() -> Value {
    json!({"summarize": {"at": {"messages": 5}, "keep": {"messages": 2}}})
}

#[test]
fn a_second_summary_stands_for_the_first_and_more() {
    let script = vec![says("SUM 1"), says("a1"), says("a2"), says("SUM 2"), says("a3")];
    let mut world = World::new(from_five(), script);
    let first = completed(world.job("1", humans(&["q1", "q2", "q3", "q4", "q5"]), RunLimits::default()));
    assert_eq!((first.model_calls, first.usage.input_tokens), (2, 20), "a summary costs as well");
    // Summary, q4, q5, a1, q6: five messages are shown, of which three go.
    completed(world.job("2", humans(&["q6"]), RunLimits::default()));
    assert_eq!(world.purposes(), [Purpose::Summary, Purpose::Answer, Purpose::Summary, Purpose::Answer]);
    let summary = world.texts(2).remove(0);
    assert!(summary.contains("SUM 1") && summary.contains("q4") && !summary.contains("q1"), "{summary}");
    let shown = world.texts(3);
    assert!(shown[0].contains("<summary>\na2\n</summary>"), "{shown:?}");
    assert_eq!(shown[1..], ["a1", "q6"]);
    let thread = world.thread.state();
    assert_eq!(thread.messages.len(), 8, "stored messages are never removed");
    let [(path, file)] = thread.files.iter().collect::<Vec<_>>()[..] else { panic!("{:?}", thread.files) };
    assert!(path.starts_with("/conversation_history/session_"));
    let text = file.text();
    assert_eq!(text.matches("## Summarized at ").count(), 2);
    assert!(text.contains("q1") && text.contains("q5") && !text.contains("SUM 1"), "{text}");
}

#[test]
fn a_worker_that_dies_between_summary_and_answer_begins_the_step_again() {
    let script = vec![says("SUM"), says("SUM again"), says("done")];
    let mut world = World::new(from_five(), script);
    world.dies_at = Some(1);
    let input = || humans(&["q1", "q2", "q3", "q4", "q5"]);
    assert!(world.job("1", input(), RunLimits::default()).is_none());
    assert!(world.thread.state().files.is_empty(), "nothing of an unfinished step is stored");
    world.dies_at = None;
    completed(world.job("1", input(), RunLimits::default()));
    assert_eq!(world.purposes(), [Purpose::Summary, Purpose::Summary, Purpose::Answer]);
    assert_eq!(world.thread.state().messages.len(), 6);
    assert!(world.texts(2)[0].contains("SUM again"));
}

#[test]
fn a_sub_agent_keeps_its_own_summary_and_hands_its_history_to_the_parent() {
    let context = json!({"summarize": {"at": {"messages": 4}, "keep": {"messages": 1}}});
    let script = vec![
        calls("t1", "task", json!({"description": "do it", "subagent_type": "helper"})),
        calls("a", "ls", json!({"path": "/"})),
        calls("b", "ls", json!({"path": "/"})),
        says("SUM"),
        says("report"),
        says("end"),
    ];
    let mut world = World::new(context, script);
    completed(world.job("1", humans(&["go"]), RunLimits::default()));
    let (purpose, request) = &world.asked[3];
    assert_eq!((*purpose, request.model.provider.as_str()), (Purpose::Summary, "anthropic"));
    assert!(request.tools.is_empty() && request.system.is_none() && !request.options.prompt_caching);
    assert!(world.texts(3)[0].contains("do it"), "its own conversation");
    let thread = world.thread.state();
    assert!(!thread.values.contains_key("_summarization_event"), "the parent's is its own");
    assert_eq!(thread.files.len(), 1, "agents share their files");
    assert_eq!(thread.messages[2].text(""), "report");
}

#[test]
fn what_the_provider_reported_counts() {
    let mut reply = says("a1").unwrap();
    reply.message.response_metadata.insert("model_provider".to_owned(), json!("openai"));
    if let Kind::Ai { usage_metadata, .. } = &mut reply.message.kind {
        *usage_metadata = Some(json!({"total_tokens": 200_000}));
    }
    let context = json!({"summarize": {"keep": {"messages": 1}}});
    let mut world = World::new(context, vec![Ok(reply), says("SUM"), says("a2")]);
    completed(world.job("1", humans(&["q1"]), RunLimits::default()));
    completed(world.job("2", humans(&["q2"]), RunLimits::default()));
    assert_eq!(world.purposes(), [Purpose::Answer, Purpose::Summary, Purpose::Answer]);
}

#[test]
fn results_at_the_end_of_a_rejected_request_are_moved_out_and_stay_so() {
    let big = "x".repeat(30_000);
    let input = json!({"messages": [{"role": "user", "content": "read"}],
        "files": {"/f": {"content": [big], "encoding": "utf-8"}}});
    let script = vec![calls("c1", "read_file", json!({"file_path": "/f"})), too_long(), says("done")];
    let mut world = World::new(json!({}), script);
    completed(world.job("1", input, RunLimits::default()));
    let stored = world.thread.state().messages[2].clone();
    assert_eq!(world.texts(2)[2], stored.text(""), "what was sent is what is stored");
    assert!(stored.text("").contains("The full content is at /f."), "{}", stored.text(""));
    assert!(stored.text("").len() < 5_000);
}

#[test]
fn there_is_one_way_out_of_a_rejection_and_no_second() {
    let context = json!({"summarize": {"keep": {"messages": 1}}});
    let script = vec![too_long(), says("SUM"), too_long()];
    let mut world = World::new(context, script);
    let finish = world.job("1", humans(&[&"q".repeat(9_000), "q2"]), RunLimits::default()).unwrap();
    let Outcome::Failed { code, message, .. } = &finish.outcome else { panic!("{:?}", finish.outcome) };
    assert_eq!(*code, "model.context_overflow");
    assert!(message.contains("still does not fit after recovery"), "{message}");
    assert!(world.thread.state().files.is_empty(), "the step did not end");
}

#[test]
fn a_summary_that_is_too_long_is_asked_for_once_more_without_its_middle() {
    let middle = format!("{}MIDDLE{}", "a".repeat(5_000), "z".repeat(5_000));
    let script = vec![too_long(), too_long(), says("SUM"), says("done")];
    let context = json!({"summarize": {"keep": {"messages": 1}}});
    let mut world = World::new(context.clone(), script);
    completed(world.job("1", humans(&[&middle, "q2"]), RunLimits::default()));
    let (whole, shorter) = (world.texts(1).remove(0), world.texts(2).remove(0));
    assert!(whole.contains("MIDDLE") && !shorter.contains("MIDDLE"));
    assert!(shorter.contains("[... middle of conversation omitted ...]"));
    let mut twice = World::new(context, vec![too_long(), too_long(), too_long()]);
    let finish = twice.job("1", humans(&[&middle, "q2"]), RunLimits::default()).unwrap();
    assert!(matches!(finish.outcome, Outcome::Failed { code: "model.context_overflow", .. }));
}

#[test]
fn refused_media_are_taken_out_once() {
    let input = json!({"messages": [{"role": "user", "content": "look"}],
        "files": {"/p.png": {"content": ["iVBORw=="], "encoding": "base64"}}});
    let read = || calls("c1", "read_file", json!({"file_path": "/p.png"}));
    let refused = || fails(ModelErrorKind::Refused, 400);
    let mut world = World::new(json!({}), vec![read(), refused(), says("cannot see it")]);
    completed(world.job("1", input.clone(), RunLimits::default()));
    assert!(matches!(world.asked[1].1.messages[2].content, Content::Blocks(_)));
    assert!(world.texts(2)[2].starts_with("Unsupported content."));
    assert!(world.thread.state().messages[2].text("").starts_with("Unsupported content."), "and stays so");
    let mut twice = World::new(json!({}), vec![read(), refused(), refused()]);
    let finish = twice.job("1", input, RunLimits::default()).unwrap();
    assert!(matches!(finish.outcome, Outcome::Failed { code: "model.refused", .. }), "{:?}", finish.outcome);
}

#[test]
fn settings_reach_every_part() {
    let context = json!({"large_user_message_chars": 10, "large_tool_result_chars": 10, "max_output_tokens": 77,
        "prompt_caching": false, "summarize": false});
    let mut world = World::new(context, vec![says("a"), too_long()]);
    completed(world.job("1", humans(&["more than ten characters"]), RunLimits::default()));
    let (_, request) = &world.asked[0];
    assert_eq!((request.max_output_tokens, request.options.prompt_caching), (Some(77), false));
    assert!(world.texts(0)[0].starts_with("Message content too large"));
    assert_eq!(world.thread.state().messages[0].text(""), "more than ten characters");
    let finish = world.job("2", humans(&["b"]), RunLimits::default()).unwrap();
    assert!(
        matches!(finish.outcome, Outcome::Failed { code: "model.context_overflow", .. }),
        "no summary wanted"
    );
}

#[test]
fn a_summary_counts_against_the_jobs_budget() {
    let limits = RunLimits { max_model_calls: Some(1), ..RunLimits::default() };
    let mut world = World::new(from_five(), vec![says("SUM")]);
    let finish = world.job("1", humans(&["q1", "q2", "q3", "q4", "q5"]), limits).unwrap();
    let Outcome::Failed { kind, .. } = finish.outcome else { panic!("{:?}", finish.outcome) };
    assert_eq!((kind, finish.model_calls), ("BudgetExceeded", 1));
}

#[test]
fn how_the_last_answer_stopped_is_told() {
    let cut = |metadata: &str| {
        let mut reply = says("half of").unwrap();
        reply.message.response_metadata.insert("finish_reason".to_owned(), json!(metadata));
        reply.stop = StopReason::Length;
        Ok(reply)
    };
    let mut world = World::new(json!({}), vec![cut("length")]);
    let finish = completed(world.job("1", humans(&["q"]), RunLimits::default()));
    let Outcome::Completed { warnings, .. } = finish.outcome else { panic!() };
    assert_eq!(warnings, ["output.truncated"]);
}
