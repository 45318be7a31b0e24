//! One thread's jobs on this worker: admission, and the runs one after another (their ends: `finish.rs`).

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use agent_checkpoint_store::{Begin, BeginRequest, JobRecord, Lease, NewJob, StoreError};
use agent_executor_core::{Effect, Input, Run, RunInput, RunLimits, RunSetup, StepCommit, has_begun};
use agent_telemetry::metric;
use agent_wire::JobRequest;
use futures_util::FutureExt;
use tokio::time::Instant;
use tracing::{Instrument, error, info, info_span, warn};

use crate::definitions::Ready;
use crate::driver::{Driven, Driver, DriverParts, merged};
use crate::executor::{Executor, JobEnd, JobHandle, Shared, Slot, Submission};
use crate::failure::Failed;
use crate::finish::{Ended, Ending};
use crate::leases::Signals;
use crate::outlet::{Known, Outlet, OutletParts};
use crate::setbacks::StoreCall;
use crate::{takeover, traced};

/// A job made ready to run.
struct Prepared {
    ready: Ready,
    setup: RunSetup,
    input: RunInput,
}

/// A run with its first effects, and a commit that is already made.
pub(crate) struct Begun {
    run: Run,
    ready: Ready,
    effects: Vec<Effect>,
    durable: Option<StepCommit>,
    /// Holds what the commit that is already made has made true.
    outlet: Option<Outlet>,
    /// At-most-once calls that were begun before.
    calls: HashSet<String>,
}

/// A thread that this worker has just taken.
pub(crate) struct Taken {
    pub(crate) lease: Lease,
    pub(crate) job: JobRecord,
    pub(crate) begun: Option<Begun>,
    /// When the lease was asked for.
    pub(crate) since: Instant,
    /// The job that somebody waits for, which may be another one of the thread.
    pub(crate) offered: Option<Arc<str>>,
}

/// The next job to run under a lease that is held.
pub(crate) struct Following {
    pub(crate) lease: Lease,
    pub(crate) job: JobRecord,
    /// When the lease was last known to stand.
    pub(crate) since: Instant,
}

impl Executor {
    /// Offers a job. When this returns `Running`, `Queued` or `Done`, the job is safe in the store.
    ///
    /// # Errors
    /// [`StoreError`]: nothing is known to be stored; offering it again is harmless.
    pub async fn submit(&self, request: JobRequest, slot: Slot) -> Result<Submission, StoreError> {
        let shared = &self.shared;
        let prepared = prepare(shared, &request).await;
        // On a thread that nobody has used, the input's checkpoint is written together with the admission.
        let fresh = prepared.as_ref().ok().map(|prepared| {
            let stamp = shared.backends.clock.stamp();
            Run::start(prepared.setup.clone(), prepared.input.clone(), stamp)
        });
        let first = fresh.as_ref().and_then(|(_, effects)| match effects.first() {
            Some(Effect::Commit(commit)) => Some(commit.clone()),
            _ => None,
        });
        // Only a thread's very first lease finds it so: its epoch and its numbers begin at 1.
        let mut outlet = outlet(shared, &request.thread_id.as_arc(), &request.job_id.as_arc(), 1, 1);
        let written = first.as_ref().map(|commit| merged(std::slice::from_ref(commit), &mut outlet));
        let deadline =
            request.limits.deadline_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let offered = BeginRequest {
            job: NewJob {
                job_id: request.job_id.as_arc(),
                thread_id: request.thread_id.as_arc(),
                payload_hash: request.payload_hash.clone(),
                request: request.to_stored(),
                deadline: deadline.or(shared.settings.default_deadline),
            },
            owner: shared.settings.owner.clone(),
            fresh: written,
        };
        let wait = shared.waiters.wait(request.job_id.as_str());
        let since = Instant::now();
        match shared.backends.store.begin(offered).await? {
            Begin::IdReused => Ok(Submission::IdReused),
            Begin::Terminal(job) => Ok(Submission::Done(job)),
            Begin::Busy { remaining, .. } => Ok(Submission::Queued { retry_in: remaining }),
            Begin::Started { lease, job, fresh: written, .. } => {
                let begun =
                    written.then_some(()).and(fresh).zip(prepared.ok()).map(|((run, effects), prepared)| {
                        let effects = effects.into_iter().skip(1).collect();
                        let (ready, outlet) = (prepared.ready, Some(outlet));
                        let calls = HashSet::new();
                        Begun { run, ready, effects, durable: first, outlet, calls }
                    });
                let offered = Some(request.job_id.as_arc());
                self.spawn(Taken { lease, job: *job, begun, since, offered }, slot);
                Ok(Submission::Running(JobHandle { end: wait }))
            }
        }
    }

    /// Works on a thread under a lease, in a task of its own.
    pub(crate) fn spawn(&self, taken: Taken, slot: Slot) {
        let executor = self.clone();
        // Held before anybody is told that the job runs, so that a cancel finds it.
        let signals = self.shared.leases.hold(&taken.lease, &taken.job.job_id, taken.since);
        self.shared.spawn(async move {
            executor.work(taken, signals).await;
            drop(slot);
        });
    }

