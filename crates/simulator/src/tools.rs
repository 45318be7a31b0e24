//! Tools with effects that the world keeps a log of.

use std::sync::Arc;

use agent_checkpoint_store::Store;
use agent_executor_core::audit::Fact;
use agent_executor_core::{Class, CustomTool, ScriptTool, ToolResult, ToolSpec};
use agent_langgraph_codec::{Content, Rows, ToolStatus};
use agent_tool_host::{Invocation, ToolHost, ToolHostError};
use async_trait::async_trait;
use serde_json::{Map, Value, json};

use crate::node::Node;

pub(crate) struct NodeTools(pub(crate) Arc<Node>);

fn class_of(effect: Option<&str>) -> Class {
    match effect {
        Some("pure") => Class::Pure,
        Some("idempotent") => Class::Idempotent,
        _ => Class::AtMostOnce,
    }
}

/// Whether the answer to this call is stored: its text is one that only the tool gives.
fn is_durable(rows: &Rows, answer: &str) -> bool {
    let finder = memchr::memmem::Finder::new(answer.as_bytes());
    rows.writes.iter().any(|row| finder.find(&row.blob).is_some())
        || rows.blobs.iter().any(|row| row.blob.as_ref().is_some_and(|blob| finder.find(blob).is_some()))
}

#[async_trait]
impl ToolHost for NodeTools {
    async fn describe(&self, tools: &[ScriptTool]) -> Result<Vec<(String, CustomTool)>, ToolHostError> {
        let described = tools.iter().map(|tool| {
            let spec = ToolSpec {
                name: tool.name.clone(),
                description: "simulated".to_owned(),
                parameters: json!({ "type": "object" }),
            };
            (
                tool.name.clone(),
                CustomTool { spec, class: class_of(tool.effect.as_deref()), return_direct: false },
            )
        });
        Ok(described.collect())
    }

    async fn call(&self, _: &Arc<[ScriptTool]>, call: Invocation, class: Class) -> Option<ToolResult> {
        let node = &self.0;
        let world = &node.world;
        let thread: Arc<str> = Arc::from(call.args.get("thread").and_then(Value::as_str).unwrap_or("?"));
        let answer = format!("answer-to-{};", call.call_id);
        world.ledger.trace(format_args!("{} {} {} begins", node.owner, call.tool, call.call_id));
        let again = !world.ledger.lock().called.insert(call.call_id.clone());
        if again
            && world.ledger.holds(&thread, &node.owner)
            && let Ok(snapshot) = world.store.load(&thread).await
        {
            let durable = is_durable(&snapshot.rows, &answer);
            world.ledger.fact(Fact::Begun {
                thread: thread.clone(),
                step: Arc::from(&*call.call_id),
                durable,
            });
        }
        node.point("before the tool").await;
        let fault = world.faulty() && world.dice.happens(world.plan.tool_fault);
        if fault && world.dice.happens(3_000) {
            return Some(result("Error: simulated".to_owned(), ToolStatus::Error));
        }
        tokio::time::sleep(world.dice.millis(0, 1_500)).await;
        let (id, key) = (Arc::from(&*call.call_id), Arc::from(&*call.idempotency_key));
        world.ledger.fact(Fact::Effect { call: id, key, class });
        world.ledger.count("tool effect");
        world.ledger.trace(format_args!("{} {} {} takes effect", node.owner, call.tool, call.call_id));
        node.point("after the tool").await;
        if fault {
            // The host lost sight of it.
            return None;
        }
        Some(result(answer, ToolStatus::Success))
    }
}

fn result(text: String, status: ToolStatus) -> ToolResult {
    ToolResult { content: Content::Text(text), status, files: Vec::new(), values: Map::new() }
}
