//! Reads variables one by one and remembers what was found, where, and what is wrong.

use std::path::PathBuf;

use crate::{
    Environment, Kind, Source,
    address::{REDACTED, without_users},
    env::Var,
    kind::FromText,
    near,
    problem::{Problem, Warning},
};

/// A setting as it may be shown to people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The variable's main name.
    pub name: &'static str,
    /// Its value, `[REDACTED]`, or `unset`.
    pub value: String,
    /// Where it came from.
    pub source: Source,
}

pub(crate) struct Reader<'a> {
    environment: &'a Environment,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) shown: Vec<Shown>,
}

/// A value before it is read: its text, the variable that was set, and where.
struct Raw {
    text: String,
    name: String,
    source: Source,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(environment: &'a Environment) -> Self {
        let mut warnings = Vec::new();
        for name in environment.names() {
            if let Some(meant) = near::meant(name) {
                warnings.push(Warning {
                    name: name.to_owned(),
                    text: format!("is not read; did you mean `{meant}`?"),
                });
            }
        }
        Self { environment, problems: Vec::new(), warnings, shown: Vec::new() }
    }

    /// The value, the default where nothing is set, `None` where there is neither or the value is wrong.
    pub(crate) fn find<T: FromText>(&mut self, var: &'static Var) -> Option<T> {
        let (text, name, source) = match self.raw(var) {
            Some(Raw { text, name, source }) => (text, name, source),
            None => {
                let unset = Shown { name: var.name, value: "unset".to_owned(), source: Source::Default };
                let Some(default) = var.default else {
                    self.shown.push(unset);
                    return None;
                };
                (default.to_owned(), var.name.to_owned(), Source::Default)
            }
        };
        self.shown.push(Shown { name: var.name, value: shown(var, &text), source });
        let value = T::from_text(&text, var.kind);
        if value.is_none() {
            let found = if var.secret { Err(text.chars().count()) } else { Ok(shown(var, &text)) };
            self.invalid(&name, var.kind, found.as_deref().map_err(|length| *length));
        }
        value
    }

    /// As [`Self::find`], for variables with a default. After an error any value does: the settings are not handed
    /// out then.
    pub(crate) fn get<T: FromText + Default>(&mut self, var: &'static Var) -> T {
        self.find(var).unwrap_or_default()
    }

    /// Whether any name of `var` is set.
    pub(crate) fn has(&self, var: &'static Var) -> bool {
        var.names().any(|name| self.environment.get(&name).is_some())
    }

    pub(crate) fn missing(&mut self, what: &'static str, vars: &[&'static Var]) {
        let names =
            vars.iter().flat_map(|var| [var.name].into_iter().chain(var.also.iter().copied())).collect();
        self.problems.push(Problem::Missing { what, names });
    }

    pub(crate) fn invalid(&mut self, name: &str, kind: Kind, found: Result<&str, usize>) {
        let found = match found {
            Ok(text) => format!("`{}`", text.chars().take(60).collect::<String>().escape_debug()),
            Err(length) => format!("a text of {length} characters"),
        };
        self.problems.push(Problem::Invalid { name: name.to_owned(), expected: kind.expected(), found });
    }

    /// The first name that is set. The environment goes before the `.env` file whatever the name.
    fn raw(&mut self, var: &'static Var) -> Option<Raw> {
        let mut found: Vec<(bool, Raw)> = Vec::new();
        for name in [var.name].iter().chain(var.also) {
            let plain = self.environment.get(name).map(|(text, source)| (text.to_owned(), source));
            if let Some((text, source)) = plain {
                if var.kind == Kind::Port && (text.starts_with("tcp://") || text.starts_with("udp://")) {
                    let text = "holds a service's address as Kubernetes writes it, not a port; it is ignored"
                        .to_owned();
                    self.warnings.push(Warning { name: (*name).to_owned(), text });
                } else {
                    let text = text.trim().to_owned();
                    found.push((
                        self.environment.outranks_file(name),
                        Raw { text, name: (*name).to_owned(), source },
                    ));
                }
            }
            if var.may_be_file()
                && let Some(raw) = self.named_file(name)
            {
                found.push((self.environment.outranks_file(&raw.name), raw));
            }
        }
        let first = found
            .iter()
            .position(|(environment, _)| *environment)
            .or_else(|| (!found.is_empty()).then_some(0))?;
        Some(found.swap_remove(first).1)
    }

    /// The content of the file that `<name>_FILE` names.
    fn named_file(&mut self, name: &'static str) -> Option<Raw> {
        let variable = format!("{name}_FILE");
        let (path, _) = self.environment.get(&variable)?;
        let path = PathBuf::from(path.trim());
        if self.environment.outranks_file(name) && self.environment.outranks_file(&variable) {
            let advice = "keep one of them";
            self.problems.push(Problem::Conflict { first: name.to_owned(), second: variable, advice });
            return None;
        }
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                // Editors and `echo` end a file with a line end that nobody means.
                let text = text.trim_end_matches(['\n', '\r']).to_owned();
                Some(Raw { text, name: variable, source: Source::File { path, line: None } })
                    .filter(|raw| !raw.text.is_empty())
            }
            Err(error) => {
                let path = path.display().to_string();
                self.problems.push(Problem::File { name: variable, path, detail: error.to_string() });
                None
            }
        }
    }
}

fn shown(var: &Var, text: &str) -> String {
    if var.secret {
        return REDACTED.to_owned();
    }
    match var.kind {
        Kind::Servers | Kind::Url(_) | Kind::Text => without_users(text),
        Kind::Port
        | Kind::Host
        | Kind::Dsn
        | Kind::Count(..)
        | Kind::Seconds(..)
        | Kind::Milliseconds(..)
        | Kind::Days(..)
        | Kind::Flag
        | Kind::Choice(_)
        | Kind::Some(_)
        | Kind::Path
        | Kind::List
        | Kind::Tokens => text.to_owned(),
    }
}
