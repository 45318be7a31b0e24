//! `worker publish`, `watch` and `serve --one-job` as processes, against real servers.

#![expect(clippy::unwrap_used, reason = "helpers of tests stand outside of the test functions")]

use std::process::{Command, Stdio};

use crate::common::{PATIENCE, Stack, job, stack};
use agent_testkit::{free_port, until};
use serde_json::Value;

fn command(stack: &Stack, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_worker"));
    command.args(arguments).env_clear();
    command.envs(stack.environment.iter().map(|(name, value)| (name, value)));
    command
}

/// A worker for one job, on a port of its own: tests that run at once must not want the same.
fn one_job(stack: &Stack) -> Command {
    let mut one = command(stack, &["serve", "--one-job"]);
    one.envs([("HTTP_HOST", "127.0.0.1"), ("PORT", &free_port().unwrap().to_string())]).stdout(Stdio::null());
    one
}

fn file(name: &str, text: &str) -> String {
    let path =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Stops the stack's worker, and waits until the server has forgotten its last pull: a message that went there would
/// come back only after `ack_wait`.
async fn without_its_worker(stack: &mut Stack) {
    stack.worker.signal("TERM");
    assert_eq!(stack.worker.ended().await, Some(0));
    let context = stack.jetstream().await;
    until("nobody pulls", PATIENCE, async || {
        let stream = context.get_stream("AGENT_EXECUTION").await.ok()?;
        let info = stream.consumer_info("agent-executor-workers").await.ok()?;
        (info.num_waiting == 0).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_job_is_followed_to_its_end_live_and_afterwards() {
    let Some(stack) = stack().await else { return };
    let path = file("publish-1", &job("command-1", "tools delay_ms=5").to_string());
    let live = command(&stack, &["watch", "command-1", "--json"]).stdout(Stdio::piped()).spawn().unwrap();
    let published = command(&stack, &["publish", &path]).output().unwrap();
    let text = String::from_utf8(published.stdout).unwrap();
    assert!(
        published.status.success() && text.contains("job command-1 is message 1 of AGENT_EXECUTION"),
        "{text}"
    );
    assert!(text.contains("worker watch command-1"), "{text}");

    let live = tokio::task::spawn_blocking(|| live.wait_with_output().unwrap()).await.unwrap();
    assert!(live.status.success());
    // Live or late, the same events in the same order, none twice.
    let late = command(&stack, &["watch", "command-1", "--json"]).output().unwrap();
    assert!(late.status.success());
    for output in [live.stdout, late.stdout] {
        let text = String::from_utf8(output).unwrap();
        let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let numbers: Vec<u64> = events.iter().filter_map(|event| event["data"]["seq"].as_u64()).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
        assert_eq!(events.last().unwrap()["event_type"], "end");
    }
    let view = command(&stack, &["watch", "command-1"]).output().unwrap();
    let text = String::from_utf8(view.stderr).unwrap();
    assert!(text.contains("write_file") && text.contains("end completed"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_job_is_refused_before_it_is_sent() {
    let Some(stack) = stack().await else { return };
    let path = file("publish-2", "{\"job_id\": \"a b\"}");
    let refused = command(&stack, &["publish", &path]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("job_id"), "{text}");
    let missing = command(&stack, &["publish", "nowhere.json"]).output().unwrap();
    assert!(String::from_utf8(missing.stderr).unwrap().contains("nowhere.json"));
    let mut context = stack.jetstream().await.get_stream("AGENT_EXECUTION").await.unwrap();
    assert_eq!(context.info().await.unwrap().state.messages, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_for_one_job_takes_one_and_ends() {
    let Some(mut stack) = stack().await else { return };
    without_its_worker(&mut stack).await;
    for name in ["single-1", "single-2"] {
        stack.publish(&job(name, "hello")).await;
    }
    let one = one_job(&stack).spawn().unwrap();
    let one = tokio::task::spawn_blocking(|| one.wait_with_output().unwrap()).await.unwrap();
    assert!(one.status.success());
    assert_eq!(stack.end_of("single-1").await, "completed");
    let postgres = stack.postgres().await;
    let known = "select count(*) from agent_jobs";
    assert_eq!(postgres.query_one(known, &[]).await.unwrap().get::<_, i64>(0), 1, "only one was taken");

    let two = one_job(&stack).spawn().unwrap();
    let two = tokio::task::spawn_blocking(|| two.wait_with_output().unwrap()).await.unwrap();
    assert!(two.status.success());
    assert_eq!(stack.end_of("single-2").await, "completed");
    stack.settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_for_one_job_hands_it_over_when_it_is_told_to_stop() {
    let Some(mut stack) = stack().await else { return };
    without_its_worker(&mut stack).await;
    stack.model.fail_next([agent_testkit::ModelFault::StallAfter(1)]);
    stack.publish(&job("single-3", "hello")).await;
    let mut one = one_job(&stack).env("DRAIN_BUDGET_SECONDS", "1").spawn().unwrap();
    until("the model is asked", PATIENCE, async || (stack.model.requests() > 0).then_some(())).await.unwrap();
    let pid = one.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let ended = until("it ends", PATIENCE, async || one.try_wait().unwrap()).await.unwrap();
    assert_eq!(ended.code(), Some(0));

    let two = one_job(&stack).spawn().unwrap();
    let two = tokio::task::spawn_blocking(|| two.wait_with_output().unwrap()).await.unwrap();
    assert!(two.status.success());
    assert_eq!(stack.end_of("single-3").await, "completed");
}
