//! The built-in tools against the recorded results of `deepagents` 0.7.32 (`golden/tool-results`).

#![expect(clippy::disallowed_methods, reason = "recordings are read from files")]

#[cfg(test)]
#[path = "recorded_runs/machine.rs"]
#[expect(dead_code, reason = "every test takes its part of the helpers")]
mod machine;
#[cfg(test)]
#[path = "tool_cases/recorded.rs"]
mod recorded;
#[cfg(test)]
#[path = "tool_cases/run.rs"]
mod run;

use std::collections::BTreeSet;

use agent_executor_core::tools::{BUILT_IN, task};
use serde_json::Value;

/// Cases in which we want to differ, and the row of deepagents-semantics.md, section 10, that says why.
const DELIBERATE: &[(&str, u32)] = &[
    ("par-07", 8),   // delete of a directory and a write below it
    ("par-09", 8),   // an invalid first call blocks nothing
    ("read-26", 14), // lines end at LF, CR, CRLF only
    ("read-27", 14),
    ("read-75", 15), // text under an image name is text
    ("read-77", 15), // sound and films do not become text
    ("read-78", 15),
    ("read-80", 15), // text under a film's name has the usual header
    ("ls-18", 16),   // `//docs` is `/docs`
    ("read-49", 16),
    ("write-12", 16),
    ("write-06", 16), // the root is no file
    ("write-09", 16),
    ("write-10", 16),
    ("delete-06", 17), // the root stays
    ("delete-20", 17),
    ("task-09", 6),  // what a sub-agent deletes is deleted
    ("task-01", 18), // an unknown sub-agent is an error
    ("task-10", 18),
    ("par-10", 18),
    ("edit-20", 21), // text copied from read_file matches whatever the line ends
];

const CASE_FILES: &[&str] = &[
    "ls",
    "read_file",
    "write_file",
    "edit_file",
    "delete",
    "glob",
    "grep",
    "write_todos",
    "task",
    "execute",
    "other",
    "parallel",
];

#[test]
fn tools_answer_as_recorded_except_where_we_mean_to_differ() {
    let Some(folder) = recorded::golden("tool-results") else { return };
    let (mut hold, mut elsewhere, mut wrong) = (0, 0, Vec::new());
    let mut differ = BTreeSet::new();
    for file in CASE_FILES {
        for case in recorded::array(&folder.join(format!("{file}.json"))) {
            let id = case["id"].as_str().expect("cases have ids").to_owned();
            let declared = DELIBERATE.iter().any(|(declared, _)| *declared == id);
            match (run::case(&case), declared) {
                // What a definition's own tool does with its arguments is the tool host's affair.
                (None, _) => elsewhere += 1,
                (Some(Ok(())), false) => hold += 1,
                (Some(Ok(())), true) => wrong.push(format!("{id}: declared as different, but holds")),
                (Some(Err(_)), true) => _ = differ.insert(id),
                (Some(Err(difference)), false) => wrong.push(format!("{id}: {difference}")),
            }
        }
    }
    let rows: BTreeSet<u32> = DELIBERATE.iter().map(|(_, row)| *row).collect();
    println!(
        "tool cases: {hold} hold, {} deliberate differences (rows {rows:?}), {elsewhere} not applicable here",
        differ.len()
    );
    assert!(wrong.is_empty(), "{} undeclared differences:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(differ.len(), DELIBERATE.len(), "every declared case is among the recorded ones");
}

/// Further cases, recorded in the same way with the same release.
#[test]
fn further_recorded_cases_hold() {
    let cases: Value = serde_json::from_str(include_str!("tool_cases/more.json")).expect("JSON");
    let cases = cases.as_array().expect("a list");
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| match run::case(case) {
            Some(Ok(())) => None,
            other => Some(format!("{}: {other:?}", case["id"])),
        })
        .collect();
    assert!(wrong.is_empty() && cases.len() > 5, "{}", wrong.join("\n"));
}

/// The prose is ours; names, order of members, types, defaults and required fields are Python's.
#[test]
fn schemas_have_the_recorded_structure() {
    let Some(file) = recorded::golden("tool-schemas.json") else { return };
    let recorded = recorded::read(&file);
    let mut recorded_tools: Vec<Value> = Vec::new();
    for list in ["openai_chat_completions/main", "openai_responses/main_codex"] {
        let tools = recorded.pointer(&format!("/{list}")).and_then(Value::as_array).expect("a list of tools");
        recorded_tools.extend(tools.iter().map(|tool| tool.get("function").unwrap_or(tool).clone()));
    }
    let find = |name: &str| {
        recorded_tools
            .iter()
            .find(|tool| tool["name"] == name)
            .unwrap_or_else(|| panic!("{name} is recorded"))
    };
    let specs = BUILT_IN.iter().map(|tool| (tool.spec)()).chain([task::spec(&[])]);
    for spec in specs {
        let recorded = find(&spec.name);
        assert_eq!(
            without_prose(&spec.parameters).to_string(),
            without_prose(&recorded["parameters"]).to_string(),
            "{}",
            spec.name
        );
        for (ours, theirs) in prose(&spec.parameters).iter().zip(prose(&recorded["parameters"])) {
            assert_ne!(*ours, theirs, "{}", spec.name);
        }
    }
}

fn without_prose(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let is_prose = key == "description" && value.is_string();
                (key.clone(), if is_prose { Value::Null } else { without_prose(value) })
            })
            .collect(),
        Value::Array(items) => items.iter().map(without_prose).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
    }
}

fn prose(schema: &Value) -> Vec<&str> {
    let Value::Object(map) = schema else { return Vec::new() };
    let own = map.get("description").and_then(Value::as_str);
    own.into_iter().chain(map.values().flat_map(prose)).collect()
}
