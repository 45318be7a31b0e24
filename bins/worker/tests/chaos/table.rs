//! What a scenario showed, and the table of all.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_executor_core::audit::{Invariant, Violation};

/// One scenario's counts.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) jobs: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    /// What was done to it, by kind.
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// What was seen beside it.
    pub(crate) seen: BTreeMap<&'static str, u64>,
    pub(crate) violations: Vec<Violation>,
    /// From a kill to the next holder, for each thread that was held.
    pub(crate) takeovers: Vec<Duration>,
    /// From SIGTERM to the exit.
    pub(crate) drains: Vec<Duration>,
    /// What the scenario itself asks for and did not get.
    pub(crate) missed: Vec<String>,
    /// Model calls beyond those that the jobs need.
    pub(crate) wasted: Option<u64>,
    pub(crate) took: Duration,
}

impl Row {
    pub(crate) fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }

    /// Notes what must hold beside the invariants.
    pub(crate) fn must(&mut self, holds: bool, what: impl Into<String>) {
        if !holds {
            self.missed.push(what.into());
        }
    }

    /// All that was done to it.
    pub(crate) fn dose(&self) -> u64 {
        self.faults.values().sum()
    }

    pub(crate) fn wastes_at_most(&mut self, limit: u64, why: &str) {
        let wasted = self.wasted.unwrap_or_default();
        self.must(wasted <= limit, format!("{wasted} model calls were made in vain, {limit} may be: {why}"));
    }

    fn broken(&self, kinds: &[Invariant]) -> usize {
        self.violations.iter().filter(|violation| kinds.contains(&violation.invariant)).count()
    }
}

fn quantile(times: &[Duration], per_cent: usize) -> String {
    let mut sorted = times.to_vec();
    sorted.sort();
    let at = (sorted.len() * per_cent).div_ceil(100).saturating_sub(1);
    sorted.get(at).map_or_else(|| "-".to_owned(), |time| format!("{:.1}", time.as_secs_f64()))
}

fn counts(of: &BTreeMap<&'static str, u64>) -> String {
    let each: Vec<String> = of.iter().map(|(what, count)| format!("{count} {what}")).collect();
    each.join(", ")
}

/// How many, and how many a fault.
fn wasted(row: &Row) -> String {
    let Some(wasted) = row.wasted else { return "-".to_owned() };
    let hundredths = wasted * 100 / row.dose().max(1);
    format!("{wasted} / {}.{:02}", hundredths / 100, hundredths % 100)
}

/// Prints everything; returns what is broken.
pub(crate) fn print(rows: &[(&str, Row)]) -> Vec<String> {
    println!(
        "\n{:<22}{:>6}{:>7}{:>7}{:>8}{:>6}{:>9}{:>7}{:>7}{:>10}{:>15}{:>14}{:>14}{:>7}",
        "",
        "jobs",
        "compl.",
        "failed",
        "faults",
        "lost",
        "contrad.",
        "twice",
        "stale",
        "once rep.",
        "wasted calls",
        "takeover s",
        "drain s",
        "s"
    );
    println!("{:>104}{:>14}{:>14}", "all / fault", "p50 / p99", "p50 / max");
    let mut failed = Vec::new();
    for (name, row) in rows {
        let lost = row.broken(&[Invariant::NotLost, Invariant::Progress]);
        let contradictory = row.broken(&[Invariant::EndIsFinal, Invariant::OneResult]);
        let twice = row.broken(&[Invariant::StepOnce, Invariant::NoFork]);
        let stale = row.broken(&[Invariant::JournalFenced, Invariant::Numbered]);
        let repeated = row.broken(&[Invariant::AtMostOnce, Invariant::IdempotentKey]);
        let takeover = format!("{} / {}", quantile(&row.takeovers, 50), quantile(&row.takeovers, 99));
        let drain = format!("{} / {}", quantile(&row.drains, 50), quantile(&row.drains, 100));
        println!(
            "{name:<22}{:>6}{:>7}{:>7}{:>8}{lost:>6}{contradictory:>9}{twice:>7}{stale:>7}{repeated:>10}{:>15}{takeover:>14}{drain:>14}{:>7.0}",
            row.jobs,
            row.completed,
            row.failed,
            row.dose(),
            wasted(row),
            row.took.as_secs_f64()
        );
        failed.extend(row.violations.iter().map(|violation| format!("{name}: {violation}")));
        failed.extend(row.missed.iter().map(|missed| format!("{name}: {missed}")));
    }
    println!();
    for (name, row) in rows {
        println!("{name}: {}; seen: {}", counts(&row.faults), counts(&row.seen));
    }
    let all = |number: fn(&Row) -> u64| rows.iter().map(|(_, row)| number(row)).sum::<u64>();
    let broken = |kinds: &[Invariant]| rows.iter().map(|(_, row)| row.broken(kinds)).sum::<usize>();
    println!(
        "\nlost {}, contradictory {}, steps twice {}, stale writes {}, at-most-once effects repeated {}",
        broken(&[Invariant::NotLost, Invariant::Progress]),
        broken(&[Invariant::EndIsFinal, Invariant::OneResult]),
        broken(&[Invariant::StepOnce, Invariant::NoFork]),
        broken(&[Invariant::JournalFenced, Invariant::Numbered]),
        broken(&[Invariant::AtMostOnce, Invariant::IdempotentKey]),
    );
    println!(
        "all: {} jobs, {} completed, {} failed as they must; {} faults; {} things broken",
        all(|row| row.jobs),
        all(|row| row.completed),
        all(|row| row.failed),
        all(Row::dose),
        failed.len()
    );
    failed
}
