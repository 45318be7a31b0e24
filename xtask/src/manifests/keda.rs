//! Triggers against KEDA's own list of their parameters, which its CRD leaves open (`metadata` is a free map).

use anyhow::Context;
use serde_json::Value;

use super::Report;
use super::documents::{Document, items, text};
use super::sets::Set;
use crate::place;

const CHECK: &str = "keda-triggers";

#[derive(Debug)]
pub(crate) struct Triggers {
    scalers: Value,
}

impl Triggers {
    /// `None` where the list is absent.
    pub(crate) fn load() -> anyhow::Result<Option<Self>> {
        let path = place::shared().map(|shared| shared.join("crds/keda-2.20.2/scalers-schema.json"));
        let Some(path) = path.filter(|path| path.is_file()) else { return Ok(None) };
        let scalers = serde_json::from_str(&std::fs::read_to_string(&path)?)
            .with_context(|| path.display().to_string())?;
        Ok(Some(Self { scalers }))
    }

    pub(crate) fn check(&self, set: &Set, document: &Document, report: &mut Report) {
        if !matches!(document.kind(), "ScaledObject" | "ScaledJob") {
            return;
        }
        for trigger in document.list("/spec/triggers") {
            for fault in self.faults(trigger) {
                report.fault(CHECK, format!("{set}: {document}: {fault}"));
            }
        }
    }

    fn faults(&self, trigger: &Value) -> Vec<String> {
        let kind = text(trigger, "type").unwrap_or_default();
        let scaler = items(self.scalers.get("scalers")).find(|scaler| text(scaler, "type") == Some(kind));
        let Some(scaler) = scaler else { return vec![format!("KEDA knows no trigger `{kind}`")] };
        let known: Vec<&Value> = items(scaler.get("parameters")).collect();
        let empty = serde_json::Map::new();
        let given = trigger.get("metadata").and_then(Value::as_object).unwrap_or(&empty);
        let mut faults = Vec::new();
        for (name, value) in given {
            if !known.iter().any(|parameter| text(parameter, "name") == Some(name)) {
                faults.push(format!("trigger `{kind}` has no parameter `{name}`"));
            }
            if !value.is_string() {
                faults.push(format!("trigger parameter `{name}`: text was expected, found {value}"));
            }
        }
        for parameter in known {
            let name = text(parameter, "name").unwrap_or_default();
            let optional = parameter.get("optional") == Some(&Value::Bool(true));
            if !optional && parameter.get("default").is_none() && !given.contains_key(name) {
                faults.push(format!("trigger `{kind}` lacks the parameter `{name}`"));
            }
        }
        faults
    }
}
