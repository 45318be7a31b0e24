//! `response_format`: the JSON Schema that an agent's answer has to fit.

use serde_json::Value;

use crate::definition::canonical::{canonical_json, sha256_hex};
use crate::definition::error::DefinitionError;
use crate::definition::field::FieldPath;
use crate::definition::limits::MAX_NAME_CHARS;
use crate::definition::read::{Members, text, wrong};
use crate::definition::warning::Notes;
use crate::schema;

/// By which means the model is brought to the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// The provider's own where the model has it, else a tool.
    Auto,
    /// A tool that the model must call with its answer.
    Tool,
    /// The provider is asked to keep to the schema.
    Provider,
}

/// A structured answer that a definition asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct ResponseSpec {
    /// Name of the schema, and of the tool.
    pub name: String,
    /// JSON Schema of the answer, an object.
    pub schema: Value,
    /// By which means.
    pub strategy: Strategy,
}

/// Reads the schema itself, OpenAI's `{"type": "json_schema", "json_schema": {"name", "schema"}}`, or
/// `{"schema", "name"?, "strategy"?: "auto" | "tool" | "provider"}`.
pub(super) fn read(
    place: &Members<'_>,
    name: &str,
    notes: &mut Notes,
) -> Result<Option<ResponseSpec>, DefinitionError> {
    let Some(value) = place.get(name) else { return Ok(None) };
    let at = place.at(name);
    let members = Members::of(value, at)?;
    let (holder, strategy) = match (members.get("json_schema"), members.get("schema")) {
        (Some(inner), _) => (Members::of(inner, members.at("json_schema"))?, Strategy::Auto),
        (None, Some(_)) => (members.clone(), strategy(&members)?),
        (None, None) => return of_schema(value, &members.at, None, Strategy::Auto, notes).map(Some),
    };
    let expected = || DefinitionError::Missing { at: holder.at("schema"), expected: "a JSON Schema" };
    let schema = holder.get("schema").ok_or_else(expected)?;
    let given =
        holder.get("name").map(|value| text(value, &holder.at("name"), MAX_NAME_CHARS)).transpose()?;
    of_schema(schema, &holder.at("schema"), given, strategy, notes).map(Some)
}

fn strategy(members: &Members<'_>) -> Result<Strategy, DefinitionError> {
    let Some(word) = members.text("strategy", MAX_NAME_CHARS)? else { return Ok(Strategy::Auto) };
    match word.trim().to_lowercase().as_str() {
        "auto" => Ok(Strategy::Auto),
        "tool" => Ok(Strategy::Tool),
        "provider" => Ok(Strategy::Provider),
        _ => Err(DefinitionError::OutOfRange {
            at: members.at("strategy"),
            expected: "auto, tool or provider",
            found: word.chars().take(80).collect(),
        }),
    }
}

fn of_schema(
    schema: &Value,
    at: &FieldPath,
    name: Option<String>,
    strategy: Strategy,
    notes: &mut Notes,
) -> Result<ResponseSpec, DefinitionError> {
    let Value::Object(members) = schema else { return Err(wrong(at, "a JSON Schema", schema)) };
    let is_object = match members.get("type") {
        Some(kind) => kind.as_str() == Some("object"),
        None => {
            ["properties", "$ref", "anyOf", "oneOf", "allOf"].iter().any(|key| members.contains_key(*key))
        }
    };
    if !is_object {
        // A tool's arguments are an object, and so is what providers promise.
        let found = members.get("type").map_or_else(|| "nothing".to_owned(), ToString::to_string);
        let at = at.member("type");
        return Err(DefinitionError::OutOfRange { at, expected: "the type `object`", found });
    }
    let unchecked = schema::unchecked(schema);
    if !unchecked.is_empty() {
        let message = format!("answers are not checked against {}", unchecked.join(", "));
        let fix =
            "say the same with the keywords that docs/definitions.md lists, or check it in your own code";
        notes.warn("definition.unchecked_keyword", at.clone(), message, fix);
    }
    let title = members.get("title").and_then(Value::as_str).map(str::to_owned);
    let name = name.or(title).map(|name| callable(&name)).filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| {
        let hash = sha256_hex(&canonical_json(schema));
        format!("response_format_{}", hash.get(..4).unwrap_or_default())
    });
    Ok(ResponseSpec { name, schema: schema.clone(), strategy })
}

/// A name that every provider takes for a tool.
fn callable(name: &str) -> String {
    let letters = name.trim().chars().map(|letter| {
        if letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-') { letter } else { '_' }
    });
    letters.take(64).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read_one(value: &Value) -> Result<Option<ResponseSpec>, String> {
        let node = json!({ "response_format": value });
        let members = Members::of(&node, FieldPath::root("node")).map_err(|error| error.to_string())?;
        read(&members, "response_format", &mut Notes::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_schema_is_read_in_each_of_its_forms() {
        let schema = json!({"type": "object", "title": "My Answer", "properties": {"a": {"type": "string"}}});
        let bare = json!({"type": "object"});
        for (value, name, strategy) in [
            (schema.clone(), "My_Answer", Strategy::Auto),
            (
                json!({"type": "json_schema", "json_schema": {"name": "Ans", "schema": schema}}),
                "Ans",
                Strategy::Auto,
            ),
            (json!({"strategy": "Tool", "schema": schema}), "My_Answer", Strategy::Tool),
            (json!({"strategy": "provider", "schema": schema, "name": "x.y"}), "x_y", Strategy::Provider),
        ] {
            let read = read_one(&value).unwrap().unwrap();
            assert_eq!((read.name.as_str(), read.strategy), (name, strategy), "{value}");
            assert_eq!(read.schema, schema);
        }
        let unnamed = read_one(&bare).unwrap().unwrap().name;
        assert!(unnamed.starts_with("response_format_") && unnamed.len() == 20, "{unnamed}");
        assert_eq!(read_one(&json!(null)), Ok(None));
    }

    #[test]
    fn what_is_no_schema_of_an_object_is_refused_with_its_place() {
        for (value, expected) in [
            (json!("json"), "`response_format`: expected an object, found a string"),
            (json!({"type": "array"}), "`response_format.type`: expected the type `object`, found \"array\""),
            (json!({}), "`response_format.type`: expected the type `object`, found nothing"),
            (
                json!({"type": "json_schema", "json_schema": {}}),
                "`response_format.json_schema.schema`: expected a JSON Schema, found nothing",
            ),
            (
                json!({"schema": {"type": "object"}, "strategy": "magic"}),
                "`response_format.strategy`: expected auto, tool or provider, found magic",
            ),
        ] {
            assert_eq!(read_one(&value), Err(expected.to_owned()), "{value}");
        }
    }
}
