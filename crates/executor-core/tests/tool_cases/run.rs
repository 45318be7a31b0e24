//! Plays one recorded case and compares.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use agent_executor_core::tools::eviction::evict;
use agent_executor_core::tools::{
    ToolAnswer, ToolContext, execute_unavailable, find, parallel_conflicts, task, unknown_tool,
};
use agent_langgraph_codec::{Content, Files, Kind, ToolCall, ToolStatus};
use serde_json::{Value, json};

use crate::machine::{World, agent, compile, definition, recorded_form, told};
use crate::recorded::{NOW, brief, expand, files, same, stored};

/// Names on offer in the recorded runs; those with the to-do tool have a case file of their own.
const OFFERED: &[&str] = &["ls", "read_file", "write_file", "edit_file", "delete", "glob", "grep", "task"];

/// `None` if the case is about something that is not done here; else whether it holds.
pub(crate) fn case(case: &Value) -> Option<Result<(), String>> {
    let before = files(&case["state_before"]["files"]);
    let (calls, results) = match case["calls"].as_array() {
        Some(calls) => (calls.clone(), case["results"].as_array().cloned().unwrap_or_default()),
        None => (vec![case.clone()], vec![case["result"].clone()]),
    };
    let with_todos = case["id"].as_str().is_some_and(|id| id.starts_with("todos-") || id == "par-20");
    let calls: Vec<ToolCall> = calls.iter().map(call).collect();
    if calls.iter().any(|call| call.name == "task" && task_answer(call).is_none()) {
        return Some(with_sub_agents(case, &calls, &results));
    }
    let refusals = parallel_conflicts(&calls);
    let mut after = before.clone();
    let mut todos = None;
    for ((call, refusal), recorded) in calls.iter().zip(refusals).zip(&results) {
        let refused = refusal.is_some();
        let answer = match refusal {
            Some(answer) => answer,
            None => run(call, &before, with_todos)?,
        };
        // Several to-do lists in a turn are refused without the tool's name.
        let name = if refused && call.name == "write_todos" { Value::Null } else { json!(call.name) };
        if let Err(difference) = compare(call, &name, &answer, recorded) {
            return Some(Err(difference));
        }
        for (path, file) in answer.files {
            match file {
                Some(file) => after.insert(path, file),
                None => after.shift_remove(&path),
            };
        }
        todos = answer.todos.or(todos);
    }
    Some(compare_state(&before, &after, todos.as_ref(), &case["state_after"]))
}

fn call(recorded: &Value) -> ToolCall {
    ToolCall {
        id: recorded["tool_call_id"].as_str().map(str::to_owned),
        name: recorded["tool"].as_str().expect("a tool").to_owned(),
        args: expand(&recorded["args"]).as_object().expect("arguments").clone(),
    }
}

fn run(call: &ToolCall, before: &Files, with_todos: bool) -> Option<ToolAnswer> {
    let mut answer = match call.name.as_str() {
        "task" => task_answer(call)?,
        "execute" => execute_unavailable(&call.args),
        "big_result" => {
            let count = usize::try_from(call.args["n"].as_u64()?).ok()?;
            let unit = call.args.get("unit").and_then(Value::as_str).unwrap_or("x");
            ToolAnswer::success(unit.repeat(count))
        }
        "fail" => return None,
        name => match find(name).filter(|_| name != "write_todos" || with_todos) {
            Some(tool) => (tool.run)(&ToolContext { files: before, now: NOW }, &call.args),
            None => unknown_tool(name, OFFERED),
        },
    };
    if let Some((path, file, content)) = evict(call.id.as_deref()?, &call.name, &answer, NOW) {
        answer.content = content;
        answer.files.push((path, Some(Arc::new(file))));
    }
    Some(answer)
}

