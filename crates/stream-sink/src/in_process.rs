//! Listeners in the same process: `worker run`, tests, a program that embeds the executor.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{EventKind, GapPayload, Heard, Listener, SinkEvent, StreamSink, metric::Counters};

/// Bounds of [`InProcess`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InProcessLimits {
    /// Threads that are remembered; the first to come is the first to be forgotten.
    pub threads: usize,
    /// Events kept per thread for those who come late.
    pub replay_events: usize,
    /// Bytes of payload kept per thread.
    pub replay_bytes: usize,
    /// Events that a listener may be behind before it is told of a gap.
    pub behind: usize,
}

impl Default for InProcessLimits {
    fn default() -> Self {
        Self { threads: 256, replay_events: 2_000, replay_bytes: 8 << 20, behind: 1_024 }
    }
}

/// A sink for listeners in this process. Cheap to clone; all clones are one sink.
#[derive(Clone)]
pub struct InProcess {
    shared: Arc<Shared>,
}

struct Shared {
    limits: InProcessLimits,
    gap: GapPayload,
    channels: Mutex<Channels>,
    counters: Counters,
}

#[derive(Default)]
struct Channels {
    by_thread: HashMap<Arc<str>, Channel>,
    order: VecDeque<Arc<str>>,
}

#[derive(Default)]
struct Channel {
    ring: VecDeque<SinkEvent>,
    bytes: usize,
    forgotten: Option<(u64, u64)>,
    /// Made for the first listener: its slots are allocated at once.
    live: Option<broadcast::Sender<SinkEvent>>,
}

impl InProcess {
    /// An empty sink. `gap` encodes the marker that a slow or late listener gets.
    pub fn new(limits: InProcessLimits, gap: GapPayload) -> Self {
        let shared = Shared { limits, gap, channels: Mutex::default(), counters: Counters::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Everything of `thread` that is still remembered, then everything that comes.
    pub fn subscribe(&self, thread: &str) -> Subscription {
        let mut channels = self.shared.lock();
        let thread: Arc<str> = Arc::from(thread);
        let channel = channels.channel(&thread, self.shared.limits.threads);
        let live = channel.live.get_or_insert_with(|| broadcast::channel(self.shared.limits.behind.max(1)).0);
        let receiver = live.subscribe();
        let mut replay = VecDeque::with_capacity(channel.ring.len() + 1);
        if let Some((from, to)) = channel.forgotten {
            replay.push_back(gap_event(self.shared.gap, &thread, from, to));
        }
        replay.extend(channel.ring.iter().cloned());
        Subscription { thread, replay, receiver, last: None, lagged: false, gap: self.shared.gap }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Channels> {
        // A panic while it was held cannot leave it half changed in a way that matters to a live view.
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channels {
    fn channel(&mut self, thread: &Arc<str>, limit: usize) -> &mut Channel {
        if !self.by_thread.contains_key(thread) {
            while self.order.len() >= limit.max(1)
                && let Some(oldest) = self.order.pop_front()
            {
                self.by_thread.remove(&oldest);
            }
            self.order.push_back(Arc::clone(thread));
        }
        self.by_thread.entry(Arc::clone(thread)).or_default()
    }
}

impl Channel {
    fn keep(&mut self, event: SinkEvent, limits: &InProcessLimits) -> u64 {
        self.bytes += event.payload.len();
        self.ring.push_back(event);
        let mut dropped = 0;
        while (self.ring.len() > limits.replay_events || self.bytes > limits.replay_bytes)
            && let Some(old) = self.ring.pop_front()
        {
            self.bytes -= old.payload.len();
            let from = self.forgotten.map_or(old.seq, |(from, _)| from);
            self.forgotten = Some((from, old.seq));
            dropped += 1;
        }
        dropped
    }
}

fn gap_event(gap: GapPayload, thread: &Arc<str>, from: u64, to: u64) -> SinkEvent {
    SinkEvent { thread_id: Arc::clone(thread), seq: to, payload: gap(thread, from, to), kind: EventKind::Gap }
}

#[async_trait]
impl StreamSink for InProcess {
    fn publish(&self, event: SinkEvent) {
        let mut channels = self.shared.lock();
        let channel = channels.channel(&event.thread_id, self.shared.limits.threads);
        if let Some(live) = &channel.live
            && live.send(event.clone()).is_err()
        {
            channel.live = None; // the last listener left
        }
        let dropped = channel.keep(event, &self.shared.limits);
        self.shared.counters.dropped.increment(dropped);
    }

    async fn forget(&self, thread_id: &str) {
        if let Some(channel) = self.shared.lock().by_thread.get_mut(thread_id) {
            channel.ring.clear();
            channel.bytes = 0;
            channel.forgotten = None;
        }
    }

    async fn flush(&self, _limit: Duration) -> bool {
        true // what was published lies in the listeners' hands already
    }

    async fn healthy(&self) -> bool {
        true
    }

    fn listen(&self, thread: &str) -> Option<Box<dyn Listener>> {
        let mut channels = self.shared.lock();
        let channel = channels.channel(&Arc::from(thread), self.shared.limits.threads);
        let live = channel.live.get_or_insert_with(|| broadcast::channel(self.shared.limits.behind.max(1)).0);
        Some(Box::new(Ear(live.subscribe())))
    }

    async fn recent(&self, thread: &str) -> Vec<SinkEvent> {
        let channels = self.shared.lock();
        channels
            .by_thread
            .get(thread)
            .map(|channel| channel.ring.iter().cloned().collect())
            .unwrap_or_default()
    }
}

/// The live end of a channel.
pub(crate) struct Ear(pub(crate) broadcast::Receiver<SinkEvent>);

#[async_trait]
impl Listener for Ear {
    async fn next(&mut self) -> Heard {
        match self.0.recv().await {
            Ok(event) => Heard::Event(event),
            Err(RecvError::Lagged(_)) => Heard::Missed,
            Err(RecvError::Closed) => Heard::Closed,
        }
    }
}

/// One listener's view of one thread.
pub struct Subscription {
    thread: Arc<str>,
    replay: VecDeque<SinkEvent>,
    receiver: broadcast::Receiver<SinkEvent>,
    last: Option<u64>,
    lagged: bool,
    gap: GapPayload,
}

impl Subscription {
    /// The next event; a listener that was too slow gets a gap event first. `None`: the thread was forgotten.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<SinkEvent> {
        while self.replay.is_empty() {
            match self.receiver.recv().await {
                Ok(event) => {
                    self.mark_gap_before(&event);
                    self.replay.push_back(event);
                }
                Err(RecvError::Lagged(_)) => self.lagged = true,
                Err(RecvError::Closed) => return None,
            }
        }
        let event = self.replay.pop_front()?;
        self.last = Some(event.seq);
        Some(event)
    }

    fn mark_gap_before(&mut self, event: &SinkEvent) {
        if !std::mem::take(&mut self.lagged) {
            return;
        }
        let from = self.last.map_or(1, |last| last.saturating_add(1));
        if let Some(to) = event.seq.checked_sub(1).filter(|to| *to >= from) {
            self.replay.push_back(gap_event(self.gap, &self.thread, from, to));
        }
    }
}
