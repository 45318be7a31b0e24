//! Messages in the forms that LangChain accepts: a list of, or one, string, pair or object, or LangChain's serialised form.

use agent_langgraph_codec::{Content, Kind, Message, ToolCall, ToolStatus};
use serde_json::{Map, Value};

use super::InputError;
use crate::definition::{FieldPath, kind_of};

type NewId<'a> = &'a mut dyn FnMut() -> String;

pub(super) fn read(value: &Value, at: &FieldPath, ids: NewId<'_>) -> Result<Vec<Message>, InputError> {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().map(|(nth, item)| message(item, &at.item(nth), ids)).collect()
        }
        Value::String(_) | Value::Object(_) => Ok(vec![message(value, at, ids)?]),
        Value::Null | Value::Bool(_) | Value::Number(_) => Err(wrong(at, "a list of messages", value)),
    }
}

fn message(value: &Value, at: &FieldPath, ids: NewId<'_>) -> Result<Message, InputError> {
    match value {
        Value::String(text) => Ok(Message::human(text.clone(), ids())),
        Value::Array(pair) => match pair.as_slice() {
            [Value::String(role), content] => {
                let content = self::content(content, at)?;
                from_role(role, content, Map::new(), at, ids)
            }
            _ => Err(wrong(at, "a pair of role and content", value)),
        },
        Value::Object(members) => {
            from_members(constructed(members).unwrap_or_else(|| members.clone()), at, ids)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            Err(wrong(at, "a message: an object, a string, or a pair of role and content", value))
        }
    }
}

/// The members of a message in LangChain's own serialised form: `{"lc": 1, "type": "constructor", "id": [.., class], "kwargs"}`.
fn constructed(members: &Map<String, Value>) -> Option<Map<String, Value>> {
    members.get("lc")?;
    let (Some("constructor"), Some(Value::Array(path)), Some(Value::Object(given))) =
        (members.get("type").and_then(Value::as_str), members.get("id"), members.get("kwargs"))
    else {
        return None;
    };
    let role = match path.last()?.as_str()? {
        "HumanMessage" => "human",
        "AIMessage" => "ai",
        "SystemMessage" => "system",
        "ToolMessage" => "tool",
        "FunctionMessage" => "function",
        "RemoveMessage" => "remove",
        _ => return None,
    };
    let mut found = given.clone();
    found.insert("type".to_owned(), Value::String(role.to_owned()));
    Some(found)
}

fn from_members(
    mut members: Map<String, Value>,
    at: &FieldPath,
    ids: NewId<'_>,
) -> Result<Message, InputError> {
    let names = || members.keys().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
    let word = if members.contains_key("role") { "role" } else { "type" };
    let role = match members.get(word) {
        Some(Value::String(role)) => role.clone(),
        Some(other) => return Err(wrong(&at.member(word), "a string", other)),
        None => return Err(InputError::NoRoleOrContent { at: at.clone(), got: format!("{{{}}}", names()) }),
    };
    // What OpenAI leaves out beside tool calls, and a removal does not need, may be absent.
    let optional = role == "remove" || members.contains_key("tool_calls");
    if !members.contains_key("content") && !optional {
        return Err(InputError::NoRoleOrContent { at: at.clone(), got: format!("{{{}}}", names()) });
    }
    let content = match members.get("content") {
        Some(value) => content(value, &at.member("content"))?,
        None => Content::Text(String::new()),
    };
    members.shift_remove(word);
    members.shift_remove("content");
    from_role(&role, content, members, at, ids)
}

fn content(value: &Value, at: &FieldPath) -> Result<Content, InputError> {
    match value {
        Value::Null => Ok(Content::Text(String::new())),
        Value::String(text) => Ok(Content::Text(text.clone())),
        Value::Array(blocks) if blocks.is_empty() => Ok(Content::Text(String::new())),
        Value::Array(blocks) => {
            for (nth, block) in blocks.iter().enumerate() {
                if !block.is_string() && !block.is_object() {
                    return Err(wrong(&at.item(nth), "a string or a content block", block));
                }
            }
            Ok(Content::Blocks(blocks.clone()))
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(wrong(at, "a string or a list of content blocks", value))
        }
    }
}

