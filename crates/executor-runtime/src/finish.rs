//! The end of a job on this worker: finished, failed, handed back to the others, or lost to one of them.

use std::sync::Arc;
use std::time::Duration;

use agent_checkpoint_store::{
    Commit, Finished, JobRecord, JobStatus, Lease, OutboxMessage, StepState, StoreError, Terminal,
};
use agent_executor_core::{Finish, Outcome, StepCommit};
use agent_telemetry::metric;
use agent_telemetry::traces::JobTrace;
use agent_wire::{JobResult, ResultEvent, ResultForm, TraceContext};
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::driver::{merged, note_durable};
use crate::executor::{JobEnd, Shared};
use crate::failure::Failed;
use crate::leases::Pulse;
use crate::outlet::Outlet;
use crate::setbacks::StoreCall;
use crate::work::Following;

impl Shared {
    /// How a job ended, as the store takes it, with the event that tells of it. `seed` makes the event's ids.
    pub(crate) fn terminal(
        &self,
        job: &JobRecord,
        status: JobStatus,
        result: &JobResult,
        trace: Option<&TraceContext>,
        seed: u128,
    ) -> Terminal {
        let form = ResultForm {
            final_state: self.settings.python_compat,
            ..ResultForm::from(self.settings.file_form)
        };
        let event = ResultEvent::new(&job.job_id, result, trace, seed, form);
        let outbox = OutboxMessage {
            id: Arc::from(event.id.as_str()),
            thread_id: job.thread_id.clone(),
            subject: event.subject.to_owned(),
            body: event.body.clone(),
        };
        Terminal { job_id: job.job_id.clone(), status, result: event.body, outbox }
    }
}

/// Counts a job that ended; `code` is that of its failure.
pub(crate) fn count_end(status: JobStatus, code: Option<&str>) {
    metric::JOBS.with(&[status.as_str()]).increment(1);
    if let Some(code) = code {
        metric::JOBS_FAILED.with(&[code]).increment(1);
    }
}

/// The end of a job on this worker.
pub(crate) struct Ending {
    pub(crate) shared: Arc<Shared>,
    pub(crate) lease: Lease,
    pub(crate) job: Arc<JobRecord>,
    /// Where the job belongs; `None` until its request was read.
    pub(crate) trace: Option<TraceContext>,
    pub(crate) span: Arc<JobTrace>,
    pub(crate) pulse: Pulse,
}

/// How the work on a job ended here, and the job that runs next under the same lease.
pub(crate) type Ended = (JobEnd, Option<Following>);

impl Ending {
    /// The run is over: its last commit, the terminal status, the result and its way out.
    pub(crate) async fn finish(self, finish: Finish, outlet: Outlet) -> Ended {
        let Finish { commit, outcome, usage, model_calls } = finish;
        let (status, result) = match outcome {
            Outcome::Completed { output, structured_response, files, warnings } => {
                let result =
                    JobResult::Completed { output, structured_response, files, usage, model_calls, warnings };
                (JobStatus::Completed, result)
            }
            Outcome::Failed { kind, code, message } => {
                let failed = Failed { kind, code: code.to_owned(), message };
                (failed.status(), failed.into_result())
            }
        };
        self.end(commit, status, result, outlet).await
    }

    /// The job fails without a run, or in place of one.
    pub(crate) async fn fail(self, failed: Failed, outlet: Outlet) -> Ended {
        let commit = StepCommit { events: failed.events(), ..StepCommit::default() };
        self.end(commit, failed.status(), failed.into_result(), outlet).await
    }

    async fn end(
        self,
        commit: StepCommit,
        status: JobStatus,
        result: JobResult,
        mut outlet: Outlet,
    ) -> Ended {
        let shared = &self.shared;
        let stamp = shared.backends.clock.stamp();
        // The result names the span of the work that it tells of; without traces, a span of its own.
        let span = self.span.span_id().map(u128::from);
        let seed = span.map_or(stamp.seed, |span| stamp.seed & !u128::from(u64::MAX) | span);
        let terminal = shared.terminal(&self.job, status, &result, self.trace.as_ref(), seed);
        let outbox = terminal.outbox.clone();
        let rows = merged(std::slice::from_ref(&commit), &mut outlet);
        shared.leases.ends(&self.lease);
        let finished = match self.finish_patiently(rows, terminal).await {
            Ok(finished) => finished,
            Err(StoreError::Refused(why)) => {
                outlet.commit_refused();
                return self.refused(why, outlet).await;
            }
            Err(error) if error.is_transient() => return self.hand_back(outlet, None).await,
            Err(_) => return self.fenced(),
        };
        outlet.commit_made();
        note_durable(&commit, &self.span);
        self.tell(status, &result);
        if finished.next.is_none() {
            shared.leases.drop_lease(&self.lease);
        }
        shared.relay(outbox).await;
        let following = finished.next.map(|job| {
            let lease = Lease { next_seq: outlet.last_seq() + 1, taken_over: false, ..self.lease.clone() };
            Following { lease, job: *job, since: self.pulse.last() }
        });
        (JobEnd::Ended(status), following)
    }

