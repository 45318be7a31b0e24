//! Custom resources against the schemas of two generations of the platform: what it pins, and the newest. Claims and
//! Prometheus' kinds also against schemas of our own (`xtask/schemas`), which are always there.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use super::Report;
use super::documents::Document;
use super::sets::Set;
use super::strict;
use super::validate::Validator;
use crate::place;

/// Kinds that are ours to write, with the folders of ../shared/crds that know them, the pinned one first.
const KINDS: &[(&str, &str, [&str; 2])] = &[
    ("keda.sh", "ScaledObject", ["keda-2.18.1", "keda-2.20.2"]),
    ("keda.sh", "ScaledJob", ["keda-2.18.1", "keda-2.20.2"]),
    ("external-secrets.io", "ExternalSecret", ["external-secrets-0.16.2", "external-secrets-2.9.0"]),
    ("argoproj.io", "ApplicationSet", ["argo-cd-3.2.0", "argo-cd-3.5.1"]),
    ("argoproj.io", "AppProject", ["argo-cd-3.2.0", "argo-cd-3.5.1"]),
    ("database.bizmatters.io", "PostgresInstance", ["platform-xrds", ""]),
    ("database.bizmatters.io", "DragonflyInstance", ["platform-xrds", ""]),
    ("platform.bizmatters.io", "EventDrivenService", ["platform-xrds", ""]),
];

/// The overlay for what External Secrets was before version 1 of its interface.
const OLD_SECRETS: &str = "overlays/eso-v1beta1";

const OURS: &[(&str, &str)] = &[
    ("PostgresInstance", include_str!("../../schemas/postgres-instance.yaml")),
    ("DragonflyInstance", include_str!("../../schemas/dragonfly-instance.yaml")),
    ("EventDrivenService", include_str!("../../schemas/event-driven-service.yaml")),
    ("ServiceMonitor", include_str!("../../schemas/service-monitor.yaml")),
    ("PrometheusRule", include_str!("../../schemas/prometheus-rule.yaml")),
];

/// What a claim has beside its composite's own fields.
const CLAIM_FIELDS: &str = include_str!("../../schemas/claim-fields.yaml");

struct Schema {
    source: String,
    group: String,
    version: String,
    kind: String,
    validator: Validator,
}

/// Everything that knows a custom kind.
pub(crate) struct CustomKinds {
    schemas: Vec<Schema>,
    shared: bool,
}

impl std::fmt::Debug for CustomKinds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} schemas", self.schemas.len())
    }
}

impl CustomKinds {
    pub(crate) fn load() -> anyhow::Result<Self> {
        let mut schemas = Vec::new();
        for (kind, text) in OURS {
            let mut parsed = Document::parse(text, kind)?;
            let schema = parsed.pop().with_context(|| format!("no schema of {kind}"))?;
            let (group, version) =
                schema.text("/x-api").and_then(|api| api.split_once('/')).unwrap_or_default();
            schemas.push(Schema {
                source: "xtask/schemas".to_owned(),
                group: group.to_owned(),
                version: version.to_owned(),
                kind: (*kind).to_owned(),
                validator: Validator::new(strict::object(schema.at("/schema").unwrap_or(&Value::Null))),
            });
        }
        let crds = place::shared().map(|shared| shared.join("crds")).filter(|crds| crds.is_dir());
        if let Some(crds) = &crds {
            for (group, kind, folders) in KINDS {
                let old = ["external-secrets-0.9.13"];
                let old = if *kind == "ExternalSecret" { &old[..] } else { &[] };
                for folder in folders.iter().chain(old).filter(|folder| !folder.is_empty()) {
                    schemas.extend(from_folder(&crds.join(folder), group, kind)?);
                }
            }
        }
        Ok(Self { schemas, shared: crds.is_some() })
    }

    /// Whether the kind is known; reports what is wrong with the object.
    pub(crate) fn check(&self, set: &Set, document: &Document, report: &mut Report) -> bool {
        let (group, version) = document.group_version();
        let Some((_, _, folders)) = KINDS.iter().find(|(g, kind, _)| *g == group && *kind == document.kind())
        else {
            return self.by_ours(set, document, report);
        };
        self.by_ours(set, document, report);
        if !self.shared {
            return true;
        }
        let mut folders: Vec<&str> = folders.iter().copied().filter(|folder| !folder.is_empty()).collect();
        if set.name == OLD_SECRETS && document.kind() == "ExternalSecret" {
            folders = vec!["external-secrets-0.9.13", "external-secrets-0.16.2"];
        }
        for folder in folders {
            let of_version = |schema: &&Schema| {
                schema.source == folder && schema.kind == document.kind() && schema.version == version
            };
            match self.schemas.iter().find(of_version) {
                Some(schema) => tell(schema, set, document, report),
                None => report.fault(
                    "custom-kinds",
                    format!("{set}: {document}: {folder} does not serve `{group}/{version}`"),
                ),
            }
        }
        true
    }

    fn by_ours(&self, set: &Set, document: &Document, report: &mut Report) -> bool {
        let (group, version) = document.group_version();
        let ours = self.schemas.iter().find(|schema| {
            schema.source == "xtask/schemas"
                && schema.kind == document.kind()
                && schema.group == group
                && schema.version == version
        });
        if let Some(schema) = ours {
            tell(schema, set, document, report);
        }
        ours.is_some()
    }
}

fn tell(schema: &Schema, set: &Set, document: &Document, report: &mut Report) {
    for fault in schema.validator.faults(&document.value) {
        report.fault("custom-kinds", format!("{set}: {document}: {fault} ({})", schema.source));
    }
}

/// The served versions of a kind, from a folder of CRDs or XRDs.
fn from_folder(folder: &Path, group: &str, kind: &str) -> anyhow::Result<Vec<Schema>> {
    let source = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut schemas = Vec::new();
    for path in super::sets::yaml_files(folder)? {
        let text = std::fs::read_to_string(&path)?;
        // Some files have twenty thousand lines: only those that name the kind are parsed.
        if !text.contains(&format!("kind: {kind}\n")) {
            continue;
        }
        for crd in Document::parse(&text, &path.display().to_string())? {
            let names = [crd.text("/spec/names/kind"), crd.text("/spec/claimNames/kind")];
            if crd.text("/spec/group") != Some(group) || !names.contains(&Some(kind)) {
                continue;
            }
            let claim = names.get(1) == Some(&Some(kind));
            for version in crd.list("/spec/versions") {
                if version.get("served") != Some(&Value::Bool(true)) {
                    continue;
                }
                let schema = version.pointer("/schema/openAPIV3Schema").context("no schema")?;
                let schema = if claim { with_claim_fields(schema)? } else { schema.clone() };
                schemas.push(Schema {
                    source: source.clone(),
                    group: group.to_owned(),
                    version: version.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
                    kind: kind.to_owned(),
                    validator: Validator::new(strict::object(&schema)),
                });
            }
        }
    }
    anyhow::ensure!(!schemas.is_empty(), "{}: no served version of {kind}", folder.display());
    Ok(schemas)
}

fn with_claim_fields(schema: &Value) -> anyhow::Result<Value> {
    let fields: BTreeMap<String, Value> = serde_yaml_ng::from_str(CLAIM_FIELDS)?;
    let mut schema = schema.clone();
    if let Some(spec) = schema.pointer_mut("/properties/spec/properties").and_then(Value::as_object_mut) {
        spec.extend(fields);
    }
    Ok(schema)
}
