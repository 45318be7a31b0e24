//! Runs that are killed and gone on with.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use agent_checkpoint_store::Store;
use agent_langgraph_codec::{Kind, load_graph};
use futures_util::StreamExt;
use futures_util::stream::iter;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::AT_ONCE;
use crate::checker::Checker;
use crate::model::ScriptedModel;
use crate::runner::{Hooks, Runner};
use crate::scenario::{self, Scenario};
use crate::store::Place;

/// Variable that tells a process that is to be killed what to do.
const ORDERS: &str = "AGENT_EXECUTOR_TEST_VICTIM";
const SIGKILL: i32 = 9;

#[derive(Serialize, Deserialize)]
struct Orders {
    scenario: PathBuf,
    place: Place,
    url: String,
    run: String,
    kill_at: u64,
}

/// In a process that has orders: all turns, until it is killed at some event; ends well where the run has fewer events.
/// `false`: nobody gave orders, so this is the test.
pub(crate) async fn ordered() -> bool {
    let Ok(orders) = std::env::var(ORDERS) else { return false };
    let orders: Orders = serde_json::from_str(&orders).unwrap();
    let scenario = scenario::read(&orders.scenario);
    let store = orders.place.open().await;
    let runner = Runner::at(store, &orders.url, &scenario, &orders.run, Hooks::KillAt(orders.kill_at));
    for turn in 0..scenario.turns.len() {
        runner.turn(turn).await;
    }
    true
}

/// Each scenario, killed at its first event, its second, … until it ends before it is killed. `test` is the name of the
/// test that asks: it is what is started again.
pub(crate) async fn everywhere(test: &str, golden: &Path, place: &Place) {
    let scenarios = scenario::all(golden);
    let (model, checker) = (ScriptedModel::start(golden).await, Checker::start(golden));
    let store = place.open().await;
    let work = scenarios.iter().map(|scenario| {
        let (model, checker, store) = (&model, &checker, store.clone());
        async move {
            let mut kills = 0;
            while Box::pin(killed_at(test, scenario, kills + 1, place, model)).await {
                kills += 1;
                Box::pin(gone_on_with(scenario, kills, place, store.clone(), model, checker)).await;
            }
            println!("{}: {kills} kills", scenario.name);
            assert!(kills > 2, "{} was killed {kills} times only", scenario.name);
            kills
        }
    });
    let kills: Vec<u64> = iter(work).buffer_unordered(AT_ONCE).collect().await;
    println!(
        "{} kills over {} scenarios on {}: each ended as recorded, no committed model call was made again",
        kills.iter().sum::<u64>(),
        kills.len(),
        place.name()
    );
}

fn run_of(kill_at: u64) -> String {
    format!("kill-{kill_at}")
}

/// Whether the process was killed, and did not end before.
async fn killed_at(
    test: &str,
    scenario: &Scenario,
    kill_at: u64,
    place: &Place,
    model: &ScriptedModel,
) -> bool {
    let run = run_of(kill_at);
    let orders = Orders {
        scenario: scenario.folder.clone(),
        place: place.clone(),
        url: model.url(scenario, &run),
        run,
        kill_at,
    };
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ORDERS, serde_json::to_string(&orders).unwrap())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let killed = output.status.signal() == Some(SIGKILL);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(killed || output.status.success(), "{} at {kill_at}: {told}", scenario.name);
    killed
}

/// Another process goes on, and everything is as if nothing had happened.
async fn gone_on_with(
    scenario: &Scenario,
    kill_at: u64,
    place: &Place,
    store: std::sync::Arc<dyn Store>,
    model: &ScriptedModel,
    checker: &Checker,
) {
    let run = run_of(kill_at);
    let runner = Runner::new(store.clone(), model, scenario, &run, Hooks::None);
    place.let_leases_run_out(&runner.thread_id()).await;
    let before = model.asked(scenario, &run).len();
    let committed = answers(&*store, &runner.thread_id()).await;
    let mut results = Vec::new();
    for turn in 0..scenario.turns.len() {
        results.push(runner.turn(turn).await);
    }
    let asked = model.asked(scenario, &run);
    for request in &asked[before..] {
        let first = first_user(&request["body"]);
        let turn = request["turn"].as_u64().unwrap();
        let stored = committed.get(&first).copied().unwrap_or_default();
        assert!(turn >= stored, "{} at {kill_at}: answer {turn} to {first:?} was committed", scenario.name);
    }
    let found = checker.differences(scenario, &asked, &[runner.state().await], &results).await;
    assert!(found.is_empty(), "{} on {}, killed at {kill_at}: {found:#?}", scenario.name, place.name());
}

/// Answers of models that are stored, by the first user message of their conversation.
async fn answers(store: &dyn Store, thread_id: &str) -> HashMap<String, u64> {
    let rows = store.load(thread_id).await.unwrap().rows;
    let mut namespaces: Vec<&str> = rows.checkpoints.iter().map(|row| &*row.ns).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let mut found = HashMap::new();
    for ns in namespaces {
        let messages = load_graph(&rows, ns).unwrap().unwrap().messages;
        let first = messages.iter().find(|message| matches!(message.kind, Kind::Human));
        let count = messages.iter().filter(|message| matches!(message.kind, Kind::Ai { .. })).count() as u64;
        if let Some(first) = first {
            found.insert(first.text("\n"), count);
        }
    }
    found
}

/// The first user text of a request to any provider.
fn first_user(body: &Value) -> String {
    let items = body.get("input").or_else(|| body.get("messages")).unwrap().as_array().unwrap();
    let first = items.iter().find(|item| item["role"] == "user").unwrap();
    let content = &first["content"];
    content.as_str().map_or_else(
        || {
            let blocks = content.as_array().unwrap().iter();
            blocks.filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join("\n")
        },
        str::to_owned,
    )
}
