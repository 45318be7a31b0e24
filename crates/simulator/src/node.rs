//! One life of one worker: what can befall every call that it makes.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use agent_executor_core::Stamp;
use agent_executor_runtime::{Clock, Executor};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::world::World;

/// What a worker may be cut off from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    Store,
    Queue,
    Results,
}

pub(crate) struct Node {
    pub(crate) world: Arc<World>,
    /// Which of the workers, over all its lives.
    pub(crate) index: usize,
    /// The lease's owner: a new one for each life.
    pub(crate) owner: Arc<str>,
    pub(crate) executor: OnceLock<Executor>,
    /// Cancelled with its death; its doors end with it.
    pub(crate) gone: CancellationToken,
    /// Cancelled when its doors have answered everything.
    closed: CancellationToken,
    dead: AtomicBool,
    stopped_until: Mutex<Option<Instant>>,
    cut_off: Mutex<Vec<(Peer, Instant)>>,
    skew_ms: AtomicI64,
}

impl Node {
    pub(crate) fn new(world: Arc<World>, index: usize, life: usize) -> Self {
        Self {
            world,
            index,
            owner: Arc::from(format!("w{index}.{life}")),
            executor: OnceLock::new(),
            gone: CancellationToken::new(),
            closed: CancellationToken::new(),
            dead: AtomicBool::new(false),
            stopped_until: Mutex::new(None),
            cut_off: Mutex::default(),
            skew_ms: AtomicI64::new(0),
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// kill -9.
    pub(crate) fn crash(&self, why: &str) {
        if self.dead.swap(true, Ordering::SeqCst) {
            return;
        }
        self.world.ledger.trace(format_args!("{} dies: {why}", self.owner));
        self.world.ledger.count("crash");
        self.end();
        self.world.clone().restart_later(self.index);
    }

    /// Nothing of this life goes on.
    pub(crate) fn end(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.gone.cancel();
        if let Some(executor) = self.executor.get() {
            executor.abandon();
        }
    }

    pub(crate) fn close_doors(&self) {
        self.closed.cancel();
    }

    pub(crate) async fn doors_closed(&self) {
        self.closed.cancelled().await;
    }

    /// SIGSTOP, as the world sees it: no call gets through until then, and what was on its way arrives late.
    pub(crate) fn stop_for(&self, time: Duration) {
        *self.stopped_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + time);
    }

    pub(crate) fn cut_off(&self, peer: Peer, time: Duration) {
        let mut cuts = self.cut_off.lock().unwrap_or_else(PoisonError::into_inner);
        cuts.retain(|(_, until)| *until > Instant::now());
        cuts.push((peer, Instant::now() + time));
    }

    pub(crate) fn is_cut_off(&self, peer: Peer) -> bool {
        let cuts = self.cut_off.lock().unwrap_or_else(PoisonError::into_inner);
        cuts.iter().any(|(cut, until)| *cut == peer && *until > Instant::now())
    }

    pub(crate) fn heal(&self) {
        *self.stopped_until.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.cut_off.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn shift_clock(&self, by_ms: i64) {
        self.skew_ms.fetch_add(by_ms, Ordering::SeqCst);
    }

    fn stopped_until(&self) -> Option<Instant> {
        *self.stopped_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A crash point, and a place where time is lost. Stands before and after every call of every port.
    pub(crate) async fn point(&self, place: &str) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
        let (dice, plan) = (&self.world.dice, &self.world.plan);
        if self.world.faulty() {
            if dice.happens(plan.crash) {
                self.crash(place);
                std::future::pending::<()>().await;
            }
            if dice.happens(plan.stall) {
                let time = dice.millis(500, 45_000);
                self.world.ledger.trace(format_args!("{} stalls {time:?} {place}", self.owner));
                self.world.ledger.count("stall");
                tokio::time::sleep(time).await;
            } else if dice.happens(3_000) {
                tokio::time::sleep(dice.millis(1, 40)).await;
            }
        }
        while let Some(until) = self.stopped_until().filter(|until| *until > Instant::now()) {
            // Asked again every second: healing the world ends the stop.
            tokio::time::sleep_until(until.min(Instant::now() + Duration::from_secs(1))).await;
        }
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }
}

/// The clock of a worker's host.
pub(crate) struct NodeClock(pub(crate) Arc<Node>);

impl Clock for NodeClock {
    fn stamp(&self) -> Stamp {
        let skew = self.0.skew_ms.load(Ordering::SeqCst);
        let now_ms = self.0.world.now_ms().saturating_add(skew);
        let now_ns = u64::try_from(now_ms).unwrap_or(0).saturating_mul(1_000_000);
        Stamp { now_ns, seed: self.0.world.dice.bits() }
    }
}
