//! Plays scripted models and tools against the machine, without any server.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use agent_executor_core::{
    AgentSpec, Channels, Class, Compiled, ContextSettings, CustomTool, Definition, Effect, Event, Finish,
    Input, ModelError, ModelErrorKind, ModelRef, ModelReply, ModelRequest, Run, RunInput, RunLimits,
    RunSetup, Stamp, StepCommit, StopReason, ToolResult, ToolSpec, Usage,
};
use agent_langgraph_codec::{
    Content, GraphState, InvalidToolCall, Kind, Message, Rows, ToolCall, ToolStatus, load_graph,
};
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

/// 2026-02-03T04:05:06.000007Z, the time of every recorded run here.
const NOW_NS: u64 = 1_770_091_506_000_007_000;

/// An agent with a prompt and a model.
pub(crate) fn agent(name: &str, prompt: &str) -> AgentSpec {
    AgentSpec {
        name: name.to_owned(),
        description: "d".to_owned(),
        system_prompt: prompt.to_owned(),
        tools: Vec::new(),
        model: Some(ModelRef { provider: "openai".to_owned(), model: "scripted".to_owned() }),
        recursion_limit: None,
        without_tools: Vec::new(),
        channels: Channels::new(),
        response_format: None,
        context: ContextSettings::default(),
    }
}

/// A definition of these agents, the first being the orchestrator.
pub(crate) fn definition(orchestrator: AgentSpec, specialists: Vec<AgentSpec>) -> Definition {
    Definition {
        name: String::new(),
        orchestrator,
        specialists,
        tools: Vec::new(),
        user_request: None,
        required_files: Vec::new(),
        fail_if_output_matches: Vec::new(),
        recursion_limit: None,
        general_purpose: true,
        hash: String::new(),
        document: Arc::new(Value::Null),
    }
}

/// Tools of the definition: names only, what they do is the tester's affair.
fn custom(names: &[&str]) -> IndexMap<String, CustomTool> {
    let tool = |name: &&str| {
        let spec = ToolSpec {
            name: (*name).to_owned(),
            description: String::new(),
            parameters: json!({"type": "object"}),
        };
        // The recordings' own tool of this name is one whose result is the answer.
        let return_direct = *name == "direct";
        ((*name).to_owned(), CustomTool { spec, class: Class::Pure, return_direct })
    };
    names.iter().map(tool).collect()
}

/// Makes a definition ready, without these tools.
pub(crate) fn compile(definition: Definition, own: &[&str], without: &[&str]) -> Arc<Compiled> {
    let without: Vec<String> = without.iter().map(|name| (*name).to_owned()).collect();
    Arc::new(Compiled::new(Arc::new(definition), &custom(own), &without).expect("a definition"))
}

