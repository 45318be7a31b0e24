//! One name for one thing: stream, consumer, server, namespace and image, in Jobs, environment, triggers, claims, and
//! the code's own defaults.

use agent_config::env::{NATS_CONSUMER_GROUP, NATS_STREAM_NAME, NATS_URL, Var};
use serde_json::Value;

use crate::manifests::Report;
use crate::manifests::documents::{Document, text};
use crate::manifests::pods::{pods, variable};
use crate::manifests::sets::{Deploy, Set};

const NATS: &str = "nats-names";

pub(super) fn check(deploy: &Deploy, set: &Set, report: &mut Report) {
    for var in [NATS_STREAM_NAME, NATS_CONSUMER_GROUP, NATS_URL] {
        nats(deploy, set, &var, report);
    }
    let namespace = deploy.setting("NAMESPACE");
    for document in &set.documents {
        let found = if document.kind() == "Namespace" { Some(document.name()) } else { document.namespace() };
        if found != namespace {
            report.fault("namespace", format!("{set}: {document}: in {found:?}, not in {namespace:?}"));
        }
    }
    images(deploy, set, report);
}

/// Every place that names it, against the setting; and the setting against the code's default.
fn nats(deploy: &Deploy, set: &Set, var: &Var, report: &mut Report) {
    let expected = deploy.setting(var.name);
    if var.default != expected {
        let text =
            format!("settings.env: {} is {expected:?}, the program's default {:?}", var.name, var.default);
        report.fault(NATS, text);
    }
    let mut places: Vec<(String, Option<&str>)> = Vec::new();
    for pod in pods(set) {
        for container in pod.containers().filter(|container| is_ours_on_nats(container)) {
            places.push((format!("{} {}", pod.owner, var.name), variable(container, var.name)));
        }
    }
    let (trigger, claim) = match var.name {
        "NATS_STREAM_NAME" => (Some("stream"), "/spec/nats/stream"),
        "NATS_CONSUMER_GROUP" => (Some("consumer"), "/spec/nats/consumer"),
        _ => (None, "/spec/nats/url"),
    };
    for document in &set.documents {
        if document.kind() == "EventDrivenService" {
            places.push((format!("{document} {claim}"), document.text(claim)));
        }
        if let Some(name) = trigger {
            for entry in document.list("/spec/triggers") {
                let found = entry.pointer(&format!("/metadata/{name}")).and_then(Value::as_str);
                places.push((format!("{document} trigger {name}"), found));
            }
        }
    }
    for (place, found) in places {
        if found != expected {
            report.fault(NATS, format!("{set}: {place}: {found:?}, elsewhere {expected:?}"));
        }
    }
}

/// Containers that speak to NATS: all but the migrations.
fn is_ours_on_nats(container: &Value) -> bool {
    text(container, "name") != Some("run-migrations")
}

fn images(deploy: &Deploy, set: &Set, report: &mut Report) {
    let ours = deploy.setting("IMAGE").unwrap_or_default();
    let of_claims =
        set.documents.iter().filter_map(|document| Some((document, document.text("/spec/image")?)));
    let of_pods = pods(set).flat_map(|pod| {
        pod.containers().map(move |container| (pod.owner, text(container, "image").unwrap_or_default()))
    });
    let all: Vec<(&Document, &str)> = of_claims.chain(of_pods).collect();
    for (owner, image) in all {
        if !fixed(image) {
            report.fault("images", format!("{set}: {owner}: `{image}` has no fixed tag and no digest"));
        }
        let foreign = image.contains("nats-box");
        if !foreign && image != ours {
            report.fault("images", format!("{set}: {owner}: `{image}`, settings.env says `{ours}`"));
        }
    }
}

/// A digest, or a tag that names a version.
fn fixed(image: &str) -> bool {
    if image.contains("@sha256:") {
        return true;
    }
    let tag = image.rsplit('/').next().and_then(|name| name.split_once(':')).map(|(_, tag)| tag);
    tag.is_some_and(|tag| tag.chars().any(|c| c.is_ascii_digit()) && tag != "latest")
}

#[cfg(test)]
mod tests {
    use super::fixed;

    #[test]
    fn a_fixed_image_has_a_digest_or_a_version() {
        for good in ["a.example/b:v1.0.0", "b:1", "host:5000/b:sha-1a2b", "b@sha256:00"] {
            assert!(fixed(good), "{good}");
        }
        for bad in ["b", "b:latest", "host:5000/b", "b:stable", "b:main"] {
            assert!(!fixed(bad), "{bad}");
        }
    }
}
