//! What the runtime offers to its callers: NATS, HTTP, the command line, and programs that embed it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_checkpoint_store::{JobRecord, JobStatus, OutboxMessage, Store, StoreError};
use agent_model_client::ModelClient;
use agent_stream_sink::StreamSink;
use agent_telemetry::metric;
use agent_tool_host::ToolHost;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::definitions::Definitions;
use crate::leases::Leases;
use crate::ports::{Clock, ResultPublisher};
use crate::relay::Unsent;
use crate::setbacks::StoreCall;
use crate::settings::RuntimeSettings;
use crate::sweep::Upkeep;
use crate::waiters::{Waiter, Waiters};
use crate::watches::Watches;

/// How long a sent result waits to be marked together with others: one that was sent and not marked is only sent again.
const MARK_EVERY: Duration = Duration::from_millis(200);
/// How often results that could not leave are tried again by the worker that made them.
const SEND_AGAIN_EVERY: Duration = Duration::from_secs(1);
/// How often a paused fetch looks whether it may go on.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// How often the journals of threads that somebody reads are looked at: what the live way has lost comes so.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// The backends that a runtime works with.
#[derive(Clone)]
pub struct Backends {
    /// Where threads and jobs live.
    pub store: Arc<dyn Store>,
    /// Where observers listen.
    pub sink: Arc<dyn StreamSink>,
    /// Who answers.
    pub models: Arc<dyn ModelClient>,
    /// Who runs a definition's own tools.
    pub tools: Arc<dyn ToolHost>,
    /// Who tells the world about results.
    pub publisher: Arc<dyn ResultPublisher>,
    /// Time and randomness.
    pub clock: Arc<dyn Clock>,
}

/// How work on a job ended on this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEnd {
    /// It has a terminal status, and its result is in the outbox or has left.
    Ended(JobStatus),
    /// Somebody else owns the thread now: say nothing, acknowledge nothing.
    Fenced,
    /// It was handed back, or could not go on here: another worker takes it.
    HandedBack,
}

/// A job in work here.
#[derive(Debug)]
pub struct JobHandle {
    pub(crate) end: Waiter,
}

impl JobHandle {
    /// Waits for the end of the work on this worker.
    pub async fn ended(mut self) -> JobEnd {
        self.end.ended().await
    }
}

/// What became of a job that was offered.
#[derive(Debug)]
pub enum Submission {
    /// It is in the store and in work here.
    Running(JobHandle),
    /// It is in the store; its thread is held elsewhere, or it waits behind an older job.
    Queued {
        /// When asking again may make sense.
        retry_in: Duration,
    },
    /// It has ended before.
    Done(Box<JobRecord>),
    /// Its id belongs to a job with other content.
    IdReused,
}

