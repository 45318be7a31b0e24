//! Pods that pass "restricted" and more, and kinds that the platform keeps for itself.

use serde_json::{Value, json};

use crate::manifests::Report;
use crate::manifests::documents::{items, text};
use crate::manifests::pods::{Pod, pods};
use crate::manifests::sets::Set;

/// `scripts/governance/check-forbidden-kinds.sh` of the platform refuses the first three (and Namespace, which the seed
/// demands in its own file); nobody should commit the others.
const FORBIDDEN: &[&str] = &[
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "Secret",
    "Pod",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
];

pub(super) fn check(set: &Set, report: &mut Report) {
    if set.is_workload() {
        for document in set.documents.iter().filter(|document| FORBIDDEN.contains(&document.kind())) {
            report.fault("forbidden-kinds", format!("{set}: {document}: this kind may not be here"));
        }
    }
    for pod in pods(set) {
        for fault in pod_faults(&pod) {
            report.fault("pod-security", format!("{set}: {}: {fault}", pod.owner));
        }
        for container in pod.containers() {
            let name = text(container, "name").unwrap_or_default();
            for fault in container_faults(container) {
                report.fault("pod-security", format!("{set}: {}: container {name}: {fault}", pod.owner));
            }
        }
    }
}

fn pod_faults(pod: &Pod<'_>) -> Vec<String> {
    let rules = [
        ("/automountServiceAccountToken", json!(false)),
        ("/enableServiceLinks", json!(false)),
        ("/securityContext/runAsNonRoot", json!(true)),
        ("/securityContext/seccompProfile/type", json!("RuntimeDefault")),
    ];
    let mut faults: Vec<String> = rules
        .iter()
        .filter(|(place, wanted)| pod.spec(place) != Some(wanted))
        .map(|(place, wanted)| format!("`{place}` is not {wanted}"))
        .collect();
    if pod.spec("/securityContext/runAsUser").and_then(Value::as_u64).is_none_or(|user| user < 10_000) {
        faults.push("`/securityContext/runAsUser` is below 10000".to_owned());
    }
    for place in ["/hostNetwork", "/hostPID", "/hostIPC"] {
        if pod.spec(place).is_some() {
            faults.push(format!("`{place}` is set"));
        }
    }
    for volume in items(pod.spec("/volumes")) {
        let limited = volume.pointer("/emptyDir/sizeLimit").is_some();
        if volume.get("emptyDir").is_some() && !limited {
            faults.push("an emptyDir without sizeLimit".to_owned());
        }
        if volume.get("hostPath").is_some() {
            faults.push("a hostPath".to_owned());
        }
    }
    faults
}

fn container_faults(container: &Value) -> Vec<String> {
    let rules = [
        ("/securityContext/allowPrivilegeEscalation", json!(false)),
        ("/securityContext/readOnlyRootFilesystem", json!(true)),
        ("/securityContext/capabilities/drop", json!(["ALL"])),
    ];
    let mut faults: Vec<String> = rules
        .iter()
        .filter(|(place, wanted)| container.pointer(place) != Some(wanted))
        .map(|(place, wanted)| format!("`{place}` is not {wanted}"))
        .collect();
    for place in ["requests/cpu", "requests/memory", "limits/memory"] {
        if container.pointer(&format!("/resources/{place}")).is_none() {
            faults.push(format!("no {place}"));
        }
    }
    faults
}
