//! A store that can be away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use agent_checkpoint_store::{
    Begin, BeginRequest, Commit, DeadLetter, DeadLetterRecord, Finished, JobRecord, JobSummary, JournalRow,
    Lease, MemoryStore, OutboxMessage, Retention, Snapshot, Store, StoreError, Terminal,
};
use async_trait::async_trait;

/// A store in memory that can be away.
#[derive(Clone, Default)]
pub(crate) struct Shaky {
    pub(crate) inner: MemoryStore,
    pub(crate) away: Arc<AtomicBool>,
}

impl Shaky {
    pub(crate) fn there(&self) -> Result<&MemoryStore, StoreError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("away".to_owned()));
        }
        Ok(&self.inner)
    }
}

#[async_trait]
impl Store for Shaky {
    async fn begin(&self, request: BeginRequest) -> Result<Begin, StoreError> {
        self.there()?.begin(request).await
    }
    async fn acquire(&self, id: &str, owner: &Arc<str>) -> Result<Option<(Lease, JobRecord)>, StoreError> {
        self.there()?.acquire(id, owner).await
    }
    async fn load(&self, thread_id: &str) -> Result<Snapshot, StoreError> {
        self.there()?.load(thread_id).await
    }
    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<(), StoreError> {
        self.there()?.commit(lease, commit).await
    }
    async fn finish(&self, lease: &Lease, commit: Commit, end: Terminal) -> Result<Finished, StoreError> {
        self.there()?.finish(lease, commit, end).await
    }
    async fn renew(&self, leases: &[Lease]) -> Result<Vec<Arc<str>>, StoreError> {
        self.there()?.renew(leases).await
    }
    async fn release(&self, lease: &Lease, last_seq: u64) -> Result<(), StoreError> {
        self.there()?.release(lease, last_seq).await
    }
    async fn job(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
        self.there()?.job(job_id).await
    }
    async fn jobs_of(&self, thread_id: &str) -> Result<Vec<JobRecord>, StoreError> {
        self.there()?.jobs_of(thread_id).await
    }
    async fn recent_jobs(&self, limit: usize) -> Result<Vec<JobSummary>, StoreError> {
        self.there()?.recent_jobs(limit).await
    }
    async fn request_cancel(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
        self.there()?.request_cancel(job_id).await
    }
    async fn cancel_requests(&self, job_ids: &[Arc<str>]) -> Result<Vec<Arc<str>>, StoreError> {
        self.there()?.cancel_requests(job_ids).await
    }
    async fn outbox_due(&self, min_age: Duration, limit: usize) -> Result<Vec<OutboxMessage>, StoreError> {
        self.there()?.outbox_due(min_age, limit).await
    }
    async fn outbox_sent(&self, sent: &[OutboxMessage]) -> Result<(), StoreError> {
        self.there()?.outbox_sent(sent).await
    }
    async fn orphans(
        &self,
        idle: Duration,
        handed_back: Duration,
        limit: usize,
    ) -> Result<Vec<Arc<str>>, StoreError> {
        self.there()?.orphans(idle, handed_back, limit).await
    }
    async fn overdue(&self, limit: usize) -> Result<Vec<JobRecord>, StoreError> {
        self.there()?.overdue(limit).await
    }
    async fn end_queued(&self, terminal: Terminal) -> Result<bool, StoreError> {
        self.there()?.end_queued(terminal).await
    }
    async fn elect(&self, role: &str, owner: &Arc<str>, ttl: Duration) -> Result<bool, StoreError> {
        self.there()?.elect(role, owner, ttl).await
    }
    async fn now_ms(&self) -> Result<i64, StoreError> {
        self.there()?.now_ms().await
    }
    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), StoreError> {
        self.there()?.dead_letter(letter).await
    }
    async fn dead_letters(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<DeadLetterRecord>, StoreError> {
        self.there()?.dead_letters(before, limit).await
    }
    async fn events(&self, thread_id: &str, after: u64, limit: usize) -> Result<Vec<JournalRow>, StoreError> {
        self.there()?.events(thread_id, after, limit).await
    }
    async fn delete_thread(&self, thread_id: &str) -> Result<bool, StoreError> {
        self.there()?.delete_thread(thread_id).await
    }
    async fn purge(&self, retention: &Retention, batch: usize) -> Result<u64, StoreError> {
        self.there()?.purge(retention, batch).await
    }
    async fn health(&self) -> Result<(), StoreError> {
        self.there()?.health().await
    }
}
