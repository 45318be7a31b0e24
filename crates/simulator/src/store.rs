//! The store as one worker reaches it: the memory store behind a connection that fails.

use std::sync::Arc;
use std::time::Duration;

use agent_checkpoint_store::{
    Begin, BeginRequest, Commit, DeadLetter, DeadLetterRecord, Finished, JobRecord, JobStatus, JobSummary,
    JournalRow, Lease, MemoryStore, OutboxMessage, Pressure, Retention, Snapshot, Store, StoreError,
    Terminal,
};
use agent_executor_core::audit::{Fact, Sometimes};
use async_trait::async_trait;

use crate::ledger::{Holder, digest};
use crate::node::{Node, Peer};
use crate::plan::Planted;

pub(crate) struct NodeStore(pub(crate) Arc<Node>);

/// Whether a call changes rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

impl NodeStore {
    /// One call: the way there, the transaction (all or nothing, at one instant), the way back.
    async fn call<T>(
        &self,
        name: &'static str,
        kind: Kind,
        transaction: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let node = &self.0;
        let (dice, plan) = (&node.world.dice, &node.world.plan);
        node.point(name).await;
        let away = || StoreError::Unavailable(format!("simulated, {name}"));
        if node.is_cut_off(Peer::Store) || node.world.store_is_away() {
            tokio::time::sleep(dice.millis(10, 3_000)).await;
            return Err(away());
        }
        if kind == Kind::Write && node.world.disk_is_full() {
            return Err(away());
        }
        let faulty = node.world.faulty();
        if faulty && dice.happens(plan.store_away) {
            return Err(away());
        }
        let broken = || StoreError::Unknown(format!("simulated, {name}"));
        if faulty && kind == Kind::Write && dice.happens(plan.store_unknown / 2) {
            node.world.ledger.trace(format_args!("{} {name}: unknown, not made", node.owner));
            tokio::time::sleep(dice.millis(1, 2_000)).await;
            return Err(broken());
        }
        if faulty && name == "commit" && dice.happens(plan.stall) {
            // On its way while the lease runs out: what comes too late must be turned away.
            tokio::time::sleep(dice.millis(15_000, 60_000)).await;
        }
        let done = transaction.await;
        let word = match &done {
            Ok(_) => "made",
            Err(StoreError::Fenced { .. }) => "fenced",
            Err(_) => "refused",
        };
        node.world.ledger.trace(format_args!("{} {name}: {word}", node.owner));
        node.point(name).await;
        let lost = faulty && kind == Kind::Write && dice.happens(plan.store_unknown);
        if done.is_ok() && kind == Kind::Write && (lost || node.is_cut_off(Peer::Store)) {
            if matches!(name, "commit" | "finish") {
                node.world.ledger.sometimes(Sometimes::UnknownCommit);
            }
            node.world.ledger.trace(format_args!("{} {name}: unknown", node.owner));
            tokio::time::sleep(dice.millis(1, 2_000)).await;
            return Err(broken());
        }
        done
    }

    fn rows(&self) -> &MemoryStore {
        &self.0.world.store
    }

    fn granted(&self, lease: &Lease) {
        let ledger = &self.0.world.ledger;
        ledger.trace(format_args!(
            "{} holds {} under {}{}",
            lease.owner,
            lease.thread_id,
            lease.epoch,
            if lease.taken_over { ", taken over" } else { "" }
        ));
        if lease.taken_over {
            ledger.sometimes(Sometimes::Takeover);
        }
        let holder = Holder { owner: lease.owner.clone(), epoch: lease.epoch };
        ledger.lock().holders.insert(lease.thread_id.clone(), holder);
    }

    fn wrote<T>(&self, lease: &Lease, outcome: &Result<T, StoreError>) {
        let ledger = &self.0.world.ledger;
        match outcome {
            Ok(_) => ledger.fact(Fact::Committed { thread: lease.thread_id.clone(), epoch: lease.epoch }),
            Err(StoreError::Fenced { .. }) => ledger.sometimes(Sometimes::FencedWrite),
            Err(_) => {}
        }
    }

    /// The lease that a write is guarded by; the current one whoever writes, where that bug is planted.
    fn guard(&self, lease: &Lease) -> Lease {
        let planted = self.0.world.options.planted == Some(Planted::UnfencedCommit);
        match self.0.world.ledger.lock().holders.get(&lease.thread_id).filter(|_| planted) {
            Some(holder) => Lease { owner: holder.owner.clone(), epoch: holder.epoch, ..lease.clone() },
            None => lease.clone(),
        }
    }

