//! Whoever reads a log line or an error code finds its section in docs/operations.md.

use std::collections::BTreeSet;

use regex::Regex;

use super::Report;
use super::files::rust_files;
use super::workspace::Workspace;
use crate::place;

/// Speaks of the runbook without sending anybody there.
const NOT_SENDING: &str = "xtask";

pub(super) fn check(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    let sections = sections(&std::fs::read_to_string(place::root().join("docs/operations.md"))?);
    let link = Regex::new(r"docs/operations\.md#([A-Za-z0-9_-]+)")?;
    let mut links = 0;
    for package in workspace.ours.iter().filter(|package| package.name != NOT_SENDING) {
        for path in rust_files(&package.folder.join("src"))? {
            let text = std::fs::read_to_string(&path)?;
            for section in link.captures_iter(&text).filter_map(|found| Some(found.get(1)?.as_str())) {
                links += 1;
                if !sections.contains(section) {
                    let name = path.strip_prefix(place::root()).unwrap_or(&path).display();
                    report.fault(format!("{name}: docs/operations.md has no section `{section}`"));
                }
            }
        }
    }
    anyhow::ensure!(
        links > 0,
        "no log line names the runbook any more: this check looks for the wrong words"
    );
    for code in told(&std::fs::read_to_string(place::root().join("docs/errors.md"))?) {
        // As the log line of a failed job and of a dead letter makes its link.
        if !sections.contains(&code.replace('.', "-")) {
            report.fault(format!("docs/operations.md: no section for the code `{code}`"));
        }
    }
    Ok(())
}

/// What the page's sections are linked by.
fn sections(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter_map(|line| line.strip_prefix("## ").or(line.strip_prefix("### ")));
    headings.map(|heading| heading.trim().to_lowercase().replace(' ', "-")).collect()
}

/// The codes of the tables, one a row.
fn told(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_named_as_links_name_them() {
        let found = sections("# A page\n## Two words\ntext\n### model-rate_limited\n#### deeper\n");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["model-rate_limited", "two-words"]);
    }

    #[test]
    fn codes_are_those_that_begin_a_row() {
        let page = "| code | meaning |\n|---|---|\n| `job.poison` | `not.this` |\nand `not.that`\n";
        assert_eq!(told(page).collect::<Vec<_>>(), ["job.poison"]);
    }
}
