//! `model` in all the ways in which people write it.

use serde_json::{Map, Value};

use crate::ModelRef;
use crate::definition::error::DefinitionError;
use crate::definition::field::{FieldPath, kind_of};

/// Providers that a definition may name.
pub const PROVIDERS: &[&str] = &["openai", "anthropic", "ollama"];

/// The provider of a model that is named without one.
const DEFAULT_PROVIDER: &str = "openai";

impl ModelRef {
    /// Reads `{"provider", "model" | "model_name"}`, `"provider:model"` or a bare model name (OpenAI's).
    /// `None`: nothing is named (null, an empty string, an object without either member, or one that names only
    /// the default provider).
    ///
    /// # Errors
    /// [`DefinitionError`] with the path `at`, or a member of it.
    pub fn from_value(value: &Value, at: &FieldPath) -> Result<Option<Self>, DefinitionError> {
        match value {
            Value::Null => Ok(None),
            Value::String(text) => Self::from_text(text, at),
            Value::Object(members) => Self::from_members(members, at),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) => Err(DefinitionError::WrongKind {
                at: at.clone(),
                expected: "an object with `provider` and `model`, or a string `provider:model`",
                found: kind_of(value),
            }),
        }
    }

    /// Reads `provider:model` or a bare model name. `None`: the text is empty.
    ///
    /// # Errors
    /// [`DefinitionError::UnknownProvider`] at `at`.
    pub fn from_text(text: &str, at: &FieldPath) -> Result<Option<Self>, DefinitionError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        // `ft:gpt-4o:org::id` is how OpenAI names a tuned model; `ft` is no provider.
        match text.split_once(':').filter(|(before, _)| *before != "ft") {
            None => Ok(Some(Self { provider: DEFAULT_PROVIDER.to_owned(), model: text.to_owned() })),
            Some((provider, model)) => Self::of(provider, model, at, at).map(Some),
        }
    }

    fn from_members(members: &Map<String, Value>, at: &FieldPath) -> Result<Option<Self>, DefinitionError> {
        let provider = text_member(members, "provider", at)?;
        let named = match text_member(members, "model", at)? {
            Some(model) => Some(("model", model)),
            None => text_member(members, "model_name", at)?.map(|model| ("model_name", model)),
        };
        match (provider, named) {
            (None, None) => Ok(None),
            (None, Some((member, model))) => Self::from_text(model, &at.member(member)),
            (Some(provider), Some((member, model))) => {
                Self::of(provider, model, &at.member("provider"), &at.member(member)).map(Some)
            }
            (Some(provider), None) if provider.eq_ignore_ascii_case(DEFAULT_PROVIDER) => Ok(None),
            (Some(provider), None) => {
                Self::of(provider, "", &at.member("provider"), &at.member("model")).map(Some)
            }
        }
    }

    fn of(
        provider: &str,
        model: &str,
        provider_at: &FieldPath,
        model_at: &FieldPath,
    ) -> Result<Self, DefinitionError> {
        let lower = provider.trim().to_lowercase();
        if !PROVIDERS.contains(&lower.as_str()) {
            let provider = provider.trim().chars().take(80).collect();
            return Err(DefinitionError::UnknownProvider { at: provider_at.clone(), provider });
        }
        let model = model.trim();
        if model.is_empty() {
            return Err(DefinitionError::Missing { at: model_at.clone(), expected: "the name of a model" });
        }
        Ok(Self { provider: lower, model: model.to_owned() })
    }
}

/// A string member; absent, null and blank are the same.
fn text_member<'a>(
    members: &'a Map<String, Value>,
    name: &str,
    at: &FieldPath,
) -> Result<Option<&'a str>, DefinitionError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_))) => {
            Err(DefinitionError::WrongKind {
                at: at.member(name),
                expected: "a string",
                found: kind_of(other),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> String {
        match ModelRef::from_value(&value, &FieldPath::root("definition").member("model")) {
            Ok(None) => "none".to_owned(),
            Ok(Some(model)) => format!("{} / {}", model.provider, model.model),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_way_to_name_a_model_is_read() {
        for (value, expected) in [
            (json!({"provider": "OpenAI", "model": "gpt-4.1"}), "openai / gpt-4.1"),
            (json!({"provider": "anthropic", "model_name": "claude-x"}), "anthropic / claude-x"),
            (json!({"model_name": "gpt-4.1-mini"}), "openai / gpt-4.1-mini"),
            (json!({"model": "anthropic:claude-x"}), "anthropic / claude-x"),
            (json!("anthropic:claude-x"), "anthropic / claude-x"),
            (json!("ollama:llama3:8b"), "ollama / llama3:8b"),
            (json!("gpt-4o"), "openai / gpt-4o"),
            (json!("ft:gpt-4o:us::abc"), "openai / ft:gpt-4o:us::abc"),
            (json!({"provider": "openai"}), "none"),
            (json!(" "), "none"),
            (json!({}), "none"),
            (json!(null), "none"),
        ] {
            assert_eq!(read(value.clone()), expected, "{value}");
        }
    }

    #[test]
    fn a_wrong_model_is_refused_with_its_place_and_what_would_be_right() {
        for (value, expected) in [
            (
                json!({"provider": "opnai", "model": "x"}),
                "`model.provider`: no provider is called `opnai`; there are openai, anthropic, ollama",
            ),
            (
                json!("gemini:pro"),
                "`model`: no provider is called `gemini`; there are openai, anthropic, ollama",
            ),
            (json!({"provider": "anthropic"}), "`model.model`: expected the name of a model, found nothing"),
            (json!({"provider": "openai", "model": 4}), "`model.model`: expected a string, found a number"),
            (
                json!([1]),
                "`model`: expected an object with `provider` and `model`, or a string `provider:model`, found a list",
            ),
        ] {
            assert_eq!(read(value.clone()), expected, "{value}");
        }
    }
}
