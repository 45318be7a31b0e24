//! Which objects are applied together: the folder that Argo CD recurses, each overlay, and the parts of tenancy.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context;

use serde_json::{Value, json};

use super::documents::Document;
use super::{Report, render};
use crate::place;

/// Objects that are applied together.
#[derive(Debug, Clone)]
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) documents: Vec<Document>,
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Set {
    pub(crate) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Document> {
        self.documents.iter().filter(move |document| document.kind() == kind)
    }

    pub(crate) fn find(&self, kind: &str, name: &str) -> Option<&Document> {
        self.of_kind(kind).find(|document| document.name() == name)
    }

    /// Whether this holds objects of Kubernetes; the others hold our own files, read as if they were objects.
    pub(crate) fn is_objects(&self) -> bool {
        ![TENANTS, PARAMETERS, LINES].contains(&self.name.as_str())
    }

    /// Whether this holds the workload, as the base and its overlays do.
    pub(crate) fn is_workload(&self) -> bool {
        self.name == BASE || self.name.starts_with("overlays/")
    }
}

pub(crate) const BASE: &str = "base";
pub(crate) const TENANTS: &str = "tenants";
pub(crate) const PARAMETERS: &str = "parameters";
pub(crate) const LINES: &str = "lines";

/// Everything in deploy/.
#[derive(Debug, Clone)]
pub(crate) struct Deploy {
    pub(crate) sets: Vec<Set>,
    /// `settings.env`: name and value, quotes included.
    pub(crate) settings: Vec<(String, String)>,
}

impl Deploy {
    pub(crate) fn read(report: &mut Report) -> anyhow::Result<Self> {
        let settings = settings()?;
        let path = setting_of(&settings, "APP_PATH").context("settings.env names no APP_PATH")?;
        let mut sets = vec![
            from_files(BASE, &place::root().join(path))?,
            from_files("tenancy/argocd", &folder().join("tenancy/argocd"))?,
            from_files("tenancy/registry", &folder().join("tenancy/registry"))?,
        ];
        match render::program() {
            Some(program) => {
                for overlay in overlays()? {
                    let documents = render::render(program, &overlay)?;
                    let name = overlay.file_name().unwrap_or_default().to_string_lossy();
                    sets.push(Set { name: format!("overlays/{name}"), documents });
                }
                let rendered = render::render(program, &folder().join("platform"))?;
                sets.push(Set { name: "overlays/(none)".to_owned(), documents: rendered });
            }
            None => report.skip("the overlays: neither kubectl nor kustomize is installed to render them"),
        }
        sets.push(tenants()?);
        sets.push(parameters()?);
        sets.push(marked_lines(&settings)?);
        Ok(Self { sets, settings })
    }

    pub(crate) fn set(&self, name: &str) -> Option<&Set> {
        self.sets.iter().find(|set| set.name == name)
    }

    pub(crate) fn setting(&self, name: &str) -> Option<&str> {
        setting_of(&self.settings, name)
    }
}

fn setting_of<'a>(settings: &'a [(String, String)], name: &str) -> Option<&'a str> {
    settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim_matches('"'))
}

pub(crate) fn folder() -> PathBuf {
    place::root().join("deploy")
}

fn settings() -> anyhow::Result<Vec<(String, String)>> {
    let path = folder().join("settings.env");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines.filter_map(|line| line.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect())
}

pub(crate) fn overlays() -> anyhow::Result<Vec<PathBuf>> {
    let folders = std::fs::read_dir(folder().join("overlays"))?;
    let mut folders: Vec<PathBuf> = folders.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    folders.retain(|path| path.join("kustomization.yaml").is_file());
    folders.sort();
    Ok(folders)
}

/// Every YAML file below `folder`, as Argo CD's recursion takes them; tenants' configs are no objects.
fn from_files(name: &str, folder: &Path) -> anyhow::Result<Set> {
    let mut documents = Vec::new();
    for path in yaml_files(folder)? {
        if path.file_name().is_some_and(|name| name == "config.yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        documents.extend(Document::parse(&text, &path.display().to_string())?);
    }
    Ok(Set { name: name.to_owned(), documents })
}

pub(crate) fn yaml_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "yaml") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The configs of the registry, the example too.
fn tenants() -> anyhow::Result<Set> {
    let folder = folder().join("tenancy/registry/tenants");
    let mut documents = Vec::new();
    for (tenant, file) in [("example", "config.yaml.example"), ("bizmatters", "config.yaml")] {
        let path = folder.join(tenant).join(file);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let config = Document::parse(&text, file)?.pop().context("an empty config")?.value;
        documents.push(pseudo("Tenant", tenant, "config", config));
    }
    Ok(Set { name: TENANTS.to_owned(), documents })
}

/// What the parameter store must hold, and who may read it.
fn parameters() -> anyhow::Result<Set> {
    let folder = folder().join("tenancy/parameters");
    let policy = std::fs::read_to_string(folder.join("external-secrets-policy.json"))?;
    let listed = std::fs::read_to_string(folder.join(".env.ssm.example"))?;
    let listed: Vec<&str> = listed
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    let documents = vec![
        pseudo("Policy", "external-secrets", "policy", serde_json::from_str(&policy)?),
        pseudo("Parameters", "example", "names", json!(listed)),
    ];
    Ok(Set { name: PARAMETERS.to_owned(), documents })
}

/// Lines that end in `# setting: NAME`, one object for each file and setting.
fn marked_lines(settings: &[(String, String)]) -> anyhow::Result<Set> {
    let mut documents = Vec::new();
    for path in yaml_files(&folder())? {
        let file = path.strip_prefix(folder()).unwrap_or(&path).display().to_string();
        for (number, line) in std::fs::read_to_string(&path)?.lines().enumerate() {
            let Some((before, setting)) = line.split_once(" # setting: ") else { continue };
            let value = before.rsplit_once(": ").or_else(|| before.rsplit_once("- ")).map(|(_, value)| value);
            let expected = settings.iter().find(|(name, _)| name == setting).map(|(_, value)| value);
            let line = json!({ "setting": setting, "value": value, "expected": expected });
            documents.push(pseudo("Line", &format!("{file}:{}", number + 1), "line", line));
        }
    }
    Ok(Set { name: LINES.to_owned(), documents })
}

fn pseudo(kind: &str, name: &str, member: &str, value: Value) -> Document {
    Document { value: json!({ "kind": kind, "metadata": { "name": name }, member: value }) }
}
