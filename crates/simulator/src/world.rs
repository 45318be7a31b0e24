//! Everything of one run: the shared backends, the workers, and what is broken at the moment.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_checkpoint_store::{Clock, MemoryStore};
use agent_executor_runtime::{Backends, Executor, RuntimeSettings};
use tokio::time::Instant;

use crate::dice::Dice;
use crate::door;
use crate::ledger::Ledger;
use crate::model::NodeModel;
use crate::node::{Node, NodeClock};
use crate::outlets::{NodeResults, NodeSink, Results};
use crate::plan::{Options, Plan};
use crate::queue::SimQueue;
use crate::store::NodeStore;
use crate::tools::NodeTools;

/// Milliseconds since 1970 at which every run begins; any would do.
const BEGINNING_MS: i64 = 1_700_000_000_000;

/// As the protocol has it (docs/reliability.md).
const LEASE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) plan: Plan,
    pub(crate) options: Options,
    pub(crate) ledger: Ledger,
    pub(crate) store: MemoryStore,
    pub(crate) queue: SimQueue,
    pub(crate) results: Results,
    begun: Instant,
    nodes: Mutex<BTreeMap<usize, Arc<Node>>>,
    lives: AtomicU64,
    named: AtomicU64,
    healed: AtomicBool,
    store_away: Mutex<Option<Instant>>,
    disk_full: Mutex<Option<Instant>>,
    jobs: Mutex<Vec<Arc<str>>>,
}

impl World {
    /// Must be called on the run's own runtime: its clock is that one's.
    pub(crate) fn new(seed: u64, options: Options) -> Arc<Self> {
        let dice = Dice::new(seed);
        let plan = Plan::draw(&dice, options);
        let begun = Instant::now();
        let clock = Clock::new(move || {
            BEGINNING_MS + i64::try_from(begun.elapsed().as_millis()).unwrap_or(i64::MAX / 2)
        });
        Arc::new(Self {
            dice,
            options,
            ledger: Ledger::new(options.keep_trace),
            store: MemoryStore::new(clock, LEASE),
            queue: SimQueue::new(plan.work_queue, plan.max_deliver),
            results: Results::default(),
            plan,
            begun,
            nodes: Mutex::default(),
            lives: AtomicU64::new(0),
            named: AtomicU64::new(0),
            healed: AtomicBool::new(false),
            store_away: Mutex::new(None),
            disk_full: Mutex::new(None),
            jobs: Mutex::default(),
        })
    }

    pub(crate) fn now_ms(&self) -> i64 {
        BEGINNING_MS.saturating_add(i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(0))
    }

    /// A name that nothing else in this run has.
    pub(crate) fn fresh(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.named.fetch_add(1, Ordering::SeqCst))
    }

    /// Whether calls may still fail by themselves.
    pub(crate) fn faulty(&self) -> bool {
        !self.healed.load(Ordering::SeqCst)
    }

    /// The workers that live, in order.
    pub(crate) fn nodes(&self) -> Vec<Arc<Node>> {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.values().filter(|node| !node.is_dead()).cloned().collect()
    }

    pub(crate) fn jobs(&self) -> Vec<Arc<str>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn knows_job(&self, id: &Arc<str>) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).push(id.clone());
    }

    /// Starts a worker process.
    pub(crate) fn start(self: &Arc<Self>, index: usize) {
        let life = self.lives.fetch_add(1, Ordering::SeqCst);
        let node = Arc::new(Node::new(self.clone(), index, usize::try_from(life).unwrap_or(0)));
        let backends = Backends {
            store: Arc::new(NodeStore(node.clone())),
            sink: Arc::new(NodeSink(node.clone())),
            models: Arc::new(NodeModel(node.clone())),
            tools: Arc::new(NodeTools(node.clone())),
            publisher: Arc::new(NodeResults(node.clone())),
            clock: Arc::new(NodeClock(node.clone())),
        };
        let settings =
            RuntimeSettings { concurrency: self.plan.slots, ..RuntimeSettings::new(node.owner.clone()) };
        let executor = Executor::new(backends, settings);
        node.executor.set(executor.clone()).ok();
        self.ledger.trace(format_args!("{} starts", node.owner));
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).insert(index, node.clone());
        executor.start();
        tokio::spawn(async move {
            let gone = node.gone.clone();
            tokio::select! {
                biased;
                () = gone.cancelled() => {}
                () = door::consume(node.clone(), executor) => node.close_doors(),
            }
        });
    }

    /// The platform starts a worker again.
    pub(crate) fn restart_later(self: Arc<Self>, index: usize) {
        let pause = self.dice.millis(50, 8_000);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let stays = index == 0 && self.plan.stays_dead && !self.faulty();
            if !stays {
                self.start(index);
            }
        });
    }

    pub(crate) fn store_away_for(&self, time: Duration) {
        *self.store_away.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + time);
    }

    pub(crate) fn store_is_away(&self) -> bool {
        let until = *self.store_away.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| until > Instant::now())
    }

    pub(crate) fn disk_full_for(&self, time: Duration) {
        *self.disk_full.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + time);
    }

    pub(crate) fn disk_is_full(&self) -> bool {
        let until = *self.disk_full.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| until > Instant::now())
    }

    /// The faults end. What is running goes on; where the plan says so, one worker is dead for good.
    pub(crate) fn heal(&self) {
        self.healed.store(true, Ordering::SeqCst);
        self.store_away_for(Duration::ZERO);
        self.disk_full_for(Duration::ZERO);
        for node in self.nodes() {
            if node.index == 0 && self.plan.stays_dead {
                self.ledger.trace(format_args!("{} is dead for good", node.owner));
                node.end();
            } else {
                node.heal();
            }
        }
        self.ledger.trace(format_args!("the faults end"));
    }
}
