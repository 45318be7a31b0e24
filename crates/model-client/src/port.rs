//! The port: one question to a model, its answer in pieces and then as a whole.

use agent_executor_core::{ModelError, ModelReply, ModelRequest};
use async_trait::async_trait;

/// A piece of an answer as it arrives. Not durable: a call that fails later takes all its pieces back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delta<'a> {
    /// Text of the answer; never empty.
    Text(&'a str),
    /// Text of the model's reasoning; never empty.
    Thinking(&'a str),
    /// A piece of a tool call. The first piece of a call carries its name.
    ToolCall {
        /// Which call of this answer, from 0.
        index: u32,
        /// The tool's name, with the first piece.
        name: Option<&'a str>,
        /// The next piece of the arguments' JSON text; may be empty.
        arguments: &'a str,
    },
}

/// Where the pieces go. Called on the task that polls `complete`, so it must be quick and must not block.
pub type OnDelta<'a> = &'a mut (dyn FnMut(Delta<'_>) + Send);

/// A way to ask models. One per process, shared by all runs.
#[async_trait]
pub trait ModelClient: Send + Sync + 'static {
    /// Streams one answer and returns it whole. Retries happen inside, but only while nothing was
    /// handed to `on_delta`.
    ///
    /// # Errors
    /// [`ModelError`]; of kind `Interrupted` when the answer broke off after its first piece.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection to the provider. Nothing else remembers the call.
    async fn complete(&self, request: &ModelRequest, on_delta: OnDelta<'_>)
    -> Result<ModelReply, ModelError>;

    /// Whether asking makes sense now. `false`: every provider in use is known to be down, so no new work should be
    /// taken; calls that are made all the same wait or fail as the implementation says.
    fn ready(&self) -> bool {
        true
    }
}
