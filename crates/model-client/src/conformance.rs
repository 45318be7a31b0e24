//! The facts that hold for every [`ModelClient`], as tests. See [`model_conformance!`](crate::model_conformance).
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests, shared by all implementations"
)]

use std::sync::Arc;

use agent_executor_core::{
    ModelErrorKind, ModelOptions, ModelRef, ModelReply, ModelRequest, StopReason, Usage,
};
use agent_langgraph_codec::{Kind, Message};
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::{Answer, Delta, ModelClient};

/// A client under test, whose model says what the test wants.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The implementation.
    type Client: ModelClient;
    /// A client whose next calls get these answers, in order. It must not repeat a call by itself.
    async fn client(&self, answers: Vec<Answer>) -> Self::Client;
    /// A model that the client knows.
    fn model(&self) -> ModelRef;
}

/// One call with all its pieces.
struct Heard {
    text: String,
    thinking: String,
    /// Name and argument text of each call, by index.
    calls: Vec<(String, String)>,
    pieces: usize,
}

fn request(model: ModelRef) -> ModelRequest {
    ModelRequest {
        model,
        system: Some("You are tested.".to_owned()),
        messages: vec![Arc::new(Message::human("say it", "h1"))],
        tools: Vec::new().into(),
        max_output_tokens: None,
        response_format: None,
        options: ModelOptions::default(),
    }
}

async fn ask<H: Harness>(
    harness: &H,
    answer: Answer,
) -> (Heard, Result<ModelReply, agent_executor_core::ModelError>) {
    let client = harness.client(vec![answer]).await;
    let mut heard = Heard { text: String::new(), thinking: String::new(), calls: Vec::new(), pieces: 0 };
    let mut on_delta = |delta: Delta<'_>| {
        heard.pieces += 1;
        match delta {
            Delta::Text(text) => heard.text.push_str(text),
            Delta::Thinking(text) => heard.thinking.push_str(text),
            Delta::ToolCall { index, name, arguments } => {
                let index = usize::try_from(index).unwrap();
                if let Some(name) = name {
                    assert_eq!(index, heard.calls.len(), "calls begin in order");
                    heard.calls.push((name.to_owned(), String::new()));
                }
                heard.calls.get_mut(index).expect("a call begins with its name").1.push_str(arguments);
            }
        }
    };
    let outcome = client.complete(&request(harness.model()), &mut on_delta).await;
    (heard, outcome)
}

/// What is streamed is what the reply says.
pub async fn pieces_of_text_add_up_to_the_answer<H: Harness>(harness: H) {
    let text = "Ein längerer Text, “quoted”, with\nlines and 😀 in it.";
    let (heard, outcome) = ask(&harness, Answer::text(text)).await;
    let reply = outcome.unwrap();
    assert_eq!(heard.text, text);
    assert_eq!(reply.message.text(""), text);
    assert_eq!(reply.stop, StopReason::Stop);
    assert_eq!(reply.message.name, None);
    assert!(heard.pieces > 1, "a long answer comes in pieces");
}

/// Calls keep their order, their ids differ, their arguments keep the order of their members.
pub async fn pieces_of_calls_add_up_to_their_arguments<H: Harness>(harness: H) {
    let first = json!({"z": "ä\n", "a": [1, 2.5, null, {"b": true}]});
    let answer = Answer::text("let me").call("one", &first).call("two", &json!({}));
    let (heard, outcome) = ask(&harness, answer).await;
    let reply = outcome.unwrap();
    assert_eq!(reply.stop, StopReason::ToolCalls);
    assert_eq!(reply.message.text(""), "let me");
    let calls = reply.message.tool_calls();
    let names: Vec<&str> = calls.iter().map(|call| call.name.as_str()).collect();
    assert_eq!(names, ["one", "two"]);
    let (a, b) = (calls.first().unwrap(), calls.last().unwrap());
    assert_eq!(Value::Object(a.args.clone()).to_string(), first.to_string());
    assert!(b.args.is_empty());
    assert!(a.id.is_some() && a.id != b.id);
    assert_eq!(heard.calls.len(), 2);
    let streamed: Value = serde_json::from_str(&heard.calls.first().unwrap().1).unwrap();
    assert_eq!(streamed, first);
}

fn invalid(reply: &ModelReply) -> Vec<(Option<&str>, Option<&str>)> {
    let Kind::Ai { invalid_tool_calls, .. } = &reply.message.kind else {
        panic!("an answer is an assistant's message, found {:?}", reply.message.kind)
    };
    invalid_tool_calls.iter().map(|call| (call.name.as_deref(), call.args.as_deref())).collect()
}

