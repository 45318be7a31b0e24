//! Whoever reads a log line or an error code finds it in docs/operations.md.

use std::collections::BTreeSet;

use regex::Regex;

use super::Report;
use super::codes::production;
use super::files::rust_files;
use super::workspace::Workspace;
use crate::place;

/// Nobody operates these.
const NOT_OPERATED: &[&str] = &["xtask", "agent-testkit", "agent-simulator"];

pub(super) fn check(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(place::root().join("docs/operations.md"))?;
    let sections = sections(&page);
    let (link, events) = (Regex::new(r"docs/operations\.md#([A-Za-z0-9_-]+)")?, Events::new()?);
    let mut lines = 0;
    for package in workspace.ours.iter().filter(|package| !NOT_OPERATED.contains(&package.name.as_str())) {
        for path in rust_files(&package.folder.join("src"))? {
            let text = std::fs::read_to_string(&path)?;
            let name = path.strip_prefix(place::root()).unwrap_or(&path).display();
            for section in link.captures_iter(&text).filter_map(|found| Some(found.get(1)?.as_str())) {
                if !sections.contains(section) {
                    report.fault(format!("{name}: docs/operations.md has no section `{section}`"));
                }
            }
            if path.ends_with("tests.rs") {
                continue;
            }
            for event in events.of(production(&text)) {
                lines += 1;
                if !page.contains(&format!("`{event}`")) {
                    report
                        .fault(format!("{name}: docs/operations.md does not explain the log line `{event}`"));
                }
            }
        }
    }
    anyhow::ensure!(lines > 50, "only {lines} log lines were found: this check looks for the wrong words");
    for code in told(&std::fs::read_to_string(place::root().join("docs/errors.md"))?) {
        // As the log line of a failed job and of a dead letter makes its link.
        if !sections.contains(&code.replace('.', "-")) {
            report.fault(format!("docs/operations.md: no section for the code `{code}`"));
        }
    }
    Ok(())
}

/// Log lines at `warn` and `error`.
struct Events {
    line: Regex,
    named: Regex,
    bare: Regex,
}

impl Events {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            line: Regex::new(r"(?s)\b(?:warn|error)!\((.*?)\);")?,
            named: Regex::new(r#"event = "([a-z_]+)""#)?,
            bare: Regex::new(r#""([a-z]+(?:_[a-z]+)+)"\s*$"#)?,
        })
    }

    /// Their names, as far as they are written in the line itself.
    fn of<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a str> {
        self.line.captures_iter(text).filter_map(|found| {
            let line = found.get(1)?.as_str();
            let name = self.named.captures(line).or_else(|| self.bare.captures(line))?;
            Some(name.get(1)?.as_str())
        })
    }
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
    fn log_lines_are_found_by_either_form_of_their_name() {
        let text = "warn!(event = \"a_b\", %error);\nerror!(\n    %error,\n    \"c_d\"\n);\ninfo!(event = \"e_f\");\n\
            warn!(code = what, \"{what}\");";
        assert_eq!(Events::new().unwrap().of(text).collect::<Vec<_>>(), ["a_b", "c_d"]);
    }

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