/// A model's turn as the recordings write it.
pub(crate) fn reply(turn: &Value) -> ModelReply {
    let content = match turn["content"].as_array() {
        Some(blocks) => Content::Blocks(blocks.clone()),
        None => Content::Text(turn["content"].as_str().unwrap_or_default().to_owned()),
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let calls = turn["tool_calls"].as_array().into_iter().flatten().map(|call| ToolCall {
        id: text(&call["id"]),
        name: text(&call["name"]).unwrap_or_default(),
        args: call["args"].as_object().cloned().unwrap_or_default(),
    });
    let invalid = turn["invalid_tool_calls"].as_array().into_iter().flatten().map(|call| InvalidToolCall {
        id: text(&call["id"]),
        name: text(&call["name"]),
        args: text(&call["args"]),
        error: None,
    });
    let mut message = Message::ai(content, calls.collect(), None);
    if let Kind::Ai { invalid_tool_calls, .. } = &mut message.kind {
        *invalid_tool_calls = invalid.collect();
    }
    let usage = turn["usage"].as_u64().map(|tokens| Usage { input_tokens: tokens, output_tokens: 1 });
    ModelReply { message, stop: StopReason::Stop, usage }
}

/// Answers a call of a definition's own tool.
pub(crate) type Tools = fn(&ToolCall) -> ToolResult;

/// A tool's answer that is only a text.
pub(crate) fn told(text: impl Into<String>, status: ToolStatus) -> ToolResult {
    ToolResult { content: Content::Text(text.into()), status, files: Vec::new(), values: Map::new() }
}

/// What happened in all of a thread's turns.
pub(crate) struct World {
    pub(crate) rows: Rows,
    pub(crate) commits: Vec<StepCommit>,
    /// Requests of the orchestrator, and of sub-agents by name.
    pub(crate) asked: Vec<(Option<String>, ModelRequest)>,
    /// Turns to come of the orchestrator, and of sub-agents by name; after them a text.
    pub(crate) scripts: HashMap<Option<String>, VecDeque<Value>>,
    /// Whether the thread is the jobs' own.
    pub(crate) own_thread: bool,
    tools: Tools,
    stamps: u64,
}

impl World {
    pub(crate) fn new(scripts: HashMap<Option<String>, VecDeque<Value>>, tools: Tools) -> Self {
        let (rows, commits, asked) = (Rows::default(), Vec::new(), Vec::new());
        Self { rows, commits, asked, scripts, own_thread: false, tools, stamps: 0 }
    }

    /// The thread as the first commits of another world left it. Stamps go on behind those of that world.
    pub(crate) fn after(other: &Self, commits: usize) -> Self {
        let mut world = Self::new(HashMap::new(), other.tools);
        world.stamps = other.stamps + 1000;
        for commit in other.commits.iter().take(commits) {
            world.store(commit.clone());
        }
        world
    }

    fn stamp(&mut self) -> Stamp {
        self.stamps += 1;
        Stamp { now_ns: NOW_NS, seed: u128::from(self.stamps) }
    }

    /// Runs one job of the thread to its end.
    pub(crate) fn play(&mut self, compiled: &Arc<Compiled>, job: &str, payload: &Value) -> Finish {
        self.play_with(compiled, job, payload, RunLimits::default())
    }

    /// Runs one job of the thread, within limits.
    pub(crate) fn play_with(
        &mut self,
        compiled: &Arc<Compiled>,
        job: &str,
        payload: &Value,
        limits: RunLimits,
    ) -> Finish {
        let payload = payload.as_object().cloned().unwrap_or_default();
        let stamp = self.stamp();
        let input = Input::from_payload(&payload, compiled.definition(), stamp).expect("an input");
        let input = RunInput::new(payload, input, compiled, stamp).expect("an input");
        let setup = RunSetup {
            compiled: compiled.clone(),
            job_id: Arc::from(job),
            own_thread: self.own_thread,
            limits,
            model: None,
        };
        let stamp = self.stamp();
        let (mut run, effects) = Run::resume(setup, &self.rows, input, stamp).expect("a thread");
        let mut effects: VecDeque<Effect> = effects.into();
        while let Some(effect) = effects.pop_front() {
            let event = match effect {
                Effect::AskModel { agent, label, request, .. } => {
                    let who = label.map(|label| label.agent.to_string());
                    self.asked.push((who.clone(), *request));
                    let turn = self.scripts.get_mut(&who).and_then(VecDeque::pop_front);
                    let turn = turn.unwrap_or_else(|| json!({"content": "final"}));
                    match turn["raise"].as_str() {
                        Some(_) => {
                            let message = turn["message"].as_str().unwrap_or_default().to_owned();
                            let kind = ModelErrorKind::Refused;
                            Event::ModelFailed(
                                agent,
                                ModelError { kind, message, status: None, request_id: None },
                            )
                        }
                        None => Event::ModelReply(agent, Box::new(reply(&turn))),
                    }
                }
                Effect::RunTool { call_ref, call, .. } => Event::ToolReturned(call_ref, (self.tools)(&call)),
                Effect::Commit(commit) => {
                    let number = commit.number;
                    self.store(commit);
                    Event::Committed(number)
                }
                Effect::Finish(finish) => {
                    self.store(finish.commit.clone());
                    return *finish;
                }
                Effect::Emit(_) => continue,
            };
            let stamp = self.stamp();
            effects.extend(run.handle(event, stamp));
        }
        panic!("the run stopped asking without an end");
    }

    /// The orchestrator's state as the store has it.
    pub(crate) fn state(&self) -> GraphState {
        load_graph(&self.rows, "").expect("readable rows").expect("a thread")
    }

    fn store(&mut self, commit: StepCommit) {
        self.rows.checkpoints.extend(commit.rows.checkpoints.iter().cloned());
        self.rows.blobs.extend(commit.rows.blobs.iter().cloned());
        self.rows.writes.extend(commit.rows.writes.iter().cloned());
        self.commits.push(commit);
    }
}

/// A message as the recordings write it, without what only the store knows.
pub(crate) fn recorded_form(message: &Message, in_state: bool) -> Value {
    let mut form = Map::new();
    form.insert("type".to_owned(), json!(message.type_name()));
    let content = match &message.content {
        Content::Text(text) => json!(text),
        Content::Blocks(blocks) => json!(blocks),
    };
    form.insert("content".to_owned(), content);
    if let (Some(name), true) = (&message.name, in_state) {
        form.insert("name".to_owned(), json!(name));
    }
    match &message.kind {
        Kind::Ai { tool_calls, invalid_tool_calls, .. } => {
            let calls =
                tool_calls.iter().map(|call| json!({"name": call.name, "args": call.args, "id": call.id}));
            let calls: Vec<Value> = calls.collect();
            if !calls.is_empty() {
                form.insert("tool_calls".to_owned(), json!(calls));
            }
            let invalid = invalid_tool_calls.iter();
            let invalid: Vec<Value> =
                invalid.map(|call| json!({"name": call.name, "args": call.args, "id": call.id})).collect();
            if !invalid.is_empty() {
                form.insert("invalid_tool_calls".to_owned(), json!(invalid));
            }
        }
        Kind::Tool { tool_call_id, status, .. } => {
            form.insert("tool_call_id".to_owned(), json!(tool_call_id));
            let status = if *status == ToolStatus::Error { "error" } else { "success" };
            form.insert("status".to_owned(), json!(status));
        }
        Kind::Human | Kind::System | Kind::Remove | Kind::Chat { .. } | Kind::Function => {}
    }
    Value::Object(form)
}
