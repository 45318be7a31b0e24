//! `context` of a definition or an agent: how much of a conversation its model gets to see (docs/context.md).

use serde_json::Value;

use crate::ModelRef;
use crate::context::{ContextSettings, PLACE, Size};
use crate::definition::error::DefinitionError;
use crate::definition::limits::MAX_PROMPT_BYTES;
use crate::definition::read::{Members, wrong};
use crate::definition::warning::Notes;

const MEMBERS: &[&str] = &[
    "max_input_tokens",
    "max_output_tokens",
    "large_tool_result_chars",
    "large_user_message_chars",
    "truncate_arguments",
    "summarize",
    "prompt_caching",
];
const TRUNCATE: &[&str] = &["at", "keep", "max_chars"];
const SUMMARIZE: &[&str] = &["at", "keep", "prompt", "model"];
const SIZE: &str = "an object with `fraction`, `tokens` or `messages`, all greater than 0";
const FRACTION: &str = "a number greater than 0 and at most 1";
const COUNT: &str = "a whole number greater than 0";

/// Reads the member `context` of `place`; absent: everything is left open.
pub(super) fn settings(place: &Members<'_>, notes: &mut Notes) -> Result<ContextSettings, DefinitionError> {
    let Some(value) = place.get("context") else { return Ok(ContextSettings::default()) };
    let context = Members::of(value, place.at("context"))?;
    notes.unknown("a context", context.map, &context.at, MEMBERS);
    let mut settings = ContextSettings {
        max_input_tokens: count(&context, "max_input_tokens")?,
        max_output_tokens: count(&context, "max_output_tokens")?
            .map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX)),
        large_tool_result_chars: chars(&context, "large_tool_result_chars")?,
        large_user_message_chars: chars(&context, "large_user_message_chars")?,
        prompt_caching: context.flag("prompt_caching")?,
        ..ContextSettings::default()
    };
    match switch(&context, "truncate_arguments")? {
        Switch::Open => {}
        Switch::Flag(on) => settings.truncate_arguments = Some(on),
        Switch::Details(details) => {
            notes.unknown("truncate_arguments", details.map, &details.at, TRUNCATE);
            settings.truncate_arguments = Some(true);
            settings.truncate_arguments_at = size(&details, "at")?;
            settings.truncate_arguments_keep = size(&details, "keep")?;
            settings.truncate_arguments_chars = chars(&details, "max_chars")?;
        }
    }
    match switch(&context, "summarize")? {
        Switch::Open => {}
        Switch::Flag(on) => settings.summarize = Some(on),
        Switch::Details(details) => {
            notes.unknown("summarize", details.map, &details.at, SUMMARIZE);
            settings.summarize = Some(true);
            settings.summarize_at = size(&details, "at")?;
            settings.summarize_keep = size(&details, "keep")?;
            settings.summary_prompt = prompt(&details)?;
            settings.summary_model = match details.get("model") {
                Some(model) => ModelRef::from_value(model, &details.at("model"))?,
                None => None,
            };
        }
    }
    Ok(settings)
}

/// `true`, `false` or an object that says more.
enum Switch<'a> {
    Open,
    Flag(bool),
    Details(Members<'a>),
}

fn switch<'a>(context: &Members<'a>, name: &str) -> Result<Switch<'a>, DefinitionError> {
    match context.get(name) {
        None => Ok(Switch::Open),
        Some(Value::Bool(on)) => Ok(Switch::Flag(*on)),
        Some(details @ Value::Object(_)) => Ok(Switch::Details(Members::of(details, context.at(name))?)),
        Some(other @ (Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_))) => {
            Err(wrong(&context.at(name), "true, false or an object", other))
        }
    }
}

fn count(place: &Members<'_>, name: &str) -> Result<Option<u64>, DefinitionError> {
    let Some(value) = place.get(name) else { return Ok(None) };
    let Value::Number(number) = value else { return Err(wrong(&place.at(name), COUNT, value)) };
    match number.as_u64().filter(|count| *count > 0) {
        Some(count) => Ok(Some(count)),
        None => Err(DefinitionError::OutOfRange {
            at: place.at(name),
            expected: COUNT,
            found: number.to_string(),
        }),
    }
}

/// A number of characters; `false`: as many as there are.
fn chars(place: &Members<'_>, name: &str) -> Result<Option<usize>, DefinitionError> {
    match place.get(name) {
        Some(Value::Bool(false)) => Ok(Some(usize::MAX)),
        Some(other @ (Value::Bool(true) | Value::String(_) | Value::Array(_) | Value::Object(_))) => {
            Err(wrong(&place.at(name), "a whole number greater than 0, or false", other))
        }
        Some(Value::Null | Value::Number(_)) | None => {
            Ok(count(place, name)?.map(|count| usize::try_from(count).unwrap_or(usize::MAX)))
        }
    }
}

