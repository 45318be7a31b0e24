//! The runtime in seeded worlds.

#![expect(
    clippy::print_stdout,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests stand outside of the test functions, and say what was seen"
)]

use std::time::Instant;

use agent_executor_core::audit::{Invariant, Sometimes};
use agent_simulator::{Options, Planted, Report, run_seed, run_seeds};

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: expected a number")))
}

fn show(report: &Report) {
    for (what, count) in &report.counts {
        println!("{count:>10}  {what}");
    }
    for what in Sometimes::ALL {
        println!("{:>10}  sometimes: {what}", report.sometimes.get(what).copied().unwrap_or_default());
    }
    for (seed, violation) in report.violations.iter().take(20) {
        println!("seed {seed}: {violation}");
    }
}

/// `SIM_SEEDS` seeds from `SIM_FIRST`, or the one of `SIM_SEED` with its trace (`cargo xtask sim`).
#[test]
fn seeds() {
    let liveness = std::env::var_os("SIM_LIVENESS").is_some();
    if let Some(seed) = from_environment("SIM_SEED") {
        let keep_trace = std::env::var_os("SIM_LOG").is_some();
        let report = run_seed(seed, Options { keep_trace, liveness, ..Options::default() }).unwrap();
        for line in &report.trace {
            println!("{line}");
        }
        show(&report);
        println!("trace hash {:016x}", report.hash);
        assert!(report.violations.is_empty(), "seed {seed} breaks promises");
        return;
    }
    let Some(count) = from_environment("SIM_SEEDS") else {
        println!("skipped: `cargo xtask sim` says how many seeds");
        return;
    };
    let first = from_environment("SIM_FIRST").unwrap_or(1);
    let begun = Instant::now();
    let report = run_seeds(first, count, Options { liveness, ..Options::default() }).unwrap();
    show(&report);
    println!("{count} seeds from {first} in {:.1} s", begun.elapsed().as_secs_f64());
    let mut failing: Vec<u64> = report.violations.iter().map(|(seed, _)| *seed).collect();
    failing.dedup();
    assert!(failing.is_empty(), "replay: cargo xtask sim --seed {} --log; failing: {failing:?}", failing[0]);
    let missing = Sometimes::missing(&report.sometimes);
    assert!(missing.is_empty(), "these never happened, so nothing is proven of them: {missing:?}");
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 1..=8 {
        let keep = Options { keep_trace: true, ..Options::default() };
        let (one, two) = (run_seed(seed, keep).unwrap(), run_seed(seed, keep).unwrap());
        let differ = one.trace.iter().zip(&two.trace).find(|(a, b)| a != b);
        assert_eq!(differ, None, "seed {seed}");
        assert_eq!(one.hash, two.hash, "seed {seed}");
    }
    let hashes: Vec<u64> = (1..=8).map(|seed| run_seed(seed, Options::default()).unwrap().hash).collect();
    assert!(hashes.windows(2).all(|pair| pair[0] != pair[1]), "seeds differ from each other");
}

/// Seeds until the audit finds this; a bug that 400 worlds do not show would be one that it cannot see.
fn finds(planted: Planted, expected: &[Invariant]) {
    for seed in 1..=400 {
        let report = run_seed(seed, Options { planted: Some(planted), ..Options::default() }).unwrap();
        let found = report.violations.iter().find(|(_, violation)| expected.contains(&violation.invariant));
        if let Some((seed, violation)) = found {
            let healthy = run_seed(*seed, Options::default()).unwrap();
            assert!(healthy.violations.is_empty(), "without the bug: {:?}", healthy.violations);
            println!("{planted:?}: seed {seed}: {violation}");
            return;
        }
    }
    panic!("{planted:?} was not found in 400 seeds");
}

#[test]
fn an_unfenced_commit_is_found() {
    finds(Planted::UnfencedCommit, &[Invariant::StepOnce]);
}

#[test]
fn an_ack_before_the_end_is_found() {
    finds(Planted::EarlyAck, &[Invariant::AckAfterEnd]);
}

#[test]
fn a_repeated_at_most_once_call_is_found() {
    finds(Planted::ForgottenIntent, &[Invariant::AtMostOnce]);
}

#[test]
fn a_result_that_never_left_is_found() {
    finds(Planted::LostResult, &[Invariant::OneResult]);
}

#[test]
fn a_commit_that_the_store_forgot_is_found() {
    finds(Planted::ForgottenCommit, &[Invariant::StepOnce, Invariant::NoFork, Invariant::AtMostOnce]);
}

#[test]
fn work_that_nobody_picks_up_is_found() {
    finds(Planted::NoSweep, &[Invariant::Progress, Invariant::NotLost]);
}
