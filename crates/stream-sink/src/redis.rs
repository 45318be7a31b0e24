//! Redis, Valkey and Dragonfly: a channel and a capped list per thread.
//!
//! One task per process takes what waits, over all threads, and sends it in one pipeline; what arrives meanwhile
//! is the next batch. Nothing waits for a timer and nobody waits for the server. Commands are PUBLISH, RPUSH, LTRIM,
//! EXPIRE and PING, for readers SUBSCRIBE, UNSUBSCRIBE and LRANGE, beside what the client needs to connect.

mod config;
mod hub;
mod link;
mod tail;
mod task;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{sync::Notify, task::AbortHandle, time::Instant};

pub use self::{
    config::{RedisConfig, RedisConfigError, Replay},
    link::{channel_of, list_of},
    tail::{RedisTail, TailError, Told},
};
use self::{hub::Hub, link::Link};
use crate::{
    Listener, SinkEvent, StreamSink,
    metric::Counters,
    queue::{Burst, Queue},
};

/// Events of a batch, and bytes: enough to make the round trip cheap, little enough to be sent at once.
const BATCH_EVENTS: usize = 512;
const BATCH_BYTES: usize = 1 << 20;
/// How long a deletion waits for events that are on their way.
const FORGET_FLUSH: Duration = Duration::from_secs(1);

/// The sink. Dropping it ends its task and its connection; flush before.
pub struct RedisSink {
    shared: Arc<Shared>,
    link: Link,
    /// `None`: nobody can listen.
    hub: Option<Hub>,
    tasks: [AbortHandle; 2],
}

impl RedisSink {
    /// Begins to connect in the background and to accept events at once; a server that is not there is tried again
    /// for ever. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// Only where the configuration cannot work, whatever the server does.
    pub fn start(config: RedisConfig) -> Result<Self, RedisConfigError> {
        let client = config.client()?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State { queue: Queue::new(config.queue), awake: false, in_flight: false }),
            work: Notify::new(),
            idle: Notify::new(),
            counters: Counters::new(),
        });
        let hub = config.read.map(|read| Ok(Hub::new(config.subscriber()?, read))).transpose()?;
        let link = Link::new(client, &config);
        let connection = link.connect();
        let sender = tokio::spawn(task::run(Arc::clone(&shared), link.clone()));
        Ok(Self { shared, link, hub, tasks: [connection, sender.abort_handle()] })
    }
}

impl Drop for RedisSink {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

#[async_trait]
impl StreamSink for RedisSink {
    fn publish(&self, event: SinkEvent) {
        if let Some(hub) = &self.hub {
            hub.tell(&event);
        }
        let (dropped, wake) = {
            let mut state = self.shared.lock();
            (state.queue.push(event), !std::mem::replace(&mut state.awake, true))
        };
        if wake {
            self.shared.work.notify_one();
        }
        if dropped > 0 {
            self.shared.counters.dropped.increment(dropped);
        }
    }

    async fn flush(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let idle = self.shared.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if self.shared.lock().is_idle() {
                return true;
            }
            if tokio::time::timeout_at(deadline, idle).await.is_err() {
                return self.shared.lock().is_idle();
            }
        }
    }

    async fn forget(&self, thread_id: &str) {
        // What waits would make the list again.
        self.flush(FORGET_FLUSH).await;
        if let Err(error) = self.link.forget(thread_id).await {
            tracing::warn!(event = "cached_events_not_deleted", thread_id, %error);
            self.shared.counters.delete_errors.increment(1);
        }
    }

    async fn healthy(&self) -> bool {
        self.link.ping().await
    }

    fn listen(&self, thread: &str) -> Option<Box<dyn Listener>> {
        self.hub.as_ref().map(|hub| hub.listen(thread))
    }

    async fn recent(&self, thread: &str) -> Vec<SinkEvent> {
        let Some(hub) = &self.hub else { return Vec::new() };
        let payloads = self.link.newest(thread).await;
        payloads.into_iter().filter_map(|payload| hub.event(thread, payload)).collect()
    }
}

struct Shared {
    state: Mutex<State>,
    work: Notify,
    idle: Notify,
    counters: Counters,
}

struct State {
    queue: Queue,
    /// The task knows that there is work: one wake-up a burst, not one an event.
    awake: bool,
    in_flight: bool,
}

impl State {
    fn is_idle(&self) -> bool {
        self.queue.is_empty() && !self.in_flight
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held can at worst miscount what waits; losing the stream would be worse.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn something_waits(&self) {
        loop {
            {
                let mut state = self.lock();
                if !state.queue.is_empty() {
                    return;
                }
                state.awake = false;
            }
            self.work.notified().await;
        }
    }

    fn take(&self) -> Vec<Burst> {
        let mut state = self.lock();
        state.in_flight = true;
        state.queue.take(BATCH_EVENTS, BATCH_BYTES)
    }

    /// A batch is done with: `back` did not leave and goes before what came since, as far as `keep` allows.
    fn settle(&self, back: Vec<Burst>, keep: impl Fn(&SinkEvent) -> bool) {
        let (dropped, idle) = {
            let mut state = self.lock();
            state.in_flight = false;
            (state.queue.put_back(back, keep), state.is_idle())
        };
        self.counters.dropped.increment(dropped);
        if idle {
            self.idle.notify_waiters();
        }
    }
}
