//! The store in PostgreSQL: begins, commits and finishes in groups, everything else through a small pool.

mod calls;
mod config;
mod error;
mod job;
mod link;
mod queue;
mod reads;
mod rows;
mod session;
mod sql;
mod strain;
mod tls;
mod upkeep;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::calls::{BeginCall, WriteCall};
use self::queue::{Limits, Queue};
use self::strain::Strain;
use self::worker::Worker;
use crate::check;
use crate::port::{Store, StoreError, role_key};
use crate::types::{
    Begin, BeginRequest, Commit, DeadLetter, DeadLetterRecord, Finished, JobRecord, JobSummary, JournalRow,
    Lease, OutboxMessage, Pressure, Retention, Snapshot, Terminal,
};

pub use self::config::PostgresConfig;
pub use self::link::Connector;
pub use self::tls::{SslMode, Tls, TlsError};

/// The oldest schema that this store works on; newer ones are fine. The migrations' own number may be higher.
pub const NEEDED_SCHEMA: i64 = 2;

/// A store in PostgreSQL. Dropping it lets what waits be written and ends its tasks; it reconnects by itself.
pub struct PostgresStore {
    queue: Arc<Queue>,
    pool: Pool,
    /// Seconds.
    ttl: f64,
    /// How long a call waits for a connection.
    patience: Duration,
    /// Beyond the server's own limit of a statement.
    silence: Duration,
    strain: Arc<Strain>,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").field("readers", &self.pool.status()).finish_non_exhaustive()
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl PostgresStore {
    /// Connects and checks the schema. Must be called inside a tokio runtime, whose tasks then write the groups.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the server does not answer, [`StoreError::SchemaTooOld`], or
    /// [`StoreError::Refused`] for settings that cannot work.
    pub async fn connect(config: PostgresConfig) -> Result<Self, StoreError> {
        let store = Self::new(config)?;
        store.check_schema().await?;
        Ok(store)
    }

    /// A store whose server may come later: it connects when it is first asked. Ask [`Store::health`] before it is
    /// used, which also checks the schema. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for settings that cannot work.
    pub fn new(config: PostgresConfig) -> Result<Self, StoreError> {
        let connector = Connector::new(&config).map_err(|error| StoreError::Refused(error.to_string()))?;
        let recycling_method = RecyclingMethod::Fast;
        let manager =
            Manager::from_connect(config.prepared(), connector.clone(), ManagerConfig { recycling_method });
        let pool = Pool::builder(manager)
            .max_size(config.pool_size.max(1))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(config.pool_wait))
            .create_timeout(Some(config.connect_timeout))
            .recycle_timeout(Some(config.pool_wait))
            .build()
            .map_err(|error| StoreError::Refused(error.to_string()))?;
        let limits = Limits { calls: config.group_calls.max(1), bytes: config.group_bytes };
        let store = Self {
            queue: Arc::new(Queue::new(limits)),
            pool,
            ttl: config.lease_ttl.as_secs_f64(),
            patience: config.pool_wait,
            silence: config.statement_timeout + Duration::from_secs(2),
            strain: Arc::default(),
        };
        for _ in 0..config.commit_connections.max(1) {
            let worker = Worker {
                queue: store.queue.clone(),
                connector: connector.clone(),
                ttl: store.ttl,
                silence: store.silence,
                pool_wait: config.pool_wait,
                strain: store.strain.clone(),
            };
            tokio::spawn(worker.run());
        }
        Ok(store)
    }

