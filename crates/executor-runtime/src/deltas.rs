//! Text pieces of models on their way out: merged for some milliseconds, so that cost follows time, not tokens.

use std::sync::{Arc, Mutex, PoisonError};

use agent_executor_core::AgentLabel;

/// Where a piece belongs.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) label: Option<AgentLabel>,
    pub(crate) step: i64,
    pub(crate) attempt: u32,
    pub(crate) message_id: Arc<str>,
    /// Set where these are no words of the agent.
    pub(crate) source: Option<&'static str>,
}

/// A merged piece.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) place: Arc<Place>,
    pub(crate) text: String,
    pub(crate) thinking: bool,
}

/// Pieces of all agents of one run that have not been numbered yet, in order of arrival.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeltaBuffer(Arc<Mutex<Vec<Piece>>>);

impl DeltaBuffer {
    /// Adds text, to the newest piece where it continues it.
    pub(crate) fn push(&self, place: &Arc<Place>, text: &str, thinking: bool) {
        let mut pieces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let continues = pieces.iter_mut().rev().find(|piece| Arc::ptr_eq(&piece.place, place));
        match continues.filter(|piece| piece.thinking == thinking) {
            Some(piece) => piece.text.push_str(text),
            None => pieces.push(Piece { place: place.clone(), text: text.to_owned(), thinking }),
        }
    }

    /// Forgets what has gathered of a message.
    pub(crate) fn forget(&self, message_id: &str) {
        let mut pieces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.retain(|piece| *piece.place.message_id != *message_id);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    pub(crate) fn take(&self) -> Vec<Piece> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(id: &str) -> Arc<Place> {
        Arc::new(Place { label: None, step: 2, attempt: 1, message_id: Arc::from(id), source: None })
    }

    #[test]
    fn pieces_of_one_message_merge_even_when_two_models_speak_at_once() {
        let buffer = DeltaBuffer::default();
        let (a, b) = (place("a"), place("b"));
        for (place, text) in [(&a, "one "), (&b, "uno "), (&a, "two"), (&b, "due")] {
            buffer.push(place, text, false);
        }
        let texts: Vec<_> = buffer.take().into_iter().map(|piece| piece.text).collect();
        assert_eq!(texts, ["one two", "uno due"]);
        assert!(buffer.is_empty());
    }

    #[test]
    fn thinking_stands_apart_from_the_answer() {
        let buffer = DeltaBuffer::default();
        let place = place("a");
        buffer.push(&place, "hm", true);
        buffer.push(&place, "yes", false);
        assert_eq!(buffer.take().len(), 2);
    }
}