/// A case in which sub-agents work: a whole run, since that is the machine's affair.
fn with_sub_agents(case: &Value, calls: &[ToolCall], results: &[Value]) -> Result<(), String> {
    let agents = definition(agent("main", "S"), vec![agent("worker", "P")]);
    let compiled = compile(agents, &[], &[]);
    let asked: Vec<Value> =
        calls.iter().map(|call| json!({"id": call.id, "name": call.name, "args": call.args})).collect();
    let worker = case["subagent_script"].as_array().cloned().unwrap_or_default();
    let scripts = HashMap::from([
        (None, VecDeque::from([json!({"content": "", "tool_calls": asked})])),
        (Some("worker".to_owned()), worker.into()),
    ]);
    let mut world = World::new(scripts, |_| told("no tool of its own", ToolStatus::Error));
    let before = files(&case["state_before"]["files"]);
    let input = json!({
        "messages": [{"role": "user", "content": "go"}],
        "files": expand(&case["state_before"]["files"]),
    });
    world.play(&compiled, "job", &input);
    let state = world.state();
    let tools = state.messages.iter().filter(|message| matches!(message.kind, Kind::Tool { .. }));
    let answers: Vec<Value> = tools.map(|message| recorded_form(message, true)).collect();
    if answers.len() != results.len() {
        return Err(format!("{} results, recorded {}", answers.len(), results.len()));
    }
    for (ours, recorded) in answers.iter().zip(results) {
        let fields = ["tool_call_id", "name", "status", "content"];
        if fields.iter().any(|field| !same(&ours[field], &recorded[field])) {
            return Err(format!("answer\n    ours     {}\n    recorded {}", brief(ours), brief(recorded)));
        }
    }
    compare_state(&before, &state.files, None, &case["state_after"])
}

/// `None`: a sub-agent works on it.
fn task_answer(call: &ToolCall) -> Option<ToolAnswer> {
    let known = ["general-purpose".to_owned(), "worker".to_owned()];
    match task::parse(&call.args) {
        Err(refusal) => Some(refusal),
        Ok(args) if known.contains(&args.subagent_type) => None,
        Ok(args) => Some(task::unknown_subagent(&args.subagent_type, &known)),
    }
}

fn compare(call: &ToolCall, name: &Value, answer: &ToolAnswer, recorded: &Value) -> Result<(), String> {
    let status = match answer.status {
        ToolStatus::Success => "success",
        ToolStatus::Error => "error",
    };
    let content = match &answer.content {
        Content::Text(text) => json!(text),
        Content::Blocks(blocks) => json!(blocks),
    };
    let mut ours = json!({"tool_call_id": call.id, "name": name, "status": status, "content": content});
    if !answer.additional_kwargs.is_empty() {
        ours["additional_kwargs"] = Value::Object(answer.additional_kwargs.clone());
    }
    if same(&ours, recorded) {
        return Ok(());
    }
    Err(format!("answer\n    ours     {}\n    recorded {}", brief(&ours), brief(recorded)))
}

fn compare_state(
    before: &Files,
    after: &Files,
    todos: Option<&Value>,
    recorded: &Value,
) -> Result<(), String> {
    if todos != recorded.get("todos") {
        return Err(format!("todos\n    ours     {todos:?}\n    recorded {:?}", recorded.get("todos")));
    }
    let unchanged = json!("$unchanged");
    if recorded["files"] == unchanged {
        return if before == after { Ok(()) } else { Err("files changed, recorded: unchanged".to_owned()) };
    }
    let recorded_files = recorded["files"].as_object().expect("files");
    let order: Vec<&str> = match recorded.get("order").and_then(Value::as_array) {
        Some(order) => order.iter().filter_map(Value::as_str).collect(),
        None => recorded_files.keys().map(String::as_str).collect(),
    };
    if !after.keys().eq(order.iter().copied()) {
        return Err(format!(
            "paths\n    ours     {:?}\n    recorded {order:?}",
            after.keys().collect::<Vec<_>>()
        ));
    }
    for (path, file) in after {
        let same = match &recorded_files[path] {
            recorded if *recorded == unchanged => before.get(path) == Some(file),
            recorded => same(&stored(file), recorded),
        };
        if !same {
            return Err(format!(
                "{path}\n    ours     {}\n    recorded {}",
                brief(&stored(file)),
                brief(&recorded_files[path])
            ));
        }
    }
    Ok(())
}
