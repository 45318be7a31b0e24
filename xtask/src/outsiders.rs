//! `cargo xtask outsiders`: what a user of these crates does, done here.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use serde_json::Value;
use xshell::{Shell, cmd};

use crate::flags::Outsiders;
use crate::place;

impl Outsiders {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let sh = place::shell()?;
        if !self.package {
            examples(&sh)?;
        }
        package(&sh)
    }
}

fn target() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    named.unwrap_or_else(|| place::root().join("target"))
}

/// Their own workspace with their own lock file: nothing of ours leaks in but the crates that they name.
fn examples(sh: &Shell) -> anyhow::Result<()> {
    // The workspace's own folder: what is compiled there with the same features is not compiled again.
    let folder = target();
    println!("xtask: examples/custom-backend and examples/embedded, outside of the workspace");
    let manifest = ["--manifest-path", "examples/Cargo.toml"];
    cmd!(sh, "cargo test --quiet --workspace {manifest...} --target-dir {folder}").quiet().run()?;
    Ok(())
}

/// Packs every crate that may be published. `--no-verify`: a packed crate is not compiled once more; what its files
/// and its dependencies' versions say is checked, and the examples compile the same sources as strangers.
fn package(sh: &Shell) -> anyhow::Result<()> {
    let metadata = cmd!(sh, "cargo metadata --format-version 1 --no-deps").quiet().read()?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages =
        metadata.get("packages").and_then(Value::as_array).context("cargo metadata has no packages")?;
    let mut names = Vec::new();
    for package in packages {
        let text = |member: &str| package.get(member).and_then(Value::as_str).unwrap_or_default();
        // An empty list is `publish = false`.
        if package.get("publish").and_then(Value::as_array).is_some_and(Vec::is_empty) {
            continue;
        }
        for member in ["description", "license", "readme", "repository"] {
            ensure!(!text(member).is_empty(), "{}: no `{member}`, and it may be published", text("name"));
        }
        names.push(text("name"));
    }
    println!("xtask: packing {}", names.join(", "));
    let chosen = names.iter().flat_map(|name| ["--package", name]);
    let options = ["--no-verify", "--allow-dirty", "--quiet"];
    let folder = target().join("examples");
    cmd!(sh, "cargo package {options...} --target-dir {folder} {chosen...}").quiet().run()?;
    Ok(())
}
