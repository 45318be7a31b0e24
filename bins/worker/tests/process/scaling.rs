//! What KEDA would do: its own request to a real server's monitoring port, its own arithmetic, through a run of jobs
//! in which a busy worker is told to stop.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests stand outside of the test functions"
)]

use std::collections::BTreeSet;
use std::process::Command;

use crate::common::{PATIENCE, Plan, job};
use agent_testkit::{free_port, until};
use futures_util::StreamExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The deployment's own numbers.
const MANIFEST: &str =
    include_str!("../../../../deploy/platform/claims/intelligence-deepagents/agent-executor-deployment.yaml");

fn number(key: &str) -> u64 {
    let line = MANIFEST.lines().find(|line| line.trim_start().starts_with(&format!("{key}:"))).unwrap();
    let value = line.split(": ").nth(1).unwrap();
    value.split(" #").next().unwrap().trim_matches('"').parse().unwrap()
}

/// What the scaler sees.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    pending: u64,
    in_work: u64,
}

impl Seen {
    /// `pkg/scalers/nats_jetstream_scaler.go`, `getMaxMsgLag`.
    const fn lag(&self) -> u64 {
        self.pending + self.in_work
    }

    /// The autoscaler's AverageValue: ceil(lag ÷ threshold), within the bounds.
    fn replicas(&self) -> u64 {
        self.lag()
            .div_ceil(number("lagThreshold"))
            .clamp(number("minReplicaCount"), number("maxReplicaCount"))
    }
}

/// KEDA's request, and its walk: the account by id or name, the stream, the consumer.
async fn ask(port: u16, consumer: &str) -> Option<Seen> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // By HTTP/1.0, so that the answer comes in one piece.
    let question = "GET /jsz?acc=$G&consumers=true&config=true HTTP/1.0\r\nhost: nats\r\n\r\n";
    socket.write_all(question.as_bytes()).await.unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{head}");
    let answer: Value = serde_json::from_str(body).unwrap();
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let account = list(&answer, "account_details")
        .into_iter()
        .find(|account| account["id"] == "$G" || account["name"] == "$G")?;
    let stream = list(&account, "stream_detail").into_iter().find(|one| one["name"] == "AGENT_EXECUTION")?;
    let consumer = list(&stream, "consumer_detail").into_iter().find(|one| one["name"] == consumer)?;
    let of = |name: &str| consumer[name].as_u64().unwrap();
    Some(Seen { pending: of("num_pending"), in_work: of("num_ack_pending") })
}

/// Runs `worker provision-nats`, as the stream Job does.
fn provision(url: &str) {
    let done = Command::new(env!("CARGO_BIN_EXE_worker"))
        .arg("provision-nats")
        .env_clear()
        .envs([("NATS_URL", url), ("WORKER_CONCURRENCY", &number("lagThreshold").to_string())])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}

#[tokio::test(flavor = "multi_thread")]
async fn kedas_own_request_scales_from_one_to_three_and_back_and_no_job_is_lost() {
    let monitor = free_port().unwrap();
    let settings = [
        ("WORKER_CONCURRENCY", number("lagThreshold").to_string()),
        // Jobs that hang in their first model call are in work for as long as this, then go on.
        ("MODEL_IDLE_TIMEOUT_SECONDS", "8".to_owned()),
        ("DRAIN_BUDGET_SECONDS", "2".to_owned()),
    ];
    let mut plan =
        Plan::default().nats_arguments(["-m".to_owned(), monitor.to_string()]).streams(&[]).unready();
    for (name, value) in &settings {
        plan = plan.env(name, value.clone());
    }
    let Some(mut stack) = plan.start().await else { return };
    // Nobody fetches yet: the jobs come first.
    stack.worker.signal("KILL");
    stack.worker.child.wait().unwrap();
    assert_eq!(ask(monitor, "agent-executor-workers").await, None, "no consumer is an error, not a lag");
    provision(stack.nats.url());
    let idle = ask(monitor, "agent-executor-workers").await.unwrap();
    assert_eq!((idle.lag(), idle.replicas()), (0, 1));

    let client = stack.nats.client().await.unwrap();
    let mut results = client.subscribe("agent.status.*").await.unwrap();
    client.flush().await.unwrap();
    stack.model.fail_next((0..12).map(|_| agent_testkit::ModelFault::StallAfter(1)));
    let names: BTreeSet<String> = (0..12).map(|number| format!("scaled-{number}")).collect();
    for name in &names {
        stack.publish(&job(name, "hello")).await;
    }
    let waiting = ask(monitor, "agent-executor-workers").await.unwrap();
    assert_eq!((waiting.pending, waiting.replicas()), (12, 3));

    // KEDA starts three pods.
    let mut workers = [stack.another(&[]), stack.another(&[]), stack.another(&[])];
    let busy = until("all jobs are in work", PATIENCE, async || {
        ask(monitor, "agent-executor-workers").await.filter(|seen| seen.pending == 0 && seen.in_work == 12)
    });
    // Jobs in work count: nobody takes the pods away from under them.
    assert_eq!(busy.await.unwrap().replicas(), 3);

    let [first, ..] = &mut workers;
    first.signal("TERM");
    assert_eq!(first.ended().await, Some(0), "a busy worker ends cleanly when it is told to");

    let mut told = BTreeSet::new();
    while told.len() < names.len() {
        let event = tokio::time::timeout(2 * PATIENCE, results.next()).await.unwrap().unwrap();
        let event: Value = serde_json::from_slice(&event.payload).unwrap();
        assert_eq!(event["type"], "dev.my-platform.agent.completed", "{event}");
        told.insert(event["subject"].as_str().unwrap().to_owned());
    }
    assert_eq!(told, names);
    stack.settled().await;
    let over = ask(monitor, "agent-executor-workers").await.unwrap();
    assert_eq!((over.lag(), over.replicas()), (0, 1));

    let postgres = stack.postgres().await;
    let unclean = "select count(*) from agent_jobs where status <> 'completed' or unclean_count > 0";
    assert_eq!(
        postgres.query_one(unclean, &[]).await.unwrap().get::<_, i64>(0),
        0,
        "a hand-over is no failure"
    );
}
