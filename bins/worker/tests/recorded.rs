//! The recorded scenarios on each of the three stores, and with a `kill -9` at every event of a run in turn: the same
//! requests, the same final state, the same results. The model is the recordings' own scripted server, the judge
//! their own checker. Each kill needs a process: the test itself, started again with orders.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests stand outside of the test functions"
)]

#[path = "recorded/checker.rs"]
mod checker;
#[path = "recorded/killed.rs"]
mod killed;
#[path = "recorded/model.rs"]
mod model;
#[path = "recorded/runner.rs"]
mod runner;
#[path = "recorded/scenario.rs"]
mod scenario;
#[path = "recorded/store.rs"]
mod store;

use agent_testkit::Servers;
use futures_util::StreamExt;
use futures_util::stream::iter;

use checker::Checker;
use model::ScriptedModel;
use runner::{Hooks, Runner};
use store::Place;

/// Scenarios in work at once: they wait for the model and for processes.
const AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn every_scenario_ends_as_recorded_on_all_three_stores() {
    let Some(golden) = scenario::folder() else { return };
    let Some(servers) = Servers::or_skip().await else { return };
    let scenarios = scenario::all(&golden);
    let (model, checker) = (ScriptedModel::start(&golden).await, Checker::start(&golden));
    let scratch = tempfile::tempdir().unwrap();
    let places = [
        Place::Memory,
        Place::Sqlite(scratch.path().join("threads.db")),
        Place::Postgres(store::database(&servers).await),
    ];
    let mut count = 0;
    for place in &places {
        let store = place.open().await;
        let label = place.name();
        let work = scenarios.iter().map(|scenario| {
            let (store, model, checker) = (store.clone(), &model, &checker);
            async move {
                let runner = Runner::new(store, model, scenario, label, Hooks::None);
                let mut states = Vec::new();
                let mut results = Vec::new();
                for turn in 0..scenario.turns.len() {
                    results.push(runner.turn(turn).await);
                    states.push(runner.state().await);
                }
                let asked = model.asked(scenario, label);
                let found = checker.differences(scenario, &asked, &states, &results).await;
                assert!(found.is_empty(), "{} on {label}: {found:#?}", scenario.name);
            }
        });
        count += iter(work).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await.len();
    }
    println!("{count} runs as recorded: {} scenarios on memory, SQLite and PostgreSQL", scenarios.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_event_changes_nothing_on_sqlite() {
    if killed::ordered().await {
        return;
    }
    let Some(golden) = scenario::folder() else { return };
    let scratch = tempfile::tempdir().unwrap();
    killed::everywhere(
        "a_kill_at_any_event_changes_nothing_on_sqlite",
        &golden,
        &Place::Sqlite(scratch.path().join("threads.db")),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_event_changes_nothing_on_postgres() {
    if killed::ordered().await {
        return;
    }
    let Some(golden) = scenario::folder() else { return };
    let Some(servers) = Servers::or_skip().await else { return };
    killed::everywhere(
        "a_kill_at_any_event_changes_nothing_on_postgres",
        &golden,
        &Place::Postgres(store::database(&servers).await),
    )
    .await;
}
