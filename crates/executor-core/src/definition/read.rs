//! Members of JSON objects, with their place in every error.

use serde_json::{Map, Value};

use crate::definition::error::DefinitionError;
use crate::definition::field::{FieldPath, kind_of};

/// An object of the document and where it stands.
#[derive(Clone)]
pub(super) struct Members<'a> {
    pub(super) map: &'a Map<String, Value>,
    pub(super) at: FieldPath,
}

impl<'a> Members<'a> {
    pub(super) fn of(value: &'a Value, at: FieldPath) -> Result<Self, DefinitionError> {
        match value {
            Value::Object(map) => Ok(Self { map, at }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(wrong(&at, "an object", value))
            }
        }
    }

    /// A member; null counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn at(&self, name: &str) -> FieldPath {
        self.at.member(name)
    }

    pub(super) fn text(&self, name: &str, limit: usize) -> Result<Option<String>, DefinitionError> {
        self.get(name).map(|value| text(value, &self.at(name), limit)).transpose()
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, DefinitionError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| wrong(&self.at(name), "true or false", value))
    }

    pub(super) fn limit(&self, name: &str, most: u32) -> Result<Option<u32>, DefinitionError> {
        const EXPECTED: &str = "a whole number from 1 to 9999";
        let Some(value) = self.get(name) else { return Ok(None) };
        let Value::Number(number) = value else { return Err(wrong(&self.at(name), EXPECTED, value)) };
        let whole = number.as_u64().and_then(|whole| u32::try_from(whole).ok());
        match whole.filter(|whole| (1..=most).contains(whole)) {
            Some(whole) => Ok(Some(whole)),
            None => Err(DefinitionError::OutOfRange {
                at: self.at(name),
                expected: EXPECTED,
                found: number.to_string(),
            }),
        }
    }

    /// A list, each item with its place; absent is empty.
    pub(super) fn list(&self, name: &str) -> Result<Vec<(FieldPath, &'a Value)>, DefinitionError> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let at = self.at(name);
        let Value::Array(items) = value else { return Err(wrong(&at, "a list", value)) };
        Ok(items.iter().enumerate().map(|(nth, item)| (at.item(nth), item)).collect())
    }

    /// A list of texts, or of objects with a text `name`; absent is empty.
    pub(super) fn names(
        &self,
        name: &str,
        limit: usize,
    ) -> Result<Vec<(FieldPath, String)>, DefinitionError> {
        let read = |(at, item): (FieldPath, &Value)| {
            let (at, named) = match item {
                Value::Object(members) => (at.member("name"), members.get("name").unwrap_or(&Value::Null)),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                    (at, item)
                }
            };
            let named = text(named, &at, limit)?;
            Ok((at, named))
        };
        self.list(name)?.into_iter().map(read).collect()
    }
}

pub(super) fn text(value: &Value, at: &FieldPath, limit: usize) -> Result<String, DefinitionError> {
    let Value::String(text) = value else { return Err(wrong(at, "a string", value)) };
    if text.len() > limit {
        return Err(DefinitionError::TooLarge { at: at.clone(), found: text.len(), limit, unit: "bytes" });
    }
    Ok(text.clone())
}

pub(super) fn at_most(
    at: &FieldPath,
    found: usize,
    limit: usize,
    unit: &'static str,
) -> Result<(), DefinitionError> {
    if found > limit {
        return Err(DefinitionError::TooLarge { at: at.clone(), found, limit, unit });
    }
    Ok(())
}

pub(super) fn wrong(at: &FieldPath, expected: &'static str, found: &Value) -> DefinitionError {
    DefinitionError::WrongKind { at: at.clone(), expected, found: kind_of(found) }
}