/// `rest`: every member but role and content.
fn from_role(
    role: &str,
    content: Content,
    mut rest: Map<String, Value>,
    at: &FieldPath,
    ids: NewId<'_>,
) -> Result<Message, InputError> {
    let name = text(&mut rest, "name", at)?;
    let id = id(&mut rest, at)?;
    let tool_call_id = text(&mut rest, "tool_call_id", at)?;
    let tool_calls = match rest.shift_remove("tool_calls") {
        None | Some(Value::Null) => Vec::new(),
        Some(value) => self::tool_calls(&value, &at.member("tool_calls"))?,
    };
    let response_metadata = object(&mut rest, "response_metadata", at)?;
    let given = object(&mut rest, "additional_kwargs", at)?;
    let kind = match role {
        "human" | "user" => Kind::Human,
        "ai" | "assistant" => Kind::Ai { tool_calls, invalid_tool_calls: Vec::new(), usage_metadata: None },
        "system" => Kind::System,
        "developer" => {
            rest.insert("__openai_role__".to_owned(), Value::String("developer".to_owned()));
            Kind::System
        }
        "tool" => {
            let missing = || InputError::Missing {
                at: at.member("tool_call_id"),
                expected: "the id of the call that this answers",
            };
            Kind::Tool {
                tool_call_id: tool_call_id.ok_or_else(missing)?,
                artifact: rest.shift_remove("artifact").unwrap_or_default(),
                status: status(&mut rest, at)?,
            }
        }
        "function" => match &name {
            Some(_) => Kind::Function,
            None => {
                return Err(InputError::Missing {
                    at: at.member("name"),
                    expected: "the name of the function",
                });
            }
        },
        "remove" => match &id {
            Some(_) => Kind::Remove,
            None => {
                return Err(InputError::Missing {
                    at: at.member("id"),
                    expected: "the id of the message to remove",
                });
            }
        },
        other => {
            let role = other.chars().take(80).collect();
            return Err(InputError::UnknownRole { at: at.clone(), role });
        }
    };
    // As LangChain does: members that it does not know are additional, and given ones stand above them.
    rest.extend(given);
    let mut message = Message::new(kind, content, Some(id.unwrap_or_else(ids)));
    message.additional_kwargs = rest;
    message.response_metadata = response_metadata;
    message.name = name;
    Ok(message)
}

fn status(rest: &mut Map<String, Value>, at: &FieldPath) -> Result<ToolStatus, InputError> {
    match rest.shift_remove("status") {
        None | Some(Value::Null) => Ok(ToolStatus::Success),
        Some(Value::String(word)) if word == "success" => Ok(ToolStatus::Success),
        Some(Value::String(word)) if word == "error" => Ok(ToolStatus::Error),
        Some(other) => Err(wrong(&at.member("status"), "`success` or `error`", &other)),
    }
}

/// A text; null counts as absent.
fn text(rest: &mut Map<String, Value>, name: &str, at: &FieldPath) -> Result<Option<String>, InputError> {
    match rest.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(wrong(&at.member(name), "a string", &other)),
    }
}

/// Numbers become texts, as in LangChain; an empty id is none.
fn id(rest: &mut Map<String, Value>, at: &FieldPath) -> Result<Option<String>, InputError> {
    if let Some(Value::Number(number)) = rest.get("id") {
        let id = number.to_string();
        rest.shift_remove("id");
        return Ok(Some(id));
    }
    Ok(text(rest, "id", at)?.filter(|id| !id.is_empty()))
}

fn object(
    rest: &mut Map<String, Value>,
    name: &str,
    at: &FieldPath,
) -> Result<Map<String, Value>, InputError> {
    match rest.shift_remove(name) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(members)) => Ok(members),
        Some(other) => Err(wrong(&at.member(name), "an object", &other)),
    }
}

fn tool_calls(value: &Value, at: &FieldPath) -> Result<Vec<ToolCall>, InputError> {
    let Value::Array(calls) = value else { return Err(wrong(at, "a list of tool calls", value)) };
    calls.iter().enumerate().map(|(nth, call)| tool_call(call, &at.item(nth))).collect()
}

/// LangChain's `{name, args, id}` or OpenAI's `{id, function: {name, arguments}}`.
fn tool_call(value: &Value, at: &FieldPath) -> Result<ToolCall, InputError> {
    let Value::Object(call) = value else { return Err(wrong(at, "a tool call", value)) };
    let id = match call.get("id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => Some(id.clone()),
        Some(other) => return Err(wrong(&at.member("id"), "a string", other)),
    };
    let (named, name_at, args, args_at) = match call.get("function") {
        Some(Value::Object(function)) => {
            let at = at.member("function");
            (function.get("name"), at.member("name"), function.get("arguments"), at.member("arguments"))
        }
        Some(other) => return Err(wrong(&at.member("function"), "an object", other)),
        None => (call.get("name"), at.member("name"), call.get("args"), at.member("args")),
    };
    let name = match named {
        Some(Value::String(name)) => name.clone(),
        Some(other) => return Err(wrong(&name_at, "a string", other)),
        None => return Err(InputError::Missing { at: name_at, expected: "the name of the tool" }),
    };
    let args = match args {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(args)) => args.clone(),
        Some(Value::String(text)) => match serde_json::from_str(text) {
            Ok(Value::Object(args)) => args,
            Ok(other) => {
                return Err(InputError::BadArguments { at: args_at, found: kind_of(&other).to_owned() });
            }
            Err(error) => return Err(InputError::BadArguments { at: args_at, found: error.to_string() }),
        },
        Some(other) => return Err(wrong(&args_at, "an object", other)),
    };
    Ok(ToolCall { id, name, args })
}

fn wrong(at: &FieldPath, expected: &'static str, found: &Value) -> InputError {
    InputError::WrongKind { at: at.clone(), expected, found: kind_of(found) }
}
