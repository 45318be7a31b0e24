//! The promises of docs/reliability.md as one checker: facts in, violations out. Simulation and chaos feed it; both
//! mean the same by "lost", "twice" and "false".

mod fact;
mod sometimes;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

pub use fact::{Fact, Invariant, Violation};
pub use sometimes::Sometimes;

use crate::Class;

/// Violations that are kept; a broken promise seldom comes alone, and the first ones tell most.
const KEPT: usize = 64;

#[derive(Debug, Default)]
struct JobFacts {
    admitted: bool,
    ended: Option<(Arc<str>, u64)>,
    delivered: Option<(Arc<str>, u64)>,
}

#[derive(Debug, Default)]
struct ThreadFacts {
    epoch: i64,
    live: Live,
    journal: Option<(i64, u64)>,
}

/// What a live reader of one thread has seen.
#[derive(Debug, Default)]
struct Live {
    epoch: i64,
    next: Option<u64>,
}

/// Gathers facts in the order in which they happened and says which promise they break.
#[derive(Debug, Default)]
pub struct Audit {
    jobs: BTreeMap<Arc<str>, JobFacts>,
    threads: BTreeMap<Arc<str>, ThreadFacts>,
    /// Keys by call.
    idempotent: BTreeMap<Arc<str>, Arc<str>>,
    once: BTreeMap<Arc<str>, u64>,
    /// Child by thread, namespace, job and parent.
    children: BTreeMap<[Arc<str>; 4], Arc<str>>,
    /// Checkpoint by thread, namespace, job and super-step.
    steps: BTreeMap<([Arc<str>; 3], i64), Arc<str>>,
    /// Checkpoints that are there, by thread, namespace and id.
    stored: BTreeSet<[Arc<str>; 3]>,
    secrets: BTreeSet<String>,
    found: Vec<Violation>,
    stale_told: u64,
}

impl Audit {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A value that must never be seen outside; see [`Audit::text`].
    pub fn secret(&mut self, value: impl Into<String>) {
        self.secrets.insert(value.into());
    }

    /// A text that an outsider can read: a log line, an event, a stored row, a metric.
    pub fn text(&mut self, place: &str, text: &str) {
        if self.secrets.iter().any(|secret| text.contains(secret.as_str())) {
            // The text itself would carry the secret into the report.
            self.violated(Invariant::NoSecret, place, format_args!("a secret value stands there"));
        }
    }

    /// Takes a fact in.
    pub fn saw(&mut self, fact: Fact) {
        match fact {
            Fact::Admitted { job } => self.jobs.entry(job).or_default().admitted = true,
            Fact::Committed { thread, epoch } => self.committed(thread, epoch),
            Fact::Begun { thread, step, durable } => {
                if durable {
                    self.violated(
                        Invariant::StepOnce,
                        &thread,
                        format_args!("{step} was asked for again after its answer was durable"),
                    );
                }
            }
            Fact::Checkpoint { thread, ns, job, id, parent, step } => {
                self.checkpoint([thread, ns, job], &id, parent, step);
            }
            Fact::Ended { job, status, result } => self.ended(&job, status, result),
            Fact::Delivered { job, id, body } => self.delivered(&job, id, body),
            Fact::Effect { call, key, class } => self.effect(call, key, class),
            Fact::Acked { job, settled } => {
                if !settled {
                    self.violated(
                        Invariant::AckAfterEnd,
                        &job,
                        format_args!("the message was acknowledged before the job had ended"),
                    );
                }
            }
            Fact::Told { thread, epoch, seq, covers } => self.told(thread, epoch, seq, covers),
            Fact::Journalled { thread, epoch, first, last, covers } => {
                self.journalled(thread, epoch, first..=last, covers);
            }
            Fact::Left { what, count } => {
                if count > 0 {
                    self.violated(Invariant::Progress, &what, format_args!("{count} left over at the end"));
                }
            }
        }
    }

    fn committed(&mut self, thread: Arc<str>, epoch: i64) {
        let known = self.threads.entry(thread.clone()).or_default();
        let before = known.epoch;
        known.epoch = before.max(epoch);
        if epoch < before {
            self.violated(
                Invariant::StepOnce,
                &thread,
                format_args!("a write under epoch {epoch} was taken after one under {before}"),
            );
        }
    }

    fn checkpoint(&mut self, place: [Arc<str>; 3], id: &Arc<str>, parent: Option<Arc<str>>, step: i64) {
        let thread = place[0].clone();
        self.stored.insert([place[0].clone(), place[1].clone(), id.clone()]);
        if let Some(parent) = parent {
            let [thread_id, ns, job] = place.clone();
            let child = self.children.entry([thread_id, ns, job, parent]).or_insert_with(|| id.clone());
            if *child != *id {
                let other = child.clone();
                self.violated(
                    Invariant::NoFork,
                    &thread,
                    format_args!("checkpoints {other} and {id} have one parent"),
                );
            }
        }
        let there = self.steps.entry((place, step)).or_insert_with(|| id.clone());
        if *there != *id {
            let other = there.clone();
            self.violated(
                Invariant::StepOnce,
                &thread,
                format_args!("step {step} was committed twice: {other} and {id}"),
            );
        }
    }

