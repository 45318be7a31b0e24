//! The fields of one message object, read straight into its type.

use serde_json::{Map, Value};

use super::plain;
use crate::error::CodecError;
use crate::message::{Content, InvalidToolCall, Kind, Message, ToolCall, ToolStatus};
use crate::unpack::{Reader, Token};

/// LangChain's message classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Human,
    Ai,
    System,
    Tool,
    Remove,
    Chat,
    Function,
}

impl Class {
    /// The class of a stored object, and whether it is exactly the one that this crate writes. Chunks read as
    /// the message that they are a part of; classes outside LangChain's message modules are not messages.
    pub(super) fn of_object(module: &str, class: &str) -> Option<(Self, bool)> {
        let ours = module.starts_with("langchain_core.messages")
            || module.starts_with("langchain.schema")
            || module.starts_with("langchain_core.schema");
        let (name, exact) = match class.strip_suffix("Chunk") {
            Some(name) => (name, false),
            None => (class, true),
        };
        let class = match name {
            "HumanMessage" => Self::Human,
            "AIMessage" => Self::Ai,
            "SystemMessage" => Self::System,
            "ToolMessage" => Self::Tool,
            "RemoveMessage" => Self::Remove,
            "ChatMessage" => Self::Chat,
            "FunctionMessage" => Self::Function,
            _ => return None,
        };
        ours.then_some((class, exact))
    }

    /// The class of a message's `type` field.
    pub(super) fn of_type(name: &str) -> Option<Self> {
        match name {
            "human" | "HumanMessageChunk" => Some(Self::Human),
            "ai" | "AIMessageChunk" => Some(Self::Ai),
            "system" | "SystemMessageChunk" => Some(Self::System),
            "tool" | "ToolMessageChunk" => Some(Self::Tool),
            "remove" => Some(Self::Remove),
            "chat" | "ChatMessageChunk" => Some(Self::Chat),
            "function" | "FunctionMessageChunk" => Some(Self::Function),
            _ => None,
        }
    }
}

/// What has been read so far; missing fields keep LangChain's defaults.
#[derive(Default)]
struct Fields {
    content: Option<Content>,
    additional_kwargs: Map<String, Value>,
    response_metadata: Map<String, Value>,
    type_: Option<String>,
    name: Option<String>,
    id: Option<String>,
    tool_calls: Vec<ToolCall>,
    invalid_tool_calls: Vec<InvalidToolCall>,
    usage_metadata: Option<Value>,
    tool_call_id: Option<String>,
    artifact: Value,
    status: Option<ToolStatus>,
    role: Option<String>,
    extra: Map<String, Value>,
}

/// Reads the field map of a message of this class. Sets `lossy` where a field cannot be written back.
pub(super) fn message(reader: &mut Reader<'_>, class: Class) -> Result<Message, CodecError> {
    let count = match reader.token()? {
        Token::Map(count) => count,
        other => return Err(wrong("message", "its fields as a map", &other)),
    };
    reader.enter()?;
    let mut fields = Fields::default();
    for _ in 0..count {
        if let Token::Str(_) = reader.peek()? {
            let Token::Str(key) = reader.token()? else { continue };
            fields.read(reader, class, key)?;
        } else {
            reader.lossy = true;
            reader.skip()?;
            reader.skip()?;
        }
    }
    reader.leave();
    let (message, complete) = fields.into_message(class);
    reader.lossy |= !complete;
    Ok(message)
}

impl Fields {
    fn read(&mut self, reader: &mut Reader<'_>, class: Class, key: &str) -> Result<(), CodecError> {
        match (key, class) {
            ("content", _) => self.content = Some(content(reader)?),
            ("additional_kwargs", _) => self.additional_kwargs = map_or_empty(reader)?,
            ("response_metadata", _) => self.response_metadata = map_or_empty(reader)?,
            ("type", _) => self.type_ = text(reader)?,
            ("name", _) => self.name = text(reader)?,
            ("id", _) => self.id = text(reader)?,
            ("tool_calls", Class::Ai) => self.tool_calls = list(reader, tool_call)?,
            ("invalid_tool_calls", Class::Ai) => self.invalid_tool_calls = list(reader, invalid_call)?,
            ("usage_metadata", Class::Ai) => {
                self.usage_metadata = Some(plain::value(reader)?).filter(|usage| !usage.is_null());
            }
            ("tool_call_id", Class::Tool) => self.tool_call_id = text(reader)?,
            ("artifact", Class::Tool) => self.artifact = plain::value(reader)?,
            ("status", Class::Tool) => {
                self.status = match text(reader)?.as_deref() {
                    Some("success") => Some(ToolStatus::Success),
                    Some("error") => Some(ToolStatus::Error),
                    Some(_) | None => {
                        reader.lossy = true;
                        None
                    }
                };
            }
            ("role", Class::Chat) => self.role = text(reader)?,
            _ => {
                self.extra.insert(key.to_owned(), plain::value(reader)?);
            }
        }
        Ok(())
    }

