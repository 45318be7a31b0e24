//! Alerts ask for metrics that exist, with labels that they have, and somebody who is woken finds what to do.

use agent_telemetry::metric;
use serde_json::Value;

use crate::manifests::Report;
use crate::manifests::documents::{items, text};
use crate::manifests::sets::Set;
use crate::place;

const CHECK: &str = "alerts";

/// Metrics of others that we rely on: prometheus-nats-exporter, kube-state-metrics.
const FOREIGN: &[&str] = &[
    "jetstream_stream_total_bytes",
    "jetstream_consumer_num_pending",
    "kube_horizontalpodautoscaler_status_current_replicas",
];

pub(super) fn check(set: &Set, report: &mut Report) {
    let rules = set.of_kind("PrometheusRule").flat_map(|rule| rule.list("/spec/groups"));
    let rules: Vec<&Value> = rules.flat_map(|group| items(group.get("rules"))).collect();
    if rules.is_empty() {
        return;
    }
    let runbook = std::fs::read_to_string(place::root().join("docs/operations.md")).unwrap_or_default();
    for rule in rules {
        let name = text(rule, "alert").unwrap_or_default();
        for fault in expression_faults(text(rule, "expr").unwrap_or_default()) {
            report.fault(CHECK, format!("{set}: {name}: {fault}"));
        }
        if !runbook.lines().any(|line| line == format!("### {name}")) {
            report.fault(CHECK, format!("{set}: {name}: docs/operations.md has no section of this name"));
        }
        let link = rule.pointer("/annotations/runbook").and_then(Value::as_str);
        let expected = format!("docs/operations.md#{}", name.to_lowercase());
        if link != Some(&expected) {
            report.fault(CHECK, format!("{set}: {name}: its runbook is {link:?}, not `{expected}`"));
        }
    }
}

/// Names of metrics and of labels in selectors, against what is declared.
fn expression_faults(expression: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = expression;
    while let Some(at) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        let tail = rest.get(at..).unwrap_or_default();
        let end = tail.find(|c| !is_name(c)).unwrap_or(tail.len());
        let (name, after) = tail.split_at(end);
        rest = after;
        if !name.contains('_')
            || name.starts_with("histogram_")
            || name.ends_with("_over_time")
            || name == "clamp_min"
        {
            continue;
        }
        if FOREIGN.contains(&name) {
            rest = after
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'))
                .map_or(after, |(_, rest)| rest);
            continue;
        }
        let base = name.strip_suffix("_bucket").unwrap_or(name);
        let Some(found) = metric::ALL.iter().find(|metric| metric.family().name == base) else {
            faults.push(format!("there is no metric `{name}`"));
            continue;
        };
        if let Some((selector, outside)) = after.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            rest = outside;
            for label in selector.split(',').filter_map(|pair| pair.split(['=', '!']).next()) {
                if !found.family().labels.iter().any(|known| known.name == label.trim()) {
                    faults.push(format!("`{name}` has no label `{}`", label.trim()));
                }
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::documents::Document;

    #[test]
    fn unknown_metrics_and_labels_are_found() {
        for good in [
            "sum by (pod) (increase(agent_executor_health_checks_total{type=\"readiness\",status=\"x\"}[5m])) > 0",
            "histogram_quantile(0.99, sum by (le) (rate(agent_executor_commit_seconds_bucket[5m]))) > 0.5",
            "max(jetstream_stream_total_bytes{stream_name=\"A\"}) > 1",
        ] {
            assert_eq!(expression_faults(good), Vec::<String>::new());
        }
        assert_eq!(expression_faults("max(agent_executor_nothing) > 0").len(), 1);
        assert_eq!(expression_faults("max(agent_executor_jobs_total{state=\"failed\"}) > 0").len(), 1);
    }

    #[test]
    fn the_list_of_documents_is_used() {
        let rule = Document::parse(
            "kind: PrometheusRule\nspec: {groups: [{rules: [{alert: A, expr: b_c > 1}]}]}\n",
            "x",
        );
        let set = Set { name: "overlays/x".to_owned(), documents: rule.unwrap() };
        let mut report = Report::default();
        check(&set, &mut report);
        assert_eq!(report.findings.len(), 3);
    }
}
