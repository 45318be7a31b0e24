//! The only loop: performs a run's effects at once, and feeds back what happens.

use std::collections::{HashSet, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use agent_checkpoint_store::{Commit, Lease, StoreError};
use agent_executor_core::{
    Effect, Event, Finish, ModelError, ModelErrorKind, ModelReply, Run, ScriptTool, StepCommit,
};
use agent_telemetry::traces::JobTrace;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, Sleep};
use tracing::{info, warn};

use crate::calls::{Asked, Calls, Ended, Handed, Start};
use crate::executor::Shared;
use crate::leases::{Pulse, Signals};
use crate::outlet::Outlet;
use crate::setbacks::StoreCall;
use crate::traced;

/// What the driver waits for.
pub(crate) enum Happened {
    Model(Box<Asked>, Box<Result<ModelReply, ModelError>>),
    Tool(Box<Ended>),
    /// Calls whose intent the commit held may run now.
    Committed(Vec<StepCommit>, Vec<Handed>, Result<(), StoreError>),
}

/// How driving ended.
pub(crate) enum Driven {
    /// The run is over; its last commit is still to be made.
    Finished(Box<Finish>),
    /// The lease is gone, or the store refused: nothing may be said.
    Fenced,
    /// The worker stops, or the store stayed away: the job goes to somebody else.
    HandBack,
    /// The store refuses the run's data.
    Refused(String),
}

/// What a driver is made of.
pub(crate) struct DriverParts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) lease: Lease,
    pub(crate) job_id: Arc<str>,
    pub(crate) signals: Signals,
    pub(crate) scripts: Arc<[ScriptTool]>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) outlet: Outlet,
    pub(crate) run: Run,
    /// At-most-once calls of the job that were begun before.
    pub(crate) begun: HashSet<String>,
    pub(crate) trace: Arc<JobTrace>,
}

pub(crate) struct Driver {
    pub(crate) shared: Arc<Shared>,
    pub(crate) lease: Lease,
    pub(crate) job_id: Arc<str>,
    pub(crate) signals: Signals,
    pub(crate) scripts: Arc<[ScriptTool]>,
    deadline: Option<Instant>,
    pub(crate) outlet: Outlet,
    run: Run,
    trace: Arc<JobTrace>,
    pub(crate) calls: Calls,
    inflight: FuturesUnordered<BoxFuture<'static, Happened>>,
    commits: VecDeque<StepCommit>,
    /// The commit in flight.
    committing: Option<Arc<Commit>>,
    flush_at: Pin<Box<Sleep>>,
    flush_armed: bool,
}

impl Driver {
    pub(crate) fn new(parts: DriverParts) -> Self {
        let DriverParts { shared, lease, job_id, signals, scripts, deadline, outlet, run, begun, trace } =
            parts;
        Self {
            shared,
            lease,
            job_id,
            signals,
            scripts,
            deadline,
            outlet,
            run,
            trace,
            calls: Calls { begun, ..Calls::default() },
            inflight: FuturesUnordered::new(),
            commits: VecDeque::new(),
            committing: None,
            flush_at: Box::pin(tokio::time::sleep(Duration::ZERO)),
            flush_armed: false,
        }
    }

    /// Drives the run from these effects to its end. `durable` is a commit that is already made.
    ///
    /// # Cancel safety
    /// Dropping it stops all work; what was committed stays, and a commit in flight has an unknown outcome.
    pub(crate) async fn drive(&mut self, first: Vec<Effect>, durable: Option<StepCommit>) -> Driven {
        let mut effects = first;
        if let Some(commit) = durable {
            effects.extend(self.durable(&[commit]));
        }
        loop {
            if let Some(end) = self.perform(effects) {
                return self.finish_pending(end).await;
            }
            self.commit_next();
            if self.shared.draining.is_cancelled() && self.inflight.is_empty() {
                // A step border: what is durable is durable, the rest is somebody else's.
                return Driven::HandBack;
            }
            effects = match self.next().await {
                Ok(effects) => effects,
                Err(end) => return end,
            };
        }
    }

