//! What a pod runs at once and what KEDA counts by are one number, the stream's consumer lets enough jobs out, and a
//! pod that is told to stop has time for it.

use serde_json::Value;

use crate::manifests::Report;
use crate::manifests::documents::{Document, text};
use crate::manifests::pods::{Pod, pods, variable};
use crate::manifests::sets::Set;

/// Seconds that the last outlets may take after the drain.
const OUTLETS: u64 = 5;
/// Node autoscalers wait no longer for a pod.
const LONGEST: u64 = 600;

pub(super) fn check(set: &Set, report: &mut Report) {
    let workers: Vec<Pod<'_>> = pods(set).filter(|pod| serves(pod)).collect();
    for pod in &workers {
        grace(set, pod, report);
    }
    for scaler in &set.documents {
        match scaler.kind() {
            "ScaledObject" => {
                let concurrency = workers.iter().find_map(|pod| variable(pod.main()?, "WORKER_CONCURRENCY"));
                equal(set, scaler, "lagThreshold", trigger(scaler, "lagThreshold"), concurrency, report);
                stream_job(set, scaler, concurrency, report);
            }
            "ScaledJob" => {
                equal(set, scaler, "lagThreshold", trigger(scaler, "lagThreshold"), Some("1"), report)
            }
            _ => continue,
        }
        equal(set, scaler, "account", trigger(scaler, "account"), Some("$G"), report);
    }
}

fn serves(pod: &Pod<'_>) -> bool {
    let command = pod.main().and_then(|main| main.get("command")).and_then(Value::as_array);
    command.is_some_and(|command| command.get(1).and_then(Value::as_str) == Some("serve"))
}

fn trigger<'a>(scaler: &'a Document, name: &str) -> Option<&'a str> {
    text(scaler.at("/spec/triggers/0/metadata")?, name)
}

fn equal(
    set: &Set,
    owner: &Document,
    what: &str,
    found: Option<&str>,
    expected: Option<&str>,
    report: &mut Report,
) {
    if found != expected || found.is_none() {
        let text = format!("{set}: {owner}: {what} is {found:?}, the workers make it {expected:?}");
        report.fault("concurrency", text);
    }
}

/// The Job that makes the consumer sizes it by the same numbers.
fn stream_job(set: &Set, scaler: &Document, concurrency: Option<&str>, report: &mut Report) {
    let Some(job) = pods(set).find(|pod| pod.owner.name() == "create-agent-execution-stream") else {
        return report.fault("concurrency", format!("{set}: no Job makes the streams"));
    };
    let Some(main) = job.main().filter(|main| variable(main, "NATS_MAX_WORKERS").is_some()) else { return };
    let replicas = scaler.at("/spec/maxReplicaCount").map(ToString::to_string);
    let workers = variable(main, "NATS_MAX_WORKERS");
    equal(set, job.owner, "NATS_MAX_WORKERS", workers, replicas.as_deref(), report);
    equal(set, job.owner, "WORKER_CONCURRENCY", variable(main, "WORKER_CONCURRENCY"), concurrency, report);
}

fn grace(set: &Set, pod: &Pod<'_>, report: &mut Report) {
    let number = |value: Option<&Value>| value.and_then(Value::as_u64).unwrap_or_default();
    let grace = number(pod.spec("/terminationGracePeriodSeconds"));
    let stop = number(pod.spec("/containers/0/lifecycle/preStop/sleep/seconds"));
    let budget =
        pod.main().and_then(|main| variable(main, "DRAIN_BUDGET_SECONDS")?.parse().ok()).unwrap_or(0);
    let owner = pod.owner;
    if budget == 0 || stop + budget + OUTLETS > grace || grace > LONGEST {
        let text = format!(
            "{set}: {owner}: preStop {stop} s, drain {budget} s and {OUTLETS} s of outlets must fit into {grace} s, \
             and those into {LONGEST} s"
        );
        report.fault("grace", text);
    }
}
