//! The workspace as `cargo metadata` tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Context;
use serde_json::Value;
use xshell::cmd;

use crate::place;

/// One dependency as a manifest declares it.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) dev: bool,
    pub(crate) features: Vec<String>,
}

/// One of our packages.
#[derive(Debug)]
pub(crate) struct Ours {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) dependencies: Vec<Declared>,
    /// Without `default`, and without those that an optional dependency makes.
    pub(crate) features: Vec<String>,
}

/// One package of somebody else.
#[derive(Debug)]
pub(crate) struct Theirs {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    pub(crate) source: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) ours: Vec<Ours>,
    pub(crate) theirs: Vec<Theirs>,
    /// Package id → ids of what it needs at run time or while building.
    needs: BTreeMap<String, Vec<String>>,
    names: BTreeMap<String, String>,
}

impl Workspace {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let sh = place::shell()?;
        let text = cmd!(sh, "cargo metadata --format-version 1 --locked").quiet().ignore_stderr().read();
        let metadata: Value =
            serde_json::from_str(&text.context("cargo metadata (is Cargo.lock up to date?)")?)?;
        let members: BTreeSet<&str> =
            list(&metadata, "workspace_members").filter_map(Value::as_str).collect();
        let mut workspace =
            Self { ours: Vec::new(), theirs: Vec::new(), needs: BTreeMap::new(), names: BTreeMap::new() };
        for package in list(&metadata, "packages") {
            let id = text_of(package, "id").unwrap_or_default();
            workspace.names.insert(id.clone(), text_of(package, "name").unwrap_or_default());
            if members.contains(id.as_str()) {
                workspace.ours.push(ours(id, package));
            } else {
                workspace.theirs.push(theirs(package));
            }
        }
        for node in metadata.pointer("/resolve/nodes").and_then(Value::as_array).into_iter().flatten() {
            let needed = list(node, "deps").filter(|dependency| {
                list(dependency, "dep_kinds").any(|kind| text_of(kind, "kind").as_deref() != Some("dev"))
            });
            let needed = needed.filter_map(|dependency| text_of(dependency, "pkg")).collect();
            workspace.needs.insert(text_of(node, "id").unwrap_or_default(), needed);
        }
        Ok(workspace)
    }

    /// Names of everything that a package brings along, dev-dependencies aside.
    pub(crate) fn closure(&self, id: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(self.needs.get(id).into_iter().flatten().map(String::as_str));
            }
        }
        seen.into_iter().filter_map(|id| self.names.get(id)).map(String::as_str).collect()
    }
}

fn ours(id: String, package: &Value) -> Ours {
    let manifest = PathBuf::from(text_of(package, "manifest_path").unwrap_or_default());
    let declared = |dependency: &Value| Declared {
        name: text_of(dependency, "name").unwrap_or_default(),
        dev: text_of(dependency, "kind").as_deref() == Some("dev"),
        features: list(dependency, "features").filter_map(Value::as_str).map(str::to_owned).collect(),
    };
    let features = package.get("features").and_then(Value::as_object);
    let implicit = |name: &str, turns_on: &Value| turns_on == &serde_json::json!([format!("dep:{name}")]);
    Ours {
        id,
        name: text_of(package, "name").unwrap_or_default(),
        folder: manifest.parent().map(PathBuf::from).unwrap_or_default(),
        dependencies: list(package, "dependencies").map(declared).collect(),
        features: features
            .into_iter()
            .flatten()
            .filter(|(name, turns_on)| name.as_str() != "default" && !implicit(name, turns_on))
            .map(|(name, _)| name.clone())
            .collect(),
    }
}

fn theirs(package: &Value) -> Theirs {
    Theirs {
        name: text_of(package, "name").unwrap_or_default(),
        version: text_of(package, "version").unwrap_or_default(),
        license: text_of(package, "license").or_else(|| license_file(package)),
        source: text_of(package, "source"),
    }
}

/// A package without an expression names a file; the Apache licence is the one that occurs.
fn license_file(package: &Value) -> Option<String> {
    let manifest = PathBuf::from(text_of(package, "manifest_path")?);
    let text = std::fs::read_to_string(manifest.parent()?.join(text_of(package, "license_file")?)).ok()?;
    let head: Vec<&str> = text.split_whitespace().take(4).collect();
    (head == ["Apache", "License", "Version", "2.0,"]).then(|| "Apache-2.0".to_owned())
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn text_of(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}
