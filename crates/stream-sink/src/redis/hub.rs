//! Listeners of this process: what it publishes itself reaches them at once, what others publish by one subscription.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use fred::{
    clients::SubscriberClient,
    interfaces::{ClientLike, EventInterface, PubsubInterface},
};
use tokio::{
    sync::{Notify, broadcast},
    task::AbortHandle,
};

use super::link::channel_of;
use crate::{EventKind, Listener, ReadHead, SinkEvent, in_process::Ear};

/// Events that a listener may be behind; who misses one reads the journal.
const BEHIND: usize = 128;
/// How often threads that nobody listens to any more are let go, and failed subscriptions tried again.
const TIDY: Duration = Duration::from_secs(5);

pub(super) struct Hub {
    shared: Arc<Shared>,
    client: SubscriberClient,
    /// Begun by the first listener: most workers have none.
    tasks: Mutex<Vec<AbortHandle>>,
}

struct Shared {
    threads: Mutex<BTreeMap<Arc<str>, Thread>>,
    /// Their number, to be looked at without the lock for each event.
    count: AtomicUsize,
    changed: Notify,
    read: ReadHead,
}

struct Thread {
    listeners: broadcast::Sender<SinkEvent>,
    /// The newest number that this process has published: its copy from the server is not passed on.
    own: u64,
}

impl Hub {
    pub(super) fn new(client: SubscriberClient, read: ReadHead) -> Self {
        let shared =
            Shared { threads: Mutex::default(), count: AtomicUsize::new(0), changed: Notify::new(), read };
        Self { shared: Arc::new(shared), client, tasks: Mutex::default() }
    }

    /// Passes on what this process publishes.
    pub(super) fn tell(&self, event: &SinkEvent) {
        if self.shared.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        if let Some(thread) = self.shared.lock().get_mut(&event.thread_id) {
            thread.own = event.seq;
            // Without a listener there is nothing to do; the thread is let go soon.
            thread.listeners.send(event.clone()).ok();
        }
    }

    pub(super) fn listen(&self, thread: &str) -> Box<dyn Listener> {
        self.begin();
        let mut threads = self.shared.lock();
        if let Some(known) = threads.get(thread) {
            return Box::new(Ear(known.listeners.subscribe()));
        }
        let (listeners, ear) = broadcast::channel(BEHIND);
        threads.insert(Arc::from(thread), Thread { listeners, own: 0 });
        self.shared.count.store(threads.len(), Ordering::Relaxed);
        drop(threads);
        self.shared.changed.notify_one();
        Box::new(Ear(ear))
    }

    /// An event as it stands in the thread's list.
    pub(super) fn event(&self, thread: &str, payload: Bytes) -> Option<SinkEvent> {
        self.shared.event(&Arc::from(thread), payload)
    }

    fn begin(&self) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if tasks.is_empty() {
            let heard = tokio::spawn(hear(Arc::clone(&self.shared), self.client.clone()));
            let subscribed = tokio::spawn(subscribe(Arc::clone(&self.shared), self.client.clone()));
            let again = self.client.manage_subscriptions();
            let connection = self.client.connect();
            *tasks = [heard.abort_handle(), subscribed.abort_handle()].to_vec();
            tasks.extend([again.abort_handle(), connection.abort_handle()]);
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        for task in self.tasks.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            task.abort();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Thread>> {
        // Whoever missed an event by it reads the journal.
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn event(&self, thread: &Arc<str>, payload: Bytes) -> Option<SinkEvent> {
        let (name, seq) = (self.read)(&payload)?;
        let kind = EventKind::of(name)?;
        Some(SinkEvent { thread_id: Arc::clone(thread), seq, payload, kind })
    }

    /// Passes on what came from the server, unless it went out from here.
    fn heard(&self, channel: &str, payload: Bytes) {
        let Some(thread) = channel.strip_prefix("langgraph:stream:") else { return };
        let threads = self.lock();
        let Some((id, thread)) = threads.get_key_value(thread) else { return };
        if let Some(event) = self.event(id, payload)
            && event.seq > thread.own
        {
            thread.listeners.send(event).ok();
        }
    }

    /// Threads that somebody listens to; the others are forgotten.
    fn wanted(&self) -> BTreeSet<Arc<str>> {
        let mut threads = self.lock();
        threads.retain(|_, thread| thread.listeners.receiver_count() > 0);
        self.count.store(threads.len(), Ordering::Relaxed);
        threads.keys().map(Arc::clone).collect()
    }
}

async fn hear(shared: Arc<Shared>, client: SubscriberClient) {
    let mut messages = client.message_rx();
    loop {
        match messages.recv().await {
            Ok(message) => {
                if let Some(payload) = message.value.into_bytes() {
                    shared.heard(&message.channel, payload);
                }
            }
            // The hole in the numbers tells the readers.
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Keeps the subscriptions what the listeners want. After a lost connection the client makes them again itself.
async fn subscribe(shared: Arc<Shared>, client: SubscriberClient) {
    let mut have: BTreeSet<Arc<str>> = BTreeSet::new();
    let channels = |threads: &[Arc<str>]| threads.iter().map(|id| channel_of(id)).collect::<Vec<_>>();
    loop {
        let wanted = shared.wanted();
        let more: Vec<Arc<str>> = wanted.difference(&have).map(Arc::clone).collect();
        let less: Vec<Arc<str>> = have.difference(&wanted).map(Arc::clone).collect();
        if !more.is_empty() && client.subscribe(channels(&more)).await.is_ok() {
            have.extend(more);
        }
        if !less.is_empty() && client.unsubscribe(channels(&less)).await.is_ok() {
            have.retain(|id| wanted.contains(id));
        }
        // A failure waits for the next round: until then readers have the journal.
        tokio::time::timeout(TIDY, shared.changed.notified()).await.ok();
    }
}
