//! The suite of facts that hold for every sink. See [`sink_conformance!`](crate::sink_conformance).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{EventKind, SinkEvent, StreamSink};

const BOUND: Duration = Duration::from_secs(20);

/// A sink under test, and a way to hear what it says.
#[async_trait]
pub trait Harness: Send + Sync {
    /// The backend.
    type Sink: StreamSink;
    /// The sink under test.
    fn sink(&self) -> &Self::Sink;
    /// Whether anybody can hear it. `NoSink` says no.
    fn delivers(&self) -> bool {
        true
    }
    /// Begins to listen; what is published after this returned is heard.
    async fn watch(&self, thread: &str) -> Box<dyn Watch>;
}

/// A listener of one thread.
#[async_trait]
pub trait Watch: Send {
    /// The next payload.
    async fn next(&mut self) -> Option<Bytes>;
}

fn event(thread: &str, seq: u64, payload: Bytes) -> SinkEvent {
    let kind =
        EventKind::ALL.into_iter().cycle().nth(usize::try_from(seq).unwrap_or(0)).unwrap_or(EventKind::End);
    SinkEvent { thread_id: Arc::from(thread), seq, payload, kind }
}

fn text(thread: &str, seq: u64) -> Bytes {
    Bytes::from(format!(r#"{{"event_type":"on_llm_stream","data":{{"thread":"{thread}","seq":{seq}}}}}"#))
}

async fn expect_all(watch: &mut dyn Watch, thread: &str, count: u64) {
    for seq in 1..=count {
        let heard = tokio::time::timeout(BOUND, watch.next()).await;
        assert_eq!(heard.ok().flatten(), Some(text(thread, seq)), "event {seq} of {thread}");
    }
}

/// Events of a thread arrive all, and in the order in which they were handed over.
pub async fn events_of_a_thread_arrive_in_order<H: Harness>(harness: H) {
    if !harness.delivers() {
        return;
    }
    let mut watch = harness.watch("order").await;
    for seq in 1..=200 {
        harness.sink().publish(event("order", seq, text("order", seq)));
    }
    expect_all(&mut *watch, "order", 200).await;
}

/// Threads whose events are handed over in turns do not mix.
pub async fn threads_do_not_mix<H: Harness>(harness: H) {
    if !harness.delivers() {
        return;
    }
    let names: Vec<String> = (0..20).map(|number| format!("mix-{number}")).collect();
    let mut watches = Vec::new();
    for name in &names {
        watches.push(harness.watch(name).await);
    }
    for seq in 1..=50 {
        for name in &names {
            harness.sink().publish(event(name, seq, text(name, seq)));
        }
    }
    for (name, watch) in names.iter().zip(&mut watches) {
        expect_all(&mut **watch, name, 50).await;
    }
}

/// A payload is passed on byte for byte: line ends, control characters, text beyond ASCII, sizes.
pub async fn payloads_are_passed_on_byte_for_byte<H: Harness>(harness: H) {
    if !harness.delivers() {
        return;
    }
    let payloads = [
        Bytes::from_static(b"{\"data\":{}}"),
        Bytes::from_static(b"line\r\n+OK\r\n$-1\r\n\0\xff\xfe"),
        Bytes::from("{\"text\":\"h\u{e9}llo \u{1f980} \u{2028}\"}"),
        Bytes::new(),
        Bytes::from(vec![b'z'; 1 << 20]),
    ];
    let mut watch = harness.watch("bytes").await;
    for (seq, payload) in (1..).zip(&payloads) {
        harness.sink().publish(event("bytes", seq, payload.clone()));
    }
    for payload in payloads {
        let heard = tokio::time::timeout(BOUND, watch.next()).await.ok().flatten();
        assert!(heard.as_ref() == Some(&payload), "a payload of {} bytes was changed or lost", payload.len());
    }
}

/// After a flush that said `true` nothing is left to do, and a flush of nothing says `true` at once.
pub async fn a_flush_waits_until_everything_has_left<H: Harness>(harness: H) {
    assert!(harness.sink().flush(BOUND).await, "nothing to flush");
    for seq in 1..=500 {
        harness.sink().publish(event("flush", seq, text("flush", seq)));
    }
    assert!(harness.sink().flush(BOUND).await, "500 events leave in time");
    assert!(harness.sink().flush(Duration::ZERO).await, "nothing is left");
}

/// A sink whose backend answers is healthy.
pub async fn a_reachable_backend_is_healthy<H: Harness>(harness: H) {
    assert!(harness.sink().flush(BOUND).await);
    assert!(harness.sink().healthy().await);
}

/// Expands to one `#[tokio::test]` per case. `$fresh` is an expression of type `impl Future<Output = Option<Harness>>`;
/// `None` skips (whoever answers so says why on its own).
#[macro_export]
macro_rules! sink_conformance {
    ($fresh:expr) => {
        $crate::sink_conformance!(@each $fresh;
            events_of_a_thread_arrive_in_order,
            threads_do_not_mix,
            payloads_are_passed_on_byte_for_byte,
            a_flush_waits_until_everything_has_left,
            a_reachable_backend_is_healthy
        );
    };
    (@each $fresh:expr; $($case:ident),+) => { $(
        #[tokio::test]
        async fn $case() {
            if let Some(harness) = $fresh.await {
                $crate::conformance::$case(harness).await;
            }
        }
    )+ };
}
