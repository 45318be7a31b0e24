//! What is large, old or sudden: bodies and results at their limits, a schema that is too old, signals.

use crate::common::{PATIENCE, Plan, http, job};
use agent_testkit::until;
use async_nats::jetstream;
use futures_util::StreamExt;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_result_of_5_mb_is_shortened_on_nats_and_whole_in_the_state() {
    let mut large = job("large", "hello");
    // Over HTTP, whose body may be larger than a NATS message where that is allowed.
    large["input_payload"]["files"] = (0..10)
        .map(|number| (format!("/part-{number}.txt"), json!("0123456789abcde\n".repeat(32 * 1024))))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let plan = Plan::default().env("HTTP_BODY_BYTES", "16777216");
    let Some(stack) = plan.start().await else { return };
    let client = stack.nats.client().await.unwrap();
    let mut results = client.subscribe("agent.status.completed").await.unwrap();
    client.flush().await.unwrap();
    let (status, body) = http(stack.port, "POST", "/", &large.to_string()).await.unwrap();
    assert_eq!(status, 200, "{}", body.get(..500).unwrap_or(&body));

    let message = tokio::time::timeout(PATIENCE, results.next()).await.unwrap().unwrap();
    assert!(message.payload.len() < client.server_info().max_payload);
    let event: Value = serde_json::from_slice(&message.payload).unwrap();
    let omitted = &event["data"]["result"]["files_omitted"];
    assert_eq!(
        (omitted["count"].as_u64(), &omitted["href"]),
        (Some(10), &json!("/state/large")),
        "{omitted}"
    );
    assert!(omitted["bytes"].as_u64().unwrap() >= 10 * 512 * 1024);
    assert!(event["data"]["result"].get("files").is_none());

    let (status, state) = http(stack.port, "GET", "/state/large", "").await.unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    assert_eq!((status, &state["status"]), (200, &json!("completed")));
    assert_eq!(state["generated_files"].as_object().unwrap().len(), 10, "the stored result stays whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_near_the_servers_limit_is_a_job_like_any_other() {
    let Some(stack) = Plan::default().start().await else { return };
    let client = stack.nats.client().await.unwrap();
    let mut results = client.subscribe("agent.status.completed").await.unwrap();
    client.flush().await.unwrap();
    let mut large = job("near-limit", "hello");
    let room = client.server_info().max_payload - large.to_string().len() - 1024;
    large["input_payload"]["messages"][0]["content"] = json!("x".repeat(room));
    let context = jetstream::new(client.clone());
    context.publish("agent.execute.near-limit", large.to_string().into()).await.unwrap().await.unwrap();
    let message = tokio::time::timeout(PATIENCE, results.next()).await.unwrap().unwrap();
    let event: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!(event["subject"], "near-limit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_too_old_ends_the_start_with_3() {
    let Some(stack) = Plan::default().start().await else { return };
    let empty = stack.servers.postgres.fresh_database().await.unwrap();
    let mut worker = stack.another(&[("DATABASE_URL", empty.as_str())]);
    assert_eq!(worker.ended().await, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_jobs_in_work_at_once_all_end_once() {
    let Some(stack) = Plan::default().env("WORKER_CONCURRENCY", "200").start().await else { return };
    let client = stack.nats.client().await.unwrap();
    let mut results = client.subscribe("agent.status.*").await.unwrap();
    client.flush().await.unwrap();
    let context = jetstream::new(client.clone());
    for number in 0..200 {
        let id = format!("many-{number}");
        let body = job(&id, "hello delay_ms=4").to_string();
        context.publish(format!("agent.execute.{id}"), body.into()).await.unwrap().await.unwrap();
    }
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 200 {
        let message = tokio::time::timeout(PATIENCE, results.next()).await.unwrap().unwrap();
        assert_eq!(message.subject.as_str(), "agent.status.completed");
        let event: Value = serde_json::from_slice(&message.payload).unwrap();
        assert!(seen.insert(event["subject"].as_str().unwrap().to_owned()), "a second result: {event}");
    }
    let postgres = stack.postgres().await;
    let open = "select count(*) from agent_jobs where status <> 'completed'";
    let open: i64 = postgres.query_one(open, &[]).await.unwrap().get(0);
    assert_eq!(open, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_cache_a_worker_runs_jobs_all_the_same() {
    // Nobody listens on port 1.
    let plan = Plan::default()
        .env("REDIS_URL", "redis://127.0.0.1:1")
        .env("READY_REQUIRES", "postgres,nats")
        .env("STREAM_BUFFER_EVENTS", "100");
    let Some(stack) = plan.start().await else { return };
    let jobs = (0..8).map(|number| job(&format!("no-cache-{number}"), "tools").to_string());
    let answers = jobs.map(async |job| http(stack.port, "POST", "/", &job).await);
    for answer in futures_util::future::join_all(answers).await {
        let (status, body) = answer.unwrap();
        assert_eq!(status, 200, "{body}");
    }
    let (_, ready) = http(stack.port, "GET", "/ready", "").await.unwrap();
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!(ready["services"], json!({ "dragonfly": false, "postgres": true, "nats": true }));
    until("lost events are counted", PATIENCE, async || {
        stack.metric("agent_executor_stream_dropped_total").await.filter(|lost| *lost > 0.0)
    })
    .await
    .unwrap();
}
