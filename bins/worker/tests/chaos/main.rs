//! Real faults: real servers, real worker processes, loopback only (docs/reliability.md, section 4.2).
//!
//! `cargo xtask chaos` runs it in full, `cargo xtask chaos --short` in a minute. Every scenario prints its doses and
//! counts; the table at the end is what the promises are worth.

#![expect(clippy::print_stdout, reason = "what was seen is the point")]

#[path = "../common/mod.rs"]
mod common;

mod drains;
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
    /// A minute for all, side by side.
    Short,
    /// Some twenty minutes, one after another.
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

type Run = Pin<Box<dyn Future<Output = anyhow::Result<Option<Row>>>>>;

struct Scenario {
    name: &'static str,
    /// Whether it fits into the short form.
    short: bool,
    run: fn(Dose) -> Run,
}

const SCENARIOS: &[Scenario] = &[
    Scenario { name: "kill -9 storm", short: true, run: |dose| Box::pin(storm::run(dose)) },
    Scenario { name: "zombies (SIGSTOP)", short: true, run: |dose| Box::pin(zombies::run(dose)) },
    Scenario { name: "NATS restarts", short: true, run: |dose| Box::pin(outages::nats(dose)) },
    Scenario { name: "PostgreSQL restarts", short: true, run: |dose| Box::pin(outages::postgres(dose)) },
    Scenario { name: "partitions", short: false, run: |dose| Box::pin(partitions::run(dose)) },
    Scenario { name: "Redis down", short: true, run: |dose| Box::pin(outages::redis(dose)) },
    Scenario { name: "provider faults", short: true, run: |dose| Box::pin(providers::run(dose)) },
    Scenario { name: "hostile input", short: true, run: |dose| Box::pin(hostile::run(dose)) },
    Scenario { name: "drain", short: true, run: |dose| Box::pin(drains::run(dose)) },
    Scenario { name: "pool exhaustion", short: false, run: |dose| Box::pin(outages::pool(dose)) },
];

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
    let chosen = SCENARIOS.iter().filter(|scenario| scenario.name.contains(&only));
    let mut rows = Vec::new();
    match dose {
        Dose::Full => {
            for scenario in chosen {
                println!("chaos: {}", scenario.name);
                rows.push((scenario.name, (scenario.run)(dose).await));
            }
        }
        Dose::Short => {
            let fitting = chosen.filter(|scenario| scenario.short || !only.is_empty());
            let running = fitting.map(async |scenario| (scenario.name, (scenario.run)(dose).await));
            rows = futures_util::future::join_all(running).await;
        }
    }
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