    async fn ended(&self, job_id: &Arc<str>) {
        let Ok(Some(job)) = self.rows().job(job_id).await else { return };
        if !job.status.is_terminal() {
            return;
        }
        let ledger = &self.0.world.ledger;
        ledger.fact(ended(&job));
        ledger.trace(format_args!("{job_id} ends as {}", job.status.as_str()));
        let poison =
            job.result.as_ref().is_some_and(|body| memchr::memmem::find(body, b"PoisonJob").is_some());
        if poison {
            ledger.sometimes(Sometimes::Poison);
        }
        let elsewhere = ledger.lock().drained.get(job_id).is_some_and(|owner| *owner != self.0.owner);
        if elsewhere && job.status == JobStatus::Completed {
            ledger.sometimes(Sometimes::DrainResume);
        }
    }
}

/// What the store says of a job that has ended.
pub(crate) fn ended(job: &JobRecord) -> Fact {
    Fact::Ended {
        job: job.job_id.clone(),
        status: Arc::from(job.status.as_str()),
        result: digest(job.result.as_deref().unwrap_or_default()),
    }
}

#[async_trait]
impl Store for NodeStore {
    async fn begin(&self, request: BeginRequest) -> Result<Begin, StoreError> {
        let job = request.job.job_id.clone();
        self.call("begin", Kind::Write, async {
            let begun = self.rows().begin(request).await?;
            match &begun {
                Begin::Started { lease, .. } => {
                    self.0.world.ledger.fact(Fact::Admitted { job });
                    self.granted(lease);
                }
                Begin::Busy { .. } => self.0.world.ledger.fact(Fact::Admitted { job }),
                Begin::Terminal(_) | Begin::IdReused => {}
            }
            Ok(begun)
        })
        .await
    }

    async fn acquire(
        &self,
        thread_id: &str,
        owner: &Arc<str>,
    ) -> Result<Option<(Lease, JobRecord)>, StoreError> {
        self.call("acquire", Kind::Write, async {
            let taken = self.rows().acquire(thread_id, owner).await?;
            if let Some((lease, _)) = &taken {
                self.0.world.ledger.count("job adopted by the sweep");
                self.granted(lease);
            }
            Ok(taken)
        })
        .await
    }

    async fn load(&self, thread_id: &str) -> Result<Snapshot, StoreError> {
        self.call("load", Kind::Read, self.rows().load(thread_id)).await
    }

    async fn commit(&self, lease: &Lease, mut commit: Commit) -> Result<(), StoreError> {
        let planted = self.0.world.options.planted;
        if planted == Some(Planted::ForgottenIntent) {
            commit.steps.clear();
        }
        self.call("commit", Kind::Write, async {
            if planted == Some(Planted::ForgottenCommit) && self.0.world.dice.happens(500) {
                return Ok(());
            }
            let outcome = self.rows().commit(&self.guard(lease), commit).await;
            self.wrote(lease, &outcome);
            outcome
        })
        .await
    }

    async fn finish(
        &self,
        lease: &Lease,
        commit: Commit,
        terminal: Terminal,
    ) -> Result<Finished, StoreError> {
        let job_id = terminal.job_id.clone();
        self.call("finish", Kind::Write, async {
            // One that is made again is told so, whoever holds the thread by then; it writes nothing.
            let before = self.rows().job(&job_id).await.ok().flatten();
            let again = before.is_some_and(|job| job.status.is_terminal());
            let outcome = self.rows().finish(&self.guard(lease), commit, terminal).await;
            if !again || outcome.is_err() {
                self.wrote(lease, &outcome);
            }
            if outcome.is_ok() {
                self.ended(&job_id).await;
            }
            outcome
        })
        .await
    }

    async fn renew(&self, leases: &[Lease]) -> Result<Vec<Arc<str>>, StoreError> {
        self.call("renew", Kind::Write, self.rows().renew(leases)).await
    }

    async fn release(&self, lease: &Lease, last_seq: u64) -> Result<(), StoreError> {
        self.call("release", Kind::Write, self.rows().release(lease, last_seq)).await
    }

    async fn job(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
        self.call("job", Kind::Read, self.rows().job(job_id)).await
    }

