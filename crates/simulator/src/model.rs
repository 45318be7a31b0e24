//! A model that answers by chance, breaks, stalls, and knows whether its answer was in the store already.

use std::sync::Arc;

use agent_checkpoint_store::Store;
use agent_executor_core::audit::Fact;
use agent_executor_core::{ModelError, ModelErrorKind, ModelReply, ModelRequest, StopReason, Usage};
use agent_langgraph_codec::{Content, Kind, Message, Rows, ToolCall, load_graph};
use agent_model_client::{Delta, ModelClient, OnDelta};
use async_trait::async_trait;
use serde_json::{Map, Value, json};

use crate::jobs::named;
use crate::node::Node;

pub(crate) struct NodeModel(pub(crate) Arc<Node>);

/// What the model is told about the place where it speaks.
struct Place {
    thread: Arc<str>,
    /// Tool rounds that are wanted.
    turns: usize,
    /// Answers since the newest question.
    turn: usize,
    main: bool,
    poison: bool,
}

impl Place {
    fn of(request: &ModelRequest) -> Self {
        let first = request.messages.first().map(|message| message.text("")).unwrap_or_default();
        let asked = request.messages.iter().rposition(|message| matches!(message.kind, Kind::Human));
        let newest = asked.and_then(|at| request.messages.get(at)).map(|message| message.text(""));
        let newest = newest.unwrap_or_default();
        let after = request.messages.get(asked.unwrap_or(0)..).unwrap_or_default();
        Self {
            thread: Arc::from(named(&first, "thread").unwrap_or("?")),
            turns: named(&newest, "turns").and_then(|turns| turns.parse().ok()).unwrap_or(0),
            turn: after.iter().filter(|message| matches!(message.kind, Kind::Ai { .. })).count(),
            main: request.system.as_deref().is_some_and(|system| system.contains("[[main]]")),
            poison: newest.contains("POISON"),
        }
    }
}

/// Whether the conversation is already longer in the store than the question knows.
fn is_durable(rows: &Rows, request: &ModelRequest) -> bool {
    let first = |messages: &[Arc<Message>]| messages.first().and_then(|message| message.id.clone());
    let mut spaces: Vec<&str> = rows.checkpoints.iter().map(|row| &*row.ns).collect();
    spaces.dedup();
    spaces.into_iter().any(|ns| {
        let Ok(Some(state)) = load_graph(rows, ns) else { return false };
        first(&state.messages) == first(&request.messages) && state.messages.len() > request.messages.len()
    })
}

impl NodeModel {
    /// Says that this holder asks, and whether it need not have.
    async fn note(&self, place: &Place, request: &ModelRequest) {
        let node = &self.0;
        let what = format!("answer {} of {}", place.turn, if place.main { "main" } else { "helper" });
        node.world.ledger.trace(format_args!("{} asks {} for {what}", node.owner, place.thread));
        node.world.ledger.count("model call");
        let id = request.messages.first().and_then(|message| message.id.clone()).unwrap_or_default();
        let before = node.world.ledger.lock().longest.insert(id, request.messages.len()).unwrap_or(0);
        if before < request.messages.len() || !node.world.ledger.holds(&place.thread, &node.owner) {
            // Asked for the first time; or somebody else has the thread, and what comes of this call is fenced.
            return;
        }
        let Ok(snapshot) = node.world.store.load(&place.thread).await else { return };
        let durable = is_durable(&snapshot.rows, request);
        node.world.ledger.fact(Fact::Begun { thread: place.thread.clone(), step: Arc::from(what), durable });
    }

    fn calls(&self, place: &Place) -> Vec<ToolCall> {
        let dice = &self.0.world.dice;
        let count = 1 + dice.below(3);
        let mut calls = Vec::new();
        for _ in 0..count {
            let id = self.0.world.fresh("c");
            let (name, args) = match dice.below(8) {
                0 | 1 => ("look", json!({ "thread": &*place.thread })),
                2 | 3 => ("put", json!({ "thread": &*place.thread })),
                4 | 5 => ("pay", json!({ "thread": &*place.thread })),
                6 => ("write_file", json!({ "file_path": format!("/{id}.md"), "content": id })),
                _ if place.main => {
                    let text = format!("thread={} turns={} id={id}", place.thread, dice.below(3));
                    ("task", json!({ "description": text, "subagent_type": "helper" }))
                }
                _ => ("no_such_tool", json!({})),
            };
            let args: Map<String, Value> = args.as_object().cloned().unwrap_or_default();
            calls.push(ToolCall { id: Some(id), name: name.to_owned(), args });
        }
        calls
    }
}

fn failed(kind: ModelErrorKind) -> ModelError {
    ModelError { kind, message: "simulated".to_owned(), status: None, request_id: None }
}

#[async_trait]
impl ModelClient for NodeModel {
    async fn complete(
        &self,
        request: &ModelRequest,
        on_delta: OnDelta<'_>,
    ) -> Result<ModelReply, ModelError> {
        let (node, place) = (&self.0, Place::of(request));
        node.point("before the model").await;
        self.note(&place, request).await;
        if place.poison {
            node.world.ledger.count("poison met");
            node.crash("poison");
            std::future::pending::<()>().await;
        }
        let (dice, faulty) = (&node.world.dice, node.world.faulty());
        let fault = faulty && dice.happens(node.world.plan.model_fault);
        if fault && dice.happens(200) {
            return Err(failed(ModelErrorKind::Unavailable));
        }
        for piece in 0..1 + dice.below(4) {
            tokio::time::sleep(dice.millis(1, 800)).await;
            on_delta(Delta::Text(if piece == 0 { "said " } else { "more " }));
            if fault && dice.happens(3_000) {
                return Err(failed(ModelErrorKind::Interrupted));
            }
        }
        let calls = if place.turn < place.turns { self.calls(&place) } else { Vec::new() };
        let stop = if calls.is_empty() { StopReason::Stop } else { StopReason::ToolCalls };
        let said = format!("said {}", node.world.fresh("r"));
        node.point("after the model").await;
        Ok(ModelReply {
            message: Message::ai(Content::Text(said), calls, None),
            stop,
            usage: Some(Usage { input_tokens: 1, output_tokens: 1 }),
        })
    }
}
