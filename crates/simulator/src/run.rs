//! One seed from its first message to the audit's verdict, and many seeds on all cores.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_checkpoint_store::Store;
use agent_executor_core::audit::{Fact, Sometimes, Violation};
use agent_executor_runtime::Submission;
use agent_langgraph_codec::Metadata;
use serde_json::Value;
use tokio::time::Instant;

use crate::jobs::{self, Job, Way};
use crate::nemesis;
use crate::node::Node;
use crate::plan::Options;
use crate::store::ended;
use crate::world::World;

/// Virtual time in which everything must have ended when the faults stop. A job that kills its workers needs six
/// leases; a publisher that saw nothing admitted publishes again after two minutes.
const BOUND: Duration = Duration::from_secs(900);
/// How often a publisher looks whether its job was admitted.
const RECONCILE: Duration = Duration::from_secs(60);

/// What one or more runs showed.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Broken promises, with the seed.
    pub violations: Vec<(u64, Violation)>,
    /// Situations that were met.
    pub sometimes: BTreeMap<Sometimes, u64>,
    /// Doses and other counts.
    pub counts: BTreeMap<&'static str, u64>,
    /// A hash of everything that was seen, in order.
    pub hash: u64,
    /// The trace, where it was kept.
    pub trace: Vec<String>,
}

impl Report {
    fn add(&mut self, other: Self) {
        self.violations.extend(other.violations);
        for (what, count) in other.sometimes {
            *self.sometimes.entry(what).or_default() += count;
        }
        for (what, count) in other.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }
}

/// Runs one seed.
///
/// # Errors
/// Where tokio cannot make a runtime.
pub fn run_seed(seed: u64, options: Options) -> std::io::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(whole(seed, options)))
}

/// Runs `count` seeds from `first` on all cores.
///
/// # Errors
/// Where tokio cannot make a runtime.
pub fn run_seeds(first: u64, count: u64, options: Options) -> std::io::Result<Report> {
    let next = AtomicU64::new(0);
    let total = Mutex::new(Report::default());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let work = || -> std::io::Result<()> {
            loop {
                let n = next.fetch_add(1, Ordering::SeqCst);
                if n >= count {
                    return Ok(());
                }
                let report = run_seed(first + n, options)?;
                total.lock().unwrap_or_else(PoisonError::into_inner).add(report);
            }
        };
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(std::io::Error::other("a thread of the simulation panicked")))
        })
    })?;
    let mut total = total.into_inner().unwrap_or_else(PoisonError::into_inner);
    total.violations.sort_by_key(|(seed, _)| *seed);
    Ok(total)
}

