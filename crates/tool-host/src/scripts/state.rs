//! The agent's state as a script gets it: plain objects, only what its tool asks for.

use agent_executor_core::StateView;
use agent_langgraph_codec::{Content, Encoding, FileContent, FileData, Kind, Message, ToolStatus};
use serde_json::{Map, Value, json};

pub(super) fn given(view: &StateView, needs: &[String]) -> Value {
    let all = needs.iter().any(|need| need == "*");
    let wanted = |field: &str| all || needs.iter().any(|need| need == field);
    let mut state: Map<String, Value> = view
        .values
        .iter()
        .filter(|(field, _)| wanted(field))
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect();
    if wanted("messages") {
        state.insert("messages".to_owned(), view.messages.iter().map(|one| message(one)).collect());
    }
    if wanted("files") {
        let files: Map<String, Value> =
            view.files.iter().map(|(path, data)| (path.clone(), file(data))).collect();
        state.insert("files".to_owned(), Value::Object(files));
    }
    Value::Object(state)
}

fn message(message: &Message) -> Value {
    let content = match &message.content {
        Content::Text(text) => Value::String(text.clone()),
        Content::Blocks(blocks) => Value::Array(blocks.clone()),
    };
    let mut told = vec![
        ("type", json!(message.type_name())),
        ("content", content),
        ("id", json!(message.id)),
        ("name", json!(message.name)),
        ("additional_kwargs", json!(message.additional_kwargs)),
        ("response_metadata", json!(message.response_metadata)),
    ];
    match &message.kind {
        Kind::Ai { tool_calls, .. } => {
            let calls = tool_calls.iter().map(
                |call| json!({"name": call.name, "args": call.args, "id": call.id, "type": "tool_call"}),
            );
            told.push(("tool_calls", calls.collect()));
        }
        Kind::Tool { tool_call_id, artifact, status } => {
            let status = if *status == ToolStatus::Error { "error" } else { "success" };
            told.extend([
                ("tool_call_id", json!(tool_call_id)),
                ("artifact", artifact.clone()),
                ("status", json!(status)),
            ]);
        }
        Kind::Human | Kind::System | Kind::Remove | Kind::Chat { .. } | Kind::Function => {}
    }
    Value::Object(told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn file(data: &FileData) -> Value {
    let mut told = Map::new();
    let content = match &data.content {
        FileContent::Text(text) => json!(text),
        FileContent::Lines(lines) => json!(lines),
    };
    told.insert("content".to_owned(), content);
    if let Some(encoding) = data.encoding {
        let name = if encoding == Encoding::Base64 { "base64" } else { "utf-8" };
        told.insert("encoding".to_owned(), json!(name));
    }
    for (name, time) in [("created_at", &data.created_at), ("modified_at", &data.modified_at)] {
        if let Some(time) = time {
            told.insert(name.to_owned(), json!(time));
        }
    }
    told.extend(data.extra.clone());
    Value::Object(told)
}
