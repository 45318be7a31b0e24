//! Long arguments of old calls, shortened in what the model is sent. The stored messages stay as they are.

use std::sync::Arc;

use agent_langgraph_codec::{Kind, Message};
use serde_json::Value;

use super::cut;
use super::limits::{Bound, Shorten};
use super::tokens::Counter;
use crate::tools::first_chars;

/// Tools whose arguments hold whole files, which the file system has anyway.
const WRITERS: &[&str] = &["write_file", "edit_file"];
const SHOWN: usize = 20;
const REST: &str = "...(argument truncated)";

/// Shortens arguments where the conversation has become long. Says whether anything changed.
pub(crate) fn arguments(messages: &mut [Arc<Message>], total: u64, rule: &Shorten, counter: Counter) -> bool {
    let due = match rule.at {
        Bound::Tokens(at) => total >= at,
        Bound::Messages(at) => messages.len() >= at,
    };
    let Some(cut) = due.then(|| cut::for_arguments(messages, rule.keep, counter)).flatten() else {
        return false;
    };
    let mut changed = false;
    for message in messages.iter_mut().take(cut) {
        if is_long(message, rule.chars) {
            shorten(Arc::make_mut(message), rule.chars);
            changed = true;
        }
    }
    changed
}

fn is_long(message: &Message, most: usize) -> bool {
    let writes = message.tool_calls().iter().filter(|call| WRITERS.contains(&call.name.as_str()));
    writes.flat_map(|call| call.args.values()).any(|value| long_text(value, most).is_some())
}

fn shorten(message: &mut Message, most: usize) {
    let Kind::Ai { tool_calls, .. } = &mut message.kind else { return };
    for call in tool_calls.iter_mut().filter(|call| WRITERS.contains(&call.name.as_str())) {
        for value in call.args.values_mut() {
            if let Some(text) = long_text(value, most) {
                *value = Value::String(format!("{}{REST}", first_chars(text, SHOWN)));
            }
        }
    }
}

fn long_text(value: &Value, most: usize) -> Option<&str> {
    value.as_str().filter(|text| text.len() > most && super::tokens::chars(text) > most)
}