async fn whole(seed: u64, options: Options) -> Report {
    let world = World::new(seed, options);
    world.ledger.trace(format_args!("{:?}", world.plan));
    for index in 0..world.plan.workers {
        world.start(index);
    }
    let jobs = jobs::jobs(&world.dice, &world.plan);
    for job in &jobs {
        tokio::spawn(publish(world.clone(), job.clone()));
    }
    nemesis::harm(world.clone()).await;
    world.heal();
    let healed = Instant::now();
    while !is_over(&world, &jobs).await && healed.elapsed() < BOUND {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    world.ledger.trace(format_args!("over after {:?}", healed.elapsed()));
    judge(&world, &jobs).await;
    for node in world.nodes() {
        node.end();
    }
    let (seen, hash, trace) = world.ledger.close();
    let mut counts = seen.counts;
    counts.insert("job", jobs.len() as u64);
    counts.insert("stream event of a former holder", seen.audit.stale_told());
    let violations = seen.audit.finish().into_iter().map(|violation| (seed, violation)).collect();
    Report { violations, sometimes: seen.sometimes, counts, hash, trace }
}

/// A publisher: sends, and looks later whether the job is known; what was lost before admission only it can repair.
async fn publish(world: Arc<World>, job: Job) {
    tokio::time::sleep(world.dice.millis(0, 15_000)).await;
    if job.is_job {
        world.knows_job(&job.id);
    }
    loop {
        match job.way {
            Way::Queue => {
                world.queue.publish(&job.id, job.body.clone());
                if world.faulty() && world.dice.happens(1_000) {
                    // The acknowledgement was lost: again, a little later, under the same id.
                    tokio::time::sleep(world.dice.millis(100, 5_000)).await;
                    world.queue.publish(&job.id, job.body.clone());
                }
            }
            Way::Http => {
                let nodes = world.nodes();
                if let Some(node) = world.dice.pick(&nodes) {
                    submit(node, &job).await;
                }
            }
        }
        tokio::time::sleep(RECONCILE).await;
        let known = matches!(world.store.job(&job.id).await, Ok(Some(_)));
        // What is refused leaves no job that could be asked for.
        if known || !job.is_job {
            return;
        }
    }
}

/// The other door: the job is known before the caller is answered.
async fn submit(node: &Arc<Node>, job: &Job) {
    let (Some(executor), Some(request)) = (node.executor.get(), job.request()) else { return };
    let offered = async {
        let Some(slot) = executor.direct_slot().await else { return };
        match executor.submit(request, slot).await {
            Ok(Submission::Running(_) | Submission::Queued { .. } | Submission::Done(_)) => {
                node.world.ledger.count("job over HTTP");
            }
            Ok(Submission::IdReused) | Err(_) => {}
        }
    };
    tokio::select! {
        biased;
        () = node.gone.cancelled() => {}
        () = offered => {}
        () = tokio::time::sleep(Duration::from_secs(20)) => {}
    }
}

async fn is_over(world: &World, jobs: &[Job]) -> bool {
    for job in jobs.iter().filter(|job| job.is_job) {
        match world.store.job(&job.id).await {
            Ok(Some(record)) if record.status.is_terminal() => {}
            _ => return false,
        }
    }
    let sent = world.store.outbox_due(Duration::ZERO, 1).await.is_ok_and(|due| due.is_empty());
    let idle = world.nodes().iter().all(|node| node.executor.get().is_none_or(|all| all.in_work() == 0));
    sent && idle && world.queue.left() == 0
}

/// What the store holds at the end, and what should not be there any more.
async fn judge(world: &World, jobs: &[Job]) {
    let mut threads = BTreeSet::new();
    let mut open = 0;
    for job in jobs.iter().filter(|job| job.is_job) {
        match world.store.job(&job.id).await {
            Ok(Some(record)) => {
                threads.insert(record.thread_id.clone());
                if record.status.is_terminal() {
                    world.ledger.count(match record.status.as_str() {
                        "completed" => "job completed",
                        "cancelled" => "job cancelled",
                        _ => "job failed",
                    });
                    world.ledger.fact(ended(&record));
                } else {
                    open += 1;
                }
            }
            _ => open += 1,
        }
    }
    let due = world.store.outbox_due(Duration::ZERO, usize::MAX).await.map_or(0, |due| due.len());
    let in_work: usize = world.nodes().iter().filter_map(|node| Some(node.executor.get()?.in_work())).sum();
    for (what, count) in [
        ("jobs that have not ended", open),
        ("results that have not left", due),
        ("jobs in work", in_work),
        ("messages in the queue", world.queue.left()),
    ] {
        world.ledger.fact(Fact::Left { what: Arc::from(what), count: count as u64 });
    }
    for thread in threads {
        rows(world, &thread).await;
    }
}

async fn rows(world: &World, thread: &Arc<str>) {
    let Ok(snapshot) = world.store.load(thread).await else { return };
    for row in &snapshot.rows.checkpoints {
        let Ok(metadata) = Metadata::from_json(&row.metadata) else { continue };
        // What somebody else wrote belongs to no job of ours.
        let job = metadata.extra.get("agent_executor_job_id").and_then(Value::as_str).unwrap_or_default();
        world.ledger.fact(Fact::Checkpoint {
            thread: thread.clone(),
            ns: row.ns.clone(),
            job: Arc::from(job),
            id: Arc::from(row.checkpoint_id.as_str()),
            parent: row.parent_checkpoint_id.as_deref().map(Arc::from),
            step: metadata.step,
        });
    }
    for row in world.store.events(thread, 0, usize::MAX).await.unwrap_or_default() {
        world.ledger.count("journal row");
        world.ledger.fact(Fact::Journalled {
            thread: thread.clone(),
            epoch: row.epoch,
            first: row.first_seq,
            last: row.last_seq,
            covers: covers(&row.events),
        });
    }
}

/// Where a journal row begins with a superseded attempt: the first number that this accounts for.
fn covers(events: &[u8]) -> Option<u64> {
    let mut values = serde_json::Deserializer::from_slice(events).into_iter::<Value>();
    let first = values.next()?.ok()?;
    let first = first.get(0).unwrap_or(&first);
    let superseded = first.get("event_type").and_then(Value::as_str) == Some("attempt_superseded");
    superseded.then(|| first.pointer("/data/from_seq").and_then(Value::as_u64)).flatten()
}
