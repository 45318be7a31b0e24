//! The suite over a real server, and what the sink does while the server is away.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use std::{sync::Arc, time::Duration};

use agent_stream_sink::{
    EventKind, Heard, QueueLimits, RedisConfig, RedisSink, Replay, SinkEvent, StreamSink, channel_of,
    conformance::{Harness, Watch},
    list_of,
};
use agent_testkit::{Redis, Subscription};
use async_trait::async_trait;
use bytes::Bytes;
use fred::prelude::{Client, ClientLike, Config, KeysInterface, ListInterface};

const BOUND: Duration = Duration::from_secs(20);

fn gap(_thread: &str, from: u64, to: u64) -> Bytes {
    Bytes::from(format!("gap {from}-{to}"))
}

fn event(thread: &str, seq: u64, kind: EventKind) -> SinkEvent {
    SinkEvent { thread_id: Arc::from(thread), seq, payload: Bytes::from(seq.to_string()), kind }
}

fn config(server: &Redis) -> RedisConfig {
    RedisConfig { url: Some(server.url().to_owned()), ..RedisConfig::new("", 0, gap) }
}

/// A server of this test alone, or a loud skip where none can be had.
async fn server() -> Option<Redis> {
    match Redis::start_own().await {
        Ok(server) => Some(server),
        Err(error) => {
            eprintln!("skipped: no server that speaks the Redis protocol: {error:#}");
            None
        }
    }
}

async fn reader(server: &Redis) -> Client {
    let client = Client::new(Config::from_url(server.url()).unwrap(), None, None, None);
    client.init().await.unwrap();
    client
}

async fn list(client: &Client, thread: &str) -> Vec<String> {
    client.lrange(list_of(thread), 0, -1).await.unwrap()
}

/// Asks until the answer is yes, for a bounded time.
async fn until(what: &str, mut asked: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !asked().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(BOUND, asking).await.is_ok(), "{what}");
}

struct Listener(Subscription);

#[async_trait]
impl Watch for Listener {
    async fn next(&mut self) -> Option<Bytes> {
        self.0.next(BOUND).await.unwrap().map(|(_, payload)| Bytes::from(payload))
    }
}

struct Real {
    sink: RedisSink,
    server: Redis,
}

#[async_trait]
impl Harness for Real {
    type Sink = RedisSink;
    fn sink(&self) -> &RedisSink {
        &self.sink
    }
    async fn watch(&self, thread: &str) -> Box<dyn Watch> {
        Box::new(Listener(self.server.subscribe(&channel_of(thread)).await.unwrap()))
    }
}

async fn fresh() -> Option<Real> {
    let server = server().await?;
    let sink = RedisSink::start(config(&server)).unwrap();
    until("connected", async || sink.healthy().await).await;
    Some(Real { sink, server })
}

mod conformance {
    use super::*;
    agent_stream_sink::sink_conformance!(fresh());
}

#[tokio::test]
async fn the_list_has_the_newest_events_for_a_limited_time() {
    let Some(server) = server().await else { return };
    let replay = Some(Replay { events: 10, keep: Duration::from_secs(600) });
    let sink = RedisSink::start(RedisConfig { replay, ..config(&server) }).unwrap();
    for seq in 1..=25 {
        sink.publish(event("t", seq, EventKind::ToolEnd));
    }
    assert!(sink.flush(BOUND).await);

    let client = reader(&server).await;
    let expected: Vec<String> = (16..=25).map(|seq: u64| seq.to_string()).collect();
    assert_eq!(list(&client, "t").await, expected);
    let left: i64 = client.ttl(list_of("t")).await.unwrap();
    assert!((1..=600).contains(&left), "{left}");
}

#[tokio::test]
async fn a_list_of_nothing_but_text_runs_out_too() {
    let Some(server) = server().await else { return };
    let sink = RedisSink::start(config(&server)).unwrap();
    sink.publish(event("t", 1, EventKind::LlmStream));
    assert!(sink.flush(BOUND).await);
    let left: i64 = reader(&server).await.ttl(list_of("t")).await.unwrap();
    assert!((1..=3600).contains(&left), "{left}");
}

#[tokio::test]
async fn without_replay_nothing_is_left_on_the_server() {
    let Some(server) = server().await else { return };
    let sink = RedisSink::start(RedisConfig { replay: None, ..config(&server) }).unwrap();
    sink.publish(event("t", 1, EventKind::End));
    assert!(sink.flush(BOUND).await);
    assert!(list(&reader(&server).await, "t").await.is_empty());
}

