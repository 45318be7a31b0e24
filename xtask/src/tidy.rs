//! `cargo xtask tidy`: the rules of this workspace that a machine can check. Also a test of this crate.

mod arrows;
mod codes;
mod files;
mod purity;
mod runbook;
mod spdx;
mod supply;
mod workspace;

use xshell::cmd;

use crate::flags::Tidy;
use crate::place;
use workspace::Workspace;

/// What breaks a rule fails; what only deserves a look is a remark.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) faults: Vec<String>,
    pub(crate) remarks: Vec<String>,
}

impl Report {
    fn fault(&mut self, text: impl Into<String>) {
        self.faults.push(text.into());
    }
}

impl Tidy {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let report = report()?;
        for remark in &report.remarks {
            println!("tidy: look at: {remark}");
        }
        for fault in &report.faults {
            println!("tidy: {fault}");
        }
        anyhow::ensure!(report.faults.is_empty(), "tidy found {} faults", report.faults.len());
        if self.features_alone {
            features_alone()?;
        }
        println!("tidy: clean");
        Ok(())
    }
}

fn report() -> anyhow::Result<Report> {
    let workspace = Workspace::read()?;
    let mut report = Report::default();
    arrows::check(&workspace, &mut report);
    purity::check(&workspace, &mut report)?;
    supply::check(&workspace, &mut report)?;
    files::check(&workspace, &mut report)?;
    codes::check(&workspace, &mut report)?;
    runbook::check(&workspace, &mut report)?;
    Ok(report)
}

/// Features add, never change: each port crate builds without any, and with each one alone.
fn features_alone() -> anyhow::Result<()> {
    let sh = place::shell()?;
    for package in Workspace::read()?.ours.iter().filter(|package| !package.features.is_empty()) {
        let name = &package.name;
        for feature in std::iter::once("").chain(package.features.iter().map(String::as_str)) {
            println!("tidy: {name} with `{feature}` alone");
            cmd!(sh, "cargo check --quiet -p {name} --no-default-features --features {feature}")
                .quiet()
                .run()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_workspace_is_tidy() {
        let report = super::report().unwrap();
        assert!(report.faults.is_empty(), "{:#?}", report.faults);
    }
}
