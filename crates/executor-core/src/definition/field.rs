//! Where in a JSON document something stands, and what it is.

use std::fmt;

use serde_json::Value;

/// A path such as `nodes[2].config.tools[0]`; the root is called by the name it was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath {
    root: &'static str,
    inner: String,
}

impl FieldPath {
    /// The whole document. `name` stands for it in texts and is left out in front of members.
    pub const fn root(name: &'static str) -> Self {
        Self { root: name, inner: String::new() }
    }

    /// The member `name` of the object at this path.
    #[must_use]
    pub fn member(&self, name: &str) -> Self {
        let mut inner = self.inner.clone();
        if !inner.is_empty() {
            inner.push('.');
        }
        // A name from outside may be as long as the body; a path is for people.
        inner.extend(name.chars().take(80));
        Self { root: self.root, inner }
    }

    /// The item `at` of the list at this path.
    #[must_use]
    pub fn item(&self, at: usize) -> Self {
        Self { root: self.root, inner: format!("{}[{at}]", self.inner) }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.inner.is_empty() { self.root } else { &self.inner })
    }
}

/// The kind of a JSON value in words: `a string`, `null`, …
pub const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
