//! Calls that wait for a connection. Whoever has one takes all that may go together; there is no timer, since the
//! time that a group takes is what gathers the next one.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::calls::{BeginCall, Call, WriteCall};
use crate::port::StoreError;

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) calls: usize,
    pub(super) bytes: usize,
}

/// Calls of one kind. A thread is never twice in a group nor in two groups at once, and its calls keep their order.
struct Lane<C> {
    waiting: VecDeque<C>,
    busy: HashSet<Arc<str>>,
}

impl<C> Default for Lane<C> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), busy: HashSet::new() }
    }
}

impl<C: Call> Lane<C> {
    fn oldest(&self) -> Option<Instant> {
        self.waiting.iter().find(|call| !self.busy.contains(call.thread())).map(Call::patience)
    }

    fn take(&mut self, limits: Limits) -> Vec<C> {
        let mut group: Vec<C> = Vec::new();
        let mut left = VecDeque::with_capacity(self.waiting.len());
        let mut bytes = 0;
        while let Some(call) = self.waiting.pop_front() {
            if self.busy.contains(call.thread()) {
                left.push_back(call);
                continue;
            }
            let size = call.size();
            if !group.is_empty() && (group.len() >= limits.calls || bytes + size > limits.bytes) {
                self.waiting.push_front(call);
                break;
            }
            bytes += size;
            self.busy.insert(call.thread().clone());
            group.push(call);
        }
        // What was passed over came before what is left.
        left.append(&mut self.waiting);
        self.waiting = left;
        // Lease rows are locked in this order, by every group alike.
        group.sort_by(|a, b| a.thread().cmp(b.thread()));
        group
    }

    fn impatient(&mut self, now: Instant) -> Vec<C> {
        let (gone, left) = self.waiting.drain(..).partition(|call| call.patience() <= now);
        self.waiting = left;
        Vec::from(gone)
    }
}

/// Calls that go together.
pub(super) enum Group {
    Begins(Vec<BeginCall>),
    Writes(Vec<WriteCall>),
}

#[derive(Default)]
struct Lanes {
    begins: Lane<BeginCall>,
    writes: Lane<WriteCall>,
    closed: bool,
}

impl Lanes {
    /// The kind whose first call has waited longest; `None`: nothing may go now.
    fn begins_first(&self) -> Option<bool> {
        match (self.begins.oldest(), self.writes.oldest()) {
            (Some(begin), Some(write)) => Some(begin < write),
            (Some(_), None) => Some(true),
            (None, Some(_)) => Some(false),
            (None, None) => None,
        }
    }
}

pub(super) struct Queue {
    lanes: Mutex<Lanes>,
    wake: Notify,
    limits: Limits,
}

impl Queue {
    pub(super) fn new(limits: Limits) -> Self {
        Self { lanes: Mutex::default(), wake: Notify::new(), limits }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // Nothing in here panics half-way.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push_begin(&self, call: BeginCall) {
        self.lanes().begins.waiting.push_back(call);
        self.wake.notify_one();
    }

    pub(super) fn push_write(&self, call: WriteCall) {
        self.lanes().writes.waiting.push_back(call);
        self.wake.notify_one();
    }

    /// Waits until there is something to take; `false`: the store has been dropped and nothing is left.
    pub(super) async fn ready(&self) -> bool {
        loop {
            let woken = self.wake.notified();
            {
                let lanes = self.lanes();
                if lanes.begins_first().is_some() {
                    return true;
                }
                if lanes.closed && lanes.begins.waiting.is_empty() && lanes.writes.waiting.is_empty() {
                    break;
                }
            }
            woken.await;
        }
        // The other connections wait as well.
        self.wake.notify_one();
        false
    }

    pub(super) fn take(&self) -> Option<Group> {
        let mut lanes = self.lanes();
        let group = if lanes.begins_first()? {
            Group::Begins(lanes.begins.take(self.limits))
        } else {
            Group::Writes(lanes.writes.take(self.limits))
        };
        let more = lanes.begins_first().is_some();
        drop(lanes);
        if more {
            self.wake.notify_one();
        }
        Some(group)
    }

    /// The group's threads may be in another one.
    pub(super) fn done_begins(&self, threads: &[Arc<str>]) {
        let mut lanes = self.lanes();
        for thread in threads {
            lanes.begins.busy.remove(thread);
        }
        self.wake.notify_one();
    }

