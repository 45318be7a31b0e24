//! Every secret that is used is made by something, with the keys that are asked for; every parameter can be read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::manifests::Report;
use crate::manifests::documents::{Document, items, text};
use crate::manifests::pods::pods;
use crate::manifests::sets::{Deploy, PARAMETERS, Set};

/// Keys that a claim's own connection secret holds (as the platform's task list names them), and those of the secret that the platform writes.
const CLAIM_KEYS: &[&str] = &["endpoint", "port", "database", "username", "password"];
const POSTGRES_KEYS: &[&str] = &[
    "POSTGRES_HOST",
    "POSTGRES_PORT",
    "POSTGRES_DB",
    "POSTGRES_USER",
    "POSTGRES_PASSWORD",
    "POSTGRES_SCHEMA",
];
const DRAGONFLY_KEYS: &[&str] = &["DRAGONFLY_HOST", "DRAGONFLY_PORT", "DRAGONFLY_PASSWORD"];

pub(super) fn check(set: &Set, report: &mut Report) {
    let made = made(set);
    let mut used = BTreeSet::new();
    for (owner, name, key) in uses(set) {
        used.insert(name.clone());
        let Some(keys) = made.get(&name) else {
            report.fault("secrets", format!("{set}: {owner}: nothing makes the secret `{name}`"));
            continue;
        };
        if let Some(key) = key.filter(|key| !keys.contains(key)) {
            report.fault("secrets", format!("{set}: {owner}: the secret `{name}` has no key `{key}`"));
        }
    }
    for document in set.of_kind("ExternalSecret") {
        let name = document.text("/spec/target/name").unwrap_or(document.name());
        if !used.contains(name) {
            report.fault("secrets", format!("{set}: {document}: nobody uses the secret `{name}`"));
        }
    }
}

/// Secrets that come to be, with their keys.
fn made(set: &Set) -> BTreeMap<String, Vec<String>> {
    let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    let mut made = BTreeMap::new();
    for document in &set.documents {
        let name = document.name();
        match document.kind() {
            "ExternalSecret" => {
                let target = document.text("/spec/target/name").unwrap_or(name);
                let keys = document.list("/spec/data").filter_map(|entry| text(entry, "secretKey"));
                let template = document.at("/spec/target/template/data").and_then(Value::as_object);
                let keys: Vec<String> = match template {
                    Some(template) => template.keys().cloned().collect(),
                    None => keys.map(str::to_owned).collect(),
                };
                made.insert(target.to_owned(), keys);
            }
            "PostgresInstance" => {
                made.insert(format!("{name}-conn"), owned(POSTGRES_KEYS));
            }
            "DragonflyInstance" => {
                made.insert(format!("{name}-conn"), owned(DRAGONFLY_KEYS));
            }
            _ => {}
        }
        if let Some(name) = document.text("/spec/writeConnectionSecretToRef/name") {
            made.insert(name.to_owned(), owned(CLAIM_KEYS));
        }
    }
    made
}

/// Who asks for which secret, and for which key of it.
fn uses(set: &Set) -> Vec<(&Document, String, Option<String>)> {
    let mut uses = Vec::new();
    for pod in pods(set) {
        let mut add = |name: Option<&Value>, key: Option<&Value>| {
            let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
            if let Some(name) = text(name) {
                uses.push((pod.owner, name, text(key)));
            }
        };
        for pull in items(pod.spec("/imagePullSecrets")) {
            add(pull.get("name"), None);
        }
        for volume in items(pod.spec("/volumes")) {
            add(volume.pointer("/secret/secretName"), None);
        }
        for container in pod.containers() {
            for source in items(container.get("envFrom")) {
                add(source.pointer("/secretRef/name"), None);
            }
            for variable in items(container.get("env")) {
                let place = "/valueFrom/secretKeyRef";
                add(variable.pointer(&format!("{place}/name")), variable.pointer(&format!("{place}/key")));
            }
        }
    }
    for claim in set.of_kind("EventDrivenService") {
        for number in 1..=5 {
            if let Some(name) = claim.text(&format!("/spec/secret{number}Name")) {
                uses.push((claim, name.to_owned(), None));
            }
        }
        for pull in claim.list("/spec/imagePullSecrets") {
            uses.push((claim, text(pull, "name").unwrap_or_default().to_owned(), None));
        }
    }
    uses
}

/// Every parameter stands in the example, and the policy lets External Secrets read it.
pub(super) fn parameters(deploy: &Deploy, set: &Set, report: &mut Report) {
    let Some(known) = deploy.set(PARAMETERS) else { return };
    let listed: Vec<&str> = known
        .find("Parameters", "example")
        .into_iter()
        .flat_map(|document| document.list("/names"))
        .filter_map(Value::as_str)
        .collect();
    let allowed: Vec<&str> = known
        .find("Policy", "external-secrets")
        .into_iter()
        .flat_map(|document| document.list("/policy/Statement"))
        .flat_map(|statement| items(statement.get("Resource")))
        .filter_map(|resource| resource.as_str()?.split_once(":parameter")?.1.strip_suffix('*'))
        .collect();
    for document in set.of_kind("ExternalSecret") {
        for entry in document.list("/spec/data") {
            let key = entry.pointer("/remoteRef/key").and_then(Value::as_str).unwrap_or_default();
            if !listed.contains(&key) {
                report.fault("parameters", format!("{set}: {document}: `{key}` is not in .env.ssm.example"));
            }
            if !allowed.iter().any(|prefix| key.starts_with(prefix)) {
                report.fault("parameters", format!("{set}: {document}: the policy does not allow `{key}`"));
            }
        }
    }
}
