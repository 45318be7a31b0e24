//! What a seed decides before anything runs.

use std::time::Duration;

use crate::dice::Dice;

/// A bug put in on purpose, to show that the audit sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// The store takes writes whoever holds the thread.
    UnfencedCommit,
    /// The door acknowledges a message when its job has begun.
    EarlyAck,
    /// Intents of at-most-once calls are not written.
    ForgottenIntent,
    /// The publisher says that a result has left, and it has not.
    LostResult,
    /// The store forgets a commit that it has acknowledged.
    ForgottenCommit,
    /// No worker looks for jobs that nobody holds.
    NoSweep,
}

/// How runs are made, the same for all seeds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// A bug to put in.
    pub planted: Option<Planted>,
    /// Keep the lines of the trace, not only their hash.
    pub keep_trace: bool,
    /// Liveness: faults are twice as dense, and when they stop one worker stays dead for good.
    pub liveness: bool,
}

/// Rates are per 10,000 calls.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) workers: usize,
    pub(crate) slots: usize,
    pub(crate) jobs: usize,
    pub(crate) threads: usize,
    pub(crate) faults_for: Duration,
    pub(crate) pause_between_faults: u64,
    pub(crate) crash: u32,
    pub(crate) stall: u32,
    pub(crate) store_away: u32,
    pub(crate) store_unknown: u32,
    pub(crate) model_fault: u32,
    pub(crate) tool_fault: u32,
    pub(crate) publish_fault: u32,
    pub(crate) poison: bool,
    pub(crate) work_queue: bool,
    pub(crate) max_deliver: Option<u32>,
    pub(crate) stays_dead: bool,
}

impl Plan {
    pub(crate) fn draw(dice: &Dice, options: Options) -> Self {
        // Some seeds are calm in one respect, so that rare things are seen alone too.
        let rate = |most: usize| {
            let drawn = if dice.happens(3_000) { 0 } else { dice.below(most) };
            u32::try_from(drawn).unwrap_or(0) * if options.liveness { 2 } else { 1 }
        };
        // Few jobs a world: many small worlds meet more than one large one.
        let jobs = 2 + dice.below(4);
        Self {
            workers: 2 + dice.below(2),
            slots: 1 + dice.below(4),
            jobs,
            threads: 1 + dice.below(jobs),
            faults_for: dice.millis(15_000, 50_000),
            pause_between_faults: 1_000 + dice.below(8_000) as u64,
            crash: rate(60),
            stall: if options.planted == Some(Planted::UnfencedCommit) { 400 } else { rate(150) },
            store_away: rate(300),
            store_unknown: rate(300),
            model_fault: rate(1_500),
            tool_fault: rate(1_500),
            publish_fault: rate(3_000),
            poison: dice.happens(2_000),
            work_queue: dice.happens(5_000),
            max_deliver: dice.happens(1_000).then_some(3),
            stays_dead: options.liveness || dice.happens(1_000),
        }
    }
}