/// Room for one job on this worker.
#[derive(Debug)]
pub struct Slot(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

pub(crate) struct Shared {
    pub(crate) backends: Backends,
    pub(crate) settings: RuntimeSettings,
    pub(crate) definitions: Definitions,
    pub(crate) leases: Leases,
    pub(crate) waiters: Waiters,
    /// Whose journal somebody waits for.
    pub(crate) watches: Watches,
    pub(crate) slots: Arc<Semaphore>,
    /// Room for jobs that do not come from the queue: a pull that waits holds all of `slots`.
    direct: Arc<Semaphore>,
    sent: Mutex<Vec<OutboxMessage>>,
    /// Rung when something is in `sent`: an idle worker wakes for nothing.
    something_sent: Notify,
    /// Results of this worker that could not leave yet.
    pub(crate) unsent: Unsent,
    pub(crate) upkeep: Upkeep,
    pub(crate) tasks: TaskTracker,
    /// Set when the worker is to stop: no new work; runs stop at their next step border.
    pub(crate) draining: CancellationToken,
    /// Set when the drain's patience is over: runs stop where they are.
    pub(crate) force: CancellationToken,
    /// Set when everything is to be dropped as it stands.
    gone: CancellationToken,
    started: AtomicBool,
}

/// Runs jobs. Cheap to clone; all clones are one executor.
#[derive(Clone)]
pub struct Executor {
    pub(crate) shared: Arc<Shared>,
}

impl Shared {
    /// The only way in which work begins on its own; `gone` drops it.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let gone = self.gone.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = gone.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// Notes that a result was sent.
    pub(crate) fn note_sent(&self, message: OutboxMessage) {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(message);
        self.something_sent.notify_one();
    }

    /// Marks the results that were sent.
    pub(crate) async fn mark_sent(&self) {
        let sent = std::mem::take(&mut *self.sent.lock().unwrap_or_else(PoisonError::into_inner));
        if sent.is_empty() {
            return;
        }
        if let Err(error) = self.backends.store.outbox_sent(&sent).await {
            // They will be sent once more, under the same ids.
            warn!(event = "outbox_not_marked", messages = sent.len(), %error);
            StoreCall::Outbox.failed();
        }
    }
}

impl Executor {
    /// An executor over these backends. Nothing runs before [`Executor::start`].
    pub fn new(backends: Backends, settings: RuntimeSettings) -> Self {
        let shared = Shared {
            definitions: Definitions::new(&settings, backends.tools.clone()),
            slots: Arc::new(Semaphore::new(settings.concurrency)),
            direct: Arc::new(Semaphore::new(settings.concurrency)),
            sent: Mutex::default(),
            something_sent: Notify::new(),
            unsent: Unsent::default(),
            upkeep: Upkeep::default(),
            backends,
            settings,
            leases: Leases::default(),
            waiters: Waiters::default(),
            watches: Watches::default(),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            force: CancellationToken::new(),
            gone: CancellationToken::new(),
            started: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Starts the upkeep: renewals, the sweep for abandoned jobs, the relay of results. Once.
    pub fn start(&self) {
        if self.shared.started.swap(true, Ordering::SeqCst) {
            return;
        }
        let (renew, sweep) = (self.shared.settings.renew_every, self.shared.settings.sweep_every);
        self.every(renew, |executor| async move {
            let shared = &executor.shared;
            shared.leases.renew(&*shared.backends.store).await;
        });
        self.start_marking();
        self.every(SEND_AGAIN_EVERY, |executor| async move { executor.shared.send_again().await });
        self.every(sweep, |executor| async move { executor.sweep().await });
        self.every(WATCH_EVERY, |executor| async move {
            let shared = &executor.shared;
            shared.watches.look(&*shared.backends.store).await;
        });
    }

    /// Marks the results that were sent, many at once.
    fn start_marking(&self) {
        let executor = self.clone();
        let force = self.shared.force.clone();
        // What is sent after that is marked by the drain.
        self.shared.spawn(async move {
            let work = async {
                loop {
                    executor.shared.something_sent.notified().await;
                    tokio::time::sleep(MARK_EVERY).await;
                    executor.shared.mark_sent().await;
                }
            };
            tokio::select! {
                biased;
                () = force.cancelled() => {}
                () = work => {}
            }
        });
    }

    fn every<F, Work>(&self, period: Duration, work: F)
    where
        F: Fn(Self) -> Work + Send + 'static,
        Work: Future<Output = ()> + Send,
    {
        let executor = self.clone();
        let force = self.shared.force.clone();
        // Ends with the drain's last phase: leases must be renewed while steps still run.
        self.shared.spawn(async move {
            let mut ticks = tokio::time::interval(period);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            ticks.tick().await;
            loop {
                tokio::select! {
                    biased;
                    () = force.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                tokio::select! {
                    biased;
                    () = force.cancelled() => return,
                    () = work(executor.clone()) => {}
                }
            }
        });
    }

    /// Waits for room for a job from the queue, and until nothing speaks against new work. `None` once the worker is
    /// draining.
    pub async fn slot(&self) -> Option<Slot> {
        let permit = tokio::select! {
            biased;
            () = self.shared.draining.cancelled() => return None,
            permit = self.shared.slots.clone().acquire_owned() => permit.ok()?,
        };
        self.may_fetch().await.then_some(Slot(permit))
    }

    /// Why no new job should be fetched now: the store or the providers cannot do the work.
    pub fn obstacle(&self) -> Option<&'static str> {
        let backends = &self.shared.backends;
        let store = backends.store.pressure().map(agent_checkpoint_store::Pressure::as_str);
        store.or_else(|| (!backends.models.ready()).then_some("provider_down"))
    }

    /// Waits while something speaks against new work. `false`: the worker is draining.
    async fn may_fetch(&self) -> bool {
        let mut paused: Option<(&'static str, Instant)> = None;
        loop {
            let obstacle = self.obstacle();
            if let Some((before, since)) = paused
                && obstacle != Some(before)
            {
                info!(event = "fetch_resumed", reason = before, paused_ms = since.elapsed().as_millis());
                metric::FETCH_PAUSED.with(&[before]).set(0.0);
                paused = None;
            }
            let Some(reason) = obstacle else { return !self.is_draining() };
            if paused.is_none() {
                warn!(event = "fetch_paused", reason, runbook = "docs/operations.md#fetch-paused");
                metric::FETCH_PAUSED.with(&[reason]).set(1.0);
                paused = Some((reason, Instant::now()));
            }
            tokio::select! {
                biased;
                () = self.shared.draining.cancelled() => return false,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    /// Waits for room for a job that comes over HTTP or from an embedder. As many of these run at once as jobs from
    /// the queue. `None` once the worker is draining.
    pub async fn direct_slot(&self) -> Option<Slot> {
        tokio::select! {
            biased;
            () = self.shared.draining.cancelled() => None,
            permit = self.shared.direct.clone().acquire_owned() => permit.ok().map(Slot),
        }
    }

    /// Room for a job that comes from the sweep or to be ended, if there is some now.
    pub(crate) fn spare_slot(&self) -> Option<Slot> {
        if self.is_draining() {
            return None;
        }
        self.shared.direct.clone().try_acquire_owned().ok().map(Slot)
    }

    /// Room for one more job from the queue, if there is some now.
    pub fn free_slot(&self) -> Option<Slot> {
        if self.shared.draining.is_cancelled() {
            return None;
        }
        self.shared.slots.clone().try_acquire_owned().ok().map(Slot)
    }

    /// Jobs in work here.
    pub fn in_work(&self) -> usize {
        self.shared.leases.len()
    }

    /// The settings that this executor was made with.
    pub fn settings(&self) -> &RuntimeSettings {
        &self.shared.settings
    }

    /// The store, for readers.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.backends.store
    }

    /// The sink, for readers.
    pub fn sink(&self) -> &Arc<dyn StreamSink> {
        &self.shared.backends.sink
    }

    /// Cancelled when the worker is stopping.
    pub fn draining(&self) -> CancellationToken {
        self.shared.draining.clone()
    }

    /// Whether the worker is stopping.
    pub fn is_draining(&self) -> bool {
        self.shared.draining.is_cancelled()
    }

    /// Waits until a job has a terminal status, wherever it runs.
    ///
    /// # Errors
    /// [`StoreError`] for what will not pass; `Ok(None)` if there is no such job.
    pub async fn wait(&self, job_id: &str) -> Result<Option<JobRecord>, StoreError> {
        loop {
            let mut local = self.shared.waiters.wait(job_id);
            match self.shared.backends.store.job(job_id).await {
                Ok(None) => return Ok(None),
                Ok(Some(job)) if job.status.is_terminal() => return Ok(Some(job)),
                Ok(Some(_)) => {}
                Err(error) if error.is_transient() => {
                    warn!(event = "job_unread", job_id, %error);
                    StoreCall::Status.failed();
                }
                Err(error) => return Err(error),
            }
            // It may run elsewhere, so the store is asked again after a while.
            tokio::select! {
                biased;
                _ = local.ended() => {}
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    /// Stops: no new work at once; steps that run may end within six tenths of the budget; then everything is
    /// handed back and the outlets are emptied. Returns whether all of it fitted. Takes no longer than the budget.
    pub async fn drain(&self, budget: Duration) -> bool {
        let (shared, end) = (&self.shared, Instant::now() + budget);
        info!(event = "drain_started", jobs = self.in_work(), budget_ms = budget.as_millis());
        shared.draining.cancel();
        shared.tasks.close();
        let gentle = tokio::time::timeout(budget.mul_f64(0.6), self.idle()).await.is_ok();
        shared.force.cancel();
        let done = tokio::time::timeout_at(end - budget.mul_f64(0.15), shared.tasks.wait()).await.is_ok();
        let told = async {
            shared.send_again().await;
            shared.mark_sent().await;
            self.resign().await;
        };
        let told = tokio::time::timeout_at(end - budget.mul_f64(0.08), told).await.is_ok();
        let flushed = shared.backends.sink.flush(end.saturating_duration_since(Instant::now())).await;
        info!(event = "drain_ended", gentle, done, told, flushed);
        done && told && flushed
    }

    /// Drops all work where it stands and hands nothing back, as the death of the process would. Others take the
    /// threads over when the leases have run out. For simulation, and for tests of takeovers in one process.
    pub fn abandon(&self) {
        self.shared.draining.cancel();
        self.shared.gone.cancel();
    }

    async fn idle(&self) {
        while self.in_work() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
