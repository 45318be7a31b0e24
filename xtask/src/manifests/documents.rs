//! Kubernetes objects as JSON values, and short ways to look into them.

use std::fmt;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;

/// One object of a file or of a rendered overlay.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) value: Value,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

impl Document {
    /// All objects of a YAML text. A key that stands twice in one object is an error.
    pub(crate) fn parse(text: &str, what: &str) -> anyhow::Result<Vec<Self>> {
        let mut documents = Vec::new();
        for part in serde_yaml_ng::Deserializer::from_str(text) {
            // The YAML value refuses duplicate keys, which JSON's would swallow.
            let yaml = serde_yaml_ng::Value::deserialize(part).with_context(|| what.to_owned())?;
            if yaml.is_null() {
                continue;
            }
            let value = serde_json::to_value(yaml).with_context(|| format!("{what}: not as JSON"))?;
            if !value.is_object() {
                bail!("{what}: an object was expected, found {value}");
            }
            documents.push(Self { value });
        }
        Ok(documents)
    }

    pub(crate) fn at(&self, pointer: &str) -> Option<&Value> {
        self.value.pointer(pointer)
    }

    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        self.at(pointer)?.as_str()
    }

    pub(crate) fn kind(&self) -> &str {
        self.text("/kind").unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name").unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> Option<&str> {
        self.text("/metadata/namespace")
    }

    /// API group and version; the group of `v1` is empty.
    pub(crate) fn group_version(&self) -> (&str, &str) {
        let version = self.text("/apiVersion").unwrap_or_default();
        version.split_once('/').unwrap_or(("", version))
    }

    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.at("/metadata/annotations")?.get(name)?.as_str()
    }

    pub(crate) fn labels(&self) -> &Value {
        self.at("/metadata/labels").unwrap_or(&Value::Null)
    }

    /// Elements of the list at `pointer`; none where there is no list.
    pub(crate) fn list(&self, pointer: &str) -> impl Iterator<Item = &Value> {
        items(self.at(pointer))
    }
}

/// Elements of a list that may be absent.
pub(crate) fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

/// A member that is text.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

/// Whether every member of `part` stands in `whole` with the same value.
pub(crate) fn contains(whole: &Value, part: &Value) -> bool {
    let members = part.as_object().into_iter().flatten();
    part.as_object().is_some_and(|part| !part.is_empty())
        && members.into_iter().all(|(key, value)| whole.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_split_and_a_key_that_stands_twice_is_refused() {
        let two =
            Document::parse("kind: A\n---\n# nothing\n---\nkind: B\nmetadata: {name: b}\n", "x").unwrap();
        assert_eq!(two.iter().map(ToString::to_string).collect::<Vec<_>>(), ["A ", "B b"]);
        assert!(Document::parse("kind: A\nkind: B\n", "x").is_err());
        assert!(Document::parse("- 1\n", "x").is_err());
    }
}
