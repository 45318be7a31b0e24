//! What an observer of the whole system can know, and the promises that it bears on.

use std::fmt;
use std::sync::Arc;

use crate::Class;

/// Something that happened, seen from outside of the executor.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Fact {
    /// The store holds the job.
    Admitted {
        /// The job.
        job: Arc<str>,
    },
    /// The store took a guarded write.
    Committed {
        /// The thread.
        thread: Arc<str>,
        /// The epoch under which the writer held the thread.
        epoch: i64,
    },
    /// The holder of a thread asked a model, or called a tool outside of the machine.
    Begun {
        /// The thread.
        thread: Arc<str>,
        /// Which answer it wants, for people.
        step: Arc<str>,
        /// Whether that answer was in the store already.
        durable: bool,
    },
    /// A stored checkpoint.
    Checkpoint {
        /// The thread.
        thread: Arc<str>,
        /// The checkpoint namespace.
        ns: Arc<str>,
        /// The job that it was written for.
        job: Arc<str>,
        /// Its id.
        id: Arc<str>,
        /// The checkpoint before it.
        parent: Option<Arc<str>>,
        /// Number of its super-step.
        step: i64,
    },
    /// The store says that a job has ended.
    Ended {
        /// The job.
        job: Arc<str>,
        /// Its status.
        status: Arc<str>,
        /// A digest of its stored result.
        result: u64,
    },
    /// A subscriber got a result event.
    Delivered {
        /// The job.
        job: Arc<str>,
        /// The event's id.
        id: Arc<str>,
        /// A digest of its body.
        body: u64,
    },
    /// A tool outside of the machine took effect.
    Effect {
        /// The call, unique over all threads.
        call: Arc<str>,
        /// The idempotency key that came with it.
        key: Arc<str>,
        /// The tool's class.
        class: Class,
    },
    /// The queue was told that a message is dealt with.
    Acked {
        /// The job that it carried, or the message's own name.
        job: Arc<str>,
        /// Whether the job had ended, or stood among the dead letters, by then.
        settled: bool,
    },
    /// An event reached the live stream.
    Told {
        /// The thread.
        thread: Arc<str>,
        /// Epoch of the sender.
        epoch: i64,
        /// Its number.
        seq: u64,
        /// For a gap marker or a superseded attempt: the first number that it accounts for.
        covers: Option<u64>,
    },
    /// A row of the journal, in the order of its numbers.
    Journalled {
        /// The thread.
        thread: Arc<str>,
        /// Epoch of the writer.
        epoch: i64,
        /// Number of its first event.
        first: u64,
        /// Number of its last event.
        last: u64,
        /// Where it begins with a superseded attempt: the first number that this accounts for.
        covers: Option<u64>,
    },
    /// What was still there when everything should have ended.
    Left {
        /// What it is.
        what: Arc<str>,
        /// How many of it.
        count: u64,
    },
}

/// The promises, numbered as in docs/reliability.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// I1: every admitted job ends.
    NotLost,
    /// I2: an end never changes.
    EndIsFinal,
    /// I3: epochs of writes never fall, and a step has one committed result that is not made again.
    StepOnce,
    /// I4: no checkpoint has two children within a job, and each follows one that is there.
    NoFork,
    /// I5: an at-most-once call takes effect once at most.
    AtMostOnce,
    /// I6: all tries of an idempotent call carry one key.
    IdempotentKey,
    /// I7: a job's result is delivered, always under one id with one body.
    OneResult,
    /// I8: nothing of an older epoch enters the journal.
    JournalFenced,
    /// I9: a message is acknowledged only when its job has ended or is a dead letter.
    AckAfterEnd,
    /// I10: event numbers have no hole that nothing accounts for.
    Numbered,
    /// I11: when faults stop, all work ends and nothing is left over.
    Progress,
    /// I12: no secret is seen outside.
    NoSecret,
}

impl Invariant {
    /// Its number in docs/reliability.md.
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// The job, thread, call or place.
    pub subject: Arc<str>,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "I{} {:?}: {}: {}", self.invariant.number(), self.invariant, self.subject, self.what)
    }
}
