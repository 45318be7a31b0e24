//! Selectors and labels, named ports, restart policies, and what KEDA scales.

use serde_json::Value;

use crate::manifests::Report;
use crate::manifests::documents::{Document, contains, items, text};
use crate::manifests::pods::{Pod, pods, port};
use crate::manifests::sets::{BASE, Deploy, Set};

pub(super) fn check(deploy: &Deploy, set: &Set, report: &mut Report) {
    for document in &set.documents {
        match document.kind() {
            "Deployment" => deployment(set, document, report),
            "Service" => service(set, document, report),
            "PodDisruptionBudget" => budget(set, document, report),
            "NetworkPolicy" => network_policy(deploy, set, document, report),
            "ServiceMonitor" => monitor(set, document, report),
            "ScaledObject" => scaled_object(set, document, report),
            _ => {}
        }
    }
    for pod in pods(set) {
        pod_of(set, pod, report);
    }
}

fn deployment(set: &Set, document: &Document, report: &mut Report) {
    let labels = document.at("/spec/template/metadata/labels").unwrap_or(&Value::Null);
    let selector = document.at("/spec/selector/matchLabels").unwrap_or(&Value::Null);
    if !contains(labels, selector) {
        let text =
            format!("{set}: {document}: the selector {selector} does not match its pods' labels {labels}");
        report.fault("selectors", text);
    }
}

/// Exactly the pods of Deployments, never those of Jobs.
fn only_deployments(set: &Set, document: &Document, selector: &Value, report: &mut Report) {
    let chosen: Vec<Pod<'_>> = pods(set).filter(|pod| contains(pod.labels(), selector)).collect();
    if chosen.is_empty() {
        report.fault("selectors", format!("{set}: {document}: no pod has the labels {selector}"));
    }
    for pod in chosen.iter().filter(|pod| pod.owner.kind() != "Deployment") {
        let owner = pod.owner;
        report.fault("selectors", format!("{set}: {document}: {selector} also matches the pods of {owner}"));
    }
}

fn service(set: &Set, document: &Document, report: &mut Report) {
    let selector = document.at("/spec/selector").unwrap_or(&Value::Null);
    only_deployments(set, document, selector, report);
    for entry in document.list("/spec/ports") {
        let Some(name) = text(entry, "targetPort") else { continue };
        let there = pods(set)
            .filter(|pod| contains(pod.labels(), selector))
            .any(|pod| pod.containers().any(|container| port(container, name).is_some()));
        if !there {
            report.fault("ports", format!("{set}: {document}: its pods have no port named `{name}`"));
        }
    }
}

fn budget(set: &Set, document: &Document, report: &mut Report) {
    let selector = document.at("/spec/selector/matchLabels").unwrap_or(&Value::Null);
    only_deployments(set, document, selector, report);
}

/// A policy lies in the registry, its pods in the base.
fn network_policy(deploy: &Deploy, set: &Set, document: &Document, report: &mut Report) {
    let Some(base) = deploy.set(BASE) else { return };
    let selector = document.at("/spec/podSelector/matchLabels").unwrap_or(&Value::Null);
    let chosen: Vec<Pod<'_>> = pods(base).filter(|pod| contains(pod.labels(), selector)).collect();
    if chosen.len() != pods(base).count() {
        report.fault("selectors", format!("{set}: {document}: {selector} leaves out pods of the base"));
    }
    for entry in document.list("/spec/ingress").flat_map(|rule| items(rule.get("ports"))) {
        let Some(name) = text(entry, "port") else { continue };
        if !chosen.iter().any(|pod| pod.containers().any(|container| port(container, name).is_some())) {
            report.fault("ports", format!("{set}: {document}: no pod has a port named `{name}`"));
        }
    }
}

fn monitor(set: &Set, document: &Document, report: &mut Report) {
    let selector = document.at("/spec/selector/matchLabels").unwrap_or(&Value::Null);
    let services: Vec<&Document> =
        set.of_kind("Service").filter(|service| contains(service.labels(), selector)).collect();
    if services.is_empty() {
        report.fault("selectors", format!("{set}: {document}: no Service has the labels {selector}"));
    }
    for endpoint in document.list("/spec/endpoints") {
        let name = text(endpoint, "port");
        let named = |service: &&Document| service.list("/spec/ports").any(|port| text(port, "name") == name);
        if !services.iter().any(named) {
            report.fault("ports", format!("{set}: {document}: no Service has the port {name:?}"));
        }
    }
}

fn pod_of(set: &Set, pod: Pod<'_>, report: &mut Report) {
    let owner = pod.owner;
    for container in pod.containers() {
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let named = container.pointer(&format!("/{probe}/httpGet/port")).and_then(Value::as_str);
            if let Some(name) = named.filter(|name| port(container, name).is_none()) {
                let text =
                    format!("{set}: {owner}: {probe} asks the port `{name}`, which its container lacks");
                report.fault("ports", text);
            }
        }
    }
    let policy = pod.spec("/restartPolicy").and_then(Value::as_str);
    let fits = match owner.kind() {
        "Deployment" => matches!(policy, None | Some("Always")),
        _ => matches!(policy, Some("OnFailure" | "Never")),
    };
    if !fits {
        report.fault(
            "restart-policy",
            format!("{set}: {owner}: restartPolicy {policy:?} does not fit a {}", owner.kind()),
        );
    }
}

fn scaled_object(set: &Set, document: &Document, report: &mut Report) {
    let target = document.text("/spec/scaleTargetRef/name").unwrap_or_default();
    let kind = document.text("/spec/scaleTargetRef/kind").unwrap_or("Deployment");
    match set.find(kind, target) {
        None => report.fault("scale-target", format!("{set}: {document}: there is no {kind} {target}")),
        Some(deployment) if deployment.at("/spec/replicas").is_some() => {
            let text = format!("{set}: {deployment}: `replicas` would fight {document} at each sync");
            report.fault("scale-target", text);
        }
        Some(_) => {}
    }
}
