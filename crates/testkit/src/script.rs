//! What the scripted model answers. Only a marker in the system prompt and the number of assistant turns in the
//! request decide, so a job gives the same transcript on every engine. The markers:
//!
//! - `[[fake:hello]]`: one text.
//! - `tools`: five file tools, one a turn, then text.
//! - `orch`: three `task` calls one after another; `orchpar`: the three in one turn; `sub`: what their sub-agents do.
//! - `research`: writes todos, shares out to two sub-agents and writes a report.
//! - `scripts`: calls the tools `word_stats`, `save_note` and `failing` of the definition.
//! - `effects`: calls the definition's tool `act` twice at once and then once more, each time with the user's words and
//!   a number.
//!
//! Settings stand in the marker: `[[fake:hello tokens=50 delay_ms=20]]`. `text=prose` says sentences instead of
//! `tok0 tok1 …`; `text=time` says the moment at which each piece is sent, in microseconds since 1970.

use std::time::Duration;

use serde_json::{Value, json};

/// Stands for the moment of sending, with which it is replaced then.
pub(crate) const SENT_AT: &str = "<sent at> ";

const PROSE: &str = "Both libraries parse the same files and agree on every sample that was tried. The first reads \
                     from a stream and keeps its memory flat; the second loads the whole file and is twice as fast \
                     on small ones. For files beyond a few megabytes the first is the safer choice, and its errors \
                     name the line. ";

/// What a text is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// `tok0 tok1 …`.
    Numbered,
    /// Sentences, for a person who looks.
    Prose,
    /// Microseconds since 1970 when the piece is sent, for measuring how long it takes to its reader.
    Time,
}

/// The plan for one request.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) marker: String,
    /// Empty: the final text.
    pub(crate) calls: Vec<(&'static str, Value)>,
    pub(crate) tokens: usize,
    pub(crate) text: Words,
    pub(crate) argument_pieces: usize,
    /// Before each streamed piece.
    pub(crate) delay: Duration,
}

impl Plan {
    /// Reads an OpenAI chat completions request.
    pub(crate) fn of(request: &Value) -> Self {
        let none = Vec::new();
        let messages = request.get("messages").and_then(Value::as_array).unwrap_or(&none);
        let of_role = |roles: &'static [&'static str]| {
            messages.iter().filter(move |message| {
                message.get("role").and_then(Value::as_str).is_some_and(|role| roles.contains(&role))
            })
        };
        let system: Vec<String> = of_role(&["system", "developer"]).map(text).collect();
        let user = of_role(&["user"]).next().map(text).unwrap_or_default();
        let turn = of_role(&["assistant"]).count();
        let mut plan = Self {
            marker: "none".to_owned(),
            calls: Vec::new(),
            tokens: 50,
            text: Words::Numbered,
            argument_pieces: 10,
            delay: Duration::ZERO,
        };
        let system = system.join("\n");
        if let Some((_, rest)) = system.split_once("[[fake:")
            && let Some((marker, _)) = rest.split_once("]]")
        {
            plan.read_marker(marker);
        }
        plan.calls = calls(&plan.marker, &user, turn);
        plan
    }

    fn read_marker(&mut self, marker: &str) {
        let mut words = marker.split_whitespace();
        words.next().unwrap_or("none").clone_into(&mut self.marker);
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            match name {
                "text" if value == "prose" => self.text = Words::Prose,
                "text" if value == "time" => self.text = Words::Time,
                "tokens" => self.tokens = value.parse().unwrap_or(self.tokens),
                "arg_chunks" => self.argument_pieces = value.parse().unwrap_or(self.argument_pieces),
                "delay_ms" => {
                    let seconds = value.parse::<f64>().unwrap_or_default() / 1000.0;
                    self.delay = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                }
                _ => {}
            }
        }
    }

    /// The final text, in the pieces in which it is streamed.
    pub(crate) fn words(&self) -> Vec<String> {
        match self.text {
            Words::Numbered => (0..self.tokens).map(|n| format!("tok{n} ")).collect(),
            Words::Prose => {
                let words = PROSE.split_inclusive(' ').cycle().take(self.tokens);
                words.map(str::to_owned).collect()
            }
            Words::Time => vec![SENT_AT.to_owned(); self.tokens],
        }
    }
}

/// The calls of turn `turn` (0 is the first); none where the final text is due.
fn calls(marker: &str, user: &str, turn: usize) -> Vec<(&'static str, Value)> {
    let task = |k: u32| {
        let description = format!("Please do part {k} of the work.");
        ("task", json!({"subagent_type": format!("worker_{k}"), "description": description}))
    };
    let mut turns: Vec<Vec<(&'static str, Value)>> = match marker {
        "tools" => notes("/notes.md", "# notes\nalpha line\nbeta line\n", true),
        "sub" => notes(&format!("/part{}.md", part(user)), "# part\nalpha line\nbeta line\n", false),
        "orch" => (1..=3).map(|k| vec![task(k)]).collect(),
        "orchpar" => vec![(1..=3).map(task).collect()],
        "research" => research(),
        "scripts" => scripts(),
        "effects" => vec![vec![act(user, 1), act(user, 2)], vec![act(user, 3)]],
        _ => Vec::new(),
    };
    if turn < turns.len() { turns.swap_remove(turn) } else { Vec::new() }
}