#[tokio::test]
async fn a_server_that_comes_late_gets_everything() {
    let Some(server) = server().await else { return };
    server.kill().await.unwrap();
    let sink = RedisSink::start(config(&server)).unwrap();
    for seq in 1..=20 {
        sink.publish(event("t", seq, EventKind::LlmStream));
    }
    assert!(!sink.healthy().await);
    assert!(!sink.flush(Duration::from_millis(1)).await);

    server.restart().await.unwrap();

    assert!(sink.flush(BOUND).await);
    assert!(sink.healthy().await);
    let expected: Vec<String> = (1..=20).map(|seq: u64| seq.to_string()).collect();
    assert_eq!(list(&reader(&server).await, "t").await, expected);
}

#[tokio::test]
async fn a_long_outage_costs_the_oldest_and_is_marked() {
    let Some(server) = server().await else { return };
    let queue = QueueLimits { events: 5, bytes: 1 << 20 };
    let sink = RedisSink::start(RedisConfig { queue, ..config(&server) }).unwrap();
    until("connected", async || sink.healthy().await).await;
    server.kill().await.unwrap();
    until("the loss is seen", async || !sink.healthy().await).await;
    for seq in 1..=100_000 {
        sink.publish(event("t", seq, EventKind::StateUpdate));
    }

    server.restart().await.unwrap();

    assert!(sink.flush(BOUND).await);
    let heard = list(&reader(&server).await, "t").await;
    assert_eq!(heard, ["gap 1-99996", "99997", "99998", "99999", "100000"]);
}

#[tokio::test]
async fn a_batch_of_unknown_outcome_is_sent_again_but_for_its_text() {
    let Some(server) = server().await else { return };
    let sink = RedisSink::start(config(&server)).unwrap();
    until("connected", async || sink.healthy().await).await;
    server.freeze().await.unwrap();
    for (seq, kind) in [(1, EventKind::StateUpdate), (2, EventKind::LlmStream), (3, EventKind::End)] {
        sink.publish(event("t", seq, kind));
    }
    // Sent into a server that neither answers nor closes: only the limit on answers ends this.
    assert!(!sink.flush(Duration::from_millis(500)).await);
    server.kill().await.unwrap();
    server.restart().await.unwrap();

    assert!(sink.flush(BOUND).await);
    assert_eq!(list(&reader(&server).await, "t").await, ["1", "gap 2-2", "3"]);
}

/// The tests' payloads are bare numbers.
fn read(payload: &[u8]) -> Option<(&str, u64)> {
    Some(("on_llm_stream", std::str::from_utf8(payload).ok()?.parse().ok()?))
}

async fn heard(ear: &mut Box<dyn agent_stream_sink::Listener>) -> Option<u64> {
    match tokio::time::timeout(BOUND, ear.next()).await {
        Ok(Heard::Event(event)) => Some(event.seq),
        Ok(Heard::Missed | Heard::Closed) | Err(_) => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_hears_its_own_process_at_once_and_others_through_the_server() {
    let Some(server) = server().await else { return };
    let readable = || RedisConfig { read: Some(read), ..config(&server) };
    let (own, other) = (RedisSink::start(readable()).unwrap(), RedisSink::start(readable()).unwrap());
    let (mut here, mut there) = (own.listen("t").unwrap(), other.listen("t").unwrap());
    own.publish(event("t", 1, EventKind::LlmStream));
    assert_eq!(heard(&mut here).await, Some(1), "without the server");

    // Until the other's subscription stands, it misses what is told.
    let mut seq = 1;
    let mut first = None;
    until("the other process hears", async || {
        seq += 1;
        own.publish(event("t", seq, EventKind::LlmStream));
        first = match tokio::time::timeout(Duration::from_millis(20), there.next()).await {
            Ok(Heard::Event(event)) => Some(event.seq),
            Ok(Heard::Missed | Heard::Closed) | Err(_) => None,
        };
        first.is_some()
    })
    .await;
    own.publish(event("t", seq + 1, EventKind::LlmStream));
    let mut newest = first.unwrap();
    while newest <= seq {
        newest = heard(&mut there).await.unwrap();
    }
    let mut numbers = Vec::new();
    while numbers.last() != Some(&newest) {
        numbers.push(heard(&mut here).await.unwrap());
    }
    assert_eq!(numbers, (2..=newest).collect::<Vec<_>>(), "each once");
    assert!(own.flush(BOUND).await);
    // What it heard came over its subscription; the list is read over the connection that it publishes on.
    until("the other process is connected", async || other.healthy().await).await;
    let recent: Vec<u64> = other.recent("t").await.iter().map(|event| event.seq).collect();
    assert_eq!(recent, (1..=newest).collect::<Vec<_>>());
}
