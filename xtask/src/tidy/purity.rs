//! The core asks nobody: no clock, no chance, no environment, no file, no output, no async runtime, and nothing in
//! its dependencies that brings one in. clippy.toml of the two crates bans the same calls while writing.

use std::path::Path;

use super::Report;
use super::files::rust_files;
use super::workspace::Workspace;

const PURE: &[&str] = &["agent-executor-core", "agent-langgraph-codec"];

const NOT_BROUGHT_IN: &[&str] = &[
    "tokio",
    "async-std",
    "reqwest",
    "hyper",
    "axum",
    "async-nats",
    "tokio-postgres",
    "fred",
    "rusqlite",
    "rand",
    "chrono",
];

const NOT_CALLED: &[&str] = &[
    "Instant::now",
    "SystemTime",
    "std::fs",
    "std::env::",
    "std::net",
    "std::thread",
    "std::process",
    "rand::",
    "tokio::",
    "Uuid::new_v4",
    "println!",
    "eprintln!",
    "print!(",
];

pub(super) fn check(workspace: &Workspace, report: &mut Report) -> anyhow::Result<()> {
    for package in workspace.ours.iter().filter(|package| PURE.contains(&package.name.as_str())) {
        let brought = workspace.closure(&package.id);
        for name in NOT_BROUGHT_IN.iter().filter(|name| brought.contains(**name)) {
            report.fault(format!("{}: brings in `{name}`", package.name));
        }
        for file in rust_files(&package.folder.join("src"))? {
            look(&file, &std::fs::read_to_string(&file)?, report);
        }
    }
    let runtime = workspace.ours.iter().filter(|package| package.name == "agent-executor-runtime");
    for package in runtime {
        for file in rust_files(&package.folder.join("src"))? {
            chance(&file, &std::fs::read_to_string(&file)?, report);
        }
    }
    Ok(())
}

/// A `select!` without `biased` asks its branches in an order of chance: the simulation could not replay a seed.
fn chance(file: &Path, text: &str, report: &mut Report) {
    let mut lines = product_lines(text).peekable();
    while let Some((number, line)) = lines.next() {
        let next = lines.peek().map_or("", |(_, next)| next.trim());
        if line.contains("select! {") && next != "biased;" {
            report.fault(format!("{}:{number}: `select!` without `biased`", file.display()));
        }
    }
}

fn look(file: &Path, text: &str, report: &mut Report) {
    for (number, line) in product_lines(text) {
        for call in NOT_CALLED.iter().filter(|call| line.contains(**call)) {
            report.fault(format!("{}:{number}: the core does not use `{call}`", file.display()));
        }
    }
}

/// Lines outside comments and outside the unit tests, which stand at the end of a file.
fn product_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().take_while(|(_, line)| !line.starts_with("#[cfg(test)]"));
    lines.map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> usize {
        let mut report = Report::default();
        look(Path::new("x.rs"), text, &mut report);
        report.faults.len()
    }

    #[test]
    fn a_select_by_chance_is_found() {
        let count = |text: &str| {
            let mut report = Report::default();
            chance(Path::new("x.rs"), text, &mut report);
            report.faults.len()
        };
        assert_eq!(count("tokio::select! {\n    () = a => {}\n}\n"), 1);
        assert_eq!(count("tokio::select! {\n    biased;\n    () = a => {}\n}\n"), 0);
    }

    #[test]
    fn a_clock_is_found_and_a_comment_or_a_test_is_not() {
        assert_eq!(faults("let now = std::time::Instant::now();\n"), 1);
        assert_eq!(faults("// Instant::now is banned\nfn f() {}\n"), 0);
        assert_eq!(faults("fn f() {}\n#[cfg(test)]\nmod tests { use std::fs; }\n"), 0);
    }
}
