//! `state_schema`: channels of an agent's own, beside messages, files and to-dos.
//!
//! Python hands the schema to the wrong place, so that it has no effect (deepagents-semantics 10, row 30); here it
//! means what its authors meant.

use indexmap::IndexMap;
use serde_json::Value;

use crate::definition::error::DefinitionError;
use crate::definition::limits::MAX_CHANNELS;
use crate::definition::read::{Members, at_most, wrong};
use crate::definition::warning::Notes;

/// How a channel takes what is written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reducer {
    /// The newest value stands.
    Last,
    /// A list grows by what is written.
    Append,
    /// LangGraph's `add_messages`: known ids are replaced, others appended.
    Messages,
}

/// Channels by name, in definition order.
pub type Channels = IndexMap<String, Reducer>;

/// Channels that every agent has. A schema may name them and changes nothing by it.
const BUILT_IN: &[&str] = &["messages", "files", "todos", "structured_response"];

const KINDS: &[&str] = &[
    "list", "array", "dict", "object", "str", "string", "int", "integer", "float", "number", "bool",
    "boolean", "any",
];

const MEMBERS: &[&str] = &["type", "item_type", "reducer", "description", "default"];

pub(super) fn read(place: &Members<'_>, notes: &mut Notes) -> Result<Channels, DefinitionError> {
    let Some(schema) = place.get("state_schema") else { return Ok(Channels::new()) };
    let at = place.at("state_schema");
    let Value::Object(fields) = schema else { return Err(wrong(&at, "an object of channels", schema)) };
    at_most(&at, fields.len(), MAX_CHANNELS, "channels")?;
    let schema = Members { map: fields, at };
    let mut channels = Channels::with_capacity(fields.len());
    for (name, field) in fields {
        if BUILT_IN.contains(&name.as_str()) {
            continue;
        }
        if name.is_empty() || name.starts_with('_') || name.contains(':') || name == "jump_to" {
            let message = format!("no channel can be called `{name}`; it is left out");
            let fix = "choose a name without a colon that does not begin with an underscore";
            notes.warn("definition.ignored_member", schema.at(name), message, fix);
            continue;
        }
        channels.insert(name.clone(), channel(&schema, name, field, notes)?);
    }
    Ok(channels)
}

/// `"list"`, or `{"type": "list", "item_type": …, "reducer": …}`.
fn channel(
    schema: &Members<'_>,
    name: &str,
    field: &Value,
    notes: &mut Notes,
) -> Result<Reducer, DefinitionError> {
    let at = schema.at(name);
    let (kind, kind_at, reducer) = match field {
        Value::String(kind) => (Some(kind.clone()), at, None),
        Value::Object(_) => {
            let members = Members::of(field, at)?;
            notes.unknown("a channel", members.map, &members.at, MEMBERS);
            let kind = members.text("type", 256)?;
            (kind, members.at("type"), members.text("reducer", 256)?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            return Err(wrong(&at, "an object with `type`", field));
        }
    };
    let kind = kind.unwrap_or_else(|| "any".to_owned()).trim().to_lowercase();
    if !KINDS.contains(&kind.as_str()) {
        let message = format!("no type of a channel is called `{kind}`; it counts as any");
        let fix = "use one of list, dict, str, int, float, bool, any";
        notes.warn("definition.unknown_type", kind_at, message, fix);
    }
    let is_list = matches!(kind.as_str(), "list" | "array");
    Ok(match reducer.as_deref().map(str::trim) {
        Some("add_messages") => Reducer::Messages,
        Some(other) if is_list && !other.is_empty() => Reducer::Append,
        Some(_) | None => Reducer::Last,
    })
}

/// The channels of all agents together; where two declare one differently the first stands.
pub(crate) fn union<'a>(
    agents: impl Iterator<Item = (&'a str, &'a Channels)>,
    mut on_conflict: impl FnMut(&str, &str),
) -> Channels {
    let mut all = Channels::new();
    for (agent, channels) in agents {
        for (name, reducer) in channels {
            if *all.entry(name.clone()).or_insert(*reducer) != *reducer {
                on_conflict(agent, name);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::FieldPath;

    fn channels(schema: &Value) -> (Result<Channels, String>, Vec<String>) {
        let node = json!({ "state_schema": schema });
        let mut notes = Notes::default();
        let members = Members::of(&node, FieldPath::root("node")).unwrap();
        let read = read(&members, &mut notes).map_err(|error| error.to_string());
        (read, notes.into_warnings().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn reducers_follow_from_type_and_reducer() {
        let (read, warnings) = channels(&json!({
            "log": {"type": "list", "item_type": "str", "reducer": "operator.add"},
            "chat": {"type": "list", "reducer": "add_messages"},
            "plan": {"type": "list"},
            "count": {"type": "int", "reducer": "max"},
            "mode": "str",
            "messages": {"type": "list", "reducer": "add_messages"},
            "files": {"type": "dict"},
        }));
        let expected = [
            ("log", Reducer::Append),
            ("chat", Reducer::Messages),
            ("plan", Reducer::Last),
            ("count", Reducer::Last),
            ("mode", Reducer::Last),
        ];
        let expected = expected.into_iter().map(|(name, reducer)| (name.to_owned(), reducer)).collect();
        assert_eq!(read, Ok(expected));
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn what_cannot_be_a_channel_is_told() {
        let (read, warnings) =
            channels(&json!({"_x": "str", "a:b": "str", "t": {"type": "tuple", "kind": 1}}));
        assert_eq!(read.map(|channels| channels.len()), Ok(1));
        assert_eq!(warnings.len(), 4, "{warnings:?}");
        let (read, _) = channels(&json!({"a": 1}));
        let problem = "`state_schema.a`: expected an object with `type`, found a number";
        assert_eq!(read, Err(problem.to_owned()));
        assert_eq!(
            channels(&json!([])).0,
            Err("`state_schema`: expected an object of channels, found a list".to_owned())
        );
    }
}
