//! Workers whose wall clock is wrong: leases run on the database's clock, pauses and fences on the monotonic one.

#![expect(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::print_stderr,
    reason = "helpers of tests stand outside of the test functions"
)]

use std::path::{Path, PathBuf};

use agent_checkpoint_store::Store;
use agent_testkit::programs;

use crate::common::{Plan, Stack, job};

/// A wall clock that a test can turn while the worker runs.
struct Clock(PathBuf);

impl Clock {
    /// `None`, said, where there is no library for it.
    fn plan(name: &str, offset: &str) -> Option<(Self, Plan)> {
        let Some(library) = programs::faketime() else {
            eprintln!("skipped: there is no libfaketime");
            return None;
        };
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("clock-{name}"));
        let clock = Self(file);
        clock.turn(offset);
        let plan = Plan::default()
            .quick()
            .env("LD_PRELOAD", library.to_str().unwrap())
            .env("FAKETIME_TIMESTAMP_FILE", clock.0.to_str().unwrap())
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Some((clock, plan))
    }

    /// To so far from the right time: `+10y`, `-1h`.
    fn turn(&self, offset: &str) {
        std::fs::write(&self.0, offset).unwrap();
    }
}

/// A worker on the same servers with the right time.
const RIGHT: &[(&str, &str)] = &[("LD_PRELOAD", "")];

/// The year in the thread's first and in its newest checkpoint, by the clocks of those who wrote them.
async fn years(stack: &Stack, thread: &str) -> (i32, i32) {
    let of = async |order: &str| {
        let query = format!(
            "select left(checkpoint->>'ts', 4)::int4 from checkpoints
            where thread_id = $1 and checkpoint_ns = '' order by checkpoint_id {order} limit 1"
        );
        stack.postgres().await.query_one(&query, &[&thread]).await.unwrap().get(0)
    };
    (of("asc").await, of("desc").await)
}

async fn messages(stack: &Stack, thread: &str) -> usize {
    let rows = stack.store().await.load(thread).await.unwrap().rows;
    agent_langgraph_codec::load_graph(&rows, "").unwrap().unwrap().messages.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_costs_no_lease_and_repeats_nothing() {
    let Some((clock, plan)) = Clock::plan("jumps", "+0") else { return };
    let Some(stack) = plan.start().await else { return };
    // Somebody who would take the thread.
    let right = stack.another(RIGHT);
    right.ready().await;
    stack.publish(&job("jumps-1", "tools tokens=20 delay_ms=60")).await;
    for (asked, offset) in [(1, "+1h"), (2, "-10y"), (3, "-1h"), (4, "+10y")] {
        stack.until_asked(asked).await;
        clock.turn(offset);
    }
    assert_eq!(stack.end_of("jumps-1").await, "completed");
    stack.settled().await;
    let job = stack.store().await.job("jumps-1").await.unwrap().unwrap();
    assert_eq!((job.unclean_count, stack.model.requests()), (0, 6));
    let query = "select epoch from agent_leases where thread_id = 'jumps-1'";
    let epoch: i64 = stack.postgres().await.query_one(query, &[]).await.unwrap().get(0);
    assert_eq!(epoch, 1, "the thread had one holder");
    assert_eq!(
        messages(&stack, "jumps-1").await,
        12,
        "the user's message, five calls, five results, the text"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_that_a_worker_ten_years_ahead_left_goes_on_in_order() {
    let Some((_clock, plan)) = Clock::plan("ahead", "+10y") else { return };
    let Some(mut stack) = plan.start().await else { return };
    stack.publish(&job("ahead-1", "tools delay_ms=20")).await;
    stack.until_asked(3).await;
    stack.worker.signal("KILL");
    stack.worker.ended().await;

    let _right = stack.another(RIGHT);
    assert_eq!(stack.end_of("ahead-1").await, "completed");
    stack.settled().await;
    let (first, newest) = years(&stack, "ahead-1").await;
    assert!(first >= newest + 9, "the first worker was ahead, the second was not: {first}, {newest}");
    // Readers take the checkpoint with the greatest id for the newest.
    assert_eq!(
        messages(&stack, "ahead-1").await,
        12,
        "the user's message, five calls, five results, the text"
    );
    assert!(stack.model.requests() <= 6 + 1, "at most the call in flight is made again");
}