/// Todos, two sub-agents at once (`collector`, `analyst`), a report and the todos done.
fn research() -> Vec<Vec<(&'static str, Value)>> {
    let todos = |done: usize| {
        let steps = ["Collect what the sources say", "Compare the candidates", "Write the report"];
        let status = |at: usize| match at.cmp(&done) {
            std::cmp::Ordering::Less => "completed",
            std::cmp::Ordering::Equal => "in_progress",
            std::cmp::Ordering::Greater => "pending",
        };
        let steps = (0..).zip(steps).map(|(at, step)| json!({"content": step, "status": status(at)}));
        ("write_todos", json!({"todos": steps.collect::<Vec<_>>()}))
    };
    let task = |who: &str, what: &str| ("task", json!({"subagent_type": who, "description": what}));
    let report = "# Two libraries\n\n- Both read every sample.\n- The first keeps its memory flat.\n";
    vec![
        vec![todos(0)],
        vec![
            task("collector", "Collect what the sources say, part 1."),
            task("analyst", "Compare the candidates, part 2."),
        ],
        vec![("write_file", json!({"file_path": "/report.md", "content": report})), todos(3)],
    ]
}

/// One call of the definition's tool with effects; no two of a conversation are alike.
fn act(user: &str, number: u32) -> (&'static str, Value) {
    ("act", json!({"what": format!("{user} {number}")}))
}

/// Two tools of the definition at once, then one that fails.
fn scripts() -> Vec<Vec<(&'static str, Value)>> {
    vec![
        vec![
            ("word_stats", json!({"text": "to be or not to be", "top": "1"})),
            ("save_note", json!({"path": "/note.md", "text": "kept"})),
        ],
        vec![("failing", json!({}))],
    ]
}

fn notes(file: &str, content: &str, summary: bool) -> Vec<Vec<(&'static str, Value)>> {
    let edit = json!({"file_path": file, "old_string": "alpha line", "new_string": "gamma line"});
    let mut turns = vec![
        vec![("write_file", json!({"file_path": file, "content": content}))],
        vec![("read_file", json!({"file_path": file}))],
        vec![("edit_file", edit)],
    ];
    if summary {
        turns.push(vec![("ls", json!({"path": "/"}))]);
        turns.push(vec![(
            "write_file",
            json!({"file_path": "/summary.md", "content": "# summary\nall done\n"}),
        )]);
    }
    turns
}

/// The number after the word `part`, `0` where there is none.
fn part(user: &str) -> String {
    let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
    user.split("part ")
        .skip(1)
        .map(digits)
        .find(|number| !number.is_empty())
        .unwrap_or_else(|| "0".to_owned())
}

/// A message's text: a string, or the text parts of a list.
fn text(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts =
                parts.iter().map(|part| part.get("text").unwrap_or(part).as_str().unwrap_or_default());
            texts.collect::<Vec<_>>().join("\n")
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(system: &str, user: &str, turns: usize) -> Value {
        let mut messages =
            vec![json!({"role": "system", "content": system}), json!({"role": "user", "content": user})];
        messages.extend((0..turns).map(|_| json!({"role": "assistant", "content": "x"})));
        json!({ "messages": messages })
    }

    #[test]
    fn the_tools_scenario_is_five_calls_and_a_text() {
        let names: Vec<Option<&str>> = (0..6)
            .map(|turn| Plan::of(&request("Do. [[fake:tools]]", "go", turn)).calls.first().map(|call| call.0))
            .collect();
        let expected = ["write_file", "read_file", "edit_file", "ls", "write_file"];
        assert_eq!(names[..5], expected.map(Some));
        assert_eq!(names[5], None);
    }

    #[test]
    fn parallel_sub_agents_are_asked_for_in_one_turn() {
        assert_eq!(Plan::of(&request("[[fake:orchpar]]", "go", 0)).calls.len(), 3);
        assert_eq!(Plan::of(&request("[[fake:orchpar]]", "go", 1)).calls.len(), 0);
        assert_eq!(Plan::of(&request("[[fake:orch]]", "go", 2)).calls.len(), 1);
    }

    #[test]
    fn no_two_effects_of_a_conversation_are_alike() {
        let effects: Vec<String> = (0..3)
            .flat_map(|turn| Plan::of(&request("Do. [[fake:effects]]", "job-7", turn)).calls)
            .map(|(_, arguments)| arguments["what"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(effects, ["job-7 1", "job-7 2", "job-7 3"]);
    }

    #[test]
    fn a_sub_agent_writes_the_file_of_its_part() {
        let plan =
            Plan::of(&request("[[fake:sub tokens=3 delay_ms=1.5]]", "Please do part 2 of the work.", 0));
        assert_eq!(plan.calls[0].1["file_path"], "/part2.md");
        assert_eq!((plan.tokens, plan.delay), (3, Duration::from_micros(1500)));
    }

    #[test]
    fn research_plans_shares_out_and_reports() {
        let turns: Vec<Vec<&str>> = (0..4)
            .map(|turn| Plan::of(&request("[[fake:research text=prose tokens=3]]", "go", turn)))
            .map(|plan| plan.calls.iter().map(|call| call.0).collect())
            .collect();
        assert_eq!(
            turns,
            [vec!["write_todos"], vec!["task", "task"], vec!["write_file", "write_todos"], vec![]]
        );
        let plan = Plan::of(&request("[[fake:research text=prose tokens=3]]", "go", 3));
        assert_eq!(plan.words().concat(), "Both libraries parse ");
    }

    #[test]
    fn without_a_marker_there_is_one_text() {
        let plan = Plan::of(&request("You are helpful.", "go", 0));
        assert_eq!((plan.marker.as_str(), plan.calls.len(), plan.words().len()), ("none", 0, 50));
    }
}