    /// The message, and whether its fields say all that was read.
    fn into_message(self, class: Class) -> (Message, bool) {
        let mut complete = self.content.is_some();
        let kind = match class {
            Class::Human => Kind::Human,
            Class::System => Kind::System,
            Class::Remove => Kind::Remove,
            Class::Function => Kind::Function,
            Class::Ai => Kind::Ai {
                tool_calls: self.tool_calls,
                invalid_tool_calls: self.invalid_tool_calls,
                usage_metadata: self.usage_metadata,
            },
            Class::Tool => {
                complete &= self.tool_call_id.is_some();
                Kind::Tool {
                    tool_call_id: self.tool_call_id.unwrap_or_default(),
                    artifact: self.artifact,
                    status: self.status.unwrap_or(ToolStatus::Success),
                }
            }
            Class::Chat => {
                complete &= self.role.is_some();
                Kind::Chat { role: self.role.unwrap_or_default() }
            }
        };
        let message = Message {
            content: self.content.unwrap_or_else(|| Content::Text(String::new())),
            additional_kwargs: self.additional_kwargs,
            response_metadata: self.response_metadata,
            name: self.name,
            id: self.id,
            kind,
            extra: self.extra,
            raw: None,
        };
        complete &= self.type_.as_deref().is_none_or(|type_| type_ == message.type_name());
        (message, complete)
    }
}

/// A string or a list of blocks. Python keeps other kinds too; here they become their JSON text.
fn content(reader: &mut Reader<'_>) -> Result<Content, CodecError> {
    match reader.peek()? {
        Token::Array(_) => match plain::value(reader)? {
            Value::Array(blocks) => Ok(Content::Blocks(blocks)),
            other => Ok(Content::Text(other.to_string())),
        },
        _ => match plain::value(reader)? {
            Value::String(text) => Ok(Content::Text(text)),
            other => {
                reader.lossy = true;
                Ok(Content::Text(if other.is_null() { String::new() } else { other.to_string() }))
            }
        },
    }
}

/// A string or null.
fn text(reader: &mut Reader<'_>) -> Result<Option<String>, CodecError> {
    match plain::value(reader)? {
        Value::String(text) => Ok(Some(text)),
        Value::Null => Ok(None),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            reader.lossy = true;
            Ok(Some(other.to_string()))
        }
    }
}

fn map_or_empty(reader: &mut Reader<'_>) -> Result<Map<String, Value>, CodecError> {
    match plain::value(reader)? {
        Value::Object(map) => Ok(map),
        _ => {
            reader.lossy = true;
            Ok(Map::new())
        }
    }
}

fn list<T>(
    reader: &mut Reader<'_>,
    item: impl Fn(&mut Reader<'_>) -> Result<T, CodecError>,
) -> Result<Vec<T>, CodecError> {
    let Token::Array(count) = reader.peek()? else {
        reader.lossy = true;
        reader.skip()?;
        return Ok(Vec::new());
    };
    reader.token()?;
    reader.enter()?;
    let mut items = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        items.push(item(reader)?);
    }
    reader.leave();
    Ok(items)
}

/// A tool call, also the argument of a Send. `type` is optional and says nothing.
pub(super) fn tool_call(reader: &mut Reader<'_>) -> Result<ToolCall, CodecError> {
    let count = match reader.token()? {
        Token::Map(count) => count,
        other => return Err(wrong("tool_calls", "a map", &other)),
    };
    reader.enter()?;
    let mut call = ToolCall { id: None, name: String::new(), args: Map::new() };
    for _ in 0..count {
        match reader.token()? {
            Token::Str("name") => call.name = text(reader)?.unwrap_or_default(),
            Token::Str("args") => call.args = map_or_empty(reader)?,
            Token::Str("id") => call.id = text(reader)?,
            Token::Str("type") => reader.lossy |= text(reader)?.as_deref() != Some("tool_call"),
            other => unknown_entry(reader, &other)?,
        }
    }
    reader.leave();
    Ok(call)
}

fn invalid_call(reader: &mut Reader<'_>) -> Result<InvalidToolCall, CodecError> {
    let count = match reader.token()? {
        Token::Map(count) => count,
        other => return Err(wrong("invalid_tool_calls", "a map", &other)),
    };
    reader.enter()?;
    let mut call = InvalidToolCall { id: None, name: None, args: None, error: None };
    for _ in 0..count {
        match reader.token()? {
            Token::Str("name") => call.name = text(reader)?,
            Token::Str("args") => call.args = text(reader)?,
            Token::Str("id") => call.id = text(reader)?,
            Token::Str("error") => call.error = text(reader)?,
            Token::Str("type") => reader.lossy |= text(reader)?.as_deref() != Some("invalid_tool_call"),
            other => unknown_entry(reader, &other)?,
        }
    }
    reader.leave();
    Ok(call)
}

/// Moves over an entry for which the type has no field: the rest of its key, and its value.
fn unknown_entry(reader: &mut Reader<'_>, key: &Token<'_>) -> Result<(), CodecError> {
    reader.lossy = true;
    let parts = match key {
        Token::Array(count) => *count,
        Token::Map(count) => count.saturating_mul(2),
        _ => 0,
    };
    for _ in 0..=parts {
        reader.skip()?;
    }
    Ok(())
}

pub(super) fn wrong(at: &str, expected: &'static str, found: &Token<'_>) -> CodecError {
    CodecError::WrongKind { at: at.to_owned(), expected, found: found.kind() }
}
