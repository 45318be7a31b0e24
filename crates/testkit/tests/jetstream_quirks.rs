//! The manners of JetStream on which the protocol and the simulator's queue are built (docs/reliability.md, section
//! 2.1), measured again on the server that is installed. A difference fails: then the simulator must learn it.

#![expect(clippy::indexing_slicing, reason = "a test that tells what it measured")]

use std::time::Duration;

use agent_testkit::{Nats, until};
use anyhow::Context;
use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, Stream};
use async_nats::jetstream::{self, AckKind, Message};
use futures_util::StreamExt;

const ACK_WAIT: Duration = Duration::from_millis(700);
/// Where a message must be kept by a client that may itself be held up on a busy machine.
const LONG_ACK_WAIT: Duration = Duration::from_secs(2);
/// In which nothing must come.
const QUIET: Duration = Duration::from_millis(1_500);
const PATIENCE: Duration = Duration::from_secs(10);

fn boxed(error: async_nats::Error) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

struct Lab {
    nats: Nats,
    context: jetstream::Context,
    seen: Vec<(u8, &'static str, bool, String)>,
}

impl Lab {
    async fn stream(&self, name: &str, change: impl FnOnce(&mut Config)) -> anyhow::Result<Stream> {
        let mut config =
            Config { name: name.to_owned(), subjects: vec![format!("{name}.*")], ..Config::default() };
        change(&mut config);
        Ok(self.context.create_stream(config).await?)
    }

    async fn put(&self, stream: &str, count: usize) -> anyhow::Result<()> {
        for n in 0..count {
            self.context.publish(format!("{stream}.{n}"), "x".into()).await?.await?;
        }
        Ok(())
    }

    /// Publishes under an id; whether the server took it for a duplicate.
    async fn duplicate(&self, stream: &str, id: &str) -> anyhow::Result<bool> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", id);
        let acked =
            self.context.publish_with_headers(format!("{stream}.x"), headers, "x".into()).await?.await?;
        Ok(acked.duplicate)
    }

    fn row(&mut self, number: u8, what: &'static str, as_measured: bool, seen: impl Into<String>) {
        self.seen.push((number, what, as_measured, seen.into()));
    }

    /// kill -9 and a new process on the same files.
    async fn crash(&mut self) -> anyhow::Result<()> {
        self.nats.kill().await?;
        self.nats.restart().await?;
        self.context = jetstream::new(self.nats.client().await?);
        Ok(())
    }
}

async fn consumer(stream: &Stream, change: impl FnOnce(&mut pull::Config)) -> anyhow::Result<PullConsumer> {
    let mut config = pull::Config {
        durable_name: Some("w".to_owned()),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        ..pull::Config::default()
    };
    change(&mut config);
    Ok(stream.create_consumer(config).await?)
}

async fn fetch(consumer: &PullConsumer, max: usize, wait: Duration) -> anyhow::Result<Vec<Message>> {
    let mut batch = consumer.fetch().max_messages(max).expires(wait).messages().await?;
    let mut messages = Vec::new();
    while let Some(message) = batch.next().await {
        messages.push(message.map_err(boxed)?);
        if messages.len() == max {
            break;
        }
    }
    Ok(messages)
}

async fn one(consumer: &PullConsumer) -> anyhow::Result<Message> {
    fetch(consumer, 1, PATIENCE).await?.pop().context("no message came")
}

/// Says for one and a half times the wait for an ack, ten times in each, that the message is being worked on.
async fn keep(message: &Message) -> anyhow::Result<()> {
    for _ in 0..15 {
        tokio::time::sleep(LONG_ACK_WAIT / 10).await;
        message.ack_with(AckKind::Progress).await.map_err(boxed)?;
    }
    Ok(())
}

fn delivered(message: &Message) -> i64 {
    message.info().map_or(-1, |info| info.delivered)
}

/// Pending and waiting for an ack.
async fn left(consumer: &mut PullConsumer) -> anyhow::Result<(u64, usize)> {
    let info = consumer.info().await?;
    Ok((info.num_pending, info.num_ack_pending))
}

async fn rows_1_to_3(lab: &mut Lab) -> anyhow::Result<()> {
    let stream = lab.stream("R1", |_| {}).await?;
    let mut w = consumer(&stream, |config| config.ack_wait = LONG_ACK_WAIT).await?;
    lab.put("R1", 1).await?;
    let first = one(&w).await?;
    keep(&first).await?;
    let kept = fetch(&w, 1, Duration::from_millis(100)).await?.is_empty();
    lab.row(1, "in-progress keeps a long job", kept, format!("kept: {kept}"));

    let second = one(&w).await?;
    let twice = delivered(&second) == 2;
    keep(&first).await?;
    let prolonged = fetch(&w, 1, Duration::from_millis(100)).await?.is_empty();
    lab.row(3, "a zombie's in-progress prolongs the other's delivery", prolonged, format!("{prolonged}"));

    let stale = first.double_ack().await.is_ok();
    let (_, pending) = left(&mut w).await?;
    let second = tokio::time::timeout(PATIENCE, second.double_ack()).await.is_ok_and(|acked| acked.is_ok());
    let seen = format!("stale ack taken: {stale}, then pending {pending}, second ack answered: {second}");
    lab.row(2, "an ack fences nothing", twice && stale && pending == 0, seen);
    Ok(())
}

