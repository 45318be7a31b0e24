//! Ends from outside: a cancel, a deletion, a job that never begins.

use std::time::Duration;

use agent_checkpoint_store::{JobRecord, JobStatus, StoreError};
use agent_telemetry::metric;
use agent_wire::JobRequest;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::executor::{Executor, JobEnd};
use crate::failure::Failed;
use crate::finish::count_end;

/// How long a deletion waits for an end before it asks again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long it may take to forget the events of a deleted thread that the cache keeps.
const FORGET: Duration = Duration::from_secs(2);

impl Executor {
    /// Asks for a job's end; returns the job as it stands when the request is durable. A job that has not begun ends at
    /// once; one that runs ends where it runs, within a renewal; one whose worker has vanished ends here.
    ///
    /// # Errors
    /// [`StoreError`]; asking again is harmless.
    pub async fn cancel(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
        let store = &self.shared.backends.store;
        let Some(job) = store.request_cancel(job_id).await? else { return Ok(None) };
        self.shared.leases.cancel(job_id);
        if job.status.is_terminal() {
            return Ok(Some(job));
        }
        info!(event = "job_cancel_requested", job_id, thread_id = %job.thread_id);
        if job.status == JobStatus::Queued {
            self.end_queued(&job, Failed::cancelled()).await?;
            return store.job(job_id).await;
        }
        if !self.shared.leases.holds(&job.thread_id) {
            self.take_up(&job.thread_id, "job_taken_to_cancel").await?;
        }
        Ok(Some(job))
    }

    /// Deletes a thread: its jobs are cancelled first, and what became of them is told; then its rows go, its journal,
    /// and what the cache keeps of it. `false`: there was nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where a job does not end in time; asking again is harmless.
    pub async fn delete_thread(&self, thread_id: &str) -> Result<bool, StoreError> {
        let store = &self.shared.backends.store;
        let give_up = Instant::now() + self.shared.settings.delete_patience;
        loop {
            let jobs = store.jobs_of(thread_id).await?;
            let Some(open) = jobs.iter().find(|job| !job.status.is_terminal()) else { break };
            for job in jobs.iter().filter(|job| !job.status.is_terminal()).rev() {
                self.cancel(&job.job_id).await?;
            }
            if Instant::now() >= give_up {
                let why = format!("job `{}` of the thread has not ended yet", open.job_id);
                return Err(StoreError::Unavailable(why));
            }
            // Ask again after a while: a holder that has vanished gives no answer.
            if let Ok(ended) = tokio::time::timeout(ASK_AGAIN, self.wait(&open.job_id)).await {
                ended?;
            }
        }
        let there = store.delete_thread(thread_id).await?;
        let forgotten = self.shared.backends.sink.forget(thread_id);
        if tokio::time::timeout(FORGET, forgotten).await.is_err() {
            // They go by themselves within the cache's own time.
            warn!(event = "cached_events_not_deleted", thread_id);
            metric::REDIS_DELETE_ERRORS.with(&[]).increment(1);
        }
        info!(event = "thread_deleted", thread_id, there);
        Ok(there)
    }

    /// Ends a job before its turn. `false`: it has begun, or has ended.
    pub(crate) async fn end_queued(&self, job: &JobRecord, why: Failed) -> Result<bool, StoreError> {
        let shared = &self.shared;
        let (status, code) = (why.status(), why.code.clone());
        let trace = JobRequest::from_stored(&job.request).ok().map(|request| request.trace);
        let seed = shared.backends.clock.stamp().seed;
        let terminal = shared.terminal(job, status, &why.into_result(), trace.as_ref(), seed);
        let outbox = terminal.outbox.clone();
        if !shared.backends.store.end_queued(terminal).await? {
            return Ok(false);
        }
        info!(event = "job_finished", job_id = %job.job_id, thread_id = %job.thread_id,
            status = status.as_str(), %code, begun = false);
        count_end(status, Some(&code));
        shared.relay(outbox).await;
        shared.waiters.tell(&job.job_id, JobEnd::Ended(status));
        Ok(true)
    }
}