    fn ended(&mut self, job: &Arc<str>, status: Arc<str>, result: u64) {
        let known = self.jobs.entry(job.clone()).or_default();
        match &known.ended {
            Some(before) if *before != (status.clone(), result) => {
                let before = before.0.clone();
                self.violated(
                    Invariant::EndIsFinal,
                    job,
                    format_args!("it had ended as {before} and then became {status} or changed its result"),
                );
            }
            Some(_) => {}
            None => known.ended = Some((status, result)),
        }
    }

    fn delivered(&mut self, job: &Arc<str>, id: Arc<str>, body: u64) {
        let known = self.jobs.entry(job.clone()).or_default();
        match &known.delivered {
            Some(before) if *before != (id.clone(), body) => {
                self.violated(Invariant::OneResult, job, format_args!("two results with other id or body"));
            }
            Some(_) => {}
            None => known.delivered = Some((id, body)),
        }
    }

    fn effect(&mut self, call: Arc<str>, key: Arc<str>, class: Class) {
        match class {
            Class::Pure => {}
            Class::Idempotent => {
                let known = self.idempotent.entry(call.clone()).or_insert_with(|| key.clone());
                if *known != key {
                    let other = known.clone();
                    self.violated(
                        Invariant::IdempotentKey,
                        &call,
                        format_args!("one call came with two keys: {other} and {key}"),
                    );
                }
            }
            Class::AtMostOnce => {
                let times = self.once.entry(call.clone()).or_default();
                *times += 1;
                if *times > 1 {
                    let times = *times;
                    self.violated(
                        Invariant::AtMostOnce,
                        &call,
                        format_args!("an at-most-once call took effect {times} times"),
                    );
                }
            }
        }
    }

    fn told(&mut self, thread: Arc<str>, epoch: i64, seq: u64, covers: Option<u64>) {
        let live = &mut self.threads.entry(thread.clone()).or_default().live;
        if epoch < live.epoch {
            // A channel cannot be fenced: readers drop it by its epoch.
            self.stale_told += 1;
            return;
        }
        let same = epoch == live.epoch;
        let expected = live.next;
        *live = Live { epoch, next: Some(seq + 1) };
        // Between two holders a reader may miss the end of the first; the journal has it.
        let fine = match expected {
            Some(next) if same => seq == next || covers.is_some_and(|from| from <= next && seq > next),
            Some(next) => seq >= next,
            None => true,
        };
        if !fine {
            let next = expected.unwrap_or_default();
            self.violated(
                Invariant::Numbered,
                &thread,
                format_args!("event {seq} came where {next} was next, under epoch {epoch}"),
            );
        }
    }

    fn journalled(
        &mut self,
        thread: Arc<str>,
        epoch: i64,
        rows: std::ops::RangeInclusive<u64>,
        covers: Option<u64>,
    ) {
        let known = self.threads.entry(thread.clone()).or_default();
        let before = known.journal.replace((epoch, *rows.end()));
        let (first, Some((older, last))) = (*rows.start(), before) else { return };
        if epoch < older {
            self.violated(
                Invariant::JournalFenced,
                &thread,
                format_args!("events from {first} stand under epoch {epoch}, after some under {older}"),
            );
        }
        let whole = first == last + 1 || first > last && covers.is_some_and(|from| from <= last + 1);
        if !whole {
            self.violated(
                Invariant::Numbered,
                &thread,
                format_args!("the journal goes from {last} to {first}, and nothing says why"),
            );
        }
    }

    fn violated(&mut self, invariant: Invariant, subject: &str, what: fmt::Arguments<'_>) {
        if self.found.len() < KEPT {
            self.found.push(Violation { invariant, subject: Arc::from(subject), what: what.to_string() });
        }
    }

    /// What has been broken so far.
    pub fn so_far(&self) -> &[Violation] {
        &self.found
    }

    /// Stream events of former holders that a reader had to drop.
    pub const fn stale_told(&self) -> u64 {
        self.stale_told
    }

    /// Judges the whole, after everything has been given time to end.
    pub fn finish(mut self) -> Vec<Violation> {
        let jobs = std::mem::take(&mut self.jobs);
        let children = std::mem::take(&mut self.children);
        for ([thread, ns, _, parent], child) in children {
            if !self.stored.contains(&[thread.clone(), ns, parent.clone()]) {
                self.violated(
                    Invariant::NoFork,
                    &thread,
                    format_args!("checkpoint {child} follows {parent}, which is not there"),
                );
            }
        }
        for (job, facts) in &jobs {
            if facts.admitted && facts.ended.is_none() {
                self.violated(Invariant::NotLost, job, format_args!("it was admitted and never ended"));
            }
            if facts.ended.is_some() && facts.delivered.is_none() {
                self.violated(
                    Invariant::OneResult,
                    job,
                    format_args!("it ended and no result was delivered"),
                );
            }
            if let (None, Some((id, _))) = (&facts.ended, &facts.delivered) {
                self.violated(
                    Invariant::OneResult,
                    job,
                    format_args!("result {id} was delivered and the job has not ended"),
                );
            }
        }
        self.found
    }
}

#[cfg(test)]
mod tests;
