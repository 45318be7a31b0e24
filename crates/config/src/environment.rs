//! What is set, and where.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// An environment variable, by the name that was set.
    Env(String),
    /// A file: one that a `*_FILE` variable names, or a line of the `.env` file.
    File {
        /// Which.
        path: PathBuf,
        /// The line, counted from 1, where the file has several values.
        line: Option<usize>,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
        }
    }
}

/// The variables of a process, and those of a `.env` file behind them.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    file: BTreeMap<String, (String, Source)>,
}

/// Why a `.env` file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// It cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is no assignment. The line is not shown: it may hold a secret.
    #[error("`{path}` line {line}: expected `NAME=value`, found something else")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
}

impl Environment {
    /// The variables of this process.
    pub fn from_process() -> Self {
        // A value that is no UTF-8 is shown to its reader with replacement characters, and refused there by name.
        Self::from_pairs(
            std::env::vars_os().map(|(name, value)| {
                (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
            }),
        )
    }

    /// These variables and no others.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let variables = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { variables, file: BTreeMap::new() }
    }

    /// Adds the assignments of a `.env` file; what is set in the environment wins over them.
    ///
    /// # Errors
    /// Where the file cannot be read or a line is no assignment.
    pub fn with_file(mut self, path: &Path) -> Result<Self, EnvironmentError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| EnvironmentError::Unreadable { path: path.to_owned(), source })?;
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let (name, value) =
                assignment(content).ok_or_else(|| EnvironmentError::Line { path: path.to_owned(), line })?;
            let source = Source::File { path: path.to_owned(), line: Some(line) };
            self.file.insert(name.to_owned(), (value, source));
        }
        Ok(self)
    }

    /// The value of `name`. Empty counts as not set: Kubernetes writes it so for an absent key.
    pub(crate) fn get(&self, name: &str) -> Option<(&str, Source)> {
        let set = self.variables.get(name).map(|value| (value.as_str(), Source::Env(name.to_owned())));
        let set = set.or_else(|| self.file.get(name).map(|(value, source)| (value.as_str(), source.clone())));
        set.filter(|(value, _)| !value.trim().is_empty())
    }

    /// Whether the process itself has `name`, rather than the file.
    pub(crate) fn outranks_file(&self, name: &str) -> bool {
        self.variables.get(name).is_some_and(|value| !value.trim().is_empty())
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.keys().chain(self.file.keys()).map(String::as_str)
    }
}

/// `NAME=value`, with an optional `export` and quotes.
fn assignment(line: &str) -> Option<(&str, String)> {
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let value = value.trim();
    let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    let value = match (quoted('\''), quoted('"')) {
        (Some(plain), _) => plain.to_owned(),
        (None, Some(escaped)) => escaped.replace("\\n", "\n").replace("\\\"", "\"").replace("\\\\", "\\"),
        (None, None) => value.split(" #").next().unwrap_or(value).trim_end().to_owned(),
    };
    Some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Option<(String, String)> {
        assignment(line).map(|(name, value)| (name.to_owned(), value))
    }

    fn pair(name: &str, value: &str) -> Option<(String, String)> {
        Some((name.to_owned(), value.to_owned()))
    }

    #[test]
    fn a_line_may_have_export_quotes_and_a_remark() {
        assert_eq!(parsed("PORT=8080"), pair("PORT", "8080"));
        assert_eq!(parsed("export PORT = 8080 # why"), pair("PORT", "8080"));
        assert_eq!(parsed("KEY='a # b'"), pair("KEY", "a # b"));
        assert_eq!(parsed(r#"KEY="a\"b=c""#), pair("KEY", "a\"b=c"));
        assert_eq!(parsed("no assignment"), None);
        assert_eq!(parsed("=x"), None);
    }
}
