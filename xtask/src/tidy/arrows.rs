//! Which crate may use which. The table is the one of docs/ARCHITECTURE.md; arrows point down, sideways only where
//! the table says so.

use super::Report;
use super::workspace::{Declared, Ours, Workspace};

/// Rows from top to bottom. `SIDE` crates use none of ours; anyone but the core may use them.
const CORE: u8 = 1;
const PORT: u8 = 2;
const ENGINE: u8 = 3;
const DOOR: u8 = 4;
const BIN: u8 = 5;
const SIDE: u8 = 0;
const DEV: u8 = 6;

struct Layer {
    package: &'static str,
    row: u8,
    /// Crates of its own row that it may use.
    sideways: &'static [&'static str],
    /// Foreign crates that would show that it knows what it must not know.
    never: &'static [&'static str],
}

const SERVERS: &[&str] =
    &["tokio-postgres", "deadpool-postgres", "rusqlite", "async-nats", "fred", "axum", "hyper"];
const NOT_PURE: &[&str] =
    &["tokio", "reqwest", "axum", "hyper", "rand", "async-nats", "tokio-postgres", "fred"];

/// It stands between a script and the worker, so it is single-threaded and knows as little as can be.
const LAUNCHER: &[&str] = &[
    "tokio",
    "reqwest",
    "axum",
    "hyper",
    "async-nats",
    "tokio-postgres",
    "fred",
    "rusqlite",
    "tracing",
    "agent-executor-core",
    "agent-tool-host",
];

const LAYERS: &[Layer] = &[
    Layer { package: "agent-langgraph-codec", row: CORE, sideways: &[], never: NOT_PURE },
    Layer {
        package: "agent-executor-core",
        row: CORE,
        sideways: &["agent-langgraph-codec"],
        never: NOT_PURE,
    },
    Layer {
        package: "agent-wire",
        row: CORE,
        sideways: &["agent-executor-core", "agent-langgraph-codec"],
        never: NOT_PURE,
    },
    Layer {
        package: "agent-checkpoint-store",
        row: PORT,
        sideways: &[],
        never: &["async-nats", "axum", "fred"],
    },
    Layer { package: "agent-stream-sink", row: PORT, sideways: &[], never: &["tokio-postgres", "rusqlite"] },
    Layer { package: "agent-model-client", row: PORT, sideways: &[], never: SERVERS },
    Layer {
        package: "agent-tool-host",
        row: PORT,
        sideways: &[],
        never: &["tokio-postgres", "async-nats", "fred"],
    },
    Layer { package: "agent-executor-runtime", row: ENGINE, sideways: &[], never: SERVERS },
    Layer {
        package: "agent-transport-nats",
        row: DOOR,
        sideways: &[],
        never: &["tokio-postgres", "rusqlite", "fred", "axum"],
    },
    Layer {
        package: "agent-transport-http",
        row: DOOR,
        sideways: &[],
        never: &["tokio-postgres", "rusqlite", "fred", "async-nats"],
    },
    Layer { package: "agent-migrations", row: DOOR, sideways: &[], never: &["async-nats", "axum", "fred"] },
    Layer { package: "agent-config", row: SIDE, sideways: &[], never: SERVERS },
    Layer {
        package: "agent-telemetry",
        row: SIDE,
        sideways: &[],
        never: &["tokio-postgres", "async-nats", "fred"],
    },
    Layer { package: "worker", row: BIN, sideways: &[], never: &[] },
    Layer { package: "tool-launcher", row: BIN, sideways: &[], never: LAUNCHER },
    Layer { package: "migrate-init", row: BIN, sideways: &[], never: &["async-nats", "axum", "fred"] },
    Layer { package: "agent-testkit", row: DEV, sideways: &[], never: &[] },
    Layer {
        package: "agent-simulator",
        row: DEV,
        sideways: &[],
        never: &["async-nats", "tokio-postgres", "fred"],
    },
    // Manifests are checked against the settings and metrics that the program knows.
    Layer {
        package: "xtask",
        row: DEV,
        sideways: &["agent-testkit", "agent-config", "agent-telemetry"],
        never: &[],
    },
];

/// Features that are backends: named only where things are put together, and in tests.
const BACKENDS: &[&str] = &["postgres", "sqlite", "redis"];