    /// Starts every effect; returns the last one when the run is over.
    fn perform(&mut self, effects: Vec<Effect>) -> Option<Box<Finish>> {
        let ending = self.is_ending();
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                // Steps that run may end; no new one begins.
                Effect::AskModel { .. } | Effect::RunTool { .. } if ending => {}
                Effect::AskModel { agent, label, step, message_id, purpose, request } => {
                    let (message_id, request) = (Arc::from(message_id), Arc::new(*request));
                    let asked = Asked::new(agent, label, step, message_id, purpose, request);
                    effects.extend(self.start(Start::Model(asked)));
                }
                Effect::RunTool { call_ref, task_id, call, class, step, view } => {
                    let handed = Handed { call_ref, task_id, call, class, step, view };
                    effects.extend(self.start(Start::Tool(Box::new(handed))));
                }
                Effect::Commit(commit) => self.commits.push_back(commit),
                Effect::Emit(emission) => self.outlet.tell(&emission),
                Effect::Finish(finish) => return Some(finish),
            }
        }
        None
    }

    /// Whether the run ends or moves on as soon as what is in flight allows it.
    fn is_ending(&self) -> bool {
        self.shared.draining.is_cancelled()
            || self.signals.cancel.is_cancelled()
            || self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    pub(crate) fn push(&self, work: BoxFuture<'static, Happened>) {
        self.inflight.push(work);
    }

    /// Starts the next commit: everything that waits, merged, since commits of one thread go one after the other. A
    /// call that streams for long gets one for its text alone.
    fn commit_next(&mut self) {
        let nothing = self.commits.is_empty() && self.calls.records.is_empty() && !self.outlet.wants_commit();
        if self.committing.is_some() || nothing {
            return;
        }
        let waiting: Vec<StepCommit> = self.commits.drain(..).collect();
        let intents = std::mem::take(&mut self.calls.intents);
        let mut commit = merged(&waiting, &mut self.outlet);
        commit.steps = std::mem::take(&mut self.calls.records);
        let commit = Arc::new(commit);
        self.committing = Some(commit.clone());
        let (shared, lease, pulse) = (self.shared.clone(), self.lease.clone(), self.signals.pulse.clone());
        self.inflight.push(Box::pin(async move {
            let outcome = commit_patiently(&shared, &lease, &pulse, commit).await;
            Happened::Committed(waiting, intents, outcome)
        }));
    }

    async fn next(&mut self) -> Result<Vec<Effect>, Driven> {
        let merge = self.shared.settings.merge_deltas;
        let deadline = self.deadline;
        let held_back = !self.calls.held_back.is_empty();
        if held_back && !self.self_fenced() {
            return Ok(self.lift_fence());
        }
        let last = self.signals.pulse.last();
        let patience = self.fence() + self.shared.settings.commit_patience;
        loop {
            let (deltas, armed) = (&self.outlet.deltas, &mut self.flush_armed);
            let flush_at = &mut self.flush_at;
            // Armed by the first piece after a flush: the model's future is polled first, in this same task.
            let flush = std::future::poll_fn(|context| {
                if deltas.is_empty() {
                    return Poll::Pending;
                }
                if !std::mem::replace(armed, true) {
                    flush_at.as_mut().reset(Instant::now() + merge);
                }
                flush_at.as_mut().poll(context)
            });
            tokio::select! {
                biased;
                () = self.signals.lost.cancelled() => return Err(Driven::Fenced),
                () = self.shared.force.cancelled() => return Err(Driven::HandBack),
                Some(happened) = self.inflight.next() => return self.happened(happened),
                () = flush => {
                    self.flush_armed = false;
                    self.outlet.flush_deltas();
                    self.commit_next();
                }
                () = self.signals.cancel.cancelled() => return Ok(self.feed(Event::Cancelled)),
                () = until(deadline) => return Ok(self.feed(Event::DeadlinePassed)),
                () = self.signals.pulse.beats_after(last), if held_back => return Ok(self.lift_fence()),
                () = tokio::time::sleep_until(patience), if held_back => return Err(Driven::HandBack),
            }
        }
    }

    pub(crate) fn feed(&mut self, event: Event) -> Vec<Effect> {
        let stamp = self.shared.backends.clock.stamp();
        self.run.handle(event, stamp)
    }

    fn happened(&mut self, happened: Happened) -> Result<Vec<Effect>, Driven> {
        match happened {
            Happened::Committed(commits, intents, outcome) => match outcome {
                Ok(()) => {
                    // It is durable that they may have run: now they may, even when the worker is about to stop.
                    intents.into_iter().for_each(|handed| self.run_tool(handed));
                    Ok(self.durable(&commits))
                }
                Err(StoreError::Refused(why)) => {
                    self.refused();
                    Err(Driven::Refused(why))
                }
                Err(error) if error.is_transient() => Err(Driven::HandBack),
                Err(error) => {
                    warn!(event = "run_fenced", epoch = self.lease.epoch, %error);
                    Err(Driven::Fenced)
                }
            },
            Happened::Tool(ended) => Ok(self.tool_ended(*ended)),
            Happened::Model(asked, reply) => Ok(self.model_ended(*asked, *reply)),
        }
    }

    /// A model call has ended: its answer goes to the machine, or the call is made once more.
    fn model_ended(&mut self, mut asked: Asked, reply: Result<ModelReply, ModelError>) -> Vec<Effect> {
        let agent = asked.label.as_ref().map(|label| &*label.agent);
        traced::chat(&self.trace, &asked.request, agent, asked.attempt, asked.since.elapsed(), &reply);
        match reply {
            Ok(reply) => {
                self.flush_armed = false;
                self.outlet.flush_deltas();
                self.outlet.settled(&asked.message_id);
                self.feed(Event::ModelReply(asked.agent, Box::new(reply)))
            }
            Err(error) => {
                let again = asked.attempt < self.shared.settings.model_attempts;
                warn!(event = "model_call_failed", attempt = asked.attempt, again, kind = ?error.kind, %error);
                if error.kind != ModelErrorKind::Interrupted || !again {
                    self.outlet.flush_deltas();
                    return self.feed(Event::ModelFailed(asked.agent, error));
                }
                asked.attempt += 1;
                self.outlet.supersede(&asked.message_id);
                self.start(Start::Model(asked))
            }
        }
    }

    /// Tells what has become durable, and gives the machine its go-ahead.
    fn durable(&mut self, commits: &[StepCommit]) -> Vec<Effect> {
        self.committing = None;
        self.outlet.commit_made();
        commits.iter().for_each(|commit| note_durable(commit, &self.trace));
        let Some(last) = commits.last() else { return Vec::new() };
        info!(event = "step_committed", commit = last.number);
        let number = last.number;
        self.feed(Event::Committed(number))
    }

    /// Commits that were still on their way go with the last one.
    async fn finish_pending(&mut self, mut finish: Box<Finish>) -> Driven {
        while self.committing.is_some() {
            let Some(happened) = self.inflight.next().await else { break };
            if let Happened::Committed(commits, _, outcome) = happened {
                match outcome {
                    Ok(()) => drop(self.durable(&commits)),
                    Err(error) if error.is_transient() => return Driven::HandBack,
                    Err(StoreError::Refused(why)) => {
                        self.refused();
                        return Driven::Refused(why);
                    }
                    Err(_) => return Driven::Fenced,
                }
            }
        }
        let waiting: Vec<StepCommit> = self.commits.drain(..).collect();
        for mut commit in waiting.into_iter().rev() {
            join(&mut commit.rows, std::mem::take(&mut finish.commit.rows));
            commit.events.append(&mut finish.commit.events);
            commit.notes.append(&mut finish.commit.notes);
            finish.commit.notes = std::mem::take(&mut commit.notes);
            finish.commit.rows = commit.rows;
            finish.commit.events = commit.events;
        }
        Driven::Finished(finish)
    }

    /// The commit in flight was refused.
    fn refused(&mut self) {
        self.committing = None;
        self.outlet.commit_refused();
    }

    /// Drops all work. What is left: the outlet, and a commit whose outcome is open.
    pub(crate) fn into_parts(self) -> (Outlet, Option<Arc<Commit>>) {
        (self.outlet, self.committing)
    }
}