    /// Runs the thread's open jobs one after another under one lease.
    async fn work(&self, taken: Taken, signals: Signals) {
        let shared = &self.shared;
        let Taken { lease, job, begun, since, offered } = taken;
        let mut next = Some((Following { lease, job, since }, begun, signals));
        while let Some((current, begun, signals)) = next.take() {
            let (lease, job_id) = (current.lease.clone(), current.job.job_id.clone());
            let span = info_span!(
                "job",
                %job_id,
                thread_id = %current.job.thread_id,
                trace_id = tracing::field::Empty,
            );
            let running = AssertUnwindSafe(self.run_job(current, begun, signals)).catch_unwind();
            let ended = Box::pin(running).instrument(span.clone()).await;
            let (end, following) = ended.unwrap_or_else(|_| span.in_scope(|| panicked(shared, &lease)));
            shared.waiters.tell(&job_id, end);
            next = following.map(|following| {
                let signals = shared.leases.hold(&following.lease, &following.job.job_id, following.since);
                (following, None, signals)
            });
            if next.is_none()
                && let Some(offered) = &offered
            {
                // It waited behind a job that has left this worker: so has it. Harmless where it was told before.
                shared.waiters.tell(offered, end);
            }
        }
    }

    async fn run_job(&self, current: Following, mut begun: Option<Begun>, signals: Signals) -> Ended {
        let started = Instant::now();
        let (lease, job) = (&current.lease, Arc::new(current.job.clone()));
        let mut ending = Ending {
            shared: self.shared.clone(),
            lease: lease.clone(),
            job: job.clone(),
            trace: None,
            span: Arc::default(),
            pulse: signals.pulse.clone(),
        };
        let mut outlet = begun.as_mut().and_then(|begun| begun.outlet.take()).unwrap_or_else(|| {
            outlet(&self.shared, &lease.thread_id, &job.job_id, lease.epoch, lease.next_seq)
        });
        if lease.taken_over
            && let Err(error) = takeover::mark(&mut outlet, &*self.shared.backends.store, &job).await
        {
            return ending.let_run_out(&error);
        }
        let request = match JobRequest::from_stored(&job.request) {
            Ok(request) => request,
            Err(why) => {
                let failed = Failed::input("input.stored", &format!("the stored job cannot be read: {why}"));
                return ending.fail(failed, outlet).await;
            }
        };
        ending.trace = Some(request.trace.clone());
        ending.span = traced::begin(&request.trace, lease, &job, started.elapsed());
        tracing::Span::current().record("trace_id", request.trace.trace_id.as_str());
        info!(
            event = "job_started",
            epoch = lease.epoch,
            resumed = begun.is_none(),
            taken_over = lease.taken_over
        );
        let (begun, deadline) = match self.open(&current, &request, begun, &signals, &mut outlet).await {
            Ok(opened) => opened,
            Err(Halt::Failed(failed)) => return ending.fail(failed, outlet).await,
            Err(Halt::Store(error)) => {
                warn!(event = "job_handed_back", reason = "store", %error);
                StoreCall::Begin.failed();
                return ending.hand_back(outlet, None).await;
            }
        };
        ending.span.agent(&begun.ready.compiled.definition().orchestrator.name);
        let mut driver = Driver::new(DriverParts {
            shared: self.shared.clone(),
            lease: current.lease,
            job_id: job.job_id.clone(),
            signals,
            scripts: begun.ready.scripts,
            deadline,
            outlet,
            run: begun.run,
            begun: begun.calls,
            trace: ending.span.clone(),
        });
        let driven = Box::pin(driver.drive(begun.effects, begun.durable)).await;
        let (outlet, open) = driver.into_parts();
        let end = match driven {
            Driven::Finished(finish) => ending.finish(*finish, outlet).await,
            Driven::Fenced => ending.fenced(),
            Driven::HandBack => ending.hand_back(outlet, open).await,
            Driven::Refused(why) => ending.fail(Failed::execution("store.refused", &why), outlet).await,
        };
        metric::JOB_DURATION.with(&[]).record(started.elapsed().as_secs_f64());
        end
    }

    /// Sees that the job may run, and puts its run where it stands. With it: when its time is over.
    async fn open(
        &self,
        current: &Following,
        request: &JobRequest,
        begun: Option<Begun>,
        signals: &Signals,
        outlet: &mut Outlet,
    ) -> Result<(Begun, Option<Instant>), Halt> {
        let job = &current.job;
        if job.unclean_count > self.shared.settings.poison_limit {
            return Err(Halt::Failed(Failed::poison(job.unclean_count)));
        }
        let admitted = begun.is_some().then_some(current.since);
        let deadline = self.deadline_of(job, admitted).await.map_err(Halt::Store)?;
        if job.cancel_requested {
            signals.cancel.cancel();
        }
        let mut begun = match begun {
            Some(begun) => begun,
            None => self.resume(job, request, must_end(job, deadline)).await?,
        };
        if begun.durable.is_none() {
            let (messages, files) = begun.run.take_found();
            outlet.knows(Known { messages, files: Arc::new(files) });
        }
        Ok((begun, deadline))
    }