    async fn write(
        &self,
        lease: &Lease,
        commit: Commit,
        terminal: Option<Terminal>,
    ) -> Result<Finished, StoreError> {
        let (answer, told) = oneshot::channel();
        let patience = Instant::now() + self.patience;
        self.queue.push_write(WriteCall { lease: lease.clone(), commit, terminal, patience, answer });
        told.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// A writer's task ended before it answered: the runtime shuts down.
fn gone() -> StoreError {
    StoreError::Unknown("the store is shutting down".to_owned())
}

#[async_trait]
impl Store for PostgresStore {
    async fn begin(&self, request: BeginRequest) -> Result<Begin, StoreError> {
        let (answer, told) = oneshot::channel();
        let (token, patience) = (rand::random(), Instant::now() + self.patience);
        self.queue.push_begin(BeginCall { request, token, admitted: false, patience, answer });
        told.await.unwrap_or_else(|_| Err(gone()))
    }

    async fn acquire(
        &self,
        thread_id: &str,
        owner: &Arc<str>,
    ) -> Result<Option<(Lease, JobRecord)>, StoreError> {
        self.take(thread_id, owner).await
    }

    async fn load(&self, thread_id: &str) -> Result<Snapshot, StoreError> {
        self.snapshot(thread_id).await
    }

    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<(), StoreError> {
        self.write(lease, commit, None).await.map(|_| ())
    }

    async fn finish(
        &self,
        lease: &Lease,
        commit: Commit,
        terminal: Terminal,
    ) -> Result<Finished, StoreError> {
        check::terminal(&terminal)?;
        self.write(lease, commit, Some(terminal)).await
    }

    async fn renew(&self, leases: &[Lease]) -> Result<Vec<Arc<str>>, StoreError> {
        self.renew_all(leases).await
    }

    async fn release(&self, lease: &Lease, last_seq: u64) -> Result<(), StoreError> {
        self.hand_back(lease, last_seq).await
    }

    async fn job(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
        self.one_job(job_id).await
    }

    async fn jobs_of(&self, thread_id: &str) -> Result<Vec<JobRecord>, StoreError> {
        self.jobs_of_thread(thread_id).await
    }

    async fn recent_jobs(&self, limit: usize) -> Result<Vec<JobSummary>, StoreError> {
        self.newest_jobs(limit).await
    }

    async fn request_cancel(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
        self.ask_to_cancel(job_id).await
    }

    async fn cancel_requests(&self, job_ids: &[Arc<str>]) -> Result<Vec<Arc<str>>, StoreError> {
        self.asked_to_cancel(job_ids).await
    }

    async fn outbox_due(&self, min_age: Duration, limit: usize) -> Result<Vec<OutboxMessage>, StoreError> {
        self.due(min_age, limit).await
    }

    async fn outbox_sent(&self, sent: &[OutboxMessage]) -> Result<(), StoreError> {
        self.mark_sent(sent).await
    }

    async fn orphans(
        &self,
        idle: Duration,
        handed_back: Duration,
        limit: usize,
    ) -> Result<Vec<Arc<str>>, StoreError> {
        self.unheld(idle, handed_back, limit).await
    }

    async fn overdue(&self, limit: usize) -> Result<Vec<JobRecord>, StoreError> {
        self.must_end(limit).await
    }

    async fn end_queued(&self, terminal: Terminal) -> Result<bool, StoreError> {
        check::terminal(&terminal)?;
        check::outbox(&terminal.outbox)?;
        self.end_before_its_turn(&terminal).await
    }

    async fn elect(&self, role: &str, owner: &Arc<str>, ttl: Duration) -> Result<bool, StoreError> {
        check::text("role", role)?;
        self.take_role(&role_key(role), owner, ttl).await
    }

    async fn now_ms(&self) -> Result<i64, StoreError> {
        self.clock().await
    }

    fn pressure(&self) -> Option<Pressure> {
        self.strain.now()
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), StoreError> {
        self.record_letter(letter).await
    }

    async fn dead_letters(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<DeadLetterRecord>, StoreError> {
        self.letters(before, limit).await
    }

    async fn events(&self, thread_id: &str, after: u64, limit: usize) -> Result<Vec<JournalRow>, StoreError> {
        self.journal(thread_id, after, limit).await
    }

    async fn journal_ends(&self, threads: &[Arc<str>]) -> Result<Vec<u64>, StoreError> {
        self.ends_of(threads).await
    }

    async fn job_begins(&self, thread_id: &str, job_id: &str) -> Result<Option<u64>, StoreError> {
        self.beginning_of(thread_id, job_id).await
    }

    async fn delete_thread(&self, thread_id: &str) -> Result<bool, StoreError> {
        self.delete(thread_id).await
    }

    async fn purge(&self, retention: &Retention, batch: usize) -> Result<u64, StoreError> {
        self.delete_old(retention, batch).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.check_schema().await
    }
}
