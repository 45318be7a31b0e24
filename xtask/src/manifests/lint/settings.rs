//! Variables that the program knows, with values that it accepts; and lines that say what settings.env says.

use agent_config::{Environment, Purpose, Settings};
use serde_json::Value;

use crate::manifests::Report;
use crate::manifests::documents::{items, text};
use crate::manifests::pods::pods;
use crate::manifests::sets::{Deploy, LINES, Set};

/// What the platform's secrets bring, so that the program can be asked about the rest.
const FROM_SECRETS: &[(&str, &str)] = &[("POSTGRES_HOST", "db"), ("DRAGONFLY_HOST", "cache")];

/// Loads each of our containers' environment as the program itself would.
pub(super) fn environment(set: &Set, report: &mut Report) {
    for pod in pods(set) {
        for container in pod.containers() {
            let command = container.pointer("/command/0").and_then(Value::as_str).unwrap_or_default();
            let first = container.pointer("/command/1").and_then(Value::as_str);
            let purpose = match (command, first) {
                ("migrate-init", _) => Purpose::Migrate,
                ("worker", Some("serve")) => Purpose::Serve,
                ("worker", _) => Purpose::Embedded,
                _ => continue,
            };
            for fault in faults(container, purpose) {
                report.fault("environment", format!("{set}: {}: {fault}", pod.owner));
            }
        }
    }
}

fn faults(container: &Value, purpose: Purpose) -> Vec<String> {
    let mut pairs: Vec<(String, String)> =
        FROM_SECRETS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut faults = Vec::new();
    for variable in items(container.get("env")) {
        let name = text(variable, "name").unwrap_or_default();
        let known = name == "HOME"
            || agent_config::env::AREAS
                .iter()
                .any(|(_, _, vars)| vars.iter().any(|var| var.name == name || var.also.contains(&name)));
        if !known {
            faults.push(format!("the program reads no variable `{name}`"));
        }
        // A file of tokens lies in the pod, not here.
        if let Some(value) =
            text(variable, "value").filter(|_| name != "API_TOKENS_FILE" && name != "HTTP_REQUIRE_AUTH")
        {
            pairs.push((name.to_owned(), value.to_owned()));
        }
    }
    match Settings::load(&Environment::from_pairs(pairs), purpose) {
        Ok(settings) => faults.extend(settings.warnings.iter().map(ToString::to_string)),
        Err(error) => faults.push(error.to_string()),
    }
    faults
}

pub(super) fn lines(deploy: &Deploy, set: &Set, report: &mut Report) {
    for line in &set.documents {
        let (value, expected) = (line.at("/line/value"), line.at("/line/expected"));
        if value != expected || expected == Some(&Value::Null) {
            let setting = line.text("/line/setting").unwrap_or_default();
            let text = format!(
                "{}: `{setting}` is {} here, settings.env has {}: run deploy/set.sh",
                line.name(),
                value.unwrap_or(&Value::Null),
                expected.unwrap_or(&Value::Null)
            );
            report.fault("settings", text);
        }
    }
    for (name, _) in &deploy.settings {
        let used = set.documents.iter().any(|line| line.text("/line/setting") == Some(name));
        if !used {
            report.fault("settings", format!("settings.env: no line in {LINES} takes `{name}`"));
        }
    }
}
