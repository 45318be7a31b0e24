//! The store in one SQLite file, for runs without any server.
//!
//! One thread owns the connection; every method is one transaction there. Times are the host's: whoever shares the
//! file shares the host.

mod jobs;
mod rows;
mod upkeep;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use crate::check;
use crate::port::{Store, StoreError, role_key};
use crate::types::{
    Begin, BeginRequest, Commit, DeadLetter, DeadLetterRecord, Finished, JobRecord, JobSummary, JournalRow,
    Lease, OutboxMessage, Retention, Snapshot, Terminal,
};

/// How long a writer waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(5);
/// How long a lease stands without a commit or a renewal.
const LEASE: Duration = Duration::from_secs(20);

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// A store in a file. Cloning shares it.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    work: mpsc::Sender<Work>,
}

impl SqliteStore {
    /// How long a lease stands without a commit or a renewal.
    pub const LEASE: Duration = LEASE;

    /// Opens the file, and makes it and its tables where they are missing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the file cannot be used.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let unavailable = |error: &dyn std::fmt::Display| StoreError::Unavailable(error.to_string());
        let mut connection = Connection::open(path).map_err(|error| unavailable(&error))?;
        connection.busy_timeout(BUSY).map_err(|error| unavailable(&error))?;
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
            .and_then(|()| connection.execute_batch(include_str!("sqlite/schema.sql")))
            .map_err(|error| unavailable(&error))?;
        let (work, waiting) = mpsc::channel::<Work>();
        std::thread::Builder::new()
            .name("sqlite-store".to_owned())
            .spawn(move || {
                // Ends with the last sender, which is the last store.
                for work in waiting {
                    work(&mut connection);
                }
            })
            .map_err(|error| unavailable(&error))?;
        Ok(Self { work })
    }

    /// Runs one transaction on the store's thread.
    async fn transact<T: Send + 'static>(
        &self,
        body: impl FnOnce(&Transaction<'_>, i64) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            // A caller that went away left its outcome open; there is nobody to tell.
            answer.send(transact(connection, body)).ok();
        });
        let gone = |_| StoreError::Unavailable("the store's thread has ended".to_owned());
        self.work
            .send(work)
            .map_err(|_| StoreError::Unavailable("the store's thread has ended".to_owned()))?;
        answered.await.map_err(gone)?
    }

    /// Makes the lease of a thread run out now, as if its holder had been silent.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn expire(&self, thread_id: &str) -> Result<(), StoreError> {
        let thread_id = thread_id.to_owned();
        self.transact(move |tx, now| {
            tx.execute("UPDATE agent_leases SET lease_until = ?2 WHERE thread_id = ?1", (thread_id, now))?;
            Ok(())
        })
        .await
    }
}

