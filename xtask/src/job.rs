//! A job as an outsider sends it: a structured CloudEvent.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// An id that no earlier job of this machine had.
pub(crate) fn fresh_id(prefix: &str) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{prefix}-{:x}", since.as_micros())
}

/// The event that asks for a run of `definition`.
pub(crate) fn event(id: &str, definition: &Value, input: &str) -> Value {
    let messages = json!([{"role": "user", "content": input}]);
    json!({
        "specversion": "1.0",
        "type": "dev.my-platform.agent.execute",
        "source": "xtask-demo",
        "id": id,
        "subject": id,
        "datacontenttype": "application/json",
        "data": {"job_id": id, "agent_definition": definition, "input_payload": {"messages": messages}},
    })
}

/// An orchestrator with three workers, for the scripted model: `task` is called three times in one turn.
pub(crate) fn team() -> Value {
    let model = json!({"provider": "openai", "model": "gpt-4o-mini"});
    let node = |kind: &str, name: &str, text: &str, marker: &str| {
        let prompt = format!("You are {name}. {text} [[fake:{marker} tokens=20 delay_ms=15]]");
        json!({"id": name, "type": kind, "config": {
            "name": name, "description": text, "tools": [], "model": model, "system_prompt": prompt}})
    };
    let mut nodes = vec![node("orchestrator", "main", "You share out the work.", "orchpar")];
    let mut edges = Vec::new();
    for k in 1..=3 {
        let name = format!("worker_{k}");
        nodes.push(node("specialist", &name, &format!("Does part {k} of the work."), "sub"));
        edges.push(json!({"source": "main", "target": name, "type": "orchestrator"}));
    }
    json!({"name": "demo-team", "version": "1", "tool_definitions": [], "nodes": nodes, "edges": edges})
}