pub(super) fn check(workspace: &Workspace, report: &mut Report) {
    for package in &workspace.ours {
        let Some(layer) = layer(&package.name) else {
            report.fault(format!("{}: not in the table of crates (xtask/src/tidy/arrows.rs)", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            if let Some(fault) = fault(package, layer, dependency) {
                report.fault(fault);
            }
        }
    }
}

fn layer(name: &str) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.package == name)
}

fn fault(package: &Ours, layer: &Layer, dependency: &Declared) -> Option<String> {
    let (name, other) = (&package.name, &dependency.name);
    if !dependency.dev && layer.never.contains(&other.as_str()) {
        return Some(format!("{name}: must not know `{other}`"));
    }
    let target = self::layer(other)?;
    if !(dependency.dev || allowed(layer, target) && !backend(layer, dependency)) {
        return Some(format!("{name} → {other}: no such arrow (docs/ARCHITECTURE.md)"));
    }
    // Tests may use what is above their crate only as testkit and simulator; the core's tests not even these.
    let test_aid = target.row == DEV && layer.row != CORE;
    let itself = name == other;
    // A backend is tested on the schema that migrations make.
    let schema = target.package == "agent-migrations" && layer.row >= PORT;
    let fine =
        !dependency.dev || itself || test_aid || schema || allowed(layer, target) || target.row < layer.row;
    (!fine).then(|| format!("{name} → {other} (dev): no such arrow, not even in tests"))
}

fn allowed(from: &Layer, to: &Layer) -> bool {
    if from.sideways.contains(&to.package) {
        return true;
    }
    match (from.row, to.row) {
        (SIDE, _) | (_, DEV) => from.package == "agent-simulator" && to.row == SIDE,
        (CORE, _) => false,
        // The simulator drives the whole machine; testkit and xtask know none of it.
        (DEV, row) => from.package == "agent-simulator" && row <= ENGINE,
        (row, to) => to < row,
    }
}

fn backend(layer: &Layer, dependency: &Declared) -> bool {
    layer.row < BIN
        && dependency.features.iter().any(|feature| BACKENDS.contains(&feature.as_str()))
        && self::layer(&dependency.name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(from: &str, to: &str, dev: bool, features: &[&str]) -> bool {
        let package = Ours {
            id: String::new(),
            name: from.to_owned(),
            folder: Default::default(),
            dependencies: Vec::new(),
            features: Vec::new(),
        };
        let features = features.iter().map(|feature| (*feature).to_owned()).collect();
        let dependency = Declared { name: to.to_owned(), dev, features };
        fault(&package, layer(from).unwrap(), &dependency).is_none()
    }

    #[test]
    fn arrows_point_down_and_sideways_only_where_drawn() {
        assert!(verdict("agent-wire", "agent-executor-core", false, &[]));
        assert!(verdict("agent-executor-runtime", "agent-checkpoint-store", false, &[]));
        assert!(verdict("agent-transport-nats", "agent-telemetry", false, &[]));
        assert!(!verdict("agent-executor-core", "agent-wire", false, &[]));
        assert!(!verdict("agent-transport-nats", "agent-transport-http", false, &[]));
        assert!(!verdict("agent-executor-core", "agent-telemetry", false, &[]));
        assert!(!verdict("agent-checkpoint-store", "agent-executor-runtime", true, &[]));
    }

    #[test]
    fn the_core_knows_no_runtime_and_a_port_no_foreign_server() {
        assert!(!verdict("agent-executor-core", "tokio", false, &[]));
        assert!(!verdict("agent-executor-runtime", "tokio-postgres", false, &[]));
        assert!(verdict("agent-checkpoint-store", "tokio-postgres", false, &[]));
    }

    #[test]
    fn testkit_serves_tests_only_and_backends_are_named_by_bins_and_tests() {
        assert!(verdict("agent-checkpoint-store", "agent-testkit", true, &[]));
        assert!(!verdict("agent-checkpoint-store", "agent-testkit", false, &[]));
        assert!(!verdict("agent-executor-core", "agent-testkit", true, &[]));
        assert!(!verdict("agent-executor-runtime", "agent-checkpoint-store", false, &["postgres"]));
        assert!(verdict("agent-executor-runtime", "agent-checkpoint-store", true, &["sqlite"]));
        assert!(verdict("worker", "agent-checkpoint-store", false, &["postgres", "sqlite"]));
    }
}
