//! What one worker does for all: results that never left, jobs that nobody holds, deadlines, old rows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use agent_checkpoint_store::{JobStatus, StoreError};
use agent_telemetry::metric;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::executor::Executor;
use crate::failure::Failed;
use crate::setbacks::{StoreCall, sweep_failed};
use crate::work::Taken;

/// The role's name among the leases.
const ROLE: &str = "sweeper";
/// Overdue jobs of one round.
const OVERDUE: usize = 64;
/// Rows of each kind that one statement deletes: small, so that nobody waits for its locks.
const PURGE_ROWS: usize = 200;
/// Statements of one round of purging; the next round goes on.
const PURGE_ROUNDS: u32 = 20;

/// What the sweep remembers.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    elected: AtomicBool,
    purged: Mutex<Option<Instant>>,
}

fn failed(what: &'static str, error: &StoreError) {
    warn!(event = "sweep_failed", what, %error, runbook = "docs/operations.md#sweep-failed");
    sweep_failed(what);
}

impl Executor {
    /// One round, if this worker is the one that is elected.
    pub(crate) async fn sweep(&self) {
        match self.elected().await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return failed("election", &error),
        }
        if let Err(error) = self.shared.relay_due().await {
            failed("outbox", &error);
        }
        if let Err(error) = self.end_overdue().await {
            failed("deadlines", &error);
        }
        match self.adopt_orphans().await {
            Ok(true) => {}
            // Full: whoever has room shall do it.
            Ok(false) => self.resign().await,
            Err(error) => failed("orphans", &error),
        }
        if let Err(error) = self.purge().await {
            failed("retention", &error);
        }
    }

    async fn elected(&self) -> Result<bool, StoreError> {
        let shared = &self.shared;
        // One round that is late keeps the role; a sweeper that has died is replaced soon.
        let ttl = shared.settings.sweep_every * 2;
        let elected = shared.backends.store.elect(ROLE, &shared.settings.owner, ttl).await;
        let is = *elected.as_ref().unwrap_or(&false);
        if shared.upkeep.elected.swap(is, Ordering::Relaxed) != is {
            info!(event = if is { "sweeper_elected" } else { "sweeper_replaced" });
        }
        metric::SWEEPER.with(&[]).set(if is { 1.0 } else { 0.0 });
        elected
    }

    /// Gives the sweep to whoever asks next.
    pub(crate) async fn resign(&self) {
        let shared = &self.shared;
        if !shared.upkeep.elected.swap(false, Ordering::Relaxed) {
            return;
        }
        metric::SWEEPER.with(&[]).set(0.0);
        if let Err(error) = shared.backends.store.elect(ROLE, &shared.settings.owner, Duration::ZERO).await {
            // It runs out by itself.
            StoreCall::Release.failed();
            warn!(event = "sweeper_not_resigned", %error);
        }
    }

    /// Jobs that must end and that nobody is at.
    async fn end_overdue(&self) -> Result<(), StoreError> {
        for job in self.shared.backends.store.overdue(OVERDUE).await? {
            let why = if job.cancel_requested { Failed::cancelled() } else { Failed::deadline() };
            if job.status == JobStatus::Queued {
                self.end_queued(&job, why).await?;
            } else {
                // Under its lease: its run heals what it left, or ends at its deadline.
                self.take_up(&job.thread_id, "job_overdue").await?;
            }
        }
        Ok(())
    }

    /// `false`: there is no room for all of them.
    async fn adopt_orphans(&self) -> Result<bool, StoreError> {
        let shared = &self.shared;
        let settings = &shared.settings;
        let orphans = shared
            .backends
            .store
            .orphans(settings.orphan_after, settings.handed_back_after, settings.concurrency)
            .await?;
        for thread_id in orphans {
            if !self.take_up(&thread_id, "job_adopted").await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Works on a thread that nobody holds. `false`: there is no room.
    pub(crate) async fn take_up(&self, thread_id: &str, event: &'static str) -> Result<bool, StoreError> {
        let shared = &self.shared;
        let Some(slot) = self.spare_slot() else { return Ok(false) };
        if shared.leases.holds(thread_id) {
            return Ok(true);
        }
        let since = Instant::now();
        if let Some((lease, job)) = shared.backends.store.acquire(thread_id, &shared.settings.owner).await? {
            info!(event, job_id = %job.job_id, thread_id, epoch = lease.epoch, taken_over = lease.taken_over);
            metric::JOBS_ADOPTED.with(&[]).increment(1);
            self.spawn(Taken { lease, job, begun: None, since, offered: None }, slot);
        }
        Ok(true)
    }

    async fn purge(&self) -> Result<(), StoreError> {
        let (shared, settings) = (&self.shared, &self.shared.settings);
        let last = *shared.upkeep.purged.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|at| at.elapsed() < settings.purge_every) {
            return Ok(());
        }
        let mut rows = 0;
        for _ in 0..PURGE_ROUNDS {
            let gone = shared.backends.store.purge(&settings.retention, PURGE_ROWS).await?;
            rows += gone;
            if gone == 0 {
                *shared.upkeep.purged.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                break;
            }
        }
        if rows > 0 {
            info!(event = "rows_purged", rows);
            metric::PURGED_ROWS.with(&[]).increment(rows);
        }
        Ok(())
    }
}
