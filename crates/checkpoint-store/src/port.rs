//! The port: every method is one transaction of the protocol.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::types::{
    Begin, BeginRequest, Commit, DeadLetter, DeadLetterRecord, Finished, JobRecord, JobSummary, JournalRow,
    Lease, OutboxMessage, Pressure, Retention, Snapshot, Terminal,
};

/// The row of a role among the leases; no thread id begins with `~`.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) fn role_key(role: &str) -> String {
    format!("~{role}")
}

/// Why the store did not do what was asked. Nothing was written, unless the variant says otherwise.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Somebody else owns the thread now: drop the run, send no ack.
    #[error("thread `{thread_id}` is no longer held under epoch {epoch}")]
    Fenced {
        /// The thread.
        thread_id: Arc<str>,
        /// The epoch that was held.
        epoch: i64,
    },
    /// The backend is away, full or busy; the same call may succeed later.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// The connection broke while the outcome was open: read back by key before acting.
    #[error("the outcome of the transaction is unknown: {0}")]
    Unknown(String),
    /// The backend refuses this data, now and always.
    #[error("the store refused the data: {0}")]
    Refused(String),
    /// The schema is older than this program needs.
    #[error("the database schema is at version {found}, version {needed} is needed: run migrate-init")]
    SchemaTooOld {
        /// Version found, 0 for none.
        found: i64,
        /// Version needed.
        needed: i64,
    },
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Unknown(_))
    }
}

/// Rows of the journal that the port's own methods read at once.
const JOURNAL_PAGE: usize = 256;