async fn rows_4_to_6(lab: &mut Lab) -> anyhow::Result<()> {
    let client = lab.nats.client().await?;
    for (number, name, retention) in
        [(4, "R4", RetentionPolicy::Limits), (5, "R5", RetentionPolicy::WorkQueue)]
    {
        let mut told = client.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>").await?;
        client.flush().await?;
        let mut stream = lab.stream(name, |config| config.retention = retention).await?;
        let mut w = consumer(&stream, |config| config.max_deliver = 2).await?;
        lab.put(name, 1).await?;
        for _ in 0..2 {
            one(&w).await?;
        }
        // The server notices when somebody asks again.
        let none = fetch(&w, 1, QUIET).await?.is_empty();
        let advisory = tokio::time::timeout(PATIENCE, told.next()).await.is_ok();
        let invisible = until("nothing is pending", PATIENCE, async || {
            (left(&mut w).await.ok()? == (0, 0)).then_some(())
        });
        let invisible = invisible.await.is_ok();
        let stored = stream.info().await?.state.messages;
        let seen = format!("advisory {advisory}, lag 0: {invisible}, still stored: {stored}");
        let holds = none && advisory && invisible && stored == 1;
        lab.row(number, "past max_deliver a message is invisible and stays", holds, seen);
    }
    let mut stream = lab.stream("R6", |config| config.retention = RetentionPolicy::WorkQueue).await?;
    let w = consumer(&stream, |_| {}).await?;
    let mut told = client.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>").await?;
    client.flush().await?;
    lab.put("R6", 1).await?;
    one(&w).await?.ack_with(AckKind::Term).await.map_err(boxed)?;
    let advisory = tokio::time::timeout(PATIENCE, told.next()).await.is_ok();
    let gone = until("the message is gone", PATIENCE, async || {
        (stream.info().await.ok()?.state.messages == 0).then_some(())
    });
    let gone = gone.await.is_ok();
    lab.row(6, "TERM removes a message", advisory && gone, format!("advisory {advisory}, gone {gone}"));
    Ok(())
}

async fn rows_7_to_9(lab: &mut Lab) -> anyhow::Result<()> {
    let mut stream = lab
        .stream("R7", |config| {
            config.max_messages = 2;
            config.discard = DiscardPolicy::Old;
        })
        .await?;
    lab.put("R7", 5).await?;
    let kept = stream.info().await?.state.messages;
    lab.row(7, "discard old loses jobs and says success", kept == 2, format!("5 acknowledged, {kept} kept"));

    let stream = lab
        .stream("R8", |config| {
            config.max_messages = 1;
            config.discard = DiscardPolicy::Old;
        })
        .await?;
    let mut w = consumer(&stream, |_| {}).await?;
    lab.put("R8", 1).await?;
    one(&w).await?;
    lab.put("R8", 1).await?;
    one(&w).await?.double_ack().await.map_err(boxed)?;
    let again = fetch(&w, 1, QUIET).await?.len();
    let (pending, unacked) = left(&mut w).await?;
    let seen = format!("redelivered {again}, pending {pending}, unacknowledged {unacked}");
    lab.row(8, "in flight and pushed out: never redelivered", again == 0, seen);

    lab.stream("R9", |config| {
        config.max_messages = 1;
        config.discard = DiscardPolicy::New;
    })
    .await?;
    lab.put("R9", 1).await?;
    let refused = lab.put("R9", 1).await.err().map(|error| format!("{error:#}")).unwrap_or_default();
    let told = refused.contains("maximum messages exceeded") || refused.contains("10077");
    lab.row(9, "discard new tells the publisher", told, refused);
    Ok(())
}