    /// Puts a run where the store has it. A job that must end and has not begun leaves no trace in its thread.
    async fn resume(
        &self,
        job: &JobRecord,
        request: &JobRequest,
        must_end: Option<Failed>,
    ) -> Result<Begun, Halt> {
        let snapshot = self.shared.backends.store.load(&job.thread_id).await.map_err(Halt::Store)?;
        if let Some(why) = must_end
            && !has_begun(&snapshot.rows, &job.job_id)
        {
            return Err(Halt::Failed(why));
        }
        let prepared = prepare(&self.shared, request).await.map_err(Halt::Failed)?;
        let stamp = self.shared.backends.clock.stamp();
        let (run, effects) = Run::resume(prepared.setup, &snapshot.rows, prepared.input, stamp)
            .map_err(|error| Halt::Failed(Failed::execution(error.code(), &error.to_string())))?;
        let own = snapshot.steps.into_iter().filter(|record| record.job_id == job.job_id);
        let calls = own.map(|record| record.call_id).collect();
        Ok(Begun { run, ready: prepared.ready, effects, durable: None, outlet: None, calls })
    }

    /// When the job's time is over, by this process's monotonic clock. What is left of it, the store's clock says:
    /// all of it for a job that was admitted just now, else it is asked.
    async fn deadline_of(
        &self,
        job: &JobRecord,
        admitted: Option<Instant>,
    ) -> Result<Option<Instant>, StoreError> {
        let Some(deadline) = job.deadline_at_ms else { return Ok(None) };
        let (from, at) = match admitted {
            Some(at) => (job.created_at_ms, at),
            None => (self.shared.backends.store.now_ms().await?, Instant::now()),
        };
        let left = u64::try_from(deadline.saturating_sub(from)).unwrap_or(0);
        Ok(Some(at + Duration::from_millis(left)))
    }
}

/// Why the job must end before anything of it may begin.
fn must_end(job: &JobRecord, deadline: Option<Instant>) -> Option<Failed> {
    if job.cancel_requested {
        return Some(Failed::cancelled());
    }
    deadline.is_some_and(|deadline| deadline <= Instant::now()).then(Failed::deadline)
}

/// A run of ours has panicked: a bug. Its thread is left as one whose worker has died, so that it is counted.
fn panicked(shared: &Shared, lease: &Lease) -> Ended {
    error!(event = "job_panicked", epoch = lease.epoch, runbook = "docs/operations.md#job-panicked");
    metric::JOB_PANICS.with(&[]).increment(1);
    shared.leases.drop_lease(lease);
    (JobEnd::HandedBack, None)
}

/// Why a job could not begin.
enum Halt {
    Failed(Failed),
    Store(StoreError),
}

fn outlet(shared: &Shared, thread_id: &Arc<str>, job_id: &Arc<str>, epoch: i64, next_seq: u64) -> Outlet {
    let parts = OutletParts {
        sink: shared.backends.sink.clone(),
        thread_id: thread_id.clone(),
        job_id: job_id.clone(),
        epoch,
        next_seq,
        form: shared.settings.file_form,
        python_compat: shared.settings.python_compat,
    };
    Outlet::new(parts, Known::default())
}

async fn prepare(shared: &Shared, request: &JobRequest) -> Result<Prepared, Failed> {
    let own = Some(&request.definition)
        .filter(|definition| definition.as_object().is_none_or(|map| !map.is_empty()));
    let definition = own.or(shared.settings.default_definition.as_deref()).ok_or_else(|| {
        let why = "`agent_definition`: expected a definition, found an empty object, and \
                   DEFAULT_AGENT_DEFINITION_FILE names no default";
        Failed::input("input.empty_definition", why)
    })?;
    let ready = shared.definitions.ready(definition).await?;
    let stamp = shared.backends.clock.stamp();
    let input = Input::from_payload(&request.input, ready.compiled.definition(), stamp)
        .map_err(|error| Failed::input(error.code(), &error.to_string()))?;
    let setup = RunSetup {
        compiled: ready.compiled.clone(),
        job_id: request.job_id.as_arc(),
        own_thread: request.job_id.as_str() == request.thread_id.as_str(),
        limits: RunLimits {
            recursion_limit: request.limits.recursion_limit,
            max_model_calls: request.limits.max_model_calls,
            max_tokens: request.limits.max_tokens,
        },
        model: request.model.clone(),
    };
    let input = RunInput::new(request.input.clone(), input, &ready.compiled, stamp)
        .map_err(|error| Failed::input(error.code(), &error.to_string()))?;
    Ok(Prepared { ready, setup, input })
}