/// The durable state of threads and jobs. Every method is all or nothing; `begin`, `commit` and
/// `finish` of several threads may share a transaction, a bad one among them harms none of the others.
/// No checkpoint is written outside a held lease. Leases run on the store's clock.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Admits a job and, if the thread is free, takes its lease for the thread's oldest open job.
    /// A lease is free when it was released or has run out; taking one that was not released adds one
    /// to that job's `unclean_count`. Raises the epoch and reserves event numbers.
    ///
    /// # Errors
    /// [`StoreError`]; calling again with the same job is harmless.
    async fn begin(&self, request: BeginRequest) -> Result<Begin, StoreError>;

    /// Takes the lease of a thread that has open jobs, without offering a new one (sweeper, next worker).
    /// `None`: nothing open, or somebody holds it.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn acquire(
        &self,
        thread_id: &str,
        owner: &Arc<str>,
    ) -> Result<Option<(Lease, JobRecord)>, StoreError>;

    /// Everything that a run of the thread needs to go on.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn load(&self, thread_id: &str) -> Result<Snapshot, StoreError>;

    /// Writes what `commit` holds if the lease still stands, and extends the lease. Commits of one thread must be
    /// awaited one after the other. Repeating one is harmless.
    ///
    /// # Cancel safety
    /// A dropped call is not withdrawn; its outcome is unknown.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the lease is gone.
    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<(), StoreError>;

    /// The last commit of a job: writes `commit`, the terminal status, the result and the outbox message.
    /// Where another job of the thread is queued the lease is kept and that job is returned, else it is released.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the lease is gone.
    async fn finish(&self, lease: &Lease, commit: Commit, terminal: Terminal)
    -> Result<Finished, StoreError>;

    /// Extends leases; returns the threads whose lease is lost (another epoch, another owner, gone).
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is known about any of them.
    async fn renew(&self, leases: &[Lease]) -> Result<Vec<Arc<str>>, StoreError>;

    /// Hands a thread back before its job has ended; not counted as unclean.
    ///
    /// # Errors
    /// [`StoreError`]. A lease that is already lost is not an error.
    async fn release(&self, lease: &Lease, last_seq: u64) -> Result<(), StoreError>;

    /// A job by its id.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn job(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError>;

    /// The jobs of a thread, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn jobs_of(&self, thread_id: &str) -> Result<Vec<JobRecord>, StoreError>;

    /// The newest jobs of all threads, newest first, at most `limit`: what a list for people shows.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn recent_jobs(&self, limit: usize) -> Result<Vec<JobSummary>, StoreError>;

    /// Asks for a job's end. Returns the job as it then stands; a terminal one is left alone.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn request_cancel(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError>;

    /// Of these jobs, those that somebody asked to cancel.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn cancel_requests(&self, job_ids: &[Arc<str>]) -> Result<Vec<Arc<str>>, StoreError>;

    /// Outbox messages that have not left, oldest first, at most `limit`, none younger than `min_age`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn outbox_due(&self, min_age: Duration, limit: usize) -> Result<Vec<OutboxMessage>, StoreError>;

    /// Marks messages as sent.
    ///
    /// # Errors
    /// [`StoreError`]; marking twice is harmless.
    async fn outbox_sent(&self, sent: &[OutboxMessage]) -> Result<(), StoreError>;

    /// Threads with an open job that nobody holds, at most `limit`: those whose holder has vanished and that have
    /// seen no activity for `idle`, and those that were handed back `handed_back` ago and that nobody has taken.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn orphans(
        &self,
        idle: Duration,
        handed_back: Duration,
        limit: usize,
    ) -> Result<Vec<Arc<str>>, StoreError>;

    /// Open jobs that must end and that nobody is at: their deadline has passed or their end was asked for, and they
    /// have not begun or their thread is free. Oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn overdue(&self, limit: usize) -> Result<Vec<JobRecord>, StoreError>;

    /// Ends a job that has not begun, whoever holds its thread: status, result and outbox message. `false`: it is not
    /// queued, or no longer.
    ///
    /// # Errors
    /// [`StoreError`]; after [`StoreError::Unknown`] the job itself tells what happened.
    async fn end_queued(&self, terminal: Terminal) -> Result<bool, StoreError>;

    /// Takes or keeps a role that one worker has at a time, for `ttl`. `false`: another worker has it. A `ttl` of zero
    /// gives it up.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn elect(&self, role: &str, owner: &Arc<str>, ttl: Duration) -> Result<bool, StoreError>;

    /// The store's clock, in milliseconds since the epoch. Deadlines are measured by it alone.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn now_ms(&self) -> Result<i64, StoreError>;

    /// Why no new work should be taken now, from what the store has seen lately; asks nobody.
    fn pressure(&self) -> Option<Pressure> {
        None
    }

    /// Records a message that could not be made a job.
    ///
    /// # Errors
    /// [`StoreError`]; recording the same (source, seq) twice is harmless.
    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), StoreError>;

    /// Dead letters, newest first, with ids below `before` where given.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn dead_letters(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<DeadLetterRecord>, StoreError>;

    /// Journal rows whose last number is greater than `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn events(&self, thread_id: &str, after: u64, limit: usize) -> Result<Vec<JournalRow>, StoreError>;

    /// The last journalled number of each thread; 0 where there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn journal_ends(&self, threads: &[Arc<str>]) -> Result<Vec<u64>, StoreError> {
        let mut ends = Vec::with_capacity(threads.len());
        for thread in threads {
            let mut end = 0;
            while let Some(row) = self.events(thread, end, JOURNAL_PAGE).await?.last() {
                end = row.last_seq;
            }
            ends.push(end);
        }
        Ok(ends)
    }

    /// The first journalled number of a job. `None`: nothing of it is there yet, or any more.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn job_begins(&self, thread_id: &str, job_id: &str) -> Result<Option<u64>, StoreError> {
        let mut after = 0;
        loop {
            let rows = self.events(thread_id, after, JOURNAL_PAGE).await?;
            if let Some(row) = rows.iter().find(|row| *row.job_id == *job_id) {
                return Ok(Some(row.first_seq));
            }
            let Some(last) = rows.last() else { return Ok(None) };
            after = last.last_seq;
        }
    }

    /// Deletes every row of a thread, ours and LangGraph's. `false`: there was none.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn delete_thread(&self, thread_id: &str) -> Result<bool, StoreError>;

    /// Deletes what is older than the retention allows, at most `batch` rows of each kind. Returns how many went.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn purge(&self, retention: &Retention, batch: usize) -> Result<u64, StoreError>;

    /// Really asks the backend, within the store's own time limit.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], or [`StoreError::SchemaTooOld`].
    async fn health(&self) -> Result<(), StoreError>;
}
