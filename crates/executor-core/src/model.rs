//! What the machine asks of a language model, and what it gets back. How it travels is the model client's affair.

use std::sync::Arc;

use agent_langgraph_codec::Message;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which model answers, as the definition names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelRef {
    /// `openai`, `anthropic`, `ollama`; lower case.
    pub provider: String,
    /// The provider's name of the model, e.g. `gpt-4o-mini`.
    pub model: String,
}

/// One tool as it is offered to a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// Name by which the model calls it.
    pub name: String,
    /// The text the model reads; without outer white space.
    pub description: String,
    /// JSON Schema of the arguments object.
    pub parameters: Value,
}

/// One call of a model, complete: nothing else reaches the provider.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRequest {
    /// Provider and model.
    pub model: ModelRef,
    /// System prompt; an empty string is sent as an empty system message, `None` sends none.
    pub system: Option<String>,
    /// The conversation, oldest first.
    pub messages: Vec<Arc<Message>>,
    /// Tools on offer, in order. Shared between all requests of an agent.
    pub tools: Arc<[ToolSpec]>,
    /// Most tokens the model may write; `None` leaves it to the provider's default.
    pub max_output_tokens: Option<u32>,
    /// Structured output asked for; `None` for free text.
    pub response_format: Option<ResponseFormat>,
    /// What only some providers look at.
    pub options: ModelOptions,
}

/// Parts of a request that only some providers look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelOptions {
    /// Marks the prefix that the provider may keep between requests (Anthropic).
    pub prompt_caching: bool,
    /// One of the definition's OpenAI models exists on the Responses API only: without an operator's choice all
    /// agents speak it, so that a thread holds one form of content.
    pub responses_api: bool,
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self { prompt_caching: true, responses_api: false }
    }
}

/// What a model is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The agent's next turn.
    #[default]
    Answer,
    /// A summary of the conversation so far, which takes its place in later requests.
    Summary,
}

impl Purpose {
    /// `source` of the streamed pieces (wire contract 6.1); `None` for an agent's own words.
    pub const fn source(self) -> Option<&'static str> {
        match self {
            Self::Answer => None,
            Self::Summary => Some("summarization"),
        }
    }
}

/// The form that the provider is asked to keep the answer to.
#[derive(Debug, Clone, PartialEq)]
pub enum ResponseFormat {
    /// JSON of a schema, where the model does not call a tool.
    Schema {
        /// Name of the schema.
        name: String,
        /// JSON Schema of the answer.
        schema: Value,
    },
    /// A call of any tool: one of them takes the structured answer.
    AnyTool,
}

/// Why a model stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// It said all it wanted.
    Stop,
    /// It wants tools to be run.
    ToolCalls,
    /// The output limit cut it off; tool arguments may be incomplete.
    Length,
    /// The provider's filter cut it off.
    ContentFilter,
    /// The model declined.
    Refusal,
    /// Any other word of the provider.
    Other(String),
}

/// Tokens of one call as the provider counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Prompt tokens, cached ones included.
    pub input_tokens: u64,
    /// Written tokens, reasoning included.
    pub output_tokens: u64,
}

/// A complete answer of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelReply {
    /// An assistant message as LangChain would store it. `id` is the provider's where it has one
    /// (Responses API), else `None`: the machine then gives one. `name` is `None`.
    pub message: Message,
    /// Why the model stopped.
    pub stop: StopReason,
    /// What it cost, if the provider said so.
    pub usage: Option<Usage>,
}

/// What a failed model call means for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModelErrorKind {
    /// The request does not fit the model's context window.
    ContextOverflow,
    /// The provider refused the request (4xx other than those below); asking again is no use.
    Refused,
    /// Key missing or rejected (401, 403).
    Auth,
    /// Rate limits or quota, after all retries.
    RateLimited,
    /// 5xx, connection failure or time-out, after all retries.
    Unavailable,
    /// The stream broke, stalled or was malformed after the first token.
    Interrupted,
    /// No provider of this name is configured.
    UnknownProvider,
}

/// A model call that gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ModelError {
    /// What it means.
    pub kind: ModelErrorKind,
    /// For people: provider, status and the provider's own words, at most some hundred characters.
    pub message: String,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// The provider's id of the request, for its support.
    pub request_id: Option<String>,
}
