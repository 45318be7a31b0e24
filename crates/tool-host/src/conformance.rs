//! Facts that hold for every tool host. A host's test file is one line: `tool_host_conformance!(my_host());`,
//! with a function that gives an `Arc<dyn ToolHost>`

use std::sync::Arc;

use agent_executor_core::{Class, ScriptTool, StateView};
use agent_langgraph_codec::{Content, ToolStatus};
use serde_json::{Map, Value};

use crate::{Invocation, ToolHost};

/// A tool of a definition.
pub fn script(name: &str, source: &str) -> ScriptTool {
    ScriptTool { name: name.to_owned(), script: source.to_owned(), effect: None }
}

/// A call with these arguments, on an empty state.
pub fn call_of(tool: &str, args: Value) -> Invocation {
    let args = if let Value::Object(args) = args { args } else { Map::new() };
    Invocation {
        tool: tool.to_owned(),
        call_id: "call_1".to_owned(),
        idempotency_key: "key_1".to_owned(),
        args,
        view: StateView { messages: Vec::new(), files: Arc::default(), values: Map::new() },
    }
}

/// The text of a result.
pub fn text_of(content: &Content) -> String {
    match content {
        Content::Text(text) => text.clone(),
        Content::Blocks(blocks) => Value::Array(blocks.clone()).to_string(),
    }
}

/// A definition without scripts is served by every host.
#[expect(clippy::panic, reason = "a test")]
pub async fn no_tools_are_described_as_none(host: Arc<dyn ToolHost>) {
    match host.describe(&[]).await {
        Ok(found) => assert!(found.is_empty(), "{found:?}"),
        Err(error) => panic!("{error}"),
    }
}

/// A tool that cannot be offered is refused by its name.
#[expect(clippy::panic, reason = "a test")]
pub async fn what_cannot_be_offered_is_refused_by_name(host: Arc<dyn ToolHost>) {
    match host.describe(&[script("broken_tool", "this is no Python(")]).await {
        Ok(found) => panic!("offered: {found:?}"),
        Err(error) => {
            assert!(error.to_string().contains("broken_tool"), "{error}");
            assert!(error.code().starts_with("tools."), "{}", error.code());
        }
    }
}

/// A call that cannot be made is answered, and the answer names the tool.
#[expect(clippy::panic, reason = "a test")]
pub async fn a_call_that_cannot_be_made_is_answered_with_an_error(host: Arc<dyn ToolHost>) {
    let tools: Arc<[ScriptTool]> = Arc::new([]);
    match host.call(&tools, call_of("absent_tool", Value::Null), Class::Pure).await {
        Some(result) => {
            assert_eq!(result.status, ToolStatus::Error);
            let text = text_of(&result.content);
            assert!(text.starts_with("Error: ") && text.contains("absent_tool"), "{text}");
            assert!(result.files.is_empty() && result.values.is_empty());
        }
        None => panic!("no answer to a pure call"),
    }
}

/// One `#[tokio::test]` for each fact, so that a failure names the fact.
#[macro_export]
macro_rules! tool_host_conformance {
    ($host:expr) => { $crate::tool_host_conformance!(@each $host;
        no_tools_are_described_as_none,
        what_cannot_be_offered_is_refused_by_name,
        a_call_that_cannot_be_made_is_answered_with_an_error); };
    (@each $host:expr; $($fact:ident),+) => { $(
        #[tokio::test]
        async fn $fact() { $crate::conformance::$fact($host).await }
    )+ };
}