/// Nothing is guessed: a call that cannot be read is kept as text, the others stay valid.
pub async fn unreadable_arguments_become_an_invalid_call<H: Harness>(harness: H) {
    let answer = Answer::text("").raw_call("bad", r#"{"path": nope}"#).raw_call("good", r#"{"path":"/"}"#);
    let reply = ask(&harness, answer).await.1.unwrap();
    assert_eq!(invalid(&reply), [(Some("bad"), Some(r#"{"path": nope}"#))]);
    assert_eq!(reply.message.tool_calls().len(), 1);
}

/// deepagents-semantics.md section 10, row 1.
pub async fn a_call_cut_off_by_the_output_limit_is_never_valid<H: Harness>(harness: H) {
    for arguments in [r#"{"file_path":"/f","content":"half of"#, r#"{"a":1}"#] {
        let answer =
            Answer { stop: Some(StopReason::Length), ..Answer::text("") }.raw_call("write_file", arguments);
        let reply = ask(&harness, answer).await.1.unwrap();
        assert_eq!(reply.stop, StopReason::Length);
        assert!(reply.message.tool_calls().is_empty());
        assert_eq!(invalid(&reply), [(Some("write_file"), Some(arguments))]);
    }
}

/// No text and no call is an answer all the same.
pub async fn an_empty_answer_is_an_answer<H: Harness>(harness: H) {
    let (heard, outcome) = ask(&harness, Answer::text("")).await;
    let reply = outcome.unwrap();
    assert_eq!((reply.message.text("").as_str(), heard.pieces), ("", 0));
}

/// Reasoning never turns up in the text.
pub async fn thinking_is_told_apart_from_text<H: Harness>(harness: H) {
    let answer = Answer { thinking: "hm, let me see".to_owned(), ..Answer::text("42") };
    let (heard, outcome) = ask(&harness, answer).await;
    assert_eq!((heard.thinking.as_str(), heard.text.as_str()), ("hm, let me see", "42"));
    assert_eq!(outcome.unwrap().message.text(""), "42");
}

/// Pieces were handed out, so only the run can decide what a new try means.
pub async fn an_answer_that_breaks_off_is_interrupted<H: Harness>(harness: H) {
    let answer =
        Answer { breaks_after: Some(2), ..Answer::text("a text that is long enough for many pieces") };
    let (heard, outcome) = ask(&harness, answer).await;
    assert_eq!(outcome.unwrap_err().kind, ModelErrorKind::Interrupted);
    assert!(heard.pieces > 0);
}

/// Budgets are kept with these counts.
pub async fn usage_is_reported<H: Harness>(harness: H) {
    let usage = Usage { input_tokens: 120, output_tokens: 7 };
    let answer = Answer { usage: Some(usage), ..Answer::text("counted") };
    let reply = ask(&harness, answer).await.1.unwrap();
    assert_eq!(reply.usage, Some(usage));
    let Kind::Ai { usage_metadata: Some(metadata), .. } = &reply.message.kind else {
        panic!("usage is stored with the message")
    };
    assert_eq!(metadata.get("total_tokens"), Some(&json!(127)));
}

/// One client serves all runs of a process.
pub async fn many_may_ask_at_once<H: Harness>(harness: H) {
    let answers = (0..20).map(|number| Answer::text(format!("answer number {number}"))).collect();
    let client = Arc::new(harness.client(answers).await);
    let asked = (0..20).map(|_| {
        let (client, request) = (client.clone(), request(harness.model()));
        tokio::spawn(async move { client.complete(&request, &mut |_| {}).await.unwrap().message.text("") })
    });
    let mut texts = Vec::new();
    for asked in asked.collect::<Vec<_>>() {
        texts.push(asked.await.unwrap());
    }
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 20, "each got an answer of its own");
}

/// Expands to one `#[tokio::test]` per fact, so a failure names the fact and no implementation can forget one.
/// The argument is an expression that makes a [`Harness`].
#[macro_export]
macro_rules! model_conformance {
    ($fresh:expr) => { $crate::model_conformance!(@each $fresh;
        pieces_of_text_add_up_to_the_answer, pieces_of_calls_add_up_to_their_arguments,
        unreadable_arguments_become_an_invalid_call, a_call_cut_off_by_the_output_limit_is_never_valid,
        an_empty_answer_is_an_answer, thinking_is_told_apart_from_text, an_answer_that_breaks_off_is_interrupted,
        usage_is_reported, many_may_ask_at_once);
    };
    (@each $fresh:expr; $($case:ident),+) => { $(
        #[tokio::test]
        async fn $case() { $crate::conformance::$case($fresh).await }
    )+ };
}
