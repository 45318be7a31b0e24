//! Why a model stopped, where it was not by itself: what the caller of a completed job should know.

use agent_langgraph_codec::Message;
use serde_json::Value;

use super::{ORCHESTRATOR, Run};
use crate::effect::AgentId;
use crate::{ModelReply, StopReason};

impl Run {
    /// Notes a turn that was cut off or refused. The job's last one is told by [`last_stop`].
    pub(super) fn note_stop(&mut self, id: AgentId, reply: &ModelReply) {
        if id == ORCHESTRATOR && reply.message.tool_calls().is_empty() {
            return;
        }
        let code = match reply.stop {
            StopReason::Length => "model.truncated",
            StopReason::ContentFilter => "model.filtered",
            StopReason::Refusal => "model.declined",
            StopReason::Stop | StopReason::ToolCalls | StopReason::Other(_) => return,
        };
        self.warnings.insert(code);
    }
}

/// The warning for a job's last answer, read from the stored message: a resumed run knows it as well.
pub(super) fn last_stop(message: &Message) -> Option<&'static str> {
    let text = |key: &str| message.response_metadata.get(key).and_then(Value::as_str);
    let incomplete = message.response_metadata.get("incomplete_details");
    let reason = incomplete.and_then(|details| details.get("reason")).and_then(Value::as_str);
    let refused = message.additional_kwargs.get("refusal").and_then(Value::as_str);
    match text("finish_reason").or_else(|| text("stop_reason")).or(reason) {
        Some("length" | "max_tokens" | "model_context_window_exceeded" | "max_output_tokens") => {
            Some("output.truncated")
        }
        Some("content_filter") => Some("output.filtered"),
        Some("refusal") => Some("output.declined"),
        Some(_) | None => refused.filter(|words| !words.is_empty()).map(|_| "output.declined"),
    }
}

#[cfg(test)]
mod tests {
    use agent_langgraph_codec::Content;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_providers_word_is_known() {
        for (metadata, expected) in [
            (json!({"finish_reason": "stop"}), None),
            (json!({"finish_reason": "length"}), Some("output.truncated")),
            (json!({"finish_reason": "content_filter"}), Some("output.filtered")),
            (json!({"stop_reason": "max_tokens"}), Some("output.truncated")),
            (json!({"stop_reason": "refusal"}), Some("output.declined")),
            (json!({"stop_reason": "end_turn"}), None),
            (json!({"incomplete_details": {"reason": "max_output_tokens"}}), Some("output.truncated")),
            (json!({"incomplete_details": null, "status": "completed"}), None),
        ] {
            let mut message = Message::ai(Content::Text("x".to_owned()), Vec::new(), None);
            message.response_metadata = metadata.as_object().unwrap().clone();
            assert_eq!(last_stop(&message), expected, "{metadata}");
        }
        let mut message = Message::ai(Content::Text(String::new()), Vec::new(), None);
        message.additional_kwargs.insert("refusal".to_owned(), json!("I cannot help with that"));
        assert_eq!(last_stop(&message), Some("output.declined"));
    }
}
