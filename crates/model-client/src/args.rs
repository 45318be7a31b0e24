//! Tool arguments, read strictly once the call is complete: nothing is guessed, nothing half-written is executed.

use agent_langgraph_codec::{InvalidToolCall, ToolCall};
use serde_json::{Map, Value};

/// A call as it was put together from its pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CallDraft {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

/// One call of an answer, settled.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Settled {
    Valid(ToolCall),
    Invalid(InvalidToolCall),
}

/// Reads one call. `cut`: the output limit ended the answer within this call.
pub(crate) fn settle(draft: CallDraft, cut: bool) -> Settled {
    let read = if cut {
        Err("the answer was cut off by the output limit within this call".to_owned())
    } else if draft.name.is_empty() {
        Err("the call names no tool".to_owned())
    } else {
        read(&draft.arguments)
    };
    match read {
        Ok(args) => Settled::Valid(ToolCall { id: draft.id, name: draft.name, args }),
        Err(error) => Settled::Invalid(InvalidToolCall {
            id: draft.id,
            name: (!draft.name.is_empty()).then_some(draft.name),
            args: Some(draft.arguments),
            error: Some(error),
        }),
    }
}

/// Settles all calls of an answer in order. The output limit can only have hit the last one.
pub(crate) fn settle_all(drafts: Vec<CallDraft>, cut: bool) -> Vec<Settled> {
    let last = drafts.len().saturating_sub(1);
    drafts.into_iter().enumerate().map(|(place, draft)| settle(draft, cut && place == last)).collect()
}

/// Valid and invalid calls, each in call order.
pub(crate) fn split(settled: Vec<Settled>) -> (Vec<ToolCall>, Vec<InvalidToolCall>) {
    let (mut valid, mut invalid) = (Vec::new(), Vec::new());
    for call in settled {
        match call {
            Settled::Valid(call) => valid.push(call),
            Settled::Invalid(call) => invalid.push(call),
        }
    }
    (valid, invalid)
}

fn read(text: &str) -> Result<Map<String, Value>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Map::new());
    }
    let value = serde_json::from_str::<Value>(text).or_else(|error| {
        // Models put line ends into strings; Python's reader takes raw control characters, and so do we.
        escape_controls(text).and_then(|text| serde_json::from_str(&text).ok()).ok_or(error)
    });
    match value {
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::Null) => Err("expected a JSON object, found null".to_owned()),
        Ok(Value::Bool(_)) => Err("expected a JSON object, found a boolean".to_owned()),
        Ok(Value::Number(_)) => Err("expected a JSON object, found a number".to_owned()),
        Ok(Value::String(_)) => Err("expected a JSON object, found a string".to_owned()),
        Ok(Value::Array(_)) => Err("expected a JSON object, found a list".to_owned()),
        Err(error) => Err(format!("not valid JSON: {error}")),
    }
}

/// The text with control characters inside strings escaped; `None` where there are none.
fn escape_controls(text: &str) -> Option<String> {
    let (mut out, mut inside, mut escaped, mut changed) =
        (String::with_capacity(text.len() + 16), false, false, false);
    for letter in text.chars() {
        if inside && u32::from(letter) < 0x20 {
            changed = true;
            out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            escaped = false;
            continue;
        }
        match letter {
            '"' if !escaped => inside = !inside,
            _ => {}
        }
        escaped = inside && letter == '\\' && !escaped;
        out.push(letter);
    }
    changed.then_some(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(arguments: &str, expected: Result<Value, &str>) {
        let draft = CallDraft { id: None, name: "t".to_owned(), arguments: arguments.to_owned() };
        match (settle(draft, false), expected) {
            (Settled::Valid(call), Ok(expected)) => {
                assert_eq!(Value::Object(call.args), expected, "{arguments}")
            }
            (Settled::Invalid(call), Err(expected)) => {
                assert_eq!(call.args.as_deref(), Some(arguments));
                let error = call.error.unwrap();
                assert!(error.starts_with(expected), "{arguments}: {error}");
            }
            (settled, expected) => panic!("{arguments}: {settled:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn only_a_whole_json_object_or_nothing_at_all_is_a_valid_call() {
        check("", Ok(json!({})));
        check("  \n", Ok(json!({})));
        check(r#"{"b": 1, "a": "\u00c4"}"#, Ok(json!({"b": 1, "a": "Ä"})));
        check("{\"a\": \"x\ny\tz\\\"\n\"}", Ok(json!({"a": "x\ny\tz\"\n"})));
        check(r#"{"a": "half of"#, Err("not valid JSON"));
        check(r#"{"a": 1} and more"#, Err("not valid JSON"));
        check(r#"{"a": nope}"#, Err("not valid JSON"));
        check("[]", Err("expected a JSON object, found a list"));
        check("null", Err("expected a JSON object, found null"));
        check("5", Err("expected a JSON object, found a number"));
        check("\"s\"", Err("expected a JSON object, found a string"));
        check(&"[".repeat(100_000), Err("not valid JSON"));
    }

    #[test]
    fn the_output_limit_spoils_the_last_call_even_if_its_text_parses() {
        let draft =
            |arguments: &str| CallDraft { id: None, name: "t".to_owned(), arguments: arguments.to_owned() };
        let (valid, invalid) = split(settle_all(vec![draft("{}"), draft("{}")], true));
        assert_eq!((valid.len(), invalid.len()), (1, 1));
    }
}
