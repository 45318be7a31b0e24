//! The way from a tenant's entry to an Application: keys, folder, project, credentials.

use serde_json::Value;

use crate::manifests::Report;
use crate::manifests::documents::{Document, items, text};
use crate::manifests::sets::{Deploy, Set, TENANTS};
use crate::place;

const CHECK: &str = "tenancy";

pub(super) fn tenants(deploy: &Deploy, set: &Set, report: &mut Report) {
    for tenant in &set.documents {
        let config = |key: &str| tenant.text(&format!("/config/{key}"));
        for key in ["tenant", "repoURL", "targetRevision", "appPath", "path", "namespace"] {
            if config(key).is_none_or(str::is_empty) {
                report.fault(CHECK, format!("{tenant}: no `{key}`"));
            }
        }
        if config("appPath") != config("path") {
            report.fault(CHECK, format!("{tenant}: `appPath` and `path` differ"));
        }
        if tenant.name() == "example" {
            continue;
        }
        let path = config("appPath").unwrap_or_default();
        let folder = place::root().join(path);
        if !folder.join("agent-executor-deployment.yaml").is_file() {
            report.fault(CHECK, format!("{tenant}: `{path}` does not hold our manifests"));
        }
        if config("namespace") != deploy.setting("NAMESPACE") {
            report.fault(CHECK, format!("{tenant}: another namespace than the manifests"));
        }
    }
}

pub(super) fn argocd(deploy: &Deploy, set: &Set, report: &mut Report) {
    for application_set in set.of_kind("ApplicationSet") {
        template(deploy, application_set, set, report);
    }
    for project in set.of_kind("AppProject") {
        project_allows(deploy, project, report);
    }
    for secret in set.of_kind("ExternalSecret") {
        let label = secret
            .at("/spec/target/template/metadata/labels")
            .and_then(|labels| text(labels, "argocd.argoproj.io/secret-type"));
        if label != Some("repository") {
            report.fault(CHECK, format!("{secret}: Argo CD takes no secret without its label for one"));
        }
    }
}

fn template(deploy: &Deploy, application_set: &Document, set: &Set, report: &mut Report) {
    let path = application_set.text("/spec/template/spec/source/path").unwrap_or_default();
    if path != "{{.appPath}}" {
        let text =
            format!("{application_set}: path `{path}`; the generator sets `path` itself, use `appPath`");
        report.fault(CHECK, text);
    }
    if application_set.at("/spec/goTemplateOptions") != Some(&serde_json::json!(["missingkey=error"])) {
        report.fault(CHECK, format!("{application_set}: a missing key must be an error"));
    }
    let whole = application_set.at("/spec/template").map(ToString::to_string).unwrap_or_default();
    for key in whole.split("{{.").skip(1).filter_map(|rest| rest.split("}}").next()) {
        let lacks = |tenant: &&Document| tenant.at(&format!("/config/{key}")).is_none();
        for tenant in deploy.set(TENANTS).iter().flat_map(|set| &set.documents).filter(lacks) {
            report.fault(CHECK, format!("{application_set}: reads `{key}`, which {tenant} lacks"));
        }
    }
    let project = application_set.text("/spec/template/spec/project").unwrap_or_default();
    if set.find("AppProject", project).is_none() {
        report.fault(CHECK, format!("{application_set}: there is no AppProject `{project}`"));
    }
}

/// Every kind of the base and its overlays may be created, from our repository, in our namespace.
fn project_allows(deploy: &Deploy, project: &Document, report: &mut Report) {
    let allowed = |list: &str, group: &str, kind: &str| {
        project
            .list(list)
            .any(|entry| text(entry, "group") == Some(group) && text(entry, "kind") == Some(kind))
    };
    for set in deploy.sets.iter().filter(|set| set.is_workload()) {
        for document in &set.documents {
            let (group, _) = document.group_version();
            let list = match document.kind() {
                "Namespace" => "/spec/clusterResourceWhitelist",
                _ => "/spec/namespaceResourceWhitelist",
            };
            if !allowed(list, group, document.kind()) {
                report.fault(CHECK, format!("{project}: does not allow {document} of {set}"));
            }
        }
    }
    let has = |list: &str, value: Option<&str>| project.list(list).any(|entry| entry.as_str() == value);
    let destination = |key: &str| items(project.at("/spec/destinations")).find_map(|entry| text(entry, key));
    if !has("/spec/sourceRepos", deploy.setting("REPO_URL"))
        || destination("namespace") != deploy.setting("NAMESPACE")
    {
        report.fault(CHECK, format!("{project}: does not allow our repository or our namespace"));
    }
    if project.list("/spec/sourceRepos").any(|entry| entry == &Value::from("*")) {
        report.fault(CHECK, format!("{project}: allows every repository"));
    }
}
