//! The generated page about metrics.

use std::fmt::Write as _;

use crate::{declare::Metric, metric::ALL};

/// The text of `docs/metrics.md`.
pub fn metrics_page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         Generated from `crates/telemetry/src/metric.rs`; a test compares. `GET /metrics` answers with these, each also \
         under its older names, and with `process_*` (CPU, memory, descriptors, threads, start time). Every series \
         whose label values are known is there at 0 from the start. No label holds an id.\n\n\
         | name | kind | labels | meaning |\n|---|---|---|---|\n",
    );
    for metric in ALL {
        let family = metric.family();
        let labels: Vec<String> = family
            .labels
            .iter()
            .map(|label| {
                let more = if label.open { ", …" } else { "" };
                format!("`{}`: {}{more}", label.name, label.known.join(", "))
            })
            .collect();
        // Writing to a String cannot fail.
        writeln!(page, "| `{}` | {} | {} | {} |", family.name, metric.kind(), labels.join("; "), family.help)
            .unwrap_or_default();
    }
    page.push_str("\n## Older names\n\n| name | same as |\n|---|---|\n");
    for family in ALL.iter().map(Metric::family) {
        for alias in family.aliases {
            writeln!(page, "| `{alias}` | `{}` |", family.name).unwrap_or_default();
        }
    }
    page.push_str("\n## Buckets\n\n| name | upper bounds |\n|---|---|\n");
    for metric in ALL {
        if let Metric::Histogram(histogram) = metric {
            let bounds: Vec<String> = histogram.1.iter().map(ToString::to_string).collect();
            writeln!(page, "| `{}` | {} |", histogram.0.name, bounds.join(", ")).unwrap_or_default();
        }
    }
    page
}