    /// The group's threads may be in another one.
    pub(super) fn done_writes(&self, threads: &[Arc<str>]) {
        let mut lanes = self.lanes();
        for thread in threads {
            lanes.writes.busy.remove(thread);
        }
        self.wake.notify_one();
    }

    /// Fails what has waited too long for a connection. Whether anything is left.
    pub(super) fn give_up(&self, reason: &str) -> bool {
        let now = Instant::now();
        let mut lanes = self.lanes();
        let (begins, writes) = (lanes.begins.impatient(now), lanes.writes.impatient(now));
        let left = lanes.begins_first().is_some();
        drop(lanes);
        let error = StoreError::Unavailable(reason.to_owned());
        begins.into_iter().for_each(|call| call.fail(error.clone()));
        writes.into_iter().for_each(|call| call.fail(error.clone()));
        left
    }

    pub(super) fn close(&self) {
        self.lanes().closed = true;
        self.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Commit, Finished, Lease};
    use tokio::sync::oneshot;

    fn call(
        thread: &str,
        bytes: usize,
        step: u64,
    ) -> (WriteCall, oneshot::Receiver<Result<Finished, StoreError>>) {
        let (answer, receiver) = oneshot::channel();
        let lease = Lease {
            thread_id: Arc::from(thread),
            owner: Arc::from("me"),
            epoch: 1,
            next_seq: 1,
            taken_over: false,
        };
        let journal = vec![crate::JournalRow {
            first_seq: 1,
            last_seq: 1,
            job_id: Arc::from("job"),
            epoch: 1,
            events: vec![0; bytes].into(),
        }];
        let commit = Commit { journal, last_seq: step, ..Commit::default() };
        (WriteCall { lease, commit, terminal: None, patience: Instant::now(), answer }, receiver)
    }

    fn taken(queue: &Queue) -> Vec<(String, u64)> {
        match queue.take() {
            Some(Group::Writes(calls)) => {
                calls.iter().map(|call| (call.lease.thread_id.to_string(), call.commit.last_seq)).collect()
            }
            Some(Group::Begins(_)) => panic!("nobody begins"),
            None => Vec::new(),
        }
    }

    #[test]
    fn a_thread_is_never_twice_in_a_group_nor_in_two_and_keeps_its_order() {
        let queue = Queue::new(Limits { calls: 64, bytes: 1 << 20 });
        let mut receivers = Vec::new();
        for (thread, step) in [("b", 1), ("a", 1), ("b", 2), ("b", 3), ("c", 1)] {
            let (call, receiver) = call(thread, 0, step);
            queue.push_write(call);
            receivers.push(receiver);
        }

        assert_eq!(taken(&queue), [("a".into(), 1), ("b".into(), 1), ("c".into(), 1)]);
        assert_eq!(taken(&queue), []);
        queue.done_writes(&[Arc::from("b")]);
        assert_eq!(taken(&queue), [("b".into(), 2)]);
        queue.done_writes(&[Arc::from("b")]);
        assert_eq!(taken(&queue), [("b".into(), 3)]);
    }

    #[test]
    fn a_group_is_bounded_and_a_larger_call_goes_alone() {
        let queue = Queue::new(Limits { calls: 3, bytes: 10_000 });
        let mut receivers = Vec::new();
        for (thread, bytes) in [("a", 0), ("b", 9_000), ("c", 50_000), ("d", 0), ("e", 0), ("f", 0), ("g", 0)]
        {
            let (call, receiver) = call(thread, bytes, 1);
            queue.push_write(call);
            receivers.push(receiver);
        }

        let sizes: Vec<_> = std::iter::from_fn(|| Some(taken(&queue).len()).filter(|len| *len > 0)).collect();

        assert_eq!(sizes, [2, 1, 3, 1]);
    }

    #[test]
    fn who_has_waited_too_long_is_told() {
        let queue = Queue::new(Limits { calls: 3, bytes: 10_000 });
        let (call, mut receiver) = call("a", 0, 1);
        queue.push_write(call);

        assert!(!queue.give_up("the database is away"));

        let told = receiver.try_recv().unwrap().unwrap_err();
        assert_eq!(told.to_string(), "the store is not available: the database is away");
    }
}