    async fn finish_patiently(&self, rows: Commit, terminal: Terminal) -> Result<Finished, StoreError> {
        let give_up = Instant::now() + self.shared.settings.commit_patience;
        let mut pause = Duration::from_millis(50);
        loop {
            let asked = Instant::now();
            match self.shared.backends.store.finish(&self.lease, rows.clone(), terminal.clone()).await {
                Ok(finished) => {
                    self.pulse.beat(asked);
                    return Ok(finished);
                }
                Err(error) if error.is_transient() && Instant::now() < give_up => {
                    warn!(event = "finish_delayed", %error);
                    StoreCall::Finish.failed();
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep(pause) => {}
                        () = self.shared.force.cancelled() => return Err(error),
                    }
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The store refuses the last commit's rows: the job still must end, so it fails without them.
    async fn refused(self, why: String, outlet: Outlet) -> Ended {
        error!(event = "commit_refused", error = %why, runbook = "docs/operations.md#store-refused");
        let failed = Failed::execution("store.refused", &why);
        Box::pin(self.fail(failed, outlet)).await
    }

    /// `open`: a commit whose outcome nobody knows.
    pub(crate) async fn hand_back(self, mut outlet: Outlet, open: Option<Arc<Commit>>) -> Ended {
        self.shared.leases.drop_lease(&self.lease);
        if let Err(error) = self.settle(&mut outlet, open).await {
            return self.let_run_out(&error);
        }
        if let Err(error) = self.shared.backends.store.release(&self.lease, outlet.last_seq()).await {
            // It runs out by itself.
            warn!(event = "lease_not_released", %error);
            StoreCall::Release.failed();
        }
        self.span.end(Some("handed_back"));
        info!(event = "job_handed_back");
        metric::JOBS_HANDED_BACK.with(&[]).increment(1);
        (JobEnd::HandedBack, None)
    }

    /// Stops without a release. A release would tell the next holder that the journal has no hole; after a takeover it
    /// looks for what is missing and says so.
    pub(crate) fn let_run_out(self, error: &StoreError) -> Ended {
        self.shared.leases.drop_lease(&self.lease);
        warn!(event = "events_not_journalled", job_id = %self.job.job_id, %error);
        StoreCall::Journal.failed();
        self.span.end(Some("handed_back"));
        metric::JOBS_HANDED_BACK.with(&[]).increment(1);
        (JobEnd::HandedBack, None)
    }

    /// Gives the journal every number that was used, so that the next holder goes on without a hole.
    async fn settle(&self, outlet: &mut Outlet, open: Option<Arc<Commit>>) -> Result<(), StoreError> {
        let store = &self.shared.backends.store;
        if let Some(open) = open {
            // Made once more: it changes nothing where it was made already. Its intents never came to anything.
            let mut open = Commit::clone(&open);
            open.steps.retain(|record| record.state != StepState::Intent);
            store.commit(&self.lease, open).await?;
            outlet.commit_made();
        }
        if outlet.commit_open() {
            return Err(StoreError::Unknown("the job's last commit".to_owned()));
        }
        let journal = outlet.close();
        if !journal.is_empty() {
            let last_seq = outlet.last_seq();
            store.commit(&self.lease, Commit { journal, last_seq, ..Commit::default() }).await?;
        }
        Ok(())
    }

    pub(crate) fn fenced(self) -> Ended {
        self.shared.leases.drop_lease(&self.lease);
        self.span.end(Some("fenced"));
        warn!(event = "job_fenced", epoch = self.lease.epoch);
        metric::FENCED_WRITES.with(&[]).increment(1);
        (JobEnd::Fenced, None)
    }

    /// Says and counts how the job ended.
    fn tell(&self, status: JobStatus, result: &JobResult) {
        match result {
            JobResult::Completed { .. } => {
                self.span.end(None);
                info!(event = "job_finished", status = status.as_str());
                count_end(status, None);
            }
            JobResult::Failed { code, message, .. } => {
                self.span.end(Some(code));
                error!(event = "job_finished", status = status.as_str(), %code, error = %message,
                    runbook = %format_args!("docs/operations.md#{}", code.replace('.', "-")));
                count_end(status, Some(code));
            }
        }
    }
}