    async fn jobs_of(&self, thread_id: &str) -> Result<Vec<JobRecord>, StoreError> {
        self.call("jobs_of", Kind::Read, self.rows().jobs_of(thread_id)).await
    }

    async fn recent_jobs(&self, limit: usize) -> Result<Vec<JobSummary>, StoreError> {
        self.call("recent_jobs", Kind::Read, self.rows().recent_jobs(limit)).await
    }

    async fn request_cancel(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
        self.call("request_cancel", Kind::Write, self.rows().request_cancel(job_id)).await
    }

    async fn cancel_requests(&self, job_ids: &[Arc<str>]) -> Result<Vec<Arc<str>>, StoreError> {
        self.call("cancel_requests", Kind::Read, self.rows().cancel_requests(job_ids)).await
    }

    async fn outbox_due(&self, min_age: Duration, limit: usize) -> Result<Vec<OutboxMessage>, StoreError> {
        self.call("outbox_due", Kind::Read, self.rows().outbox_due(min_age, limit)).await
    }

    async fn outbox_sent(&self, sent: &[OutboxMessage]) -> Result<(), StoreError> {
        self.call("outbox_sent", Kind::Write, self.rows().outbox_sent(sent)).await
    }

    async fn orphans(
        &self,
        idle: Duration,
        handed_back: Duration,
        limit: usize,
    ) -> Result<Vec<Arc<str>>, StoreError> {
        if self.0.world.options.planted == Some(Planted::NoSweep) {
            return Ok(Vec::new());
        }
        self.call("orphans", Kind::Read, self.rows().orphans(idle, handed_back, limit)).await
    }

    async fn overdue(&self, limit: usize) -> Result<Vec<JobRecord>, StoreError> {
        self.call("overdue", Kind::Read, self.rows().overdue(limit)).await
    }

    async fn end_queued(&self, terminal: Terminal) -> Result<bool, StoreError> {
        let job_id = terminal.job_id.clone();
        self.call("end_queued", Kind::Write, async {
            let ended = self.rows().end_queued(terminal).await?;
            if ended {
                self.ended(&job_id).await;
            }
            Ok(ended)
        })
        .await
    }

    async fn elect(&self, role: &str, owner: &Arc<str>, ttl: Duration) -> Result<bool, StoreError> {
        self.call("elect", Kind::Write, self.rows().elect(role, owner, ttl)).await
    }

    async fn now_ms(&self) -> Result<i64, StoreError> {
        self.call("now_ms", Kind::Read, self.rows().now_ms()).await
    }

    fn pressure(&self) -> Option<Pressure> {
        let world = &self.0.world;
        if world.disk_is_full() {
            return Some(Pressure::DiskFull);
        }
        (world.store_is_away() || self.0.is_cut_off(Peer::Store)).then_some(Pressure::Away)
    }

    async fn dead_letter(&self, letter: DeadLetter) -> Result<(), StoreError> {
        let (seq, outbox) = (letter.seq, letter.outbox.clone());
        self.call("dead_letter", Kind::Write, async {
            self.rows().dead_letter(letter).await?;
            let mut seen = self.0.world.ledger.lock();
            seen.dead.insert(seq);
            if let Some(message) = outbox {
                // A message that names a job and cannot become one has its end in the dead letter.
                let (job, status) = (message.thread_id, Arc::from("dead letter"));
                seen.audit.saw(Fact::Ended { job, status, result: 0 });
            }
            Ok(())
        })
        .await
    }

    async fn dead_letters(
        &self,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<DeadLetterRecord>, StoreError> {
        self.call("dead_letters", Kind::Read, self.rows().dead_letters(before, limit)).await
    }

    async fn events(&self, thread_id: &str, after: u64, limit: usize) -> Result<Vec<JournalRow>, StoreError> {
        self.call("events", Kind::Read, self.rows().events(thread_id, after, limit)).await
    }

    async fn delete_thread(&self, thread_id: &str) -> Result<bool, StoreError> {
        self.call("delete_thread", Kind::Write, self.rows().delete_thread(thread_id)).await
    }

    async fn purge(&self, retention: &Retention, batch: usize) -> Result<u64, StoreError> {
        self.call("purge", Kind::Write, self.rows().purge(retention, batch)).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.call("health", Kind::Read, self.rows().health()).await
    }
}
