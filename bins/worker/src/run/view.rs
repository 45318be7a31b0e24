//! What a person sees of a run: one line an event, and on a terminal a status line below.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// Longest text of one line; the rest is in the result.
const WIDTH: usize = 160;

/// Prints a run's events on stderr. The result itself goes to stdout, elsewhere.
pub(crate) struct View {
    bar: Option<ProgressBar>,
    colour: bool,
    /// Text that an agent has said since its last line, by namespace.
    said: BTreeMap<String, String>,
    files: BTreeMap<String, usize>,
    todos: Value,
    tools: u64,
    pieces: u64,
    started: Instant,
}

impl View {
    pub(crate) fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = terminal.then(|| {
            let bar = ProgressBar::new_spinner();
            let style = ProgressStyle::with_template("{spinner} {elapsed_precise}  {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            bar,
            colour: terminal && std::env::var_os("NO_COLOR").is_none(),
            said: BTreeMap::new(),
            files: BTreeMap::new(),
            todos: Value::Null,
            tools: 0,
            pieces: 0,
            started: Instant::now(),
        }
    }

    /// Shows one event; `true` when it was the last one of the job.
    pub(crate) fn show(&mut self, payload: &[u8]) -> bool {
        let Ok(event) = serde_json::from_slice::<Value>(payload) else { return false };
        let data = event.get("data").unwrap_or(&Value::Null);
        let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (agent, ns) = (text("agent"), text("ns"));
        let who = if agent.is_empty() { "lead".to_owned() } else { agent };
        match event.get("event_type").and_then(Value::as_str).unwrap_or_default() {
            "on_llm_stream" => {
                self.pieces += 1;
                self.said.entry(ns).or_default().push_str(&text("content"));
            }
            "on_tool_start" => {
                self.speak(&who, &ns);
                self.tools += 1;
                let args = data.get("args").map(Value::to_string).unwrap_or_default();
                self.line(&who, "36", &format!("→ {} {}", text("name"), clip(&args)));
            }
            "on_tool_end" => {
                let failed = data.get("status").and_then(Value::as_str) == Some("error");
                let (colour, mark) = if failed { ("31", "✗") } else { ("32", "✓") };
                let output = text("output");
                self.line(&who, colour, &format!("{mark} {} {}", text("name"), clip(&output)));
            }
            "on_state_update" => {
                self.speak(&who, &ns);
                if ns.is_empty() {
                    self.state(data);
                }
            }
            "attempt_superseded" => {
                self.said.remove(&ns);
                self.line(&who, "33", "the model's stream broke; asking again");
            }
            "error" => {
                let error = data.get("error").unwrap_or(&Value::Null);
                let message = error.get("message").and_then(Value::as_str).unwrap_or_default();
                self.line(&who, "31", &format!("failed: {message}"));
            }
            "end" => {
                self.speak(&who, &ns);
                return true;
            }
            _ => {}
        }
        self.status(&who);
        false
    }

    /// What the agent has said since its last line.
    fn speak(&mut self, who: &str, ns: &str) {
        if let Some(said) = self.said.remove(ns).filter(|said| !said.trim().is_empty()) {
            self.line(who, "0", &clip(&said));
        }
    }

    fn state(&mut self, data: &Value) {
        if let Some(todos) = data.get("todos").filter(|todos| todos.is_array() && **todos != self.todos) {
            for todo in todos.as_array().into_iter().flatten() {
                let part = |name: &str| todo.get(name).and_then(Value::as_str).unwrap_or_default();
                let mark = match part("status") {
                    "completed" => "[x]",
                    "in_progress" => "[~]",
                    _ => "[ ]",
                };
                self.line("todo", "35", &format!("{mark} {}", part("content")));
            }
            self.todos = todos.clone();
        }
        for (path, file) in data.get("files").and_then(Value::as_object).into_iter().flatten() {
            let size = file.get("content").map_or(0, |content| match content {
                Value::Array(lines) => {
                    lines.iter().filter_map(Value::as_str).map(|line| line.len() + 1).sum()
                }
                Value::String(text) => text.len(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => 0,
            });
            if self.files.insert(path.clone(), size) != Some(size) {
                self.line("file", "34", &format!("{path} ({size} bytes)"));
            }
        }
    }

    fn status(&self, who: &str) {
        if let Some(bar) = &self.bar {
            let files = self.files.len();
            bar.set_message(format!(
                "{who} at work · {} tool calls · {files} files · {} text pieces",
                self.tools, self.pieces
            ));
        }
    }

    /// One line about something that is not an event.
    pub(crate) fn note(&self, text: &str) {
        self.line("run", "90", text);
    }

    fn line(&self, who: &str, colour: &str, text: &str) {
        let line = if self.colour {
            format!("\u{1b}[1m{who:>24}\u{1b}[0m  \u{1b}[{colour}m{text}\u{1b}[0m")
        } else {
            format!("{who:>24}  {text}")
        };
        match &self.bar {
            Some(bar) => bar.println(line),
            // A closed stderr is no reason to stop a run.
            None => drop(writeln!(std::io::stderr(), "{line}")),
        }
    }

    /// The last line: what it took.
    pub(crate) fn close(&self, usage: &Value) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let number = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or_default();
        self.note(&format!(
            "{} model calls, {} tokens in, {} out, {} tool calls, {:.1} s",
            number("model_calls"),
            number("input_tokens"),
            number("output_tokens"),
            self.tools,
            self.started.elapsed().as_secs_f64()
        ));
    }
}

/// One line of a text, not too long.
fn clip(text: &str) -> String {
    let flat = text.trim().replace('\n', " ⏎ ");
    match flat.char_indices().nth(WIDTH) {
        Some((at, _)) => format!("{}…", flat.get(..at).unwrap_or_default()),
        None => flat,
    }
}
