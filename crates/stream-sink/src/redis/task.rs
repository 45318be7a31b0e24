//! The one task that sends.

use std::{sync::Arc, time::Duration};

use fred::error::Error;
use tokio::time::Instant;

use super::{Shared, link::Link};

/// A line of trouble in the log, at most this often.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// Between two looks at a connection that is not there.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After a failed batch, doubled with each further one.
const REST: Duration = Duration::from_millis(50);
const LONGEST_REST: Duration = Duration::from_secs(2);

pub(super) async fn run(shared: Arc<Shared>, link: Link) {
    let mut trouble = Trouble::default();
    let mut errors = link.errors();
    loop {
        shared.something_waits().await;
        // Whoever woke us may be in the middle of a burst.
        tokio::task::yield_now().await;
        if !link.connected(LOOK_EVERY).await {
            let mut last = None;
            while let Ok((error, _)) = errors.try_recv() {
                last = Some(error);
            }
            trouble.seen("redis_connection_failed", last.as_ref());
            continue;
        }
        let batch = shared.take();
        match link.send(&batch, &shared.counters).await {
            Ok(sent) => {
                let refused: u64 = sent.refused.iter().map(|burst| burst.entries.len() as u64).sum();
                shared.counters.errors.increment(refused);
                shared.settle(sent.refused, |_| false);
                match sent.error {
                    Some(error) => trouble.seen("redis_publish_failed", Some(&error)),
                    None => trouble.over(),
                }
            }
            Err(error) => {
                let events: u64 = batch.iter().map(|burst| burst.entries.len() as u64).sum();
                shared.counters.errors.increment(events);
                shared.settle(batch, |event| event.kind.may_repeat());
                trouble.seen("redis_publish_failed", Some(&error));
                tokio::time::sleep(trouble.rest()).await;
            }
        }
    }
}

/// What is wrong, and since when: so that hours without a server are a line a minute.
#[derive(Default)]
struct Trouble {
    since: Option<Instant>,
    logged: Option<Instant>,
    times: u32,
}

impl Trouble {
    fn seen(&mut self, what: &'static str, error: Option<&Error>) {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        self.times = self.times.saturating_add(1);
        if self.logged.is_some_and(|last| now.duration_since(last) < LOG_EVERY) {
            return;
        }
        self.logged = Some(now);
        let seconds = now.duration_since(since).as_secs();
        let error = error.map_or_else(|| "no connection".to_owned(), ToString::to_string);
        tracing::warn!(code = what, error, seconds, "{what}");
    }

    fn over(&mut self) {
        if let Some(since) = self.since.take() {
            let seconds = since.elapsed().as_secs();
            tracing::info!(seconds, failures = self.times, "redis_connection_established");
        }
        self.times = 0;
        // `logged` stays: a connection that comes and goes each second is one line a minute too.
    }

    fn rest(&self) -> Duration {
        (REST * 2u32.saturating_pow(self.times.min(10))).min(LONGEST_REST)
    }
}
