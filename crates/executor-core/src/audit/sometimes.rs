//! What a test of the promises must have met: a run that never saw a takeover proves nothing about takeovers.

use std::collections::BTreeMap;
use std::fmt;

macro_rules! sometimes {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)+) => {
        /// A situation that must occur somewhere in a set of runs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Sometimes { $($(#[$doc])* $name,)+ }

        impl Sometimes {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// In words.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

sometimes! {
    /// A lease that ran out was taken by another worker.
    Takeover => "takeover",
    /// A write under an older epoch was refused.
    FencedWrite => "fenced write",
    /// A message came again, or a job was published twice.
    DuplicateDelivery => "duplicate delivery",
    /// The connection broke while a commit was open, and it had been made.
    UnknownCommit => "unknown commit",
    /// A message was given back since another worker held its thread.
    LeaseConflict => "NAK by lease conflict",
    /// A job was given up after too many unclean losses.
    Poison => "poison job",
    /// A result that could not leave at first was sent later.
    OutboxRetry => "outbox retry",
    /// A job that a stopping worker handed back was ended by another.
    DrainResume => "drain and resume",
}

impl fmt::Display for Sometimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Sometimes {
    /// Those that these counts do not have.
    pub fn missing(counts: &BTreeMap<Self, u64>) -> Vec<Self> {
        let absent = |wanted: &&Self| counts.get(*wanted).is_none_or(|count| *count == 0);
        Self::ALL.iter().filter(absent).copied().collect()
    }
}
