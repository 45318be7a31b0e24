//! The bounded buffer between jobs and a backend: a line per thread, limits over all of them.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::SinkEvent;

/// Memory of an entry beside its payload: the entry itself and its share of the line's key.
const OVERHEAD: usize = 128;

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimits {
    /// Entries over all threads.
    pub events: usize,
    /// Bytes of payload and bookkeeping over all threads.
    pub bytes: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { events: 100_000, bytes: 64 << 20 }
    }
}

/// An event, or the place where some were.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Event(SinkEvent),
    Gap { from: u64, to: u64 },
}

impl Entry {
    fn bytes(&self) -> usize {
        match self {
            Self::Event(event) => event.payload.len() + OVERHEAD,
            Self::Gap { .. } => OVERHEAD,
        }
    }

    fn range(&self) -> (u64, u64) {
        match self {
            Self::Event(event) => (event.seq, event.seq),
            Self::Gap { from, to } => (*from, *to),
        }
    }
}

/// What one thread has in a batch, oldest first.
#[derive(Debug)]
pub(crate) struct Burst {
    pub(crate) thread: Arc<str>,
    pub(crate) entries: Vec<Entry>,
}

/// What an eviction gave back.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Freed {
    entries: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Line {
    entries: VecDeque<Entry>,
    events: usize,
}

impl Line {
    /// Turns the oldest event into a gap, joined with the gaps beside it. Gaps never lie side by side, so the
    /// oldest event is the first or second entry and this costs the same whatever waits behind it.
    fn drop_oldest(&mut self) -> Option<Freed> {
        let at = self.entries.iter().position(|entry| matches!(entry, Entry::Event(_)))?;
        let event = self.entries.remove(at)?;
        self.events -= 1;
        let (mut from, mut to) = event.range();
        let mut freed = Freed { entries: 1, bytes: event.bytes() };
        let before = at.checked_sub(1);
        // The gap behind first, so that the index of the one before stays right.
        for beside in [Some(at), before].into_iter().flatten() {
            if let Some(Entry::Gap { from: first, to: last }) = self.entries.get(beside) {
                from = from.min(*first);
                to = to.max(*last);
                self.entries.remove(beside);
                freed.entries += 1;
                freed.bytes += OVERHEAD;
            }
        }
        let place = at.min(self.entries.len()).min(before.unwrap_or(at));
        self.entries.insert(place, Entry::Gap { from, to });
        freed.entries -= 1;
        freed.bytes -= OVERHEAD;
        Some(freed)
    }
}

/// Lines of all threads. Not a task, not a lock: the caller has both.
#[derive(Debug)]
pub(crate) struct Queue {
    limits: QueueLimits,
    lines: HashMap<Arc<str>, Line>,
    /// Threads with a line, longest waiting first; each once.
    order: VecDeque<Arc<str>>,
    entries: usize,
    bytes: usize,
}

impl Queue {
    pub(crate) fn new(limits: QueueLimits) -> Self {
        Self { limits, lines: HashMap::new(), order: VecDeque::new(), entries: 0, bytes: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds an event and makes room where there is none. Returns how many events were dropped for it.
    pub(crate) fn push(&mut self, event: SinkEvent) -> u64 {
        let thread = Arc::clone(&event.thread_id);
        let line = Self::line(&mut self.lines, &mut self.order, &thread);
        let entry = Entry::Event(event);
        self.entries += 1;
        self.bytes += entry.bytes();
        line.events += 1;
        line.entries.push_back(entry);
        self.shrink(&thread)
    }

    /// Takes the oldest of as many threads as the limits allow, at least one entry.
    pub(crate) fn take(&mut self, events: usize, bytes: usize) -> Vec<Burst> {
        let (mut count, mut size) = (0, 0);
        let mut batch = Vec::new();
        while (count == 0 || (count < events && size < bytes))
            && let Some(thread) = self.order.pop_front()
        {
            let Some(mut line) = self.lines.remove(&thread) else { continue };
            let mut entries = Vec::with_capacity(line.entries.len().min(events));
            while (count == 0 || (count < events && size < bytes))
                && let Some(entry) = line.entries.pop_front()
            {
                count += 1;
                size += entry.bytes();
                line.events -= usize::from(matches!(entry, Entry::Event(_)));
                entries.push(entry);
            }
            if !line.entries.is_empty() {
                self.lines.insert(Arc::clone(&thread), line);
                self.order.push_back(Arc::clone(&thread));
            }
            batch.push(Burst { thread, entries });
        }
        self.entries -= count;
        self.bytes -= size;
        batch
    }

    /// Puts a batch back before what came since. What `keep` refuses becomes a gap. Returns how many events
    /// were dropped, by `keep` and for want of room.
    pub(crate) fn put_back(&mut self, batch: Vec<Burst>, keep: impl Fn(&SinkEvent) -> bool) -> u64 {
        let mut dropped = 0;
        for Burst { thread, entries } in batch.into_iter().rev() {
            let known = self.lines.contains_key(&thread);
            let line = Self::line(&mut self.lines, &mut self.order, &thread);
            if !known {
                // Longest waiting again.
                self.order.rotate_right(1);
            }
            for entry in entries.into_iter().rev() {
                let entry = match entry {
                    Entry::Event(event) if !keep(&event) => {
                        dropped += 1;
                        Entry::Gap { from: event.seq, to: event.seq }
                    }
                    Entry::Event(_) | Entry::Gap { .. } => entry,
                };
                if let (Entry::Gap { from, to }, Some(Entry::Gap { from: first, to: last })) =
                    (&entry, line.entries.front_mut())
                {
                    *first = *from.min(first);
                    *last = *to.max(last);
                    continue;
                }
                self.entries += 1;
                self.bytes += entry.bytes();
                line.events += usize::from(matches!(entry, Entry::Event(_)));
                line.entries.push_front(entry);
            }
            dropped += self.shrink(&thread);
        }
        dropped
    }

    fn line<'a>(
        lines: &'a mut HashMap<Arc<str>, Line>,
        order: &mut VecDeque<Arc<str>>,
        thread: &Arc<str>,
    ) -> &'a mut Line {
        lines.entry(Arc::clone(thread)).or_insert_with(|| {
            order.push_back(Arc::clone(thread));
            Line::default()
        })
    }

    /// Drops until all is within the limits: of `thread` itself while it has older events, else of the thread that
    /// has waited longest. A thread that is nothing but a gap is forgotten then, or hours without a backend
    /// would leave a marker for each thread of those hours.
    fn shrink(&mut self, thread: &Arc<str>) -> u64 {
        let mut dropped = 0;
        while self.entries > self.limits.events || self.bytes > self.limits.bytes {
            let own = self.lines.get(thread).is_some_and(|line| line.events > 1);
            let Some(victim) = (if own { Some(thread) } else { self.order.front() }).map(Arc::clone) else {
                break;
            };
            let Some(line) = self.lines.get_mut(&victim) else { break };
            if let Some(freed) = line.drop_oldest() {
                self.entries -= freed.entries;
                self.bytes -= freed.bytes;
                dropped += 1;
            } else {
                self.entries -= line.entries.len();
                self.bytes -= line.entries.iter().map(Entry::bytes).sum::<usize>();
                self.lines.remove(&victim);
                self.order.pop_front();
            }
        }
        dropped
    }
}

#[cfg(test)]
mod tests;
