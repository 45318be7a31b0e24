//! The worker as a process whose surroundings break: killed workers, servers that restart, streams that are missing.

#![expect(clippy::unwrap_used, reason = "helpers of tests stand outside of the test functions")]

use std::time::Duration;

use agent_checkpoint_store::{JobStatus, Store};
use agent_testkit::{ModelFault, until};
use async_nats::jetstream::consumer::pull;
use futures_util::StreamExt;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::common::{PATIENCE, Plan, Stack, http, job, make_stream, metric, stack};

/// A job whose model goes on for about so many seconds.
fn slow(job_id: &str, seconds: u32) -> Value {
    job(job_id, &format!("hello tokens={} delay_ms=100", seconds * 10))
}

async fn invoke(stack: &Stack, job: &Value) {
    let (status, body) = http(stack.port, "POST", "/invoke", &job.to_string()).await.unwrap();
    assert_eq!(status, 200, "{body}");
}

async fn next_event(events: &mut async_nats::Subscriber) -> Value {
    let event = tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap();
    serde_json::from_slice(&event.payload).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_workers_job_is_gone_on_with_and_nothing_is_done_twice() {
    let Some(mut stack) = Plan::default().quick().start().await else { return };
    stack.publish(&job("killed-1", "tools delay_ms=20")).await;
    stack.until_asked(3).await;
    stack.worker.signal("KILL");
    stack.worker.ended().await;
    let before = stack.model.requests();

    let _second = stack.another(&[]);
    assert_eq!(stack.end_of("killed-1").await, "completed");

    let store = stack.store().await;
    let job = store.job("killed-1").await.unwrap().unwrap();
    assert_eq!(job.unclean_count, 1);
    assert!(stack.model.requests() <= 6 + 1, "at most the call in flight is made again: {before} before");
    let rows = store.load("killed-1").await.unwrap().rows;
    let state = agent_langgraph_codec::load_graph(&rows, "").unwrap().unwrap();
    assert_eq!(state.messages.len(), 12, "the user's message, five calls, five results, the text");
    stack.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_over_http_survives_its_worker() {
    let Some(mut stack) = Plan::default().quick().start().await else { return };
    invoke(&stack, &job("pod-1", "tools delay_ms=20")).await;
    stack.until_asked(2).await;
    stack.worker.signal("KILL");
    stack.worker.ended().await;

    let second = stack.another(&[]);
    assert_eq!(stack.end_of("pod-1").await, "completed", "no message brings it back: the sweep does");
    assert_eq!(metric(second.port, "agent_executor_jobs_adopted_total").await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_over_nats_is_answered_when_it_stands_and_reported_when_it_is_true() {
    let Some(stack) = stack().await else { return };
    let client = stack.nats.client().await.unwrap();
    let mut failed = client.subscribe("agent.status.failed").await.unwrap();
    client.flush().await.unwrap();
    invoke(&stack, &slow("cancel-1", 60)).await;
    stack.until_asked(1).await;

    let reply = client.request("agent.cancel.cancel-1", "".into()).await.unwrap();
    let reply: Value = serde_json::from_slice(&reply.payload).unwrap();
    assert_eq!((&reply["job_id"], &reply["cancel_requested"]), (&"cancel-1".into(), &true.into()), "{reply}");
    let event = next_event(&mut failed).await;
    assert_eq!(event["subject"], "cancel-1");
    assert_eq!(event["data"]["error"]["type"], "Cancelled");
    assert_eq!(event["data"]["error"]["code"], "job.cancelled");
    assert_eq!(stack.end_of("cancel-1").await, "cancelled");

    let reply = client.request("agent.cancel.cancel-1", "".into()).await.unwrap();
    let reply: Value = serde_json::from_slice(&reply.payload).unwrap();
    assert_eq!(reply["status"], "cancelled");
    let reply = client.request("agent.cancel.nobody", "".into()).await.unwrap();
    let reply: Value = serde_json::from_slice(&reply.payload).unwrap();
    assert_eq!(reply["error"]["code"], "job.unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_thread_is_gone_everywhere_and_its_job_is_told() {
    let Some(stack) = stack().await else { return };
    let client = stack.nats.client().await.unwrap();
    let mut failed = client.subscribe("agent.status.failed").await.unwrap();
    client.flush().await.unwrap();
    invoke(&stack, &slow("gone-1", 60)).await;
    stack.until_asked(1).await;

    let (status, body) = http(stack.port, "DELETE", "/cleanup/gone-1", "").await.unwrap();
    assert_eq!(status, 204, "{body}");

    assert_eq!(next_event(&mut failed).await["data"]["error"]["type"], "Cancelled");
    let postgres = stack.postgres().await;
    for table in
        ["checkpoints", "checkpoint_writes", "agent_jobs", "agent_events", "agent_outbox", "agent_steps"]
    {
        let query = format!("select count(*) from {table} where thread_id = 'gone-1'");
        let rows: i64 = postgres.query_one(&query, &[]).await.unwrap().get(0);
        assert_eq!(rows, 0, "{table}");
    }
    assert_eq!(kept_by_the_cache(&stack, "gone-1").await, ":0", "its list is gone too");
    assert_eq!(http(stack.port, "DELETE", "/cleanup/gone-1", "").await.unwrap().0, 404);
}

/// The cache's answer to whether it keeps events of the thread.
async fn kept_by_the_cache(stack: &Stack, thread: &str) -> String {
    let mut socket = tokio::net::TcpStream::connect(stack.servers.redis.address()).await.unwrap();
    let list = format!("langgraph:events:{thread}");
    let command = format!("*2\r\n$6\r\nEXISTS\r\n${}\r\n{list}\r\n", list.len());
    socket.write_all(command.as_bytes()).await.unwrap();
    let mut answer = String::new();
    BufReader::new(socket).read_line(&mut answer).await.unwrap();
    answer.trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_slept_through_a_takeover_commits_and_tells_nothing() {
    let Some(stack) = Plan::default().quick().start().await else { return };
    stack.publish(&job("zombie-1", "tools delay_ms=30")).await;
    stack.until_asked(3).await;
    stack.worker.signal("STOP");
    let second = stack.another(&[]);
    assert_eq!(stack.end_of("zombie-1").await, "completed");
    let whole = stack.store().await.load("zombie-1").await.unwrap();

    stack.worker.signal("CONT");
    until("it finds that it was replaced", PATIENCE, async || {
        let lost = stack.metric("agent_executor_lease_lost_total").await?;
        let fenced = stack.metric("agent_executor_fenced_writes_total").await?;
        (lost + fenced > 0.0 && stack.metric("agent_executor_jobs_in_work").await? == 0.0).then_some(())
    })
    .await
    .unwrap();
    stack.settled().await;
    assert_eq!(stack.store().await.load("zombie-1").await.unwrap(), whole, "not a row is other");
    let mut results = stack.jetstream().await.get_stream("AGENT_STATUS").await.unwrap();
    assert_eq!(results.info().await.unwrap().state.messages, 1);
    assert_eq!(metric(second.port, "agent_executor_jobs_total{status=\"completed\"}").await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_restarts_fails_no_job_and_is_left_alone_meanwhile() {
    let plan = Plan::default().env("MODEL_BREAKER_FAILURES", "2").env("MODEL_BREAKER_SECONDS", "1");
    let Some(stack) = plan.env("MODEL_RETRY_FIRST_MILLISECONDS", "1").start().await else { return };
    stack.model.fail_next([ModelFault::Status(503, None), ModelFault::Status(503, None)]);
    stack.publish(&job("outage-1", "hello")).await;
    assert_eq!(stack.end_of("outage-1").await, "completed");
    assert_eq!(stack.model.requests(), 3, "two that found it down, and the one that found it back");
    let open = stack.metric("agent_executor_model_circuit_open{provider=\"openai\"}").await;
    assert_eq!(open, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_jobs_share_one_connection_and_all_end() {
    let plan = Plan::default().env("POSTGRES_READ_CONNECTIONS", "1").env("POSTGRES_COMMIT_CONNECTIONS", "1");
    let Some(stack) = plan.start().await else { return };
    for n in 0..30 {
        stack.publish(&job(&format!("crowd-{n}"), "tools")).await;
    }
    for n in 0..30 {
        assert_eq!(stack.end_of(&format!("crowd-{n}")).await, "completed");
    }
    stack.settled().await;
    assert_eq!(stack.metric("agent_executor_lease_lost_total").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_stream_a_result_is_told_once_and_not_again_when_one_comes() {
    let plan = Plan::default().streams(&[("AGENT_EXECUTION", "agent.execute.*")]);
    let Some(stack) = plan.start().await else { return };
    let client = stack.nats.client().await.unwrap();
    let mut completed = client.subscribe("agent.status.completed").await.unwrap();
    client.flush().await.unwrap();
    stack.publish(&job("plain-1", "hello")).await;
    assert_eq!(next_event(&mut completed).await["subject"], "plain-1");
    stack.settled().await;
    assert_eq!(stack.metric("agent_executor_results_unstreamed_total").await, Some(1.0));
    let postgres = stack.postgres().await;
    let unsent = async || {
        let query = "select count(*) from agent_outbox where sent_at is null";
        (postgres.query_one(query, &[]).await.unwrap().get::<_, i64>(0) == 0).then_some(())
    };
    until("it is marked as sent", PATIENCE, unsent).await.unwrap();

    let context = stack.jetstream().await;
    make_stream(&context, "AGENT_STATUS", "agent.status.*").await;
    stack.publish(&job("plain-2", "hello")).await;
    assert_eq!(next_event(&mut completed).await["subject"], "plain-2");
    stack.settled().await;
    let mut stream = context.get_stream("AGENT_STATUS").await.unwrap();
    let stored = stream.info().await.unwrap().state.messages;
    assert_eq!(stored, 1, "only the second: it is on the stream's subject, however it was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_there_a_moment_ago_is_not_trusted() {
    let Some(stack) = stack().await else { return };
    stack.publish(&job("kept-1", "hello")).await;
    assert_eq!(stack.end_of("kept-1").await, "completed");
    stack.settled().await;
    stack.jetstream().await.delete_stream("AGENT_STATUS").await.unwrap();

    let client = stack.nats.client().await.unwrap();
    let mut completed = client.subscribe("agent.status.completed").await.unwrap();
    client.flush().await.unwrap();
    stack.publish(&job("kept-2", "hello")).await;
    assert_eq!(
        next_event(&mut completed).await["subject"],
        "kept-2",
        "told plainly, within the 30 s of the answer"
    );
    let counted =
        async || (stack.metric("agent_executor_results_unstreamed_total").await? == 1.0).then_some(());
    until("it is counted", PATIENCE, counted).await.unwrap();
    let again = tokio::time::timeout(Duration::from_secs(2), completed.next()).await;
    assert!(again.is_err(), "and not told twice: {again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_job_needs_the_cache() {
    let Some(stack) = Plan::default().own_cache().start().await else { return };
    stack.publish(&slow("cache-1", 1)).await;
    stack.until_asked(1).await;
    stack.servers.redis.kill().await.unwrap();
    assert_eq!(stack.end_of("cache-1").await, "completed");
    stack.publish(&job("cache-2", "tools")).await;
    assert_eq!(stack.end_of("cache-2").await, "completed", "nor to begin");
    assert_eq!(http(stack.port, "GET", "/ready", "").await.unwrap().0, 503, "but it says so");
    assert_eq!(http(stack.port, "GET", "/health", "").await.unwrap().0, 200);
    stack.servers.redis.restart().await.unwrap();
    stack.worker.ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_beyond_the_servers_limit_is_shortened_and_the_stored_one_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("nats.conf");
    // The worker leaves 4 KiB of it to the protocol: 900 bytes for an event.
    std::fs::write(&config, "max_payload: 4996\n").unwrap();
    let plan = Plan::default().nats_arguments(["-c".to_owned(), config.to_str().unwrap().to_owned()]);
    let Some(stack) = plan.start().await else { return };
    let client = stack.nats.client().await.unwrap();
    let mut completed = client.subscribe("agent.status.completed").await.unwrap();
    client.flush().await.unwrap();
    stack.publish(&job("long-1", "hello tokens=400")).await;
    let event = next_event(&mut completed).await;
    assert_eq!(event["data"]["result"]["output_truncated"], true, "{event}");
    let told = event["data"]["result"]["output"].as_str().unwrap();
    let stored = stack.store().await.job("long-1").await.unwrap().unwrap().result.unwrap();
    let stored: Value = serde_json::from_slice(&stored).unwrap();
    let whole = stored["data"]["result"]["output"].as_str().unwrap();
    assert!(whole.starts_with(told) && whole.split(' ').count() >= 400 && told.len() < 900, "{told}");
    stack.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_is_awaited_and_a_missing_consumer_made() {
    let Some(stack) = Plan::default().streams(&[]).unready().start().await else { return };
    until("it lives", PATIENCE, async || {
        let (status, _) = http(stack.port, "GET", "/health", "").await?;
        (status == 200).then_some(())
    })
    .await
    .unwrap();
    assert_eq!(http(stack.port, "GET", "/ready", "").await.unwrap().0, 503, "there is no stream");

    let context = stack.jetstream().await;
    for (name, subject) in crate::common::STREAMS {
        make_stream(&context, name, subject).await;
    }
    stack.worker.ready().await;
    stack.publish(&job("stream-1", "hello")).await;
    assert_eq!(stack.end_of("stream-1").await, "completed");
    stack.settled().await;

    let stream = context.get_stream("AGENT_EXECUTION").await.unwrap();
    stream.delete_consumer("agent-executor-workers").await.unwrap();
    stack.publish(&job("stream-2", "hello")).await;
    assert_eq!(stack.end_of("stream-2").await, "completed", "the consumer is made again");

    context.delete_stream("AGENT_EXECUTION").await.unwrap();
    make_stream(&context, "AGENT_EXECUTION", "agent.execute.*").await;
    stack.publish(&job("stream-3", "hello")).await;
    assert_eq!(stack.end_of("stream-3").await, "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_with_other_settings_is_brought_to_what_is_needed() {
    let found = pull::Config {
        durable_name: Some("agent-executor-workers".to_owned()),
        filter_subject: "agent.execute.*".to_owned(),
        ack_wait: Duration::from_secs(300),
        max_deliver: 3,
        ..Default::default()
    };
    let Some(stack) = Plan::default().consumer(found).start().await else { return };
    stack.publish(&job("other-1", "hello")).await;
    assert_eq!(stack.end_of("other-1").await, "completed");
    let stream = stack.jetstream().await.get_stream("AGENT_EXECUTION").await.unwrap();
    let config = stream.consumer_info("agent-executor-workers").await.unwrap().config;
    assert_eq!((config.ack_wait, config.max_deliver), (Duration::from_secs(30), -1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlives_a_crash_of_nats_and_its_result_leaves_afterwards() {
    let Some(stack) = stack().await else { return };
    stack.publish(&slow("nats-1", 2)).await;
    stack.until_asked(1).await;
    stack.nats.kill().await.unwrap();
    assert_eq!(stack.end_of("nats-1").await, "completed", "NATS is only the doorbell");
    assert_eq!(http(stack.port, "GET", "/health", "").await.unwrap().0, 200);
    assert_eq!(http(stack.port, "GET", "/ready", "").await.unwrap().0, 503);

    stack.nats.restart().await.unwrap();
    let context = stack.jetstream().await;
    until("the result is in its stream", PATIENCE, async || {
        let mut stream = context.get_stream("AGENT_STATUS").await.ok()?;
        (stream.info().await.ok()?.state.messages == 1).then_some(())
    })
    .await
    .unwrap();
    stack.worker.ready().await;
    assert_eq!(stack.model.requests(), 1, "nothing ran again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_outlives_a_crash_of_postgresql() {
    let Some(stack) = Plan::default().own_postgres().start().await else { return };
    stack.publish(&job("pg-1", "tools delay_ms=20")).await;
    stack.until_asked(3).await;
    stack.servers.postgres.kill().await.unwrap();
    until("it says so", PATIENCE, async || {
        let (status, _) = http(stack.port, "GET", "/ready", "").await?;
        (status == 503).then_some(())
    })
    .await
    .unwrap();
    assert_eq!(http(stack.port, "GET", "/health", "").await.unwrap().0, 200);
    // One that starts meanwhile lives too, and waits.
    let second = stack.another(&[]);
    until("it lives", PATIENCE, async || {
        let (status, _) = http(second.port, "GET", "/health", "").await?;
        (status == 200).then_some(())
    })
    .await
    .unwrap();

    stack.servers.postgres.restart().await.unwrap();
    assert_eq!(stack.end_of("pg-1").await, "completed");
    second.ready().await;
    assert_eq!(stack.model.requests(), 6, "no call was made twice");
    assert_eq!(stack.store().await.job("pg-1").await.unwrap().unwrap().status, JobStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_for_its_database_can_be_stopped() {
    let Some(stack) = Plan::default().start().await else { return };
    let mut waiting = stack.another(&[("DATABASE_URL", "postgres://nobody@127.0.0.1:9/none")]);
    until("it lives", PATIENCE, async || {
        let (status, _) = http(waiting.port, "GET", "/health", "").await?;
        (status == 200).then_some(())
    })
    .await
    .unwrap();
    waiting.signal("TERM");
    assert_eq!(waiting.ended().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_worker_at_once() {
    let Some(mut stack) = stack().await else { return };
    invoke(&stack, &slow("signals-1", 60)).await;
    stack.until_asked(1).await;
    stack.worker.signal("TERM");
    until("it drains", PATIENCE, async || {
        let (status, _) = http(stack.port, "GET", "/ready", "").await?;
        (status == 503).then_some(())
    })
    .await
    .unwrap();
    stack.worker.signal("TERM");
    assert_eq!(stack.worker.ended().await, Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_within_its_budget_and_its_job_goes_on_elsewhere() {
    let Some(mut stack) = Plan::default().env("DRAIN_BUDGET_SECONDS", "2").start().await else { return };
    stack.publish(&slow("drain-1", 3)).await;
    stack.until_asked(1).await;
    let second = stack.another(&[]);
    second.ready().await;
    stack.worker.signal("TERM");
    assert_eq!(stack.worker.ended().await, Some(0));
    assert_eq!(stack.end_of("drain-1").await, "completed");
    let job = stack.store().await.job("drain-1").await.unwrap().unwrap();
    assert_eq!(job.unclean_count, 0, "a hand-back is no failure");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_although_its_database_hangs() {
    let plan = Plan::default().own_postgres().quick().env("DRAIN_BUDGET_SECONDS", "2");
    let Some(mut stack) = plan.start().await else { return };
    stack.publish(&slow("hang-1", 60)).await;
    stack.until_asked(1).await;
    stack.servers.postgres.freeze().await.unwrap();
    stack.worker.signal("TERM");
    let code = stack.worker.ended().await;
    stack.servers.postgres.thaw().await.unwrap();
    assert_eq!(code, Some(0));
    let second = stack.another(&[]);
    second.ready().await;
    until("it is gone on with", PATIENCE, async || (stack.model.requests() >= 2).then_some(()))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_can_be_listed_shown_and_sent_again() {
    let Some(stack) = stack().await else { return };
    let context = stack.jetstream().await;
    context.publish("agent.execute.broken", "{\u{1b}[2J".into()).await.unwrap().await.unwrap();
    let postgres = stack.postgres().await;
    let letters = async || {
        postgres.query_one("select count(*) from agent_dead_letters", &[]).await.unwrap().get::<_, i64>(0)
    };
    until("it is recorded", PATIENCE, async || (letters().await == 1).then_some(())).await.unwrap();

    let (code, out, _) = stack.command(&["dead-letters", "list", "--json"]);
    let list: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &list[0]["code"], &list[0]["complete"]),
        (Some(0), &"input.not_json".into(), &true.into())
    );
    let id = list[0]["id"].to_string();
    let (_, out, _) = stack.command(&["dead-letters", "list"]);
    assert!(out.lines().count() == 2 && out.contains("input.not_json"), "{out}");
    let (_, out, _) = stack.command(&["dead-letters", "show", &id]);
    assert!(out.contains("agent.execute.broken") && !out.contains('\u{1b}'), "{out:?}");
    let (code, _, err) = stack.command(&["dead-letters", "show", "999"]);
    assert!(code == Some(1) && err.contains("there is no dead letter 999"), "{err}");

    let (code, out, err) = stack.command(&["dead-letters", "requeue", &id]);
    assert_eq!(code, Some(0), "{out}{err}");
    until("it came again and was refused again", PATIENCE, async || (letters().await == 2).then_some(()))
        .await
        .unwrap();
}
