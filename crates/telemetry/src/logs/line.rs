//! The text of a line.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use time::{OffsetDateTime, macros::format_description};
use tracing::Level;

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people at a terminal.
    Human {
        /// Whether to colour the level.
        colour: bool,
    },
}

pub(super) struct Line<'a> {
    pub(super) event: &'a str,
    pub(super) level: Level,
    pub(super) at: OffsetDateTime,
    pub(super) target: &'a str,
    pub(super) fields: &'a Map<String, Value>,
}

/// Members of every line; a field of the same name steps aside.
const RESERVED: [&str; 4] = ["event", "level", "timestamp", "target"];

impl Line<'_> {
    /// The line with its end.
    pub(super) fn text(&self, format: Format) -> String {
        match format {
            Format::Json => self.json(),
            Format::Human { colour } => self.human(colour),
        }
    }

    fn json(&self) -> String {
        let mut line = Map::with_capacity(self.fields.len() + RESERVED.len());
        line.insert("event".to_owned(), self.event.into());
        line.insert("level".to_owned(), self.level_name().into());
        line.insert("timestamp".to_owned(), self.timestamp().into());
        line.insert("target".to_owned(), self.target.into());
        for (name, value) in self.fields {
            let name = if RESERVED.contains(&name.as_str()) { format!("field_{name}") } else { name.clone() };
            line.insert(name, value.clone());
        }
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        text
    }

    fn human(&self, colour: bool) -> String {
        let clock = self.at.format(format_description!("[hour]:[minute]:[second].[subsecond digits:3]"));
        let (paint, plain) = if colour { (self.colour(), "\x1b[0m") } else { ("", "") };
        let mut text = clock.unwrap_or_default();
        // Writing to a String cannot fail.
        write!(text, " {paint}{:<7}{plain} {}", self.level_name(), printable(self.event)).unwrap_or_default();
        for (name, value) in self.fields {
            match value {
                Value::String(word) if !word.is_empty() && !word.contains([' ', '"']) => {
                    write!(text, " {name}={}", printable(word))
                }
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_) => write!(text, " {name}={value}"),
            }
            .unwrap_or_default();
        }
        text.push('\n');
        text
    }

    /// As Python's structlog names them, which dashboards of the service know.
    fn level_name(&self) -> &'static str {
        match self.level {
            Level::ERROR => "error",
            Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG => "debug",
            Level::TRACE => "trace",
        }
    }

    fn colour(&self) -> &'static str {
        match self.level {
            Level::ERROR => "\x1b[31m",
            Level::WARN => "\x1b[33m",
            Level::INFO => "\x1b[32m",
            Level::DEBUG | Level::TRACE => "\x1b[2m",
        }
    }

    fn timestamp(&self) -> String {
        let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");
        self.at.format(form).unwrap_or_default()
    }
}

/// Text from outside must not move a terminal's cursor or begin a line of its own.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}
