//! A queue with JetStream's manners, as measured (docs/reliability.md, section 2.1; the rows are named below).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::dice::Dice;

/// After which a message that nobody acknowledged is delivered again.
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(30);
/// How long the server remembers the ids of messages.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// Acknowledgements younger than this may be lost with the server (row 12; measured: 0.1 s, here more, to meet it).
const UNSAFE_ACK: Duration = Duration::from_secs(3);

#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) seq: u64,
    pub(crate) delivered: u32,
    pub(crate) body: Bytes,
}

#[derive(Debug)]
struct Stored {
    id: Arc<str>,
    body: Bytes,
    delivered: u32,
    /// When it may be delivered next.
    due: Instant,
    /// It was handed out and not answered.
    pending: bool,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    open: BTreeMap<u64, Stored>,
    /// Acknowledged, and when.
    acked: Vec<(Instant, u64, Stored)>,
    /// Ids that count as known, since when.
    known: BTreeMap<Arc<str>, Instant>,
}

#[derive(Debug)]
pub(crate) struct SimQueue {
    state: Mutex<State>,
    more: Notify,
    /// Rows 10, 11: with this retention the server forgets an acknowledged message's id when it restarts.
    work_queue: bool,
    /// Row 4; `None` as the worker sets it.
    max_deliver: Option<u32>,
}

