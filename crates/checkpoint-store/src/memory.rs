//! The store in memory: for tests, the simulator, and as the plainest statement of what the port means.

mod clock;
mod ops;
mod thread;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

pub use self::clock::Clock;
use self::ops::State;
use crate::check;
use crate::port::{Store, StoreError};
use crate::types::{
    Begin, BeginRequest, Commit, DeadLetter, DeadLetterRecord, Finished, JobRecord, JobSummary, JournalRow,
    Lease, OutboxMessage, Retention, Snapshot, Terminal,
};

/// A store that forgets everything with the process. Cloning shares it, as workers share a database.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
    clock: Clock,
    lease_ttl: Duration,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(Clock::system(), Duration::from_secs(20))
    }
}

impl MemoryStore {
    /// An empty store whose leases last `lease_ttl` by `clock`.
    pub fn new(clock: Clock, lease_ttl: Duration) -> Self {
        Self { state: Arc::default(), clock, lease_ttl }
    }

    /// Makes the lease of a thread run out now, as if its holder had been silent.
    pub fn expire(&self, thread_id: &str) {
        let now = self.clock.now_ms();
        self.state().expire(thread_id, now);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned lock means that a test panicked while holding it; the rows are whole all the same.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.at(self.clock.now_ms(), self.lease_ttl);
        state
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn begin(&self, request: BeginRequest) -> Result<Begin, StoreError> {
        check::begin(&request)?;
        Ok(self.state().begin(request))
    }

    async fn acquire(
        &self,
        thread_id: &str,
        owner: &Arc<str>,
    ) -> Result<Option<(Lease, JobRecord)>, StoreError> {
        Ok(self.state().acquire(thread_id, owner))
    }

    async fn load(&self, thread_id: &str) -> Result<Snapshot, StoreError> {
        Ok(self.state().load(thread_id))
    }

    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<(), StoreError> {
        check::commit(&commit)?;
        self.state().commit(lease, commit)
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
        self.state().finish(lease, commit, terminal)
    }

    async fn renew(&self, leases: &[Lease]) -> Result<Vec<Arc<str>>, StoreError> {
        Ok(self.state().renew(leases))
    }

    async fn release(&self, lease: &Lease, last_seq: u64) -> Result<(), StoreError> {
        self.state().release(lease, last_seq);
        Ok(())
    }

    async fn job(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
        Ok(self.state().job(job_id))
    }

    async fn jobs_of(&self, thread_id: &str) -> Result<Vec<JobRecord>, StoreError> {
        Ok(self.state().jobs_of(thread_id))
    }

    async fn recent_jobs(&self, limit: usize) -> Result<Vec<JobSummary>, StoreError> {
        Ok(self.state().recent(limit))
    }

    async fn request_cancel(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
        Ok(self.state().request_cancel(job_id))
    }

    async fn cancel_requests(&self, job_ids: &[Arc<str>]) -> Result<Vec<Arc<str>>, StoreError> {
        Ok(self.state().cancel_requests(job_ids))
    }

    async fn outbox_due(&self, min_age: Duration, limit: usize) -> Result<Vec<OutboxMessage>, StoreError> {
        Ok(self.state().outbox_due(min_age, limit))
    }

    async fn outbox_sent(&self, sent: &[OutboxMessage]) -> Result<(), StoreError> {
        self.state().outbox_sent(sent);
        Ok(())
    }

    async fn orphans(
        &self,
        idle: Duration,
        handed_back: Duration,
        limit: usize,
    ) -> Result<Vec<Arc<str>>, StoreError> {
        Ok(self.state().orphans(idle, handed_back, limit))
    }

    async fn overdue(&self, limit: usize) -> Result<Vec<JobRecord>, StoreError> {
        Ok(self.state().overdue(limit))
    }

    async fn end_queued(&self, terminal: Terminal) -> Result<bool, StoreError> {
        check::terminal(&terminal)?;
        check::outbox(&terminal.outbox)?;
        Ok(self.state().end_queued(terminal))
    }

    async fn elect(&self, role: &str, owner: &Arc<str>, ttl: Duration) -> Result<bool, StoreError> {
        check::text("role", role)?;
        Ok(self.state().elect(role, owner, ttl))
    }

    async fn now_ms(&self) -> Result<i64, StoreError> {
        Ok(self.state().now())
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), StoreError> {
        check::dead_letter(&letter)?;
        self.state().dead_letter(letter);
        Ok(())
    }

    async fn dead_letters(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<DeadLetterRecord>, StoreError> {
        Ok(self.state().dead_letters(before, limit))
    }

    async fn events(&self, thread_id: &str, after: u64, limit: usize) -> Result<Vec<JournalRow>, StoreError> {
        Ok(self.state().events(thread_id, after, limit))
    }

    async fn delete_thread(&self, thread_id: &str) -> Result<bool, StoreError> {
        Ok(self.state().delete_thread(thread_id))
    }

    async fn purge(&self, retention: &Retention, batch: usize) -> Result<u64, StoreError> {
        Ok(self.state().purge(retention, batch))
    }

    async fn health(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