async fn rows_10_to_12(lab: &mut Lab) -> anyhow::Result<()> {
    let stream = lab
        .stream("R10", |config| {
            config.retention = RetentionPolicy::WorkQueue;
            config.duplicate_window = Duration::from_secs(5);
        })
        .await?;
    let w = consumer(&stream, |_| {}).await?;
    lab.duplicate("R10", "a").await?;
    let within = lab.duplicate("R10", "a").await?;
    one(&w).await?.double_ack().await.map_err(boxed)?;
    let acked = lab.duplicate("R10", "a").await?;
    let after = until("the window is over", PATIENCE, async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        (!lab.duplicate("R10", "a").await.ok()?).then_some(())
    });
    let after = after.await.is_ok();
    let seen = format!("duplicate in the window {within}, after an ack {acked}; stored after it {after}");
    lab.row(10, "an id counts within the window", within && acked && after, seen);

    let stream = lab.stream("R11", |config| config.retention = RetentionPolicy::WorkQueue).await?;
    let w = consumer(&stream, |_| {}).await?;
    lab.duplicate("R11", "gone").await?;
    one(&w).await?.double_ack().await.map_err(boxed)?;
    lab.duplicate("R11", "stored").await?;
    lab.crash().await?;
    let gone = lab.duplicate("R11", "gone").await?;
    let stored = lab.duplicate("R11", "stored").await?;
    let seen = format!("of a deleted message remembered: {gone}, of a stored one: {stored}");
    lab.row(11, "after a crash the ids of deleted messages are forgotten", !gone && stored, seen);

    let mut counts = Vec::new();
    for (name, retention) in [("R12L", RetentionPolicy::Limits), ("R12W", RetentionPolicy::WorkQueue)] {
        let stream = lab.stream(name, |config| config.retention = retention).await?;
        let w = consumer(&stream, |_| {}).await?;
        lab.put(name, 50).await?;
        let messages = fetch(&w, 50, PATIENCE).await?;
        for message in messages.iter().take(40) {
            message.double_ack().await.map_err(boxed)?;
        }
        lab.crash().await?;
        let stream = lab.context.get_stream(name).await?;
        let w: PullConsumer = stream.get_consumer("w").await.map_err(boxed)?;
        counts.push(fetch(&w, 50, QUIET * 2).await?.len());
    }
    let seen =
        format!("of 40 double-acked and 10 open came back: limits {}, work queue {}", counts[0], counts[1]);
    // How many acks are lost depends on the version and on luck; that the open ones come back does not.
    lab.row(
        12,
        "acks may be lost with the server",
        counts.iter().all(|count| (10..=50).contains(count)),
        seen,
    );
    Ok(())
}

async fn rows_14_to_18(lab: &mut Lab) -> anyhow::Result<()> {
    let stream = lab.stream("R14", |_| {}).await?;
    let w = consumer(&stream, |config| {
        config.max_ack_pending = 1;
        // It is held for as long as this test runs.
        config.ack_wait = Duration::from_secs(300);
    })
    .await?;
    lab.put("R14", 2).await?;
    let held = one(&w).await?;
    let second = fetch(&w, 1, Duration::from_millis(300)).await?.len();
    drop(held);
    lab.row(14, "max_ack_pending 1 blocks a second fetch", second == 0, format!("got {second}"));

    let mut w = consumer(&stream, |config| config.ack_wait = Duration::from_secs(9)).await?;
    let now = w.info().await?.config.ack_wait;
    let updated = now == Duration::from_secs(9);
    lab.row(15, "a consumer that is made again is updated", updated, format!("ack_wait {now:?}"));

    let mut config = stream.cached_info().config.clone();
    config.retention = RetentionPolicy::WorkQueue;
    let refused = lab.context.update_stream(config).await.err().map(|error| error.to_string());
    lab.row(16, "retention cannot change to work queue", refused.is_some(), refused.unwrap_or_default());

    let stream = lab.stream("R17", |config| config.retention = RetentionPolicy::WorkQueue).await?;
    consumer(&stream, |_| {}).await?;
    let second = consumer(&stream, |config| config.durable_name = Some("audit".to_owned())).await;
    let refused = second.err().map(|error| error.to_string());
    lab.row(17, "one unfiltered consumer on a work queue", refused.is_some(), refused.unwrap_or_default());

    let client = lab.nats.client().await?;
    let limit = client.server_info().max_payload;
    let long = client.publish("R14.long", vec![b'x'; limit + 1].into()).await;
    let refused = long.err().map(|error| error.to_string());
    lab.row(18, "a payload over the limit is refused", refused.is_some(), format!("{limit}: {refused:?}"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn jetstream_has_the_manners_that_were_measured() {
    let nats = match Nats::start_own().await {
        Ok(nats) => nats,
        Err(error) if std::env::var_os("AGENT_EXECUTOR_REQUIRE_SERVERS").is_some() => panic!("{error:#}"),
        Err(error) => return println!("skipped: no NATS for this test: {error:#}"),
    };
    let client = nats.client().await.unwrap();
    println!("nats-server {}", client.server_info().version);
    let context = jetstream::new(client);
    let mut lab = Lab { nats, context, seen: Vec::new() };
    rows_1_to_3(&mut lab).await.unwrap();
    rows_4_to_6(&mut lab).await.unwrap();
    rows_7_to_9(&mut lab).await.unwrap();
    rows_10_to_12(&mut lab).await.unwrap();
    rows_14_to_18(&mut lab).await.unwrap();
    let mut different = Vec::new();
    for (number, what, as_measured, seen) in &lab.seen {
        let verdict = if *as_measured { "as measured" } else { "DIFFERENT" };
        println!("row {number:>2} {verdict}: {what} ({seen})");
        if !as_measured {
            different.push(*number);
        }
    }
    assert!(different.is_empty(), "rows that differ from docs/reliability.md 2.1: {different:?}");
}
