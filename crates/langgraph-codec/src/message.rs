//! LangChain's messages (`langchain_core.messages`).

use bytes::Bytes;
use serde_json::{Map, Value};

/// What a message says: a plain string, or a list of content blocks as the provider gave them.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// A plain string.
    Text(String),
    /// Blocks such as `{"type": "text", "text": …}`, or bare strings.
    Blocks(Vec<Value>),
}

/// One valid tool call of an assistant message.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// The provider's id of the call; LangChain allows it to be missing.
    pub id: Option<String>,
    /// Name of the tool as the model wrote it.
    pub name: String,
    /// Arguments, in the order in which the model wrote them.
    pub args: Map<String, Value>,
}

/// A tool call whose arguments could not be read. It is never executed.
#[derive(Debug, Clone, PartialEq)]
pub struct InvalidToolCall {
    /// The provider's id of the call.
    pub id: Option<String>,
    /// Name of the tool as the model wrote it.
    pub name: Option<String>,
    /// The raw argument text.
    pub args: Option<String>,
    /// Why it was refused.
    pub error: Option<String>,
}

/// Outcome of a tool call as LangChain records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolStatus {
    /// The tool answered.
    Success,
    /// The answer is an error text.
    Error,
}

/// The message's class with the fields that only this class has.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// `HumanMessage`.
    Human,
    /// `AIMessage`.
    Ai {
        /// Calls that can be executed, in call order.
        tool_calls: Vec<ToolCall>,
        /// Calls with unreadable arguments.
        invalid_tool_calls: Vec<InvalidToolCall>,
        /// LangChain's `usage_metadata` (`input_tokens`, `output_tokens`, `total_tokens`, details), or null.
        usage_metadata: Option<Value>,
    },
    /// `SystemMessage`.
    System,
    /// `ToolMessage`.
    Tool {
        /// The call that this answers.
        tool_call_id: String,
        /// LangChain's `artifact`, null by default.
        artifact: Value,
        /// Whether the tool answered or failed.
        status: ToolStatus,
    },
    /// `RemoveMessage`: its id names the message to remove, or is [`Message::REMOVE_ALL`].
    Remove,
    /// `ChatMessage` with a free role.
    Chat {
        /// The role.
        role: String,
    },
    /// `FunctionMessage`.
    Function,
}

/// One message of a thread. Messages are immutable once stored and are shared as `Arc<Message>`.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Text or blocks.
    pub content: Content,
    /// Provider payloads that LangChain has no field for.
    pub additional_kwargs: Map<String, Value>,
    /// What the provider said about the answer: model name, finish reason, …
    pub response_metadata: Map<String, Value>,
    /// Author's name; on assistant messages of sub-agents the agent's name.
    pub name: Option<String>,
    /// Unique within a thread. LangChain allows it to be missing; we always write one.
    pub id: Option<String>,
    /// Class and its own fields.
    pub kind: Kind,
    /// Fields that this version does not know, kept and written again after the known ones.
    pub extra: Map<String, Value>,
    /// The stored bytes, where they hold something that the fields above cannot (binary, unknown classes,
    /// keys that are no strings): written back as they are while the fields still say the same.
    pub(crate) raw: Option<Bytes>,
}

impl Message {
    /// Id of the `RemoveMessage` that drops everything before it.
    pub const REMOVE_ALL: &'static str = "__remove_all__";

    /// A message of any class; every other field is empty.
    pub fn new(kind: Kind, content: Content, id: Option<String>) -> Self {
        Self {
            content,
            additional_kwargs: Map::new(),
            response_metadata: Map::new(),
            name: None,
            id,
            kind,
            extra: Map::new(),
            raw: None,
        }
    }

    /// A user's message.
    pub fn human(text: impl Into<String>, id: impl Into<String>) -> Self {
        Self::new(Kind::Human, Content::Text(text.into()), Some(id.into()))
    }

    /// A system message.
    pub fn system(text: impl Into<String>, id: impl Into<String>) -> Self {
        Self::new(Kind::System, Content::Text(text.into()), Some(id.into()))
    }

    /// An assistant message with these executable calls.
    pub fn ai(content: Content, tool_calls: Vec<ToolCall>, id: Option<String>) -> Self {
        let kind = Kind::Ai { tool_calls, invalid_tool_calls: Vec::new(), usage_metadata: None };
        Self::new(kind, content, id)
    }

    /// A tool's answer.
    pub fn tool(
        content: Content,
        name: impl Into<String>,
        tool_call_id: impl Into<String>,
        status: ToolStatus,
        id: impl Into<String>,
    ) -> Self {
        let kind = Kind::Tool { tool_call_id: tool_call_id.into(), artifact: Value::Null, status };
        Self { name: Some(name.into()), ..Self::new(kind, content, Some(id.into())) }
    }

    /// A marker that removes the message with this id ([`Message::REMOVE_ALL`]: all before it).
    pub fn remove(id: impl Into<String>) -> Self {
        Self::new(Kind::Remove, Content::Text(String::new()), Some(id.into()))
    }

    /// LangChain's `type`: `human`, `ai`, `system`, `tool`, `remove`, `chat` or `function`.
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Human => "human",
            Kind::Ai { .. } => "ai",
            Kind::System => "system",
            Kind::Tool { .. } => "tool",
            Kind::Remove => "remove",
            Kind::Chat { .. } => "chat",
            Kind::Function => "function",
        }
    }

    /// All text of the message: the string, or its text blocks joined by `separator`.
    pub fn text(&self, separator: &str) -> String {
        match &self.content {
            Content::Text(text) => text.clone(),
            Content::Blocks(blocks) => {
                let texts: Vec<&str> = blocks
                    .iter()
                    .filter_map(|block| match block {
                        Value::String(text) => Some(text.as_str()),
                        Value::Object(map) if map.get("type").and_then(Value::as_str) == Some("text") => {
                            map.get("text").and_then(Value::as_str)
                        }
                        Value::Object(_)
                        | Value::Null
                        | Value::Bool(_)
                        | Value::Number(_)
                        | Value::Array(_) => None,
                    })
                    .collect();
                texts.join(separator)
            }
        }
    }

    /// The executable calls of an assistant message; empty for every other class.
    pub fn tool_calls(&self) -> &[ToolCall] {
        match &self.kind {
            Kind::Ai { tool_calls, .. } => tool_calls,
            Kind::Human
            | Kind::System
            | Kind::Tool { .. }
            | Kind::Remove
            | Kind::Chat { .. }
            | Kind::Function => &[],
        }
    }

    /// Whether this is the marker that removes the whole history before it.
    pub fn removes_all(&self) -> bool {
        matches!(self.kind, Kind::Remove) && self.id.as_deref() == Some(Self::REMOVE_ALL)
    }
}

impl Content {
    /// About how many bytes the content takes when stored.
    pub(crate) fn len_hint(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Blocks(blocks) => blocks.len() * 128,
        }
    }
}
