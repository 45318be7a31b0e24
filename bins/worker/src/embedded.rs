//! The scripted model that plays the example when no key is set.

use std::time::Duration;

use agent_executor_core::{ModelError, ModelReply, ModelRequest, StopReason, Usage};
use agent_langgraph_codec::{Content, Kind, Message, ToolCall};
use agent_model_client::{Delta, ModelClient, OnDelta};
use async_trait::async_trait;
use serde_json::{Value, json};

/// Pause between two words, so that a person can watch.
const WORD: Duration = Duration::from_millis(12);

/// Plays `examples/research-team` and answers every other agent with one honest sentence.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ExampleModel;

/// What the agent does next.
enum Next {
    Say(String),
    Call(&'static str, Vec<(&'static str, Value)>),
}

#[async_trait]
impl ModelClient for ExampleModel {
    async fn complete(
        &self,
        request: &ModelRequest,
        on_delta: OnDelta<'_>,
    ) -> Result<ModelReply, ModelError> {
        let turn = request.messages.iter().filter(|message| matches!(message.kind, Kind::Ai { .. })).count();
        let (text, calls) = match next(request, turn) {
            Next::Say(text) => (text, Vec::new()),
            Next::Call(text, calls) => (text.to_owned(), calls),
        };
        for word in text.split_inclusive(' ') {
            tokio::time::sleep(WORD).await;
            on_delta(Delta::Text(word));
        }
        let words = text.split_whitespace().count() as u64;
        let heard: usize =
            request.messages.iter().map(|message| message.text(" ").split_whitespace().count()).sum();
        let stop = if calls.is_empty() { StopReason::Stop } else { StopReason::ToolCalls };
        let calls = calls.into_iter().enumerate().map(|(index, (name, args))| ToolCall {
            id: Some(format!("call_{turn}_{index}")),
            name: name.to_owned(),
            args: args.as_object().cloned().unwrap_or_default(),
        });
        Ok(ModelReply {
            message: Message::ai(Content::Text(text), calls.collect(), None),
            stop,
            usage: Some(Usage { input_tokens: heard as u64, output_tokens: words }),
        })
    }
}

fn next(request: &ModelRequest, turn: usize) -> Next {
    let system = request.system.as_deref().unwrap_or_default();
    if system.contains("lead a small research team") {
        lead(request, turn)
    } else if system.contains("memory by ownership") {
        specialist(
            turn,
            "/ownership.md",
            OWNERSHIP,
            "Ownership frees memory at known points; /ownership.md has the details.",
        )
    } else if system.contains("garbage collectors") {
        specialist(
            turn,
            "/collection.md",
            COLLECTION,
            "Collectors trade memory and pauses for freedom; /collection.md has the details.",
        )
    } else {
        Next::Say("This is the built-in scripted model: it only plays examples/research-team. Set OPENAI_API_KEY for a real one.".to_owned())
    }
}

const OWNERSHIP: &str = "# Ownership\n\n- Memory is freed where its owner goes out of scope.\n- Borrowing is checked when compiling; nothing is paid at run time.\n- Shared graphs need reference counts or arenas.\n";
const COLLECTION: &str = "# Garbage collection\n\n- A collector finds what is no longer reachable while the program runs.\n- It needs head room: often twice the live memory.\n- Pauses are short today, but they exist.\n";
const REPORT: &str = "# Report\n\nOwnership gives steady latency and small memory; a collector gives shorter code for shared data.\nFor services with tight limits, ownership pays.\n";

fn todos(first: &str, second: &str) -> Value {
    json!({ "todos": [
        { "content": "Ask both specialists", "status": first },
        { "content": "Write the report", "status": second },
    ] })
}

fn lead(request: &ModelRequest, turn: usize) -> Next {
    let question = request.messages.iter().rev().find(|message| matches!(message.kind, Kind::Human));
    let question = question.map(|message| message.text(" ")).unwrap_or_default();
    match turn {
        0 => Next::Call("I plan the work first.", vec![("write_todos", todos("in_progress", "pending"))]),
        1 => Next::Call(
            "Both halves can be researched at once.",
            vec![
                ("task", json!({ "subagent_type": "Ownership Specialist", "description": format!("Memory by ownership, for: {question}") })),
                ("task", json!({ "subagent_type": "Collection Specialist", "description": format!("Garbage collection, for: {question}") })),
            ],
        ),
        2 => Next::Call(
            "I read what they found.",
            vec![("read_file", json!({ "file_path": "/ownership.md" })), ("read_file", json!({ "file_path": "/collection.md" }))],
        ),
        3 => Next::Call(
            "Now the report.",
            vec![("write_file", json!({ "file_path": "/report.md", "content": REPORT })), ("write_todos", todos("completed", "completed"))],
        ),
        _ => Next::Say(
            "Ownership frees memory at points that are known when compiling, so latency is steady and memory small. \
             A garbage collector makes shared data easier and costs head room and short pauses. \
             For services with tight limits ownership pays; the report is in /report.md."
                .to_owned(),
        ),
    }
}

fn specialist(turn: usize, path: &str, text: &str, report: &str) -> Next {
    match turn {
        0 => Next::Call(
            "I write down what I know.",
            vec![("write_file", json!({ "file_path": path, "content": text }))],
        ),
        _ => Next::Say(report.to_owned()),
    }
}
