//! `STREAM_COMPAT=python`: the string members that parsers of the Python service look for, beside ours
//! (wire contract 6.1). Made from an event's own text, so that what is replayed is what was published.

use agent_executor_core::python_repr;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::journal;

/// The event with the old members; an `end` with empty data, as it was.
pub fn python(event: &Bytes) -> Bytes {
    let Some(head) = journal::head(event) else { return event.clone() };
    let change: fn(&mut Map<String, Value>) = match head.event_type {
        "on_llm_stream" => raw_event,
        "on_state_update" => messages,
        "end" => Map::clear,
        _ => return event.clone(),
    };
    let Ok(mut whole) = serde_json::from_slice::<Value>(event) else { return event.clone() };
    let Some(data) = whole.get_mut("data").and_then(Value::as_object_mut) else { return event.clone() };
    change(data);
    Bytes::from(whole.to_string())
}

fn text<'a>(map: &'a Map<String, Value>, name: &str) -> &'a str {
    map.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The pair of chunk and metadata, as Python prints it.
fn raw_event(data: &mut Map<String, Value>) {
    let metadata = json!({
        "langgraph_step": data.get("step"),
        "langgraph_node": data.get("node"),
        "checkpoint_ns": data.get("ns").cloned().unwrap_or_else(|| json!("")),
    });
    let raw = format!(
        "(AIMessageChunk(content={}, additional_kwargs={{}}, response_metadata={{}}, id={}), {})",
        python_repr(&json!(text(data, "content"))),
        python_repr(&json!(text(data, "message_id"))),
        python_repr(&metadata)
    );
    data.insert("raw_event".to_owned(), Value::String(raw));
}

/// The list of messages, as Python prints it.
fn messages(data: &mut Map<String, Value>) {
    let Some(list) = data.get("messages_json").and_then(Value::as_array) else { return };
    let printed: Vec<String> = list.iter().filter_map(Value::as_object).map(message).collect();
    data.insert("messages".to_owned(), Value::String(format!("[{}]", printed.join(", "))));
}

fn message(message: &Map<String, Value>) -> String {
    let class = match text(message, "type") {
        "human" => "HumanMessage",
        "ai" => "AIMessage",
        "tool" => "ToolMessage",
        "system" => "SystemMessage",
        _ => "ChatMessage",
    };
    let member = |name: &str| message.get(name).map(|value| format!("{name}={}", python_repr(value)));
    let mut members = vec![member("content").unwrap_or_default()];
    if class != "ToolMessage" {
        members.push("additional_kwargs={}, response_metadata={}".to_owned());
    }
    members.extend(["name", "id", "tool_calls", "tool_call_id"].into_iter().filter_map(member));
    format!("{class}({})", members.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{self, Common};

    const COMMON: Common<'static> =
        Common { seq: 1, job_id: "j", epoch: 1, step: 2, attempt: 1, label: None };

    fn data(event: &Bytes) -> Value {
        serde_json::from_slice::<Value>(&python(event)).unwrap()["data"].take()
    }

    #[test]
    fn old_members_stand_beside_ours() {
        let piece = data(&stream::llm_stream(&COMMON, "it's", None, "model", "m-1", None));
        assert_eq!(
            piece["raw_event"],
            "(AIMessageChunk(content=\"it's\", additional_kwargs={}, response_metadata={}, id='m-1'), \
             {'langgraph_step': 2, 'langgraph_node': 'model', 'checkpoint_ns': ''})"
        );
        assert_eq!(piece["content"], "it's");
        let list = [
            r#"{"type":"human","content":"hi","id":"1"}"#,
            r#"{"type":"ai","content":"","id":"2","tool_calls":[{"name":"task","args":{"subagent_type":"w"},"id":"c","type":"tool_call"}]}"#,
            r#"{"type":"tool","content":"ok","id":"3","name":"task","tool_call_id":"c","status":"success"}"#,
        ];
        let update =
            stream::state_update(&COMMON, Some(list.into_iter()), None, None, crate::FileForm::Lines);
        assert_eq!(
            data(&update)["messages"],
            "[HumanMessage(content='hi', additional_kwargs={}, response_metadata={}, id='1'), \
             AIMessage(content='', additional_kwargs={}, response_metadata={}, id='2', tool_calls=[{'name': 'task', \
             'args': {'subagent_type': 'w'}, 'id': 'c', 'type': 'tool_call'}]), \
             ToolMessage(content='ok', name='task', id='3', tool_call_id='c')]"
        );
        assert_eq!(data(&stream::end(&COMMON, true)), json!({}));
        let tool = stream::tool_start(&COMMON, "c", "ls", &Map::new());
        assert_eq!(python(&tool), tool);
    }
}