impl SimQueue {
    pub(crate) fn new(work_queue: bool, max_deliver: Option<u32>) -> Self {
        Self { state: Mutex::default(), more: Notify::new(), work_queue, max_deliver }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Row 10: an id that is known within the window is a duplicate; later it is stored again.
    pub(crate) fn publish(&self, id: &Arc<str>, body: Bytes) {
        let now = Instant::now();
        let mut state = self.lock();
        if state.known.get(id).is_some_and(|since| now - *since < DUPLICATE_WINDOW) {
            return;
        }
        state.known.insert(id.clone(), now);
        state.last += 1;
        let seq = state.last;
        let stored = Stored { id: id.clone(), body, delivered: 0, due: now, pending: false };
        state.open.insert(seq, stored);
        drop(state);
        self.more.notify_waiters();
    }

    fn take(&self, max: usize) -> Vec<Delivery> {
        let now = Instant::now();
        let mut state = self.lock();
        // Row 4: a message that was delivered too often stays, and no consumer sees it again.
        let allowed = |stored: &Stored| self.max_deliver.is_none_or(|most| stored.delivered < most);
        let due = state.open.iter_mut().filter(|(_, stored)| stored.due <= now && allowed(stored));
        let taken = due.take(max).map(|(seq, stored)| {
            stored.delivered += 1;
            stored.due = now + ACK_WAIT;
            stored.pending = true;
            Delivery { seq: *seq, delivered: stored.delivered, body: stored.body.clone() }
        });
        taken.collect()
    }

    /// Waits for messages, at most `expires` long.
    pub(crate) async fn fetch(&self, max: usize, expires: Duration) -> Vec<Delivery> {
        let end = Instant::now() + expires;
        loop {
            let more = self.more.notified();
            let taken = self.take(max);
            if !taken.is_empty() || Instant::now() >= end {
                return taken;
            }
            let next =
                self.lock().open.values().map(|stored| stored.due).filter(|due| *due > Instant::now()).min();
            let until = next.map_or(end, |due| due.min(end));
            tokio::time::timeout_at(until, more).await.ok();
        }
    }

    /// Row 2: accepted from whoever sends it, whoever has the message now.
    pub(crate) fn ack(&self, seq: u64) {
        let mut state = self.lock();
        if let Some(stored) = state.open.remove(&seq) {
            state.acked.push((Instant::now(), seq, stored));
        }
    }

    /// Row 3: prolongs the delivery, even if it is somebody else's by now.
    pub(crate) fn progress(&self, seq: u64) {
        if let Some(stored) = self.lock().open.get_mut(&seq).filter(|stored| stored.pending) {
            stored.due = Instant::now() + ACK_WAIT;
        }
    }

    pub(crate) fn nak(&self, seq: u64, delay: Duration) {
        if let Some(stored) = self.lock().open.get_mut(&seq).filter(|stored| stored.pending) {
            stored.pending = false;
            stored.due = Instant::now() + delay;
        }
        self.more.notify_waiters();
    }

    /// Rows 11, 12: the server dies and comes back. Young acknowledgements may be gone, and with this retention the
    /// ids of messages that were acknowledged are.
    pub(crate) fn restart(&self, dice: &Dice) -> usize {
        let now = Instant::now();
        let mut state = self.lock();
        let acked = std::mem::take(&mut state.acked);
        let mut back = 0;
        for (at, seq, mut stored) in acked {
            if now - at < UNSAFE_ACK && dice.happens(7_000) {
                stored.pending = false;
                stored.due = now;
                state.open.insert(seq, stored);
                back += 1;
            } else {
                state.acked.push((at, seq, stored));
            }
        }
        if self.work_queue {
            let stored: BTreeSet<Arc<str>> = state.open.values().map(|stored| stored.id.clone()).collect();
            state.known.retain(|id, _| stored.contains(id));
        }
        drop(state);
        self.more.notify_waiters();
        back
    }

    /// Rows 7, 8: a limit pushes a message out; nobody is told.
    pub(crate) fn lose_one(&self, dice: &Dice) -> Option<u64> {
        let mut state = self.lock();
        let open: Vec<u64> = state.open.keys().copied().collect();
        let seq = *dice.pick(&open)?;
        state.open.remove(&seq);
        Some(seq)
    }

    /// Messages that a consumer would still get.
    pub(crate) fn left(&self) -> usize {
        let state = self.lock();
        let seen = |stored: &&Stored| self.max_deliver.is_none_or(|most| stored.delivered < most);
        state.open.values().filter(seen).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(queue: &SimQueue, count: usize) {
        for n in 0..count {
            queue.publish(&Arc::from(format!("m{n}")), Bytes::from_static(b"x"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_ack_from_anybody_counts_and_progress_from_anybody_prolongs() {
        let queue = SimQueue::new(true, None);
        published(&queue, 1);
        let first = queue.fetch(9, Duration::ZERO).await;
        tokio::time::advance(ACK_WAIT).await;
        let second = queue.fetch(9, Duration::ZERO).await;
        assert_eq!((first[0].delivered, second[0].delivered), (1, 2));
        tokio::time::advance(ACK_WAIT / 2).await;
        queue.progress(first[0].seq);
        tokio::time::advance(ACK_WAIT / 2).await;
        assert!(queue.fetch(9, Duration::ZERO).await.is_empty(), "prolonged");
        queue.ack(first[0].seq);
        tokio::time::advance(ACK_WAIT).await;
        assert!(queue.fetch(9, Duration::ZERO).await.is_empty(), "acknowledged");
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_brings_young_acks_back_and_forgets_ids_of_a_work_queue() {
        let dice = Dice::new(1);
        for work_queue in [true, false] {
            let queue = SimQueue::new(work_queue, None);
            published(&queue, 40);
            let all = queue.fetch(40, Duration::ZERO).await;
            for delivery in &all[..20] {
                queue.ack(delivery.seq);
            }
            tokio::time::advance(UNSAFE_ACK).await;
            for delivery in &all[20..] {
                queue.ack(delivery.seq);
            }
            let back = queue.restart(&dice);
            assert!((1..=20).contains(&back), "{back}");
            assert_eq!(queue.left(), back);
            queue.publish(&Arc::from("m0"), Bytes::from_static(b"x"));
            assert_eq!(queue.left(), back + usize::from(work_queue), "m0 was acknowledged long ago");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_delivered_too_often_is_seen_by_nobody() {
        let queue = SimQueue::new(false, Some(2));
        published(&queue, 1);
        for expected in [1, 1, 0] {
            assert_eq!(queue.fetch(9, Duration::ZERO).await.len(), expected);
            tokio::time::advance(ACK_WAIT).await;
        }
        assert_eq!(queue.left(), 0);
    }
}