/// What has become durable with a commit goes into the log, the trace and the metrics.
pub(crate) fn note_durable(commit: &StepCommit, trace: &JobTrace) {
    traced::tools(trace, &commit.events);
    for note in &commit.notes {
        let agent = note.label.as_ref().map(|label| &*label.agent);
        warn!(event = "run_note", code = note.code, agent, message = %note.message);
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn join(rows: &mut agent_langgraph_codec::Rows, mut more: agent_langgraph_codec::Rows) {
    rows.checkpoints.append(&mut more.checkpoints);
    rows.blobs.append(&mut more.blobs);
    rows.writes.append(&mut more.writes);
}

/// Several step commits as one of the store's, with the events that they make true and all that came before.
pub(crate) fn merged(commits: &[StepCommit], outlet: &mut Outlet) -> Commit {
    let journal = outlet.begin_commit(commits);
    let mut merged = Commit { journal, last_seq: outlet.last_seq(), ..Commit::default() };
    for commit in commits {
        join(&mut merged.rows, commit.rows.clone());
    }
    merged
}

/// Commits, and tries again while the store is away. The lease decides in the end whether it still may.
pub(crate) async fn commit_patiently(
    shared: &Shared,
    lease: &Lease,
    pulse: &Pulse,
    commit: Arc<Commit>,
) -> Result<(), StoreError> {
    let give_up = Instant::now() + shared.settings.commit_patience;
    let mut pause = Duration::from_millis(50);
    loop {
        let asked = Instant::now();
        match shared.backends.store.commit(lease, Commit::clone(&commit)).await {
            Ok(()) => {
                pulse.beat(asked);
                return Ok(());
            }
            Err(error) if error.is_transient() && Instant::now() < give_up => {
                warn!(event = "commit_delayed", thread_id = %lease.thread_id, %error);
                StoreCall::Commit.failed();
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(pause) => {}
                    () = shared.force.cancelled() => return Err(error),
                }
                pause = (pause * 2).min(Duration::from_secs(2));
            }
            Err(error) => return Err(error),
        }
    }
}
