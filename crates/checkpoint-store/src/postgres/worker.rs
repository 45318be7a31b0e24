//! The task behind one connection: take what waits, write it, tell the callers.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::calls::{BeginCall, Call, WriteCall, answer};
use super::error::Class;
use super::link::Connector;
use super::queue::{Group, Queue};
use super::session::{Failed, Outcome, Session};
use super::strain::Strain;
use crate::metric;
use crate::port::StoreError;
use crate::types::{Begin, Finished, Pressure};

/// How often a group is tried again after a deadlock or a serialization failure.
const RETRIES: u32 = 5;

/// How often a call may meet a world that changed under it.
const AGAIN: u32 = 20;

pub(super) struct Worker {
    pub(super) queue: Arc<Queue>,
    pub(super) connector: Connector,
    pub(super) ttl: f64,
    pub(super) silence: Duration,
    pub(super) pool_wait: Duration,
    pub(super) strain: Arc<Strain>,
}

/// A call that a session can carry out together with others.
trait Executable: Call + Send + Sized + 'static {
    type Answer: Send;

    /// `lost`: an attempt before this one ended without an answer.
    fn execute(
        session: &Session,
        calls: &mut [Self],
        lost: bool,
    ) -> impl Future<Output = Result<Vec<Outcome<Self::Answer>>, Failed>> + Send;

    fn tell(self, result: Result<Self::Answer, StoreError>);
}

impl Executable for WriteCall {
    type Answer = Finished;

    async fn execute(
        session: &Session,
        calls: &mut [Self],
        _: bool,
    ) -> Result<Vec<Outcome<Finished>>, Failed> {
        // Repeating is harmless: what was written is guarded by the same lease and idempotent.
        session.write(calls).await
    }

    fn tell(self, result: Result<Finished, StoreError>) {
        match &result {
            Ok(_) => metric::steps("committed", 1),
            Err(StoreError::Fenced { .. }) => metric::steps("fenced", 1),
            Err(StoreError::Unknown(_)) => metric::steps("unknown", 1),
            Err(StoreError::Unavailable(_) | StoreError::Refused(_) | StoreError::SchemaTooOld { .. }) => {}
        }
        answer(self.answer, result);
    }
}

impl Executable for BeginCall {
    type Answer = Begin;

    async fn execute(
        session: &Session,
        calls: &mut [Self],
        lost: bool,
    ) -> Result<Vec<Outcome<Begin>>, Failed> {
        if !lost {
            return session.begin(calls).await;
        }
        let mut outcomes = Vec::with_capacity(calls.len());
        for call in calls {
            match session.recall(call).await? {
                Some(begun) => outcomes.push(Outcome::Done(Ok(begun))),
                None => outcomes.extend(session.begin(std::slice::from_mut(call)).await?),
            }
        }
        Ok(outcomes)
    }

    fn tell(self, result: Result<Begin, StoreError>) {
        answer(self.answer, result);
    }
}

impl Worker {
    /// Ends when the store has been dropped and nothing waits.
    pub(super) async fn run(self) {
        let mut session = None;
        while self.queue.ready().await {
            if !self.connected(&mut session).await {
                continue;
            }
            match self.queue.take() {
                Some(Group::Begins(calls)) => {
                    self.note_wait(&calls);
                    let threads: Vec<_> = calls.iter().map(|call| call.thread().clone()).collect();
                    self.carry_out(&mut session, calls).await;
                    self.queue.done_begins(&threads);
                }
                Some(Group::Writes(calls)) => {
                    self.note_wait(&calls);
                    let threads: Vec<_> = calls.iter().map(|call| call.thread().clone()).collect();
                    self.carry_out(&mut session, calls).await;
                    self.queue.done_writes(&threads);
                }
                None => {}
            }
        }
    }

    fn note_wait<C: Call>(&self, calls: &[C]) {
        let Some(first) = calls.iter().map(Call::patience).min() else { return };
        // Patience began with the wait.
        self.strain.waited(self.pool_wait.saturating_sub(first.saturating_duration_since(Instant::now())));
    }

