//! CloudEvents over NATS as the protocol binding has them: jobs in both modes and without an event, with their traces,
//! and the results that come back.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests stand outside of the test functions"
)]

use std::collections::BTreeMap;

use crate::common::{PATIENCE, Stack, job, stack};
use async_nats::{HeaderMap, Message};
use futures_util::StreamExt;
use serde_json::{Value, json};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-01";
const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const STATE: &str = "vendor=t61rcWkgMzE,other=00f067aa0ba902b7";

/// A job as somebody publishes it, and the trace that its result must be in.
struct Case {
    id: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: Value,
    trace: &'static str,
    flags: &'static str,
    state: Option<&'static str>,
}

impl Case {
    fn new(id: &'static str, headers: &[(&'static str, &'static str)], body: Value) -> Self {
        Self { id, headers: headers.to_vec(), body, trace: TRACE, flags: "01", state: Some(STATE) }
    }
}

/// A job that names no trace of its own.
fn untraced(id: &str) -> Value {
    let mut job = job(id, "hello tokens=2");
    job.as_object_mut().unwrap().remove("trace_id");
    job
}

fn structured(id: &str, more: Value) -> Value {
    let mut event = json!({ "specversion": "1.0", "type": "dev.my-platform.agent.execute", "source": "/test",
        "id": format!("event-of-{id}"), "datacontenttype": "application/json", "data": untraced(id) });
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    event
}

/// The attributes as headers.
const BINARY: [(&str, &str); 5] = [
    ("ce-specversion", "1.0"),
    ("ce-type", "dev.my-platform.agent.execute"),
    ("ce-source", "/test"),
    ("ce-id", "event-1"),
    ("content-type", "application/json"),
];

fn binary(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&BINARY, more].concat()
}

fn cases() -> Vec<Case> {
    let declared = ("content-type", "application/cloudevents+json; charset=utf-8");
    let extensions = json!({ "traceparent": PARENT, "tracestate": STATE });
    let of_another = json!({ "traceparent": OTHER, "tracestate": "another=1" });
    let with_id = |id: &str, trace_id: &str| {
        let mut job = untraced(id);
        job["trace_id"] = json!(trace_id);
        job
    };
    let mut failing = untraced("binary-failed");
    failing["agent_definition"]["nodes"][0]["config"]["model"]["provider"] = json!("nobody");
    let headers = [("traceparent", PARENT), ("tracestate", STATE)];
    let ce = [("ce-traceparent", PARENT), ("ce-tracestate", STATE)];
    vec![
        Case::new(
            "structured-extension",
            &[declared],
            structured("structured-extension", extensions.clone()),
        ),
        Case::new("structured-undeclared", &[], structured("structured-undeclared", extensions)),
        // What the transport says of the message is newer than what the event says.
        Case::new("structured-header", &headers, structured("structured-header", of_another)),
        Case::new("binary-extension", &binary(&ce), untraced("binary-extension")),
        Case::new("binary-header", &binary(&headers), untraced("binary-header")),
        Case::new("binary-failed", &binary(&ce), failing),
        Case {
            flags: "00",
            state: None,
            ..Case::new("unsampled", &binary(&[("ce-traceparent", UNSAMPLED)]), untraced("unsampled"))
        },
        Case {
            state: None,
            ..Case::new("bare-uuid", &[], with_id("bare-uuid", "4BF92F35-77b3-4da6-a3ce-929d0e0e4736"))
        },
        Case {
            // The first half of the SHA-256 of the text.
            trace: "fc6828636c4fbdd8cf89f451ec367077",
            state: None,
            ..Case::new("bare-words", &[], with_id("bare-words", "trace-proposal-123"))
        },
    ]
}

async fn publish(stack: &Stack, id: &str, headers: &[(&str, &str)], body: String) {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, *value);
    }
    let context = stack.jetstream().await;
    let subject = format!("agent.execute.{id}");
    context.publish_with_headers(subject, map, body.into()).await.unwrap().await.unwrap();
}

/// What every result event has, and the trace that it is in.
fn check(case: &Case, message: &Message, event: &Value) {
    let (id, word) = (case.id, if case.id.ends_with("-failed") { "failed" } else { "completed" });
    assert_eq!(message.subject.as_str(), format!("agent.status.{word}"), "{id}: {event}");
    let header = |name: &str| message.headers.as_ref().unwrap().get(name).unwrap().as_str();
    assert_eq!(header("content-type"), "application/cloudevents+json; charset=utf-8", "{id}");
    assert_eq!(header("Nats-Msg-Id"), event["id"], "{id}");
    for (name, expected) in [
        ("specversion", "1.0"),
        ("type", format!("dev.my-platform.agent.{word}").as_str()),
        ("source", "agent-executor-service"),
        ("subject", id),
        ("id", agent_wire::result_event_id(id).to_string().as_str()),
    ] {
        assert_eq!(event[name], expected, "{id}: {name}");
    }
    assert_eq!(event["data"]["job_id"], id);
    let parent: Vec<&str> = event["traceparent"].as_str().unwrap().split('-').collect();
    assert_eq!([parent[0], parent[1], parent[3]], ["00", case.trace, case.flags], "{id}");
    let span = u64::from_str_radix(parent[2], 16).unwrap();
    assert!(parent[2].len() == 16 && span != 0 && parent[2] != "00f067aa0ba902b7", "{id}: a span of our own");
    assert_eq!(event.get("tracestate").and_then(Value::as_str), case.state, "{id}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_either_mode_comes_back_as_an_event_of_its_publishers_trace() {
    let Some(stack) = stack().await else { return };
    let client = stack.nats.client().await.unwrap();
    let mut results = client.subscribe("agent.status.*").await.unwrap();
    client.flush().await.unwrap();
    let mut open: BTreeMap<&str, Case> = cases().into_iter().map(|case| (case.id, case)).collect();
    for case in open.values() {
        publish(&stack, case.id, &case.headers, case.body.to_string()).await;
    }
    while !open.is_empty() {
        let message = tokio::time::timeout(PATIENCE, results.next()).await.unwrap().unwrap();
        let event: Value = serde_json::from_slice(&message.payload).unwrap();
        let case = open.remove(event["subject"].as_str().unwrap()).unwrap();
        check(&case, &message, &event);
    }
    stack.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_refused_over_nats_and_said_to_be_one() {
    let Some(stack) = stack().await else { return };
    let client = stack.nats.client().await.unwrap();
    let mut failed = client.subscribe("agent.status.failed").await.unwrap();
    client.flush().await.unwrap();
    let events = json!([structured("batched-1", json!({})), structured("batched-2", json!({}))]);
    let declared = [("content-type", "application/cloudevents-batch+json")];
    publish(&stack, "batched", &declared, events.to_string()).await;
    let message = tokio::time::timeout(PATIENCE, failed.next()).await.unwrap().unwrap();
    let event: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(event["data"]["error"]["code"], "input.batch", "{event}");
    assert_eq!(event["data"]["job_id"], "batched", "the last part of the subject names it");
    stack.settled().await;
    assert_eq!(stack.model.requests(), 0);
}
