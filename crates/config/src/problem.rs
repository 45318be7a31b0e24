//! What is wrong with the settings, in words that name the variable and never a secret.

use std::fmt;

/// Everything that is wrong, at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// In the order of the documentation. Never empty.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.problems.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A value of another kind.
    #[error("`{name}`: expected {expected}, found {found}")]
    Invalid {
        /// The variable that was set.
        name: String,
        /// What it takes.
        expected: String,
        /// The value where it is no secret, else its length.
        found: String,
    },
    /// Nothing was set where something must be.
    #[error("{what} is not set: set {}", one_of(.names))]
    Missing {
        /// In words.
        what: &'static str,
        /// Every variable that would do.
        names: Vec<&'static str>,
    },
    /// A file that a variable names cannot be read.
    #[error("`{name}`: cannot read the file `{path}`: {detail}")]
    File {
        /// The variable.
        name: String,
        /// The file.
        path: String,
        /// Why.
        detail: String,
    },
    /// Two that exclude each other.
    #[error("`{first}` and `{second}` are both set: {advice}")]
    Conflict {
        /// One.
        first: String,
        /// The other.
        second: String,
        /// What to do.
        advice: &'static str,
    },
}

fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("one of {} or {last}", first.join(", ")),
        None => String::new(),
    }
}

/// Something that works, and that an operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The variable.
    pub name: String,
    /// What about it.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.name, self.text)
    }
}