fn transact<T>(
    connection: &mut Connection,
    body: impl FnOnce(&Transaction<'_>, i64) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let value = body(&transaction, ms(since))?;
    transaction.commit()?;
    Ok(value)
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{ConstraintViolation, TooBig, TypeMismatch};
        match error.sqlite_error_code() {
            Some(ConstraintViolation | TooBig | TypeMismatch) => Self::Refused(error.to_string()),
            Some(_) | None => Self::Unavailable(error.to_string()),
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn begin(&self, request: BeginRequest) -> Result<Begin, StoreError> {
        check::begin(&request)?;
        self.transact(move |tx, now| jobs::begin(tx, now, &request)).await
    }

    async fn acquire(
        &self,
        thread_id: &str,
        owner: &Arc<str>,
    ) -> Result<Option<(Lease, JobRecord)>, StoreError> {
        let (thread_id, owner): (Arc<str>, _) = (Arc::from(thread_id), owner.clone());
        self.transact(move |tx, now| jobs::acquire(tx, now, &thread_id, &owner)).await
    }

    async fn load(&self, thread_id: &str) -> Result<Snapshot, StoreError> {
        let thread_id = thread_id.to_owned();
        self.transact(move |tx, _| rows::load(tx, &thread_id)).await
    }

    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<(), StoreError> {
        check::commit(&commit)?;
        let lease = lease.clone();
        self.transact(move |tx, now| jobs::commit(tx, now, &lease, &commit)).await
    }

    async fn finish(
        &self,
        lease: &Lease,
        commit: Commit,
        terminal: Terminal,
    ) -> Result<Finished, StoreError> {
        check::commit(&commit)?;
        check::terminal(&terminal)?;
        check::outbox(&terminal.outbox)?;
        let lease = lease.clone();
        self.transact(move |tx, now| jobs::finish(tx, now, &lease, &commit, &terminal)).await
    }

    async fn renew(&self, leases: &[Lease]) -> Result<Vec<Arc<str>>, StoreError> {
        let leases = leases.to_vec();
        self.transact(move |tx, now| jobs::renew(tx, now, &leases)).await
    }

    async fn release(&self, lease: &Lease, last_seq: u64) -> Result<(), StoreError> {
        let lease = lease.clone();
        self.transact(move |tx, now| jobs::release(tx, now, &lease, last_seq)).await
    }

    async fn job(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
        let job_id = job_id.to_owned();
        self.transact(move |tx, _| jobs::job(tx, &job_id)).await
    }

    async fn jobs_of(&self, thread_id: &str) -> Result<Vec<JobRecord>, StoreError> {
        let thread_id = thread_id.to_owned();
        self.transact(move |tx, _| jobs::jobs_of(tx, &thread_id)).await
    }

    async fn recent_jobs(&self, limit: usize) -> Result<Vec<JobSummary>, StoreError> {
        self.transact(move |tx, _| jobs::recent(tx, limit)).await
    }

    async fn request_cancel(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
        let job_id = job_id.to_owned();
        self.transact(move |tx, _| jobs::request_cancel(tx, &job_id)).await
    }

    async fn cancel_requests(&self, job_ids: &[Arc<str>]) -> Result<Vec<Arc<str>>, StoreError> {
        let job_ids = job_ids.to_vec();
        self.transact(move |tx, _| jobs::cancel_requests(tx, &job_ids)).await
    }

    async fn outbox_due(&self, min_age: Duration, limit: usize) -> Result<Vec<OutboxMessage>, StoreError> {
        self.transact(move |tx, now| upkeep::outbox_due(tx, now - ms(min_age), limit)).await
    }

    async fn outbox_sent(&self, sent: &[OutboxMessage]) -> Result<(), StoreError> {
        let sent = sent.to_vec();
        self.transact(move |tx, now| upkeep::outbox_sent(tx, now, &sent)).await
    }

    async fn orphans(
        &self,
        idle: Duration,
        handed_back: Duration,
        limit: usize,
    ) -> Result<Vec<Arc<str>>, StoreError> {
        self.transact(move |tx, now| upkeep::orphans(tx, now, idle, handed_back, limit)).await
    }

    async fn overdue(&self, limit: usize) -> Result<Vec<JobRecord>, StoreError> {
        self.transact(move |tx, now| jobs::overdue(tx, now, limit)).await
    }

    async fn end_queued(&self, terminal: Terminal) -> Result<bool, StoreError> {
        check::terminal(&terminal)?;
        check::outbox(&terminal.outbox)?;
        self.transact(move |tx, now| jobs::end_queued(tx, now, &terminal)).await
    }

    async fn elect(&self, role: &str, owner: &Arc<str>, ttl: Duration) -> Result<bool, StoreError> {
        check::text("role", role)?;
        let (key, owner) = (role_key(role), owner.clone());
        self.transact(move |tx, now| upkeep::elect(tx, now, &key, &owner, ttl)).await
    }

    async fn now_ms(&self) -> Result<i64, StoreError> {
        self.transact(|_, now| Ok(now)).await
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), StoreError> {
        check::dead_letter(&letter)?;
        self.transact(move |tx, now| upkeep::dead_letter(tx, now, &letter)).await
    }

    async fn dead_letters(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<DeadLetterRecord>, StoreError> {
        self.transact(move |tx, _| upkeep::dead_letters(tx, before, limit)).await
    }

    async fn events(&self, thread_id: &str, after: u64, limit: usize) -> Result<Vec<JournalRow>, StoreError> {
        let thread_id = thread_id.to_owned();
        self.transact(move |tx, _| rows::events(tx, &thread_id, after, limit)).await
    }

    async fn delete_thread(&self, thread_id: &str) -> Result<bool, StoreError> {
        let thread_id = thread_id.to_owned();
        self.transact(move |tx, now| upkeep::delete_thread(tx, now, &thread_id)).await
    }

    async fn purge(&self, retention: &Retention, batch: usize) -> Result<u64, StoreError> {
        let retention = retention.clone();
        self.transact(move |tx, now| upkeep::purge(tx, now, &retention, batch)).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.transact(|tx, _| Ok(tx.query_row("SELECT 1", (), |_| Ok(()))?)).await
    }
}
