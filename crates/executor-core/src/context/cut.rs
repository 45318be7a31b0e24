//! Where a conversation is cut: how much of its end stays, and never between a call and its answer.

use std::collections::HashSet;
use std::sync::Arc;

use agent_langgraph_codec::{Kind, Message};

use super::limits::Bound;
use super::tokens::Counter;

/// How many messages at the beginning go. 0: nothing can be cut.
pub(crate) fn for_summary(messages: &[Arc<Message>], keep: Bound, counter: Counter) -> usize {
    match keep {
        Bound::Messages(keep) if messages.len() <= keep => 0,
        Bound::Messages(keep) => whole_rounds(messages, messages.len() - keep),
        Bound::Tokens(keep) => by_tokens(messages, keep, counter),
    }
}

/// The shortest beginning whose rest fits, found by halving: the rest's size falls with every message.
fn by_tokens(messages: &[Arc<Message>], keep: u64, counter: Counter) -> usize {
    if counter.messages(messages.iter().map(Arc::as_ref)) <= keep {
        return 0;
    }
    let fits = |from: &usize| {
        let rest = messages.iter().skip(*from).map(Arc::as_ref);
        counter.part(rest) <= keep
    };
    let (mut low, mut high) = (0, messages.len());
    while low < high {
        let middle = (low + high) / 2;
        if fits(&middle) { high = middle } else { low = middle + 1 }
    }
    if low >= messages.len() {
        // Not even the last message fits: it stays all the same.
        return match messages.len() {
            0 | 1 => 0,
            many => whole_rounds(messages, many - 1),
        };
    }
    whole_rounds(messages, low)
}

/// Where the arguments of calls may be shortened: before this message. `None`: nowhere.
pub(crate) fn for_arguments(messages: &[Arc<Message>], keep: Bound, counter: Counter) -> Option<usize> {
    match keep {
        Bound::Messages(keep) => messages.len().checked_sub(keep).filter(|from| *from > 0),
        Bound::Tokens(keep) => {
            let mut kept = 0;
            for (place, message) in messages.iter().enumerate().rev() {
                let size = counter.part([message.as_ref()].into_iter());
                if kept + size > keep {
                    return Some(place + 1).filter(|from| *from < messages.len());
                }
                kept += size;
            }
            None
        }
    }
}

/// The cut moved so that it separates no answer from its call: back to the message with the call, else forward past
/// answers that have none.
fn whole_rounds(messages: &[Arc<Message>], cut: usize) -> usize {
    let answers: Vec<&str> = messages.iter().skip(cut).map_while(|message| answered(message)).collect();
    if answers.is_empty() {
        return cut;
    }
    let ids: HashSet<&str> = answers.iter().copied().filter(|id| !id.is_empty()).collect();
    let asked = |message: &Arc<Message>| {
        message.tool_calls().iter().any(|call| call.id.as_deref().is_some_and(|id| ids.contains(id)))
    };
    let before = messages.get(..cut).unwrap_or_default();
    before.iter().rposition(asked).unwrap_or(cut + answers.len())
}

fn answered(message: &Message) -> Option<&str> {
    match &message.kind {
        Kind::Tool { tool_call_id, .. } => Some(tool_call_id),
        Kind::Human | Kind::Ai { .. } | Kind::System | Kind::Remove | Kind::Chat { .. } | Kind::Function => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use agent_langgraph_codec::{Content, ToolCall, ToolStatus};
    use serde_json::Map;

    use super::*;
    use crate::ModelRef;
    use crate::context::{ContextSettings, Limits};

    fn counter() -> Counter {
        let model = ModelRef { provider: "openai".to_owned(), model: "m".to_owned() };
        Counter::new(&Limits::of(&ContextSettings::default(), &model))
    }

    fn human(chars: usize) -> Arc<Message> {
        Arc::new(Message::human("w".repeat(chars), "h"))
    }

    fn asks(ids: &[&str]) -> Arc<Message> {
        let call =
            |id: &&str| ToolCall { id: Some((*id).to_owned()), name: "t".to_owned(), args: Map::new() };
        Arc::new(Message::ai(Content::Text(String::new()), ids.iter().map(call).collect(), None))
    }

    fn answers(id: &str) -> Arc<Message> {
        Arc::new(Message::tool(Content::Text("ok".to_owned()), "t", id, ToolStatus::Success, "i"))
    }

    #[test]
    fn a_round_stays_whole() {
        let thread = [human(1), asks(&["a", "b"]), answers("a"), answers("b"), human(1)];
        for (keep, cut) in [(1, 4), (2, 1), (3, 1), (4, 1), (5, 0), (9, 0)] {
            assert_eq!(for_summary(&thread, Bound::Messages(keep), counter()), cut, "{keep}");
        }
        let orphans = [human(1), answers("x"), answers("y"), human(1)];
        assert_eq!(for_summary(&orphans, Bound::Messages(2), counter()), 3);
    }

    #[test]
    fn as_many_messages_stay_as_fit() {
        // The recorded run: 8 messages of 4003 characters are 1005 tokens each; 900 leave only the last.
        let thread: Vec<_> = (0..8).map(|_| human(4003)).collect();
        assert_eq!(for_summary(&thread, Bound::Tokens(900), counter()), 7);
        assert_eq!(for_summary(&thread, Bound::Tokens(3015), counter()), 5);
        assert_eq!(for_summary(&thread, Bound::Tokens(8040), counter()), 0);
        assert_eq!(for_summary(&thread[..1], Bound::Tokens(1), counter()), 0);
        assert_eq!(for_summary(&[], Bound::Tokens(1), counter()), 0);
    }

    #[test]
    fn arguments_are_left_alone_at_the_end() {
        let thread: Vec<_> = (0..22).map(|_| human(1)).collect();
        assert_eq!(for_arguments(&thread, Bound::Messages(20), counter()), Some(2));
        assert_eq!(for_arguments(&thread[..20], Bound::Messages(20), counter()), None);
        assert_eq!(for_arguments(&thread, Bound::Tokens(10), counter()), Some(20));
        assert_eq!(
            for_arguments(&thread, Bound::Tokens(1), counter()),
            None,
            "nothing is kept: nothing is old"
        );
        assert_eq!(for_arguments(&thread, Bound::Tokens(10_000), counter()), None);
    }
}