/// `{"fraction": 0.85}`, `{"tokens": 1000}`, `{"messages": 6}`, or Python's pair `["tokens", 1000]`.
fn size(place: &Members<'_>, name: &str) -> Result<Option<Size>, DefinitionError> {
    let Some(value) = place.get(name) else { return Ok(None) };
    let at = place.at(name);
    let (kind, number) = match value {
        Value::Object(members) if members.len() == 1 => match members.iter().next() {
            Some((kind, number)) => (kind.as_str(), number),
            None => return Err(wrong(&at, SIZE, value)),
        },
        Value::Array(pair) => match pair.as_slice() {
            [Value::String(kind), number] => (kind.as_str(), number),
            _ => return Err(wrong(&at, SIZE, value)),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            return Err(wrong(&at, SIZE, value));
        }
    };
    let outside = |expected| DefinitionError::OutOfRange {
        at: at.member(kind),
        expected,
        found: number.to_string().chars().take(80).collect(),
    };
    let whole = || number.as_u64().filter(|count| *count > 0).ok_or_else(|| outside(COUNT));
    match kind {
        "fraction" => {
            let fraction = number.as_f64().filter(|fraction| *fraction > 0.0 && *fraction <= 1.0);
            fraction.map(|fraction| Some(Size::Fraction(fraction))).ok_or_else(|| outside(FRACTION))
        }
        "tokens" => Ok(Some(Size::Tokens(whole()?))),
        "messages" => Ok(Some(Size::Messages(usize::try_from(whole()?).unwrap_or(usize::MAX)))),
        _ => Err(wrong(&at, SIZE, value)),
    }
}

fn prompt(details: &Members<'_>) -> Result<Option<String>, DefinitionError> {
    let Some(prompt) = details.text("prompt", MAX_PROMPT_BYTES)? else { return Ok(None) };
    if prompt.contains(PLACE) {
        return Ok(Some(prompt));
    }
    Err(DefinitionError::Missing {
        at: details.at("prompt"),
        expected: "`{messages}`, where the messages go",
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::field::FieldPath;

    fn read(context: Value) -> Result<(ContextSettings, Vec<String>), String> {
        let document = json!({ "context": context });
        let words = |error: DefinitionError| error.to_string();
        let place = Members::of(&document, FieldPath::root("agent_definition")).map_err(words)?;
        let mut notes = Notes::default();
        let settings = settings(&place, &mut notes).map_err(words)?;
        Ok((settings, notes.into_warnings().iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn every_member_is_read() {
        let (settings, warnings) = read(json!({
            "max_input_tokens": 9000, "max_output_tokens": 500, "large_tool_result_chars": 1000,
            "large_user_message_chars": false, "prompt_caching": false, "nonsense": 1,
            "truncate_arguments": {"at": {"messages": 5}, "keep": ["tokens", 70], "max_chars": 100},
            "summarize": {"at": {"fraction": 0.5}, "keep": {"messages": 2}, "prompt": "Sum: {messages}",
                "model": "openai:gpt-4o-mini"}
        }))
        .unwrap();
        let expected = ContextSettings {
            max_input_tokens: Some(9000),
            max_output_tokens: Some(500),
            large_tool_result_chars: Some(1000),
            large_user_message_chars: Some(usize::MAX),
            truncate_arguments: Some(true),
            truncate_arguments_at: Some(Size::Messages(5)),
            truncate_arguments_keep: Some(Size::Tokens(70)),
            truncate_arguments_chars: Some(100),
            summarize: Some(true),
            summarize_at: Some(Size::Fraction(0.5)),
            summarize_keep: Some(Size::Messages(2)),
            summary_prompt: Some("Sum: {messages}".to_owned()),
            summary_model: Some(ModelRef { provider: "openai".to_owned(), model: "gpt-4o-mini".to_owned() }),
            prompt_caching: Some(false),
        };
        assert_eq!(settings, expected);
        assert_eq!(
            warnings,
            ["`context.nonsense`: no member of a context has this name; it is kept and has no effect"]
        );
        assert_eq!(read(json!({"summarize": false})).unwrap().0.summarize, Some(false));
        assert_eq!(read(json!({})).unwrap().0, ContextSettings::default());
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (context, expected) in [
            (json!([]), "`context`: expected an object, found a list"),
            (
                json!({"max_input_tokens": 0}),
                "`context.max_input_tokens`: expected a whole number greater than 0, found 0",
            ),
            (
                json!({"large_tool_result_chars": true}),
                "`context.large_tool_result_chars`: expected a whole number greater than 0, or false, found a boolean",
            ),
            (
                json!({"summarize": 1}),
                "`context.summarize`: expected true, false or an object, found a number",
            ),
            (
                json!({"summarize": {"at": {"fraction": 1.5}}}),
                "`context.summarize.at.fraction`: expected a number greater than 0 and at most 1, found 1.5",
            ),
            (
                json!({"summarize": {"keep": {"words": 1}}}),
                "`context.summarize.keep`: expected an object with `fraction`, `tokens` or `messages`, all greater \
                 than 0, found an object",
            ),
            (
                json!({"summarize": {"prompt": "Sum up"}}),
                "`context.summarize.prompt`: expected `{messages}`, where the messages go, found nothing",
            ),
        ] {
            assert_eq!(read(context.clone()).unwrap_err(), expected, "{context}");
        }
    }
}
