//! Keeping a conversation within its model's context window: what is counted, what is cut, what is kept where.
//!
//! Behaviour of `deepagents` 0.7.32 (docs/deepagents-semantics.md section 6). Nothing here asks anybody: the run machine
//! (`run/asking.rs`) puts the pieces together. Messages that are stored are never removed; what a model sees is worked
//! out anew for every request.

use std::sync::Arc;

use agent_langgraph_codec::{Content, Message};

pub(crate) mod clip;
pub(crate) mod cut;
pub(crate) mod event;
mod limits;
pub(crate) mod media;
mod settings;
pub(crate) mod summary;
pub(crate) mod tokens;
pub(crate) mod truncate;
pub(crate) mod user;
pub(crate) mod xml;

pub(crate) use limits::{Bound, Limits};
pub use settings::{ContextSettings, Size};
pub(crate) use summary::PLACE;

/// Directory of everything that was taken out of the conversation, but for tool results.
pub(crate) const HISTORY: &str = "/conversation_history";
/// Mark of a summary message, in its `additional_kwargs`.
pub(crate) const SOURCE: &str = "lc_source";

/// The message with other content.
fn with_content(message: &Message, content: Content) -> Arc<Message> {
    let mut changed = message.clone();
    changed.content = content;
    Arc::new(changed)
}
