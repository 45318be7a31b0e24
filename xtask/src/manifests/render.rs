//! Overlays as a cluster would see them, by the renderer that people use.

use std::path::Path;

use anyhow::Context;
use xshell::cmd;

use super::documents::Document;
use crate::place;

/// `kubectl kustomize`, or `kustomize build`; `None` where neither is installed.
pub(crate) fn program() -> Option<(&'static str, &'static str)> {
    let sh = place::shell().ok()?;
    let there = |program: &str, argument: &[&str]| {
        cmd!(sh, "{program} {argument...}").quiet().ignore_stdout().ignore_stderr().run().is_ok()
    };
    if there("kubectl", &["kustomize", "--help"]) {
        return Some(("kubectl", "kustomize"));
    }
    there("kustomize", &["version"]).then_some(("kustomize", "build"))
}

/// The objects of a folder with a kustomization.
pub(crate) fn render((program, verb): (&str, &str), folder: &Path) -> anyhow::Result<Vec<Document>> {
    let sh = place::shell()?;
    let output = cmd!(sh, "{program} {verb} {folder}").quiet().ignore_status().output()?;
    let what = folder.display().to_string();
    anyhow::ensure!(
        output.status.success(),
        "{what} cannot be rendered: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let text = String::from_utf8(output.stdout).with_context(|| format!("{what}: no UTF-8"))?;
    Document::parse(&text, &what)
}
