//! Waves: secrets and claims, then Jobs, then the workload, then what watches it; and what syncs may do to them.

use crate::manifests::Report;
use crate::manifests::documents::Document;
use crate::manifests::sets::Set;

pub(super) fn check(set: &Set, report: &mut Report) {
    for document in &set.documents {
        let wanted = match document.kind() {
            "Namespace" => -1,
            "ExternalSecret" | "PostgresInstance" | "DragonflyInstance" => 0,
            "Job" => 1,
            "ServiceMonitor" | "PrometheusRule" => 3,
            _ => 2,
        };
        let wave = document.annotation("argocd.argoproj.io/sync-wave");
        if wave.and_then(|wave| wave.parse::<i32>().ok()) != Some(wanted) {
            report.fault("waves", format!("{set}: {document}: wave {wave:?}, expected \"{wanted}\""));
        }
        if let Some((needed, why)) = options(document) {
            let found = document.annotation("argocd.argoproj.io/sync-options").unwrap_or_default();
            for option in needed.iter().filter(|option| !found.split(',').any(|one| one.trim() == **option)) {
                report.fault("sync-options", format!("{set}: {document}: lacks `{option}`: {why}"));
            }
        }
    }
}

fn options(document: &Document) -> Option<(&'static [&'static str], &'static str)> {
    match document.kind() {
        "PostgresInstance" | "DragonflyInstance" => {
            Some((&["Prune=false", "Delete=false"], "a file that is gone would drop the data"))
        }
        "Job" => Some((&["Force=true", "Replace=true"], "a Job's pod template cannot be changed in place")),
        _ => None,
    }
}
