//! Faults that we plant ourselves: a check that finds none of its own cannot be trusted to find others'.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use serde_json::Value;

use super::documents::{Document, text};
use super::sets::{Deploy, Set, yaml_files};
use super::{Report, Schemas, lint};
use crate::place;

/// Checks that are not among the lint's.
const OTHERS: &[&str] = &["custom-kinds", "core-kinds", "keda-triggers"];
/// Found in files, not in objects: the lint's own tests plant those.
const IN_FILES: &[&str] = &["files"];

/// Plants each fault of `xtask/planted` and looks whether the check that it names finds it. A line for the summary.
pub(crate) fn check(deploy: &Deploy, schemas: &Schemas, report: &mut Report) -> anyhow::Result<String> {
    let (mut found, mut skipped) = (0_usize, 0_usize);
    let mut proven = BTreeSet::new();
    for path in yaml_files(&place::root().join("xtask/planted"))? {
        let text_of_file = std::fs::read_to_string(&path)?;
        for fault in Document::parse(&text_of_file, &path.display().to_string())? {
            let what = fault.text("/fault").context("a planted fault without `fault`")?.to_owned();
            let check = fault.text("/check").with_context(|| format!("{what}: no `check`"))?.to_owned();
            let Some(sets) = plant(deploy, &fault).with_context(|| what.clone())? else {
                skipped += 1;
                continue;
            };
            if !able(schemas, &check) {
                skipped += 1;
                continue;
            }
            let mut seen = Report::default();
            super::check(&sets, schemas, &mut seen);
            let before = report.findings.iter().filter(|finding| finding.check == check).count();
            if seen.findings.iter().filter(|finding| finding.check == check).count() > before {
                found += 1;
                proven.insert(check);
            } else {
                report.fault("planted", format!("not found by `{check}`: {what}"));
            }
        }
    }
    let all = lint::CHECKS.iter().chain(OTHERS).filter(|check| !IN_FILES.contains(*check));
    for check in all.filter(|check| !proven.contains(**check) && skipped == 0) {
        report.fault("planted", format!("no planted fault proves that `{check}` can fail"));
    }
    let skipped = if skipped > 0 { format!(", {skipped} not tried") } else { String::new() };
    Ok(format!("{found} planted faults found by {} checks{skipped}", proven.len()))
}

fn able(schemas: &Schemas, check: &str) -> bool {
    match check {
        "core-kinds" => schemas.core.is_some(),
        "custom-kinds" | "keda-triggers" => schemas.triggers.is_some(),
        _ => true,
    }
}

/// The sets with the fault in them; `None` where the set could not be made here.
fn plant(deploy: &Deploy, fault: &Document) -> anyhow::Result<Option<Deploy>> {
    let name = fault.text("/set").context("no `set`")?;
    let Some(set) = deploy.set(name) else { return Ok(None) };
    let mut set = set.clone();
    if let Some(object) = fault.at("/append") {
        set.documents.push(Document { value: object.clone() });
    } else {
        let (kind, object) =
            (fault.text("/kind").unwrap_or_default(), fault.text("/name").unwrap_or_default());
        let target = set
            .documents
            .iter_mut()
            .find(|document| document.kind() == kind && document.name() == object)
            .with_context(|| format!("no {kind} {object} in {name}"))?;
        for step in fault.list("/patch") {
            apply(&mut target.value, step)?;
        }
    }
    // Only the set itself, and the sets that look at others, are looked at again.
    let others = ["tenants", "tenancy/argocd", "lines", "parameters", "base"];
    let kept = deploy.sets.iter().filter(|other| others.contains(&other.name.as_str()) && other.name != name);
    let mut sets: Vec<Set> = kept.cloned().collect();
    sets.push(set);
    Ok(Some(Deploy { sets, settings: deploy.settings.clone() }))
}

/// `add`, `replace` and `remove` of RFC 6902.
fn apply(value: &mut Value, step: &Value) -> anyhow::Result<()> {
    let path = text(step, "path").context("a step without `path`")?;
    let (parent, last) = path.rsplit_once('/').context("a path begins with `/`")?;
    let last = last.replace("~1", "/").replace("~0", "~");
    let new = step.get("value").cloned().unwrap_or(Value::Null);
    let parent = value.pointer_mut(parent).with_context(|| format!("nothing at `{parent}`"))?;
    match (text(step, "op").unwrap_or_default(), parent) {
        ("add", Value::Object(members)) => drop(members.insert(last, new)),
        ("add", Value::Array(list)) if last == "-" => list.push(new),
        ("replace", Value::Object(members)) => {
            *members.get_mut(&last).with_context(|| format!("nothing at `{path}`"))? = new;
        }
        ("replace", Value::Array(list)) => {
            let place = last.parse::<usize>().ok().and_then(|at| list.get_mut(at));
            *place.with_context(|| format!("nothing at `{path}`"))? = new;
        }
        ("remove", Value::Object(members)) => {
            // Order is of no meaning here.
            members.swap_remove(&last).with_context(|| format!("nothing at `{path}`"))?;
        }
        ("remove", Value::Array(list)) => {
            let at = last.parse::<usize>().ok().filter(|at| *at < list.len());
            drop(list.remove(at.with_context(|| format!("nothing at `{path}`"))?));
        }
        (op, _) => bail!("`{op}` cannot be done at `{path}`"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_changes_what_it_names_and_fails_where_there_is_nothing() {
        let mut value = json!({ "a": { "b": [1, 2] }, "x/y": 1 });
        for step in [
            json!({ "op": "add", "path": "/a/c", "value": 3 }),
            json!({ "op": "replace", "path": "/a/b/0", "value": 9 }),
            json!({ "op": "remove", "path": "/x~1y" }),
            json!({ "op": "add", "path": "/a/b/-", "value": 4 }),
        ] {
            apply(&mut value, &step).unwrap();
        }
        assert_eq!(value, json!({ "a": { "b": [9, 2, 4], "c": 3 } }));
        assert!(apply(&mut value, &json!({ "op": "replace", "path": "/nope", "value": 1 })).is_err());
        assert!(apply(&mut value, &json!({ "op": "remove", "path": "/a/b/7" })).is_err());
        assert_eq!(value["a"]["b"].as_array().unwrap().len(), 3);
    }
}
