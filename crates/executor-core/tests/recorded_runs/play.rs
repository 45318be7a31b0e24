//! Plays one recorded run and compares.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use agent_executor_core::{Compiled, Outcome, ResponseSpec, RunLimits, Strategy, ToolResult};
use agent_langgraph_codec::{ToolCall, ToolStatus};
use serde_json::{Value, json};

use crate::machine::{World, agent, compile, definition, recorded_form, told};
use crate::recorded::{brief, expand, same, stored};

/// Whether the run holds.
pub(crate) fn case(case: &Value) -> Result<(), String> {
    let compiled = compiled(case);
    let mut scripts = HashMap::from([(None, turns(&case["model_script"]))]);
    for (name, script) in case["subagents"].as_object().into_iter().flatten() {
        scripts.insert(Some(name.clone()), turns(script));
    }
    let mut world = World::new(scripts, tools);
    let limit = case["recursion_limit"].as_u64().and_then(|limit| u32::try_from(limit).ok());
    let limits = RunLimits { recursion_limit: limit, ..RunLimits::default() };
    let mut job = 0;
    for (nth, turn) in case["turns"].as_array().into_iter().flatten().enumerate() {
        // Null resumes: the same job again.
        job += usize::from(!turn["input"].is_null() || nth == 0);
        let before = world.asked.len();
        let finish = world.play_with(&compiled, &format!("job-{job}"), &expand(&turn["input"]), limits);
        let failed = matches!(finish.outcome, Outcome::Failed { .. });
        if failed != turn.get("raises").is_some() {
            return Err(format!("turn {nth}: outcome {:?}", finish.outcome));
        }
        if let (Outcome::Failed { message, .. }, Some(raised)) =
            (&finish.outcome, turn["raises"]["message"].as_str())
            && !message.contains(raised)
        {
            return Err(format!("turn {nth}: `{message}`, recorded `{raised}`"));
        }
        requests(&world, before, turn).map_err(|error| format!("turn {nth}: {error}"))?;
        state(&world, turn).map_err(|error| format!("turn {nth}: {error}"))?;
    }
    Ok(())
}

fn turns(script: &Value) -> VecDeque<Value> {
    script.as_array().into_iter().flatten().map(expand).collect()
}

fn compiled(case: &Value) -> Arc<Compiled> {
    let mut main = agent("main", "S");
    let names: Vec<&str> = case["tools"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    main.tools = names.iter().map(|name| (*name).to_owned()).collect();
    main.response_format = case["response_format"].as_str().map(|words| ResponseSpec {
        name: "Ans".to_owned(),
        schema: json!({
            "type": "object", "required": ["text", "score"],
            "properties": {"text": {"type": "string"}, "score": {"type": "integer", "minimum": 0}}
        }),
        strategy: if words.starts_with("provider") { Strategy::Provider } else { Strategy::Tool },
    });
    let specialists = case["subagents"].as_object().into_iter().flatten().map(|(name, _)| agent(name, "P"));
    let definition = definition(main, specialists.collect());
    // The recorded runs offered no to-do list; the list of known tools in an answer tells.
    compile(definition, &names, &["write_todos"])
}

/// What the recorded runs' own tools do.
fn tools(call: &ToolCall) -> ToolResult {
    let text = |name: &str| call.args[name].as_str().unwrap_or_default().to_owned();
    match call.name.as_str() {
        "direct" => told(format!("direct {}", text("x")), ToolStatus::Success),
        "okt" => told(format!("fine {}", text("x")), ToolStatus::Success),
        "fail" => told(format!("Error: {}", text("msg")), ToolStatus::Error),
        "big_result" => {
            let count = usize::try_from(call.args["n"].as_u64().expect("a number")).expect("a number");
            told("x".repeat(count), ToolStatus::Success)
        }
        other => panic!("no recorded tool is called {other}"),
    }
}

fn requests(world: &World, before: usize, turn: &Value) -> Result<(), String> {
    let asked = world.asked.iter().skip(before).filter(|(who, _)| who.is_none());
    let ours: Vec<Value> = asked
        .map(|(_, request)| {
            let system = json!({"type": "system", "content": request.system});
            let messages = request.messages.iter().map(|message| recorded_form(message, false));
            Value::Array(std::iter::once(system).chain(messages).collect())
        })
        .collect();
    let recorded: Vec<Value> = turn["model_requests"].as_array().into_iter().flatten().map(plain).collect();
    if ours.len() != recorded.len() {
        return Err(format!("{} model calls, recorded {}", ours.len(), recorded.len()));
    }
    for (ours, recorded) in ours.iter().zip(&recorded) {
        if !alike(ours, recorded) {
            return Err(format!("request\n    ours     {}\n    recorded {}", brief(ours), brief(recorded)));
        }
    }
    Ok(())
}

fn state(world: &World, turn: &Value) -> Result<(), String> {
    let state = world.state();
    let (messages, files, _) = state.current().map_err(|error| error.to_string())?;
    let ours: Vec<Value> = messages.iter().map(|message| recorded_form(message, true)).collect();
    let recorded: Vec<Value> = turn["messages"].as_array().into_iter().flatten().map(plain).collect();
    if !alike(&json!(ours), &json!(recorded)) {
        return Err(format!(
            "messages\n    ours     {}\n    recorded {}",
            brief(&json!(ours)),
            brief(&json!(recorded))
        ));
    }
    if let Some(message) = messages.iter().find(|message| message.id.is_none()) {
        return Err(format!("a message without id: {message:?}"));
    }
    let ours: serde_json::Map<String, Value> =
        files.iter().map(|(path, file)| (path.clone(), stored(file))).collect();
    let ours = Value::Object(ours);
    if !same(&ours, &expand(&turn["files"])) {
        return Err(format!("files\n    ours     {}\n    recorded {}", brief(&ours), brief(&turn["files"])));
    }
    let next: Vec<Value> = state.next().iter().map(|node| json!(node)).collect();
    if next.is_empty() != turn["next"].as_array().is_none_or(Vec::is_empty) {
        return Err(format!("next {next:?}, recorded {}", turn["next"]));
    }
    Ok(())
}

/// A recorded message, or list of them, without ids of its own and errors of the parser.
fn plain(value: &Value) -> Value {
    match expand(value) {
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        Value::Object(mut message) => {
            message.shift_remove("id");
            for call in
                message.get_mut("invalid_tool_calls").and_then(Value::as_array_mut).into_iter().flatten()
            {
                if let Some(call) = call.as_object_mut() {
                    call.shift_remove("error");
                }
            }
            Value::Object(message)
        }
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => scalar,
    }
}

/// As [`same`], whatever the order of members is; the recorded structured answer is a class's `repr`, ours a map's.
fn alike(ours: &Value, recorded: &Value) -> bool {
    match (ours, recorded) {
        (Value::Object(ours), Value::Object(recorded)) if !recorded.contains_key("$long") => {
            ours.len() == recorded.len()
                && ours
                    .iter()
                    .all(|(name, value)| recorded.get(name).is_some_and(|other| alike(value, other)))
        }
        (Value::Array(ours), Value::Array(recorded)) => {
            ours.len() == recorded.len()
                && ours.iter().zip(recorded).all(|(ours, recorded)| alike(ours, recorded))
        }
        (Value::String(ours), Value::String(recorded))
            if recorded.starts_with("Returning structured response") =>
        {
            ours.starts_with("Returning structured response: {'text': ")
        }
        _ => same(ours, recorded),
    }
}
