//! Real faults: real servers, real worker processes, loopback only (docs/reliability.md, section 4.2).
//!
//! `cargo xtask chaos` runs it in full, `cargo xtask chaos --short` in two minutes. Every scenario prints its doses and
//! counts; the table at the end is what the promises are worth. A dose that was not reached fails like a wrong count.

#![expect(clippy::print_stdout, reason = "what was seen is the point")]

#[path = "../process/common/mod.rs"]
mod common;

mod drains;
mod effects;
mod fleet;
mod hostile;
mod outages;
mod partitions;
mod providers;
mod storm;
mod table;
mod verdict;
mod zombies;

use std::future::Future;
use std::pin::Pin;

use table::Row;

/// How much of each harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dose {
    /// Two minutes for all; all timers are a tenth.
    Short,
    /// Some ten minutes, with the real timers.
    Full,
}

impl Dose {
    pub(crate) fn of<T>(self, short: T, full: T) -> T {
        match self {
            Self::Short => short,
            Self::Full => full,
        }
    }
}

type Run = Pin<Box<dyn Future<Output = Outcome>>>;

struct Scenario {
    name: &'static str,
    /// Scenarios of one lane run one after another, lanes side by side.
    lane: usize,
    run: fn(Dose) -> Run,
}

/// In full the first has the machine for itself: it measures how long a takeover takes.
const STORM: usize = 0;

const SCENARIOS: &[Scenario] = &[
    Scenario { name: "kill -9 storm", lane: STORM, run: |dose| Box::pin(storm::run(dose)) },
    Scenario { name: "zombies (SIGSTOP)", lane: 1, run: |dose| Box::pin(zombies::run(dose)) },
    Scenario { name: "NATS restarts", lane: 2, run: |dose| Box::pin(outages::nats(dose)) },
    Scenario { name: "provider faults", lane: 2, run: |dose| Box::pin(providers::run(dose)) },
    Scenario { name: "PostgreSQL restarts", lane: 3, run: |dose| Box::pin(outages::postgres(dose)) },
    Scenario { name: "Redis down", lane: 3, run: |dose| Box::pin(outages::redis(dose)) },
    Scenario { name: "partitions", lane: 4, run: |dose| Box::pin(partitions::run(dose)) },
    Scenario { name: "drain", lane: 5, run: |dose| Box::pin(drains::run(dose)) },
    Scenario { name: "hostile input", lane: 5, run: |dose| Box::pin(hostile::run(dose)) },
    Scenario { name: "pool exhaustion", lane: 5, run: |dose| Box::pin(outages::pool(dose)) },
];

/// What came of one scenario; `None`: there are no servers.
type Outcome = anyhow::Result<Option<Row>>;

async fn lane(chosen: &[&Scenario], number: usize, dose: Dose) -> Vec<(&'static str, Outcome)> {
    let mut outcomes = Vec::new();
    for scenario in chosen.iter().filter(|scenario| scenario.lane == number) {
        println!("chaos: {} begins", scenario.name);
        let outcome = (scenario.run)(dose).await;
        println!("chaos: {} has ended", scenario.name);
        outcomes.push((scenario.name, outcome));
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn chaos() {
    let dose = match std::env::var("CHAOS").as_deref() {
        Ok("full") => Dose::Full,
        Ok("short") => Dose::Short,
        _ => {
            println!("skipped: `cargo xtask chaos` runs it, alone on the machine");
            return;
        }
    };
    let only = std::env::var("CHAOS_ONLY").unwrap_or_default();
    let chosen: Vec<&Scenario> = SCENARIOS.iter().filter(|scenario| scenario.name.contains(&only)).collect();
    assert!(!chosen.is_empty(), "no scenario is called `{only}`");
    let mut rows = Vec::new();
    let side_by_side = match dose {
        Dose::Short => STORM..=5,
        Dose::Full => {
            rows = lane(&chosen, STORM, dose).await;
            1..=5
        }
    };
    let lanes = side_by_side.map(|number| lane(&chosen, number, dose));
    rows.extend(futures_util::future::join_all(lanes).await.into_iter().flatten());
    let (mut seen, mut failed) = (Vec::new(), Vec::new());
    for (name, outcome) in rows {
        match outcome {
            Ok(Some(row)) => seen.push((name, row)),
            Ok(None) => println!("skipped: {name}: no servers"),
            Err(error) => failed.push(format!("{name}: {error:#}")),
        }
    }
    failed.extend(table::print(&seen));
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
