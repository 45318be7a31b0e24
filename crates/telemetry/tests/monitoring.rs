//! Dashboards and alert rules in deploy/ use only metrics that exist.

use std::collections::BTreeSet;
use std::path::Path;

use agent_telemetry::metric::ALL;

/// Every name under which a series of ours can be asked for.
fn series() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for metric in ALL {
        let family = metric.family();
        let own = family.name.to_owned();
        for name in std::iter::once(own.as_str()).chain(family.aliases.iter().copied()) {
            names.insert(name.to_owned());
            names.extend(["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")));
        }
    }
    names
}

/// The words of a text that look like metrics of ours.
fn asked(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("agent_executor_") || word.starts_with("nats_messages_")).collect()
}

#[test]
fn dashboards_and_alerts_ask_only_for_metrics_that_exist() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/overlays/monitoring");
    let known = series();
    let mut seen = 0;
    for file in std::fs::read_dir(&folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for name in asked(&text) {
            assert!(known.contains(name), "{name} is asked for and not declared");
            seen += 1;
        }
    }
    assert!(seen > 20, "the dashboard alone asks for more than {seen}");
}

#[test]
fn a_name_that_nobody_declares_is_found() {
    let planted = asked("rate(agent_executor_no_such_total[5m])");
    assert!(planted.iter().any(|name| !series().contains(*name)));
}
