//! What no schema sees: whether the files fit each other, the code, and the rules of the platform.

mod alerts;
mod fits;
mod image;
mod names;
mod order;
mod scaling;
mod secrets;
mod security;
mod settings;
mod tenancy;

use super::Report;
use super::sets::{self, Deploy, Set};
use crate::place;

/// Every check of ours by name.
pub(crate) const CHECKS: &[&str] = &[
    "selectors",
    "ports",
    "restart-policy",
    "scale-target",
    "nats-names",
    "namespace",
    "images",
    "secrets",
    "waves",
    "sync-options",
    "concurrency",
    "grace",
    "pod-security",
    "forbidden-kinds",
    "environment",
    "settings",
    "tenancy",
    "parameters",
    "alerts",
    "files",
];

/// The checks of one set.
pub(crate) fn set(deploy: &Deploy, set: &Set, report: &mut Report) {
    if set.is_objects() {
        fits::check(deploy, set, report);
        security::check(set, report);
    }
    if set.is_workload() {
        names::check(deploy, set, report);
        secrets::check(set, report);
        order::check(set, report);
        scaling::check(set, report);
        settings::environment(set, report);
        alerts::check(set, report);
        secrets::parameters(deploy, set, report);
    }
    match set.name.as_str() {
        sets::TENANTS => tenancy::tenants(deploy, set, report),
        sets::LINES => settings::lines(deploy, set, report),
        "tenancy/argocd" => {
            tenancy::argocd(deploy, set, report);
            secrets::parameters(deploy, set, report);
        }
        _ => {}
    }
}

/// The checks that need the files themselves.
pub(crate) fn files(report: &mut Report) -> anyhow::Result<()> {
    image::check(report)?;
    let folder = sets::folder().join("platform");
    let list = std::fs::read_to_string(folder.join("kustomization.yaml"))?;
    for path in sets::yaml_files(&folder.join("claims"))? {
        let name = path.strip_prefix(&folder).unwrap_or(&path).display().to_string();
        if name.ends_with("kustomization.yaml") {
            report.fault(
                "files",
                format!("{name}: Argo CD recurses this folder, no kustomization may lie here"),
            );
        } else if !list.contains(&format!("- {name}\n")) {
            report
                .fault("files", format!("{name} is not among the resources of platform/kustomization.yaml"));
        }
    }
    for overlay in sets::overlays()? {
        for path in sets::yaml_files(&overlay)? {
            let text = std::fs::read_to_string(&path)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let patch = text.contains("$patch:") || text.lines().any(|line| line.starts_with("- op:"));
            if patch && !name.contains("patch") {
                report.fault("files", format!("{}: a patch without `patch` in its name", path.display()));
            }
        }
    }
    if !place::root().join(".github/workflows").is_dir() {
        report.fault("files", "no workflows");
    }
    Ok(())
}
