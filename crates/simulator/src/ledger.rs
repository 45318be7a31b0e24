//! Everything that was seen in a run: facts for the audit, counts, and the trace.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent_executor_core::audit::{Audit, Fact, Sometimes};
use tokio::time::Instant;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Who holds a thread by the store's last grant.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) owner: Arc<str>,
    pub(crate) epoch: i64,
}

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) audit: Audit,
    pub(crate) sometimes: BTreeMap<Sometimes, u64>,
    /// Other counts, by a name for people.
    pub(crate) counts: BTreeMap<&'static str, u64>,
    pub(crate) holders: BTreeMap<Arc<str>, Holder>,
    /// Queue numbers of messages that are dead letters.
    pub(crate) dead: BTreeSet<u64>,
    /// Jobs that a stopping worker handed back, with that worker.
    pub(crate) drained: BTreeMap<Arc<str>, Arc<str>>,
    /// The longest conversation that a model was asked about, and calls of tools that began: what comes first cannot
    /// be a repetition.
    pub(crate) longest: BTreeMap<String, usize>,
    pub(crate) called: BTreeSet<String>,
    hash: Xxh3,
    lines: Option<Vec<String>>,
}

/// Shared by everything in the world.
pub(crate) struct Ledger {
    seen: Mutex<Seen>,
    begun: Instant,
}

impl Ledger {
    pub(crate) fn new(keep_trace: bool) -> Self {
        let seen = Seen { lines: keep_trace.then(Vec::new), ..Seen::default() };
        Self { seen: Mutex::new(seen), begun: Instant::now() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fact(&self, fact: Fact) {
        self.lock().audit.saw(fact);
    }

    pub(crate) fn sometimes(&self, what: Sometimes) {
        *self.lock().sometimes.entry(what).or_default() += 1;
    }

    pub(crate) fn count(&self, what: &'static str) {
        *self.lock().counts.entry(what).or_default() += 1;
    }

    pub(crate) fn trace(&self, line: fmt::Arguments<'_>) {
        let at = self.begun.elapsed().as_millis();
        let line = format!("{at:>8} {line}");
        let mut seen = self.lock();
        seen.hash.update(line.as_bytes());
        if let Some(lines) = &mut seen.lines {
            lines.push(line);
        }
    }

    pub(crate) fn holds(&self, thread: &str, owner: &str) -> bool {
        self.lock().holders.get(thread).is_some_and(|holder| *holder.owner == *owner)
    }

    /// The audit's verdict and all else; the ledger is empty after it.
    pub(crate) fn close(&self) -> (Seen, u64, Vec<String>) {
        let mut seen = std::mem::take(&mut *self.lock());
        let (hash, lines) = (seen.hash.digest(), seen.lines.take().unwrap_or_default());
        (seen, hash, lines)
    }
}

pub(crate) fn digest(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}
