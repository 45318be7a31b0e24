//! The list of metrics: its own rules, and the page made from it.

#![expect(clippy::unwrap_used, reason = "helpers of tests stand outside of the test functions")]

use std::{collections::BTreeSet, path::Path};

use agent_telemetry::{declare::Metric, metric::ALL, metrics_page};

#[test]
fn names_are_unique_and_say_their_kind() {
    let mut seen = BTreeSet::new();
    for metric in ALL {
        let family = metric.family();
        for name in [&[family.name], family.aliases].concat() {
            assert!(seen.insert(name), "`{name}` is declared twice");
        }
        assert_eq!(family.name.ends_with("_total"), metric.kind() == "counter", "`{}`", family.name);
        assert!(family.help.ends_with('.'), "`{}`: {}", family.name, family.help);
    }
}

#[test]
fn no_label_holds_an_id() {
    for metric in ALL {
        for label in metric.family().labels {
            assert!(!label.name.ends_with("_id") && !label.known.is_empty(), "`{}`", metric.family().name);
        }
    }
}

#[test]
fn buckets_ascend() {
    for metric in ALL {
        if let Metric::Histogram(histogram) = metric {
            assert!(histogram.1.is_sorted() && !histogram.1.is_empty(), "`{}`", histogram.0.name);
        }
    }
}

/// A metric that nobody counts is a panel and an alert that never show anything.
#[test]
fn every_metric_is_counted_somewhere() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let declared = std::fs::read_to_string(root.join("crates/telemetry/src/metric.rs")).unwrap();
    let sources = sources(root);
    assert!(sources.len() > 100_000, "the sources are there");
    for metric in ALL {
        let name = metric.family().name;
        let short = format!("\"{}\"", name.trim_start_matches("agent_executor_"));
        let line = declared.lines().find(|line| line.contains(&short)).unwrap();
        let constant = line.split_whitespace().next().unwrap();
        let with = format!("{constant}.with(");
        let called = sources.match_indices(&with).any(|(at, _)| {
            !sources[..at].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '_')
        });
        assert!(called || sources.contains(&format!("\"{name}\"")), "nobody counts `{name}`");
    }
}

/// All of the product's own sources but this crate's, without white space.
fn sources(root: &Path) -> String {
    let mut folders: Vec<_> = ["crates", "bins"]
        .iter()
        .flat_map(|kind| std::fs::read_dir(root.join(kind)).unwrap())
        .map(|package| package.unwrap().path())
        .filter(|package| !package.ends_with("telemetry"))
        .map(|package| package.join("src"))
        .collect();
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap()) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.path().extension().is_some_and(|kind| kind == "rs") {
                let source = std::fs::read_to_string(entry.path()).unwrap();
                text.extend(source.split_whitespace());
            }
        }
    }
    text
}

/// `UPDATE_DOCS=1 cargo test -p agent-telemetry` writes the page.
#[test]
fn the_page_about_metrics_is_made_from_the_list() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, metrics_page()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == metrics_page(),
        "docs/metrics.md is old; UPDATE_DOCS=1 cargo test -p agent-telemetry writes it"
    );
}
