//! The wire side of one provider, without sockets.

use agent_executor_core::{ModelReply, ModelRequest, ToolSpec};

use crate::{
    sse::Frame,
    turn::{DecodeError, Deltas, Turn},
};

/// One call as a codec writes it.
pub(crate) struct Call<'a> {
    pub(crate) request: &'a ModelRequest,
    /// What this codec's `tools` made of the request's tools; empty where there are none.
    pub(crate) tools: &'a [u8],
    /// Ask for token counts with the stream; some servers refuse the question.
    pub(crate) ask_usage: bool,
}

/// A request out, frames in. The transport does the rest for all of them: timeouts, retry, redaction, metrics.
pub(crate) trait Codec: Send + Sync {
    /// Where the request goes, after the base URL.
    fn path(&self) -> &'static str;

    /// The list of tools as JSON. Kept and reused for all requests with the same tools.
    fn tools(&self, tools: &[ToolSpec]) -> Vec<u8>;

    /// The body of the request.
    fn encode(&self, call: &Call<'_>) -> Vec<u8>;

    /// Takes one frame. An event of an unknown kind is no error and changes nothing.
    fn decode(&self, frame: &Frame<'_>, turn: &mut Turn, deltas: &mut Deltas<'_>) -> Result<(), DecodeError>;

    /// A stream that stops before this says `true` was cut, however politely it ended.
    fn is_complete(&self, turn: &Turn) -> bool {
        turn.ended || turn.stop.is_some()
    }

    /// The whole answer as LangChain would store it.
    fn reply(&self, turn: Turn) -> ModelReply;

    /// The text of an error body for people; `None` shows the body as it is.
    fn error_text(&self, body: &serde_json::Value) -> Option<String>;
}
