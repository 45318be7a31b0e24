//! The durable store: one port, its backends, and one conformance suite that each of them runs.
//!
//! The store keeps rows; it does not know what they mean.

mod check;
#[cfg(feature = "conformance")]
pub mod conformance;
mod memory;
mod port;
mod seq;
mod types;

pub use memory::{Clock, MemoryStore};
pub use port::{Store, StoreError};
pub use types::{
    Begin, BeginRequest, Commit, DeadLetter, DeadLetterRecord, Finished, JobRecord, JobStatus, JournalRow,
    Lease, NewJob, OutboxMessage, Retention, Snapshot, StepRecord, StepState, Terminal,
};
