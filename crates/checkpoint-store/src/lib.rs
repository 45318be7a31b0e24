//! The durable store: one port, its backends, and one conformance suite that each of them runs.
//!
//! The store keeps rows; it does not know what they mean.

mod check;
#[cfg(feature = "conformance")]
pub mod conformance;
mod memory;
#[cfg(feature = "postgres")]
mod metric;
mod port;
#[cfg(feature = "postgres")]
pub mod postgres;
mod seq;
#[cfg(feature = "sqlite")]
mod sqlite;
mod types;

pub use memory::{Clock, MemoryStore};
pub use port::{Store, StoreError};
#[cfg(feature = "postgres")]
pub use postgres::{PostgresConfig, PostgresStore};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
pub use types::{
    Begin, BeginRequest, Commit, DeadLetter, DeadLetterRecord, Finished, JobRecord, JobStatus, JobSummary,
    JournalRow, Lease, NewJob, OutboxMessage, Pressure, Retention, Snapshot, StepRecord, StepState, Terminal,
};
