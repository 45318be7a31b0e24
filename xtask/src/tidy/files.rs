//! What stands in tracked files: no path of somebody's machine, a README a crate, no file that nobody wants to meet.

use std::path::{Path, PathBuf};

use xshell::cmd;

use super::Report;
use super::workspace::Workspace;
use crate::place;

/// Written in two halves, so that this file does not hold them itself.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/bash", "_jobs"), concat!("/fa", "rm/")];

const LONG: usize = 600;

pub(super) fn check(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    for package in workspace.ours.iter().filter(|package| !package.folder.join("README.md").is_file()) {
        report.fault(format!("{}: no README.md", package.name));
    }
    let sh = place::shell()?;
    let tracked = cmd!(sh, "git ls-files -z --cached --others --exclude-standard").quiet().read()?;
    for name in tracked.split('\0').filter(|name| !name.is_empty() && *name != "Cargo.lock") {
        // Deleted but not yet committed, or no text.
        let Ok(text) = std::fs::read_to_string(place::root().join(name)) else { continue };
        for (number, line) in text.lines().enumerate() {
            if let Some(path) = MACHINE_PATHS.iter().find(|path| line.contains(**path)) {
                report.fault(format!("{name}:{}: a path of one machine, `{path}`", number + 1));
            }
        }
        let lines = text.lines().count();
        if name.ends_with(".rs") && lines > LONG {
            report.remarks.push(format!("{name}: {lines} lines; is it still one idea?"));
        }
    }
    Ok(())
}

/// All Rust files below `folder`, in the order of their names.
pub(super) fn rust_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
