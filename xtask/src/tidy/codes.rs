//! Stable codes: each that the source can give stands in docs/errors.md, and each that stands there can be given.

use std::collections::BTreeSet;

use regex::Regex;

use super::Report;
use super::files::rust_files;
use super::workspace::Workspace;
use crate::place;

/// What a code begins with.
const AREAS: &str =
    "input|definition|tools|model|run|job|result|store|thread|codec|nats|auth|http|door|internal";
/// They speak of the codes of others, or look for them.
const NOT_GIVING: &[&str] = &["agent-testkit", "agent-simulator", "xtask", "agent-telemetry"];

pub(super) fn check(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    let code = Regex::new(&format!("\"((?:{AREAS})\\.[a-z][a-z_]*)\""))?;
    let mut given = BTreeSet::new();
    for package in workspace.ours.iter().filter(|package| !NOT_GIVING.contains(&package.name.as_str())) {
        for path in rust_files(&package.folder.join("src"))? {
            let text = std::fs::read_to_string(&path)?;
            given.extend(codes(&code, production(&text)));
        }
    }
    let page = std::fs::read_to_string(place::root().join("docs/errors.md"))?;
    let told: BTreeSet<String> =
        codes(&Regex::new(&format!("`((?:{AREAS})\\.[a-z][a-z_]*)`"))?, &page).collect();
    for code in given.difference(&told) {
        report.fault(format!("docs/errors.md: the code `{code}` is not in it"));
    }
    for code in told.difference(&given) {
        report.fault(format!("docs/errors.md: nothing gives the code `{code}`"));
    }
    Ok(())
}

fn codes<'a>(pattern: &'a Regex, text: &'a str) -> impl Iterator<Item = String> + use<'a> {
    pattern.captures_iter(text).filter_map(|found| Some(found.get(1)?.as_str().to_owned()))
}

/// Without the tests at the end of the file.
pub(super) fn production(text: &str) -> &str {
    text.split_once("#[cfg(test)]\nmod").map_or(text, |(before, _)| before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_and_tests_are_left_out() {
        let pattern = Regex::new(&format!("\"((?:{AREAS})\\.[a-z][a-z_]*)\"")).unwrap();
        let text = "a(\"model.auth\"); b(\"model.Auth\", \"other.thing\");\n#[cfg(test)]\nmod tests { \"job.poison\" }";
        assert_eq!(codes(&pattern, production(text)).collect::<Vec<_>>(), ["model.auth"]);
    }
}