    /// A usable session, while anybody waits for one.
    async fn connected(&self, slot: &mut Option<Session>) -> bool {
        let mut pause = Duration::from_millis(50);
        while slot.as_ref().is_none_or(Session::is_closed) {
            match Session::open(&self.connector, self.ttl, self.silence).await {
                Ok(session) => *slot = Some(session),
                Err(failed) => {
                    *slot = None;
                    self.note(&failed);
                    let error = failed.error();
                    tracing::warn!(%error, "database_connection_failed");
                    if !self.queue.give_up(&error.to_string()) {
                        return false;
                    }
                    sleep(jittered(pause)).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
        }
        true
    }

    fn note(&self, failed: &Failed) {
        match failed {
            Failed::Database(error) => self.strain.failed(error),
            Failed::Silent => self.strain.note(Pressure::Away),
            Failed::Data(_) => {}
        }
    }

    /// A new session for a group whose connection broke, if there is one in time.
    async fn reconnected(&self, slot: &mut Option<Session>) -> Result<(), StoreError> {
        let deadline = Instant::now() + self.pool_wait;
        let mut pause = Duration::from_millis(50);
        loop {
            match Session::open(&self.connector, self.ttl, self.silence).await {
                Ok(session) => {
                    *slot = Some(session);
                    return Ok(());
                }
                Err(failed) if Instant::now() >= deadline => return Err(failed.error()),
                Err(_) => sleep(jittered(pause)).await,
            }
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn carry_out<C: Executable>(&self, slot: &mut Option<Session>, calls: Vec<C>) {
        let mut groups = vec![Trial { calls, lost: false, retries: 0, again: 0 }];
        while let Some(mut trial) = groups.pop() {
            let Some(session) = slot else {
                // Only after a break: what was tried may have happened.
                match self.reconnected(slot).await {
                    Ok(()) => groups.push(trial),
                    Err(error) => trial.end(&error),
                }
                continue;
            };
            let began = Instant::now();
            match C::execute(session, &mut trial.calls, trial.lost).await {
                Ok(outcomes) => {
                    metric::group(trial.calls.len(), began.elapsed());
                    groups.extend(trial.tell(outcomes));
                }
                Err(failed) => {
                    self.note(&failed);
                    if failed.class() == Class::Broken {
                        metric::connection_error();
                        *slot = None;
                    }
                    groups.extend(trial.failed(&failed).await);
                }
            }
        }
    }
}

/// A group on its way, with what happened to it so far.
struct Trial<C> {
    calls: Vec<C>,
    lost: bool,
    retries: u32,
    again: u32,
}

impl<C: Executable> Trial<C> {
    /// Answers those that are done; what is left must be tried once more.
    fn tell(self, outcomes: Vec<Outcome<C::Answer>>) -> Option<Self> {
        let mut left = Vec::new();
        for (call, outcome) in self.calls.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Done(result) => call.tell(result),
                Outcome::Again if self.again >= AGAIN => {
                    call.tell(Err(StoreError::Unavailable("the thread changes too fast".to_owned())));
                }
                Outcome::Again => left.push(call),
            }
        }
        let again = self.again + 1;
        (!left.is_empty()).then_some(Self { calls: left, again, lost: false, retries: 0 })
    }

    /// What to try next, after the group failed as a whole.
    async fn failed(self, failed: &Failed) -> Vec<Self> {
        match failed.class() {
            Class::Broken if self.retries < RETRIES => {
                vec![Self { lost: true, retries: self.retries + 1, ..self }]
            }
            Class::Retry if self.retries < RETRIES => {
                sleep(jittered(Duration::from_millis(5 << self.retries))).await;
                vec![Self { retries: self.retries + 1, ..self }]
            }
            // One bad call must not fail the others: each alone, in their order.
            Class::Refused if self.calls.len() > 1 => {
                let Self { lost, again, .. } = self;
                let alone = |call| Self { calls: vec![call], lost, again, retries: 0 };
                self.calls.into_iter().rev().map(alone).collect()
            }
            Class::Broken | Class::Retry | Class::Refused | Class::Unavailable => {
                self.end(&failed.error());
                Vec::new()
            }
        }
    }

    fn end(self, error: &StoreError) {
        for call in self.calls {
            let error = if let (StoreError::Unavailable(reason), true) = (error, self.lost) {
                StoreError::Unknown(reason.clone())
            } else {
                error.clone()
            };
            call.tell(Err(error));
        }
    }
}

/// Between half and all of `pause`, so that many do not come back at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.5..1.0))
}
