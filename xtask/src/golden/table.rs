//! What the checker said, as one table and a list of the differences.

use std::path::Path;

use anyhow::Context;
use serde_json::Value;
use tokio::process::Command;

use super::scenario::Scenario;

const PARTS: [&str; 5] = ["requests", "state", "events", "result", "checkpoints"];
/// Characters of a difference that the short form prints.
const SHORT: usize = 300;

/// A part that deliberately differs wherever the recording shows something: docs/compatibility.md, "Recorded runs".
struct Deliberate {
    part: &'static str,
    /// File of the recording, and what it then holds.
    file: &'static str,
    holds: &'static str,
    /// End of the places that it is about; empty for all of the part.
    place: &'static str,
    reason: &'static str,
}

const DELIBERATE: &[Deliberate] = &[
    Deliberate {
        part: "checkpoints",
        file: "checkpoints.json",
        holds: "TodoListMiddleware.after_model",
        place: "",
        reason: "write_todos has no node of its own: its check is made in the model's super-step",
    },
    Deliberate {
        part: "requests",
        file: "requests.json",
        holds: "Context Extraction Assistant",
        place: ": conversations",
        reason: "the request for a summary is in our own words",
    },
];

/// A scenario's outcome.
pub(crate) struct Row {
    pub(crate) name: String,
    /// The checker's report; `None` where there is nothing that it could compare.
    report: Option<Value>,
    /// Why not.
    error: Option<String>,
    deliberate: Vec<&'static Deliberate>,
}

impl Row {
    /// A scenario that could not be played or compared.
    pub(crate) fn broken(scenario: &Scenario, error: &anyhow::Error) -> Self {
        let error = Some(format!("{error:#}"));
        Self { name: scenario.name.clone(), report: None, error, deliberate: Vec::new() }
    }

    pub(crate) fn holds(&self) -> bool {
        self.report.is_some() && PARTS.iter().all(|part| self.ok(part) || self.deliberate(part).is_some())
    }

    fn ok(&self, part: &str) -> bool {
        // A part that the checker left out was not compared.
        self.part(part).is_none_or(|found| found.get("ok").and_then(Value::as_bool) == Some(true))
    }

    /// The row that covers every difference of the part.
    fn deliberate(&self, part: &str) -> Option<&'static Deliberate> {
        let row = self.deliberate.iter().find(|one| one.part == part).copied()?;
        let differences = self.part(part)?.get("differences")?.as_array()?;
        let mut places = differences.iter().filter_map(|one| one.get("where")?.as_str());
        places.all(|place| place.ends_with(row.place)).then_some(row)
    }

    fn part(&self, part: &str) -> Option<&Value> {
        self.report.as_ref()?.pointer(&format!("/parts/{part}"))
    }

    fn cell(&self, part: &str) -> String {
        let Some(found) = self.part(part) else {
            // Rows are compared only where Python tells them.
            return if self.error.is_some() { "?" } else { "-" }.to_owned();
        };
        let differences = found.get("differences").and_then(Value::as_array).map_or(0, Vec::len);
        match (self.ok(part), differences) {
            (true, 0) => "equal".to_owned(),
            // The recording itself says that Python is wrong there.
            (true, _) => "accepted".to_owned(),
            (false, _) if self.deliberate(part).is_some() => "deliberate".to_owned(),
            (false, count) => format!("{count} differ"),
        }
    }
}

/// Lets the recordings' checker compare.
pub(crate) async fn check(tools: &Path, scenario: &Scenario, candidate: &Path) -> anyhow::Result<Row> {
    let mut command = Command::new("python3");
    command.arg(tools.join("check.py")).arg(&scenario.folder).arg(candidate).arg("--json");
    let output = command.output().await.context("run the checker")?;
    let report = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the checker said: {}", String::from_utf8_lossy(&output.stderr)))?;
    let shows = |one: &&Deliberate| {
        std::fs::read_to_string(scenario.folder.join(one.file)).is_ok_and(|text| text.contains(one.holds))
    };
    let deliberate = DELIBERATE.iter().filter(shows).collect();
    Ok(Row { name: scenario.name.clone(), report: Some(report), error: None, deliberate })
}

pub(crate) fn print(rows: &[Row], verbose: bool) {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default().max("scenario".len());
    let line = |name: &str, cells: &[String]| {
        let cells: String = cells.iter().map(|cell| format!("  {cell:<11}")).collect();
        println!("{}", format!("{name:<width$}{cells}").trim_end());
    };
    println!();
    line("scenario", &PARTS.map(str::to_owned));
    for row in rows {
        line(&row.name, &PARTS.map(|part| row.cell(part)));
    }
    println!();
    for row in rows {
        if let Some(error) = &row.error {
            println!("{}: {error}", row.name);
        }
        for part in PARTS {
            match row.deliberate(part) {
                Some(known) if !row.ok(part) && !verbose => {
                    println!("{} {part}: deliberate: {}", row.name, known.reason);
                }
                _ => differences(row, part, verbose),
            }
        }
    }
    let equal = rows.iter().filter(|row| row.holds()).count();
    println!("{equal} of {} scenarios hold", rows.len());
}

fn differences(row: &Row, part: &str, verbose: bool) {
    let list = row.part(part).and_then(|found| found.get("differences")?.as_array());
    for one in list.into_iter().flatten() {
        let text = |key: &str| {
            let value = one.get(key).cloned().unwrap_or_default();
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if verbose { text } else { text.chars().take(SHORT).collect() }
        };
        println!("{} {part}: {}", row.name, text("where"));
        println!("    recorded: {}", text("expected"));
        println!("    ours:     {}", text("got"));
    }
}
