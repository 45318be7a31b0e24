//! The suite over the backends without a server, and what is theirs alone.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;

use agent_stream_sink::{
    EventKind, InProcess, InProcessLimits, NoSink, SinkEvent, StreamSink, Subscription,
    conformance::{Harness, Watch},
};
use async_trait::async_trait;
use bytes::Bytes;

fn gap(thread: &str, from: u64, to: u64) -> Bytes {
    Bytes::from(format!("gap {thread} {from}-{to}"))
}

fn event(thread: &str, seq: u64) -> SinkEvent {
    let payload = Bytes::from(format!("{seq}"));
    SinkEvent { thread_id: Arc::from(thread), seq, payload, kind: EventKind::LlmStream }
}

async fn heard(subscription: &mut Subscription, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..count {
        let event = subscription.next().await.unwrap();
        all.push(String::from_utf8(event.payload.to_vec()).unwrap());
    }
    all
}

struct Listener(Subscription);

#[async_trait]
impl Watch for Listener {
    async fn next(&mut self) -> Option<Bytes> {
        self.0.next().await.map(|event| event.payload)
    }
}

struct Local(InProcess);

#[async_trait]
impl Harness for Local {
    type Sink = InProcess;
    fn sink(&self) -> &InProcess {
        &self.0
    }
    async fn watch(&self, thread: &str) -> Box<dyn Watch> {
        Box::new(Listener(self.0.subscribe(thread)))
    }
}

struct Nobody;

#[async_trait]
impl Harness for Nobody {
    type Sink = NoSink;
    fn sink(&self) -> &NoSink {
        &NoSink
    }
    fn delivers(&self) -> bool {
        false
    }
    async fn watch(&self, _thread: &str) -> Box<dyn Watch> {
        unreachable!("nobody delivers")
    }
}

mod in_process {
    use super::*;
    agent_stream_sink::sink_conformance!(async {
        Some(Local(InProcess::new(InProcessLimits::default(), gap)))
    });
}

mod no_sink {
    use super::*;
    agent_stream_sink::sink_conformance!(async { Some(Nobody) });
}

#[tokio::test]
async fn who_comes_late_gets_what_is_remembered_and_a_gap_for_the_rest() {
    let sink = InProcess::new(InProcessLimits { replay_events: 3, ..InProcessLimits::default() }, gap);
    for seq in 1..=8 {
        sink.publish(event("t", seq));
    }
    let mut late = sink.subscribe("t");
    sink.publish(event("t", 9));
    assert_eq!(heard(&mut late, 5).await, ["gap t 1-5", "6", "7", "8", "9"]);
}

#[tokio::test]
async fn who_is_too_slow_gets_a_gap_for_what_was_missed() {
    let sink = InProcess::new(InProcessLimits { behind: 4, ..InProcessLimits::default() }, gap);
    let mut slow = sink.subscribe("t");
    sink.publish(event("t", 1));
    assert_eq!(heard(&mut slow, 1).await, ["1"]);
    for seq in 2..=20 {
        sink.publish(event("t", seq));
    }
    assert_eq!(heard(&mut slow, 5).await, ["gap t 2-16", "17", "18", "19", "20"]);
}

#[tokio::test]
async fn no_more_threads_are_remembered_than_allowed() {
    let sink = InProcess::new(InProcessLimits { threads: 2, ..InProcessLimits::default() }, gap);
    let mut first = sink.subscribe("first");
    sink.publish(event("first", 1));
    sink.publish(event("second", 1));
    sink.publish(event("third", 1));
    assert_eq!(heard(&mut first, 1).await, ["1"]);
    assert!(first.next().await.is_none(), "the thread was forgotten, its listener is told");
    assert_eq!(heard(&mut sink.subscribe("third"), 1).await, ["1"]);
}

#[test]
fn what_a_sink_counts_is_declared_with_the_same_labels() {
    for name in agent_stream_sink::METRIC_NAMES {
        assert!(agent_telemetry::metric::ALL.iter().any(|metric| metric.family().name == *name), "`{name}`");
    }
    let declared = agent_telemetry::metric::REDIS_PUBLISH.0.labels[0].known;
    assert_eq!(declared, EventKind::ALL.map(EventKind::as_str));
}
