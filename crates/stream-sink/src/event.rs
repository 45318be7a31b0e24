//! What is handed to a sink.

use std::sync::Arc;

use bytes::Bytes;

/// One event, encoded once: the JSON text `{"event_type":…,"data":…}` with its number.
#[derive(Debug, Clone)]
pub struct SinkEvent {
    /// Whose stream it belongs to.
    pub thread_id: Arc<str>,
    /// Ascending per thread over all of its jobs.
    pub seq: u64,
    /// The whole message as it goes over the wire. No sink looks inside.
    pub payload: Bytes,
    /// Its `event_type`, for the metric's label and for what may be lost first.
    pub kind: EventKind,
}

/// Encodes the marker that stands where `from..=to` of `thread` were dropped. Handed in, since the shape of events
/// is not the sink's affair.
pub type GapPayload = fn(thread: &str, from: u64, to: u64) -> Bytes;

/// Reads name and number of an event's text. Handed in, for the same reason. `None`: the text is no event.
pub type ReadHead = fn(payload: &[u8]) -> Option<(&str, u64)>;

/// The `event_type` of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// `on_state_update`
    StateUpdate,
    /// `on_llm_stream`
    LlmStream,
    /// `on_tool_start`
    ToolStart,
    /// `on_tool_end`
    ToolEnd,
    /// `error`
    Error,
    /// `end`
    End,
    /// `gap`
    Gap,
    /// `attempt_superseded`
    AttemptSuperseded,
}

impl EventKind {
    /// All kinds, in the order of their discriminants.
    pub const ALL: [Self; 8] = [
        Self::StateUpdate,
        Self::LlmStream,
        Self::ToolStart,
        Self::ToolEnd,
        Self::Error,
        Self::End,
        Self::Gap,
        Self::AttemptSuperseded,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StateUpdate => "on_state_update",
            Self::LlmStream => "on_llm_stream",
            Self::ToolStart => "on_tool_start",
            Self::ToolEnd => "on_tool_end",
            Self::Error => "error",
            Self::End => "end",
            Self::Gap => "gap",
            Self::AttemptSuperseded => "attempt_superseded",
        }
    }

    /// The kind of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether a reader that sees it twice gets the same picture. A piece of text would be shown twice, so it is
    /// not sent again when its first sending has an unknown outcome; a gap takes its place.
    pub const fn may_repeat(self) -> bool {
        match self {
            Self::LlmStream | Self::Gap => false,
            Self::StateUpdate
            | Self::ToolStart
            | Self::ToolEnd
            | Self::Error
            | Self::End
            | Self::AttemptSuperseded => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lists_every_kind_at_its_own_place() {
        for (at, kind) in EventKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at, "{kind:?}");
        }
    }
}
