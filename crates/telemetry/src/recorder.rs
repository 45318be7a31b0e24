//! The recorder behind the metrics, and the text that `/metrics` answers with.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Mutex, PoisonError},
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use metrics_process::Collector;

use crate::{
    declare::{Histogram, Metric},
    metric::ALL,
};

/// Why metrics cannot be recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// Another recorder than ours is installed in this process.
    #[error("another metrics recorder is already installed in this process")]
    Taken,
    /// A declaration is wrong; a test of this crate catches it.
    #[error("the buckets of `{metric}` are refused: {detail}")]
    Buckets {
        /// Whose.
        metric: &'static str,
        /// Why.
        detail: String,
    },
}

/// Reads what was recorded. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    prometheus: PrometheusHandle,
    process: Collector,
}

static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);

/// Installs the recorder for this process, with every known series at 0. A second call gives the same handle.
///
/// # Errors
/// Where another recorder is installed already.
pub fn install() -> Result<Metrics, InstallError> {
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(metrics) = &*installed {
        return Ok(metrics.clone());
    }
    let (recorder, metrics) = recorder()?;
    metrics::set_global_recorder(recorder).map_err(|_| InstallError::Taken)?;
    begin_at_zero();
    metrics.process.describe();
    *installed = Some(metrics.clone());
    Ok(metrics)
}

fn recorder() -> Result<(PrometheusRecorder, Metrics), InstallError> {
    let mut builder = PrometheusBuilder::new();
    for metric in ALL {
        // Without buckets it would be rendered as a summary.
        if let Metric::Histogram(Histogram(family, buckets)) = metric {
            builder = builder
                .set_buckets_for_metric(Matcher::Full(family.name.to_owned()), buckets)
                .map_err(|error| InstallError::Buckets { metric: family.name, detail: error.to_string() })?;
        }
    }
    let recorder = builder.build_recorder();
    let metrics = Metrics { prometheus: recorder.handle(), process: Collector::default() };
    Ok((recorder, metrics))
}

/// A series that appears with its first event has no rate for that event, and a dashboard shows a hole.
fn begin_at_zero() {
    for metric in ALL {
        let family = metric.family();
        for values in family.known() {
            match metric {
                Metric::Counter(counter) => {
                    metrics::describe_counter!(family.name, family.help);
                    counter.with(&values).absolute(0);
                }
                Metric::Gauge(gauge) => {
                    metrics::describe_gauge!(family.name, family.help);
                    gauge.with(&values).set(0.0);
                }
                Metric::Histogram(histogram) => {
                    metrics::describe_histogram!(family.name, family.help);
                    // Taking the handle makes the series; it holds no sample.
                    drop(histogram.with(&values));
                }
            }
        }
    }
}

impl Metrics {
    /// The content type of [`Metrics::render`].
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// All metrics as Prometheus reads them, those of the process too, each also under its older names.
    pub fn render(&self) -> String {
        self.process.collect();
        with_aliases(&self.prometheus.render())
    }

    /// To be called every few seconds: without it histograms keep each sample until somebody scrapes.
    pub fn run_upkeep(&self) {
        self.prometheus.run_upkeep();
    }
}

/// Repeats each family that has older names under each of them. So nothing is counted twice, and both names always
/// say the same.
fn with_aliases(text: &str) -> String {
    let aliases: HashMap<&str, &[&str]> =
        ALL.iter().map(|metric| (metric.family().name, metric.family().aliases)).collect();
    let mut page = String::with_capacity(text.len() * 2);
    for block in text.split_inclusive("\n\n") {
        page.push_str(block);
        let name = block.split_ascii_whitespace().nth(2).unwrap_or_default();
        for alias in aliases.get(name).copied().unwrap_or_default() {
            for line in block.lines().filter(|line| !line.is_empty()) {
                let renamed = ["# HELP ", "# TYPE ", ""].iter().find_map(|head| {
                    let rest = line.strip_prefix(head)?.strip_prefix(name)?;
                    Some((*head, rest))
                });
                if let Some((head, rest)) = renamed {
                    // Writing to a String cannot fail.
                    writeln!(page, "{head}{alias}{rest}").unwrap_or_default();
                }
            }
            page.push('\n');
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric;

    fn rendered(act: impl FnOnce()) -> String {
        let (recorder, metrics) = recorder().unwrap();
        metrics::with_local_recorder(&recorder, || {
            begin_at_zero();
            act();
            metrics.render()
        })
    }

    fn value(page: &str, series: &str) -> Option<f64> {
        page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    #[test]
    fn every_known_series_is_there_at_zero() {
        let page = rendered(|| {});
        for metric in ALL {
            let family = metric.family();
            for name in [&[family.name], family.aliases].concat() {
                assert!(page.contains(&format!("# TYPE {name} {}\n", metric.kind())), "{name}\n{page}");
                for values in family.known() {
                    let pairs: Vec<String> = family
                        .labels
                        .iter()
                        .zip(values)
                        .map(|(label, value)| format!("{}=\"{value}\"", label.name))
                        .collect();
                    let labels =
                        if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) };
                    let suffix = if metric.kind() == "histogram" { "_count" } else { "" };
                    let series = format!("{name}{suffix}{labels}");
                    assert_eq!(value(&page, &series), Some(0.0), "{series}\n{page}");
                }
            }
        }
    }

    #[test]
    fn an_alias_says_what_its_metric_says() {
        let page = rendered(|| {
            metric::NATS_MESSAGES_PROCESSED.with(&[]).increment(3);
            metric::HTTP_REQUEST_DURATION.with(&["POST", "invoke"]).record(0.2);
        });
        assert_eq!(value(&page, "nats_messages_processed_total"), Some(3.0));
        assert_eq!(value(&page, "deepagents_runtime_nats_messages_processed_total"), Some(3.0));
        assert_eq!(value(&page, "agent_executor_nats_messages_processed_total"), Some(3.0));
        let bucket = r#"deepagents_runtime_http_request_duration_seconds_bucket{method="POST",endpoint="invoke",le="0.25"}"#;
        assert_eq!(value(&page, bucket), Some(1.0), "{page}");
    }

    #[test]
    fn a_label_takes_a_value_that_was_not_known() {
        let page = rendered(|| metric::JOBS_FAILED.with(&["definition.unknown_tool"]).increment(2));
        assert_eq!(
            value(&page, r#"agent_executor_jobs_failed_total{code="definition.unknown_tool"}"#),
            Some(2.0)
        );
    }

    #[test]
    fn the_process_is_measured_too() {
        let page = rendered(|| {});
        assert!(value(&page, "process_resident_memory_bytes").is_some_and(|bytes| bytes > 0.0), "{page}");
    }

    #[test]
    fn no_family_stands_twice_on_the_page() {
        let page = rendered(|| {});
        let mut names: Vec<&str> = page.lines().filter(|line| line.starts_with("# TYPE")).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn installing_again_gives_the_same_recorder() {
        let first = install().unwrap();
        let second = install().unwrap();
        metric::LEASES_LOST.with(&[]).increment(7);
        assert_eq!(value(&first.render(), "agent_executor_lease_lost_total"), Some(7.0));
        assert_eq!(value(&second.render(), "agent_executor_lease_lost_total"), Some(7.0));
    }
}
