//! Licences, bans and sources of deny.toml: by cargo-deny where it is installed, else by our own reading of the same
//! file. Advisories need a database from the network; the GitHub workflow checks those.

use std::collections::BTreeSet;

use xshell::cmd;

use super::Report;
use super::spdx::satisfied;
use super::workspace::Workspace;
use crate::place;

/// As `cargo metadata` writes crates.io.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    let sh = place::shell()?;
    if cmd!(sh, "cargo deny --version").quiet().ignore_stdout().ignore_stderr().run().is_ok() {
        let checked =
            cmd!(sh, "cargo deny --log-level warn check --hide-inclusion-graph licenses bans sources");
        if checked.quiet().run().is_err() {
            report.fault("cargo deny check licenses bans sources: see above");
        }
        return Ok(());
    }
    let policy = Policy::of(&sh.read_file("deny.toml")?);
    if policy.licences.is_empty() || policy.banned.is_empty() {
        report.fault("deny.toml: no `allow` under [licenses], or no `deny` under [bans]");
    }
    for package in &workspace.theirs {
        let label = format!("{} {}", package.name, package.version);
        if package.source.as_deref() != Some(CRATES_IO) {
            report.fault(format!("{label}: comes from {:?}, not from crates.io", package.source));
        }
        let licence = package.license.as_deref().unwrap_or_default();
        if !satisfied(licence, &|name| policy.licences.contains(name)) {
            report.fault(format!("{label}: licence `{licence}` is not among those that deny.toml allows"));
        }
        if policy.banned.contains(&package.name) {
            report.fault(format!("{label}: banned in deny.toml"));
        }
    }
    for package in &workspace.ours {
        for dependency in package.dependencies.iter().filter(|one| policy.not_direct.contains(&one.name)) {
            report
                .fault(format!("{}: uses `{}` directly, deny.toml bans that", package.name, dependency.name));
        }
    }
    Ok(())
}

/// The lines of deny.toml that we act upon. The file keeps one entry a line, which spares a TOML reader.
#[derive(Debug, Default)]
struct Policy {
    licences: BTreeSet<String>,
    banned: BTreeSet<String>,
    /// Banned with `wrappers`: others may bring it in, we may not use it.
    not_direct: BTreeSet<String>,
}

impl Policy {
    fn of(text: &str) -> Self {
        let mut policy = Self::default();
        let (mut section, mut key) = (String::new(), String::new());
        for line in text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.clone_into(&mut section);
            } else if let Some((name, _)) = line.split_once(" = [").filter(|(name, _)| !name.contains('{')) {
                name.clone_into(&mut key);
            }
            let Some(value) = line.split('"').nth(1) else { continue };
            match (section.as_str(), key.as_str()) {
                ("licenses", "allow") => policy.licences.insert(value.to_owned()),
                ("bans", "deny") if line.contains("wrappers") => policy.not_direct.insert(value.to_owned()),
                ("bans", "deny") => policy.banned.insert(value.to_owned()),
                _ => false,
            };
        }
        policy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_reading_of_deny_toml_finds_licences_bans_and_wrappers() {
        let text = "[licenses]\nallow = [\n  \"MIT\", # common\n]\n[bans]\nmultiple-versions = \"allow\"\ndeny = [\n  \
                    { crate = \"openssl\", reason = \"x\" },\n  { crate = \"chrono\", wrappers = [\"a\"] },\n]\n";
        let policy = Policy::of(text);
        assert_eq!(policy.licences, BTreeSet::from(["MIT".to_owned()]));
        assert_eq!(policy.banned, BTreeSet::from(["openssl".to_owned()]));
        assert_eq!(policy.not_direct, BTreeSet::from(["chrono".to_owned()]));
    }
}
