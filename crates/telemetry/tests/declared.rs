//! The list of metrics: its own rules, and the page made from it.

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
