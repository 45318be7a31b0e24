//! What the publishers send.

use std::sync::Arc;

use agent_wire::{JobRequest, Limits};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::plan::Plan;

/// How a job reaches the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Queue,
    Http,
}

#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: Arc<str>,
    pub(crate) body: Bytes,
    pub(crate) way: Way,
    /// Whether it must end as a job of its own; the others are refused.
    pub(crate) is_job: bool,
}

impl Job {
    pub(crate) fn request(&self) -> Option<JobRequest> {
        JobRequest::parse(&self.body, &[], &Limits::default(), None).ok()
    }
}

/// Tools that leave the machine; the name tells the class.
pub(crate) const TOOLS: [(&str, &str); 3] =
    [("look", "pure"), ("put", "idempotent"), ("pay", "at_most_once")];

fn definition() -> Value {
    let model = json!({ "provider": "openai", "model": "simulated" });
    let tools: Vec<Value> = TOOLS
        .iter()
        .map(|(name, effect)| json!({ "name": name, "effect": effect, "runtime": { "script": "simulated" } }))
        .collect();
    let names: Vec<&str> = TOOLS.iter().map(|(name, _)| *name).collect();
    json!({
        "name": "simulated",
        "tool_definitions": tools,
        "nodes": [
            { "id": "main", "type": "orchestrator", "config": {
                "name": "main", "system_prompt": "[[main]]", "model": model, "tools": names } },
            { "id": "helper", "type": "specialist", "config": {
                "name": "helper", "description": "helps", "system_prompt": "[[helper]]", "model": model,
                "tools": names } },
        ],
        "edges": [{ "source": "main", "target": "helper", "type": "orchestrator" }],
    })
}

fn body(definition: &Value, job_id: &str, thread: &str, text: &str) -> Bytes {
    let job = json!({
        "job_id": job_id, "thread_id": thread, "agent_definition": definition,
        "input_payload": { "messages": [{ "role": "user", "content": text }] },
    });
    Bytes::from(job.to_string())
}

/// The jobs of a run, in the order in which they are sent.
pub(crate) fn jobs(dice: &Dice, plan: &Plan) -> Vec<Job> {
    let mut jobs = Vec::new();
    let definition = definition();
    for n in 0..plan.jobs {
        let id = format!("j{n}");
        let thread = format!("t{}", dice.below(plan.threads));
        let turns = dice.below(4);
        let poison = if plan.poison && n == 0 { " POISON" } else { "" };
        let text = format!("thread={thread} turns={turns}{poison} end");
        // Only a message comes again; a poison job must, to be counted.
        let way = if dice.happens(2_000) && poison.is_empty() { Way::Http } else { Way::Queue };
        let first = body(&definition, &id, &thread, &text);
        jobs.push(Job { id: Arc::from(id.as_str()), body: first, way, is_job: true });
        if dice.happens(700) {
            let other = body(&definition, &id, &thread, "thread=x turns=0 other content end");
            let name = Arc::from(format!("{id}-reused"));
            jobs.push(Job { id: name, body: other, way: Way::Queue, is_job: false });
        }
    }
    if dice.happens(2_000) {
        let bad = Bytes::from_static(b"{\"job_id\": \"bad-1\", \"agent_definition\": 5}");
        jobs.push(Job { id: Arc::from("bad-1"), body: bad, way: Way::Queue, is_job: false });
    }
    if dice.happens(2_000) {
        let bad = Bytes::from_static(b"\xff\xfe no json");
        jobs.push(Job { id: Arc::from("bad-2"), body: bad, way: Way::Queue, is_job: false });
    }
    jobs
}

/// The job id in a message, as far as one can be read.
pub(crate) fn job_id_in(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    value.get("job_id").and_then(Value::as_str).unwrap_or("?").to_owned()
}

/// The word after `name=` in a text.
pub(crate) fn named<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}
