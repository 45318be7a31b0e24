//! Whole recorded runs of the Python agent (`golden/tool-results/runs.json`) played against the machine: what the model
//! is sent, and the thread afterwards.

#![expect(clippy::disallowed_methods, reason = "recordings are read from files")]

#[cfg(test)]
#[path = "recorded_runs/machine.rs"]
#[expect(dead_code, reason = "every test takes its part of the helpers")]
mod machine;
#[cfg(test)]
#[path = "recorded_runs/play.rs"]
mod play;
#[cfg(test)]
#[path = "tool_cases/recorded.rs"]
#[expect(dead_code, reason = "every test takes its part of the helpers")]
mod recorded;

/// Runs in which we want to differ, and the row of deepagents-semantics.md, section 10, that says why.
#[cfg(test)]
const DELIBERATE: &[(&str, u32)] = &[
    ("no-messages", 23), // `instructions` become the user's message (wire contract 2.4)
    ("invalid-only", 2),
    ("tool-error-then-null", 4),
    ("crash-in-tools-then-same-input", 4),
    ("recursion-exact", 27),
    ("task-reverts-edit", 6),
    ("task-deletion-lost", 6),
    ("task-error-then-null", 5),
    ("so-tool-retry", 25),
    ("so-tool-two", 25),
    ("so-tool-plain-text", 25),
    ("so-provider-bad", 25),
];

/// Runs about something that the machine does not do: Python's own settings that a definition cannot reach, and what
/// other tests play (context management).
#[cfg(test)]
const ELSEWHERE: &[&str] = &[
    "named",
    "eviction-human",
    "arg-truncation",
    "summarise",
    "overflow-retry",
    "overflow-nothing-to-cut",
    "hitl-approve-0",
    "hitl-reject-1",
    "hitl-reject-2",
    "hitl-respond-3",
    "hitl-edit-4",
    "hitl-wrong-count",
    "hitl-new-input",
];

#[test]
fn runs_go_as_recorded_except_where_we_mean_to_differ() {
    let Some(file) = recorded::golden("tool-results/runs.json") else { return };
    let (mut hold, mut elsewhere, mut differ, mut wrong) = (0, 0, 0, Vec::new());
    for case in recorded::array(&file) {
        let id = case["id"].as_str().expect("runs have ids").to_owned();
        if ELSEWHERE.contains(&id.as_str()) {
            elsewhere += 1;
            continue;
        }
        let declared = DELIBERATE.iter().any(|(declared, _)| *declared == id);
        match (play::case(&case), declared) {
            (Ok(()), false) => hold += 1,
            (Ok(()), true) => wrong.push(format!("{id}: declared as different, but holds")),
            (Err(_), true) => differ += 1,
            (Err(difference), false) => wrong.push(format!("{id}: {difference}")),
        }
    }
    println!("recorded runs: {hold} hold, {differ} deliberate differences, {elsewhere} not applicable here");
    assert!(wrong.is_empty(), "{} undeclared differences:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(differ, DELIBERATE.len(), "every declared run is among the recorded ones");
}
