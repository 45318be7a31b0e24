//! An agent's structured answer (deepagents-semantics 8 and 10, row 25): how the model is asked for it, and whether
//! what it gave fits.
//!
//! As in Python: by the provider's own means where the model has them, else by a tool that the model must call. As
//! not in Python: the answer is checked against the schema, a wrong one is an error, and after three the agent fails.

use std::sync::Arc;

use agent_langgraph_codec::{Content, Kind, Message, ToolCall, ToolStatus};
use serde_json::Value;

use crate::definition::{ResponseSpec, Strategy};
use crate::ids::Ids;
use crate::{ModelRef, ResponseFormat, ToolSpec, pyrepr, schema};

/// Wrong answers after which the agent fails.
pub(crate) const TRIES: usize = 3;

/// Marks a user message with which the machine asks for an answer that fits.
const RETRY_MARK: &str = "agent_executor_retry";

const ABOUT: &str =
    "Takes your final answer, in the form that is asked for. Call it once, when the work is done.";

/// A structured answer as one agent gives it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Structured {
    pub(crate) name: String,
    schema: Value,
    wanted: Strategy,
    by_tool: bool,
}

/// What a model's turn is worth as an answer.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// Messages that follow the model's at once.
    pub(crate) answers: Vec<Arc<Message>>,
    /// The answer, where it fits.
    pub(crate) value: Option<Value>,
    /// Why it does not fit.
    pub(crate) rejected: Option<String>,
}

impl Structured {
    pub(crate) fn new(spec: &ResponseSpec, model: &ModelRef) -> Self {
        let by_tool = match spec.strategy {
            Strategy::Tool => true,
            Strategy::Provider => false,
            Strategy::Auto => !provider_can(model),
        };
        Self { name: spec.name.clone(), schema: spec.schema.clone(), wanted: spec.strategy, by_tool }
    }

    /// The same form for another model.
    pub(crate) fn of(&self, model: &ModelRef) -> Self {
        let (name, schema, strategy) = (self.name.clone(), self.schema.clone(), self.wanted);
        Self::new(&ResponseSpec { name, schema, strategy }, model)
    }

    /// The tool that takes the answer.
    pub(crate) fn tool(&self) -> Option<ToolSpec> {
        let about = self.schema.get("description").and_then(Value::as_str).unwrap_or(ABOUT).trim().to_owned();
        self.by_tool.then(|| ToolSpec {
            name: self.name.clone(),
            description: about,
            parameters: self.schema.clone(),
        })
    }

    /// What the provider is asked.
    pub(crate) fn request(&self) -> ResponseFormat {
        if self.by_tool {
            return ResponseFormat::AnyTool;
        }
        ResponseFormat::Schema { name: self.name.clone(), schema: self.schema.clone() }
    }

    /// Judges a turn; calls of the answer's tool are taken out of `calls`. `readable`: no call of it was malformed.
    pub(crate) fn judge(
        &self,
        message: &Message,
        calls: &mut Vec<ToolCall>,
        readable: bool,
        ids: &mut Ids,
    ) -> Judged {
        if !self.by_tool {
            let over = calls.is_empty() && readable;
            return if over { self.judge_text(&message.text(""), ids) } else { Judged::default() };
        }
        let (own, others) = std::mem::take(calls).into_iter().partition(|call| call.name == self.name);
        *calls = others;
        match <Vec<ToolCall>>::as_slice(&own) {
            [] if calls.is_empty() && readable => {
                let why = format!("the answer has to be given by calling `{}`", self.name);
                self.rejected_text(&why, ids)
            }
            [] => Judged::default(),
            [only] => self.judge_call(only, ids),
            several => self.too_many(several, ids),
        }
    }

    fn judge_call(&self, call: &ToolCall, ids: &mut Ids) -> Judged {
        let value = Value::Object(call.args.clone());
        let problems = schema::problems(&self.schema, &value);
        if problems.is_empty() {
            let text = format!("Returning structured response: {}", pyrepr::value(&value));
            let told = self.told(call, text, ToolStatus::Success, ids);
            return Judged { answers: vec![told], value: Some(value), rejected: None };
        }
        let why = problems.join("\n");
        let text = format!("Error: {}", self.please(&why));
        let told = self.told(call, text, ToolStatus::Error, ids);
        Judged { answers: vec![told], value: None, rejected: Some(why) }
    }

    fn too_many(&self, calls: &[ToolCall], ids: &mut Ids) -> Judged {
        let names = vec![self.name.as_str(); calls.len()].join(", ");
        let why = format!(
            "Model incorrectly returned multiple structured responses ({names}) when only one is expected."
        );
        let text = format!("Error: {why}\n Please fix your mistakes.");
        let told = calls.iter().map(|call| self.told(call, text.clone(), ToolStatus::Error, ids)).collect();
        Judged { answers: told, value: None, rejected: Some(why) }
    }

    fn judge_text(&self, text: &str, ids: &mut Ids) -> Judged {
        match serde_json::from_str::<Value>(text.trim()) {
            Ok(value) => {
                let problems = schema::problems(&self.schema, &value);
                if problems.is_empty() {
                    return Judged { value: Some(value), ..Judged::default() };
                }
                self.rejected_text(&problems.join("\n"), ids)
            }
            Err(error) => self.rejected_text(&format!("the answer is not JSON: {error}"), ids),
        }
    }

    fn rejected_text(&self, why: &str, ids: &mut Ids) -> Judged {
        let mut told = Message::human(self.please(why), ids.uuid());
        told.additional_kwargs.insert(RETRY_MARK.to_owned(), Value::String("response_format".to_owned()));
        Judged { answers: vec![Arc::new(told)], value: None, rejected: Some(why.to_owned()) }
    }

    fn please(&self, why: &str) -> String {
        let name = &self.name;
        format!("Failed to parse structured output for tool '{name}': {why}.\n Please fix your mistakes.")
    }

    fn told(&self, call: &ToolCall, text: String, status: ToolStatus, ids: &mut Ids) -> Arc<Message> {
        let id = call.id.clone().unwrap_or_default();
        Arc::new(Message::tool(Content::Text(text), self.name.clone(), id, status, ids.uuid()))
    }

    /// How many turns since the user's last message gave a wrong answer. Read from the history, so that a resumed
    /// run counts on.
    pub(crate) fn wrong_answers(&self, messages: &[Arc<Message>]) -> usize {
        let mut wrong = 0;
        let mut in_turn = false;
        for message in messages.iter().rev() {
            match &message.kind {
                Kind::Human if message.additional_kwargs.contains_key(RETRY_MARK) => in_turn = true,
                Kind::Human => break,
                Kind::Tool { status: ToolStatus::Error, .. }
                    if message.name.as_deref() == Some(&*self.name) =>
                {
                    in_turn = true;
                }
                Kind::Ai { .. } => wrong += usize::from(std::mem::take(&mut in_turn)),
                Kind::Tool { .. } | Kind::System | Kind::Remove | Kind::Chat { .. } | Kind::Function => {}
            }
        }
        wrong
    }
}

/// Models whose providers promise to keep to a schema, beside tools.
fn provider_can(model: &ModelRef) -> bool {
    let begins = |names: &[&str]| names.iter().any(|name| model.model.starts_with(name));
    match model.provider.as_str() {
        "openai" => {
            let tuned = model.model.strip_prefix("ft:").unwrap_or(&model.model);
            !tuned.starts_with("gpt-4o-2024-05-13")
                && ["gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "o1", "o3", "o4"]
                    .iter()
                    .any(|name| tuned.starts_with(name))
        }
        "anthropic" => begins(&[
            "claude-sonnet-4-5",
            "claude-sonnet-4-6",
            "claude-opus-4-1",
            "claude-opus-4-5",
            "claude-opus-4-6",
            "claude-opus-4-7",
            "claude-haiku-4-5",
        ]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Stamp;

    fn structured(strategy: Strategy, model: &str) -> Structured {
        let (provider, model) = model.split_once(':').unwrap();
        let schema = json!({
            "type": "object", "required": ["score"], "properties": {"score": {"type": "integer", "minimum": 0}}
        });
        let spec = ResponseSpec { name: "Ans".to_owned(), schema, strategy };
        Structured::new(&spec, &ModelRef { provider: provider.to_owned(), model: model.to_owned() })
    }

    fn call(name: &str, args: &Value) -> ToolCall {
        ToolCall { id: Some("c".to_owned()), name: name.to_owned(), args: args.as_object().unwrap().clone() }
    }

    fn judge(structured: &Structured, text: &str, calls: &mut Vec<ToolCall>) -> Judged {
        let message = Message::ai(Content::Text(text.to_owned()), calls.clone(), None);
        structured.judge(&message, calls, true, &mut Ids::new(Stamp { now_ns: 0, seed: 1 }))
    }

    #[test]
    fn the_providers_own_means_are_taken_where_there_are_some() {
        for (model, tool) in [
            ("openai:gpt-4o-mini", false),
            ("openai:ft:gpt-4o:x::y", false),
            ("openai:gpt-4", true),
            ("anthropic:claude-sonnet-4-5-20250929", false),
            ("anthropic:claude-3-haiku", true),
            ("ollama:llama3", true),
        ] {
            assert_eq!(structured(Strategy::Auto, model).tool().is_some(), tool, "{model}");
            assert!(structured(Strategy::Tool, model).tool().is_some());
            assert!(structured(Strategy::Provider, model).tool().is_none());
        }
    }

    #[test]
    fn another_model_may_need_another_way() {
        let by_tool = structured(Strategy::Auto, "ollama:llama3");
        let other = ModelRef { provider: "openai".to_owned(), model: "gpt-4o".to_owned() };
        assert!(by_tool.of(&other).tool().is_none());
        assert_eq!(by_tool.request(), ResponseFormat::AnyTool);
    }

    #[test]
    fn a_call_that_fits_is_the_answer_and_other_calls_stay() {
        let structured = structured(Strategy::Tool, "ollama:m");
        let mut calls = vec![call("ls", &json!({"path": "/"})), call("Ans", &json!({"score": 2}))];
        let judged = judge(&structured, "", &mut calls);
        assert_eq!(judged.value, Some(json!({"score": 2})));
        assert_eq!(judged.answers[0].text(""), "Returning structured response: {'score': 2}");
        assert_eq!(calls.len(), 1);
    }

    #[test]
    fn wrong_answers_are_errors_with_the_reason() {
        let tool = structured(Strategy::Tool, "ollama:m");
        let judged = judge(&tool, "", &mut vec![call("Ans", &json!({"score": -1}))]);
        assert_eq!(
            judged.answers[0].text(""),
            "Error: Failed to parse structured output for tool 'Ans': score: expected a number greater than or equal \
             to 0, found -1.\n Please fix your mistakes."
        );
        assert!(matches!(judged.answers[0].kind, Kind::Tool { status: ToolStatus::Error, .. }));
        let two = vec![call("Ans", &json!({"score": 1})), call("Ans", &json!({"score": 2}))];
        assert_eq!(judge(&tool, "", &mut two.clone()).answers.len(), 2);
        assert!(judge(&tool, "just text", &mut Vec::new()).rejected.is_some());

        let provider = structured(Strategy::Provider, "openai:gpt-4o");
        assert_eq!(judge(&provider, " {\"score\": 3}\n", &mut Vec::new()).value, Some(json!({"score": 3})));
        for text in ["{\"score\": -3}", "sorry", ""] {
            let judged = judge(&provider, text, &mut Vec::new());
            assert!(matches!(judged.answers[0].kind, Kind::Human), "{text}");
        }
        assert!(judge(&provider, "", &mut vec![call("ls", &json!({}))]).rejected.is_none());
    }

    #[test]
    fn wrong_answers_are_counted_by_turn_since_the_users_message() {
        let tool = structured(Strategy::Tool, "ollama:m");
        let ai = |calls: Vec<ToolCall>| Arc::new(Message::ai(Content::Text(String::new()), calls, None));
        let mut history = vec![Arc::new(Message::human("old", "1"))];
        for _ in 0..2 {
            let mut calls = vec![call("Ans", &json!({})), call("Ans", &json!({}))];
            history.push(ai(calls.clone()));
            history.extend(judge(&tool, "", &mut calls).answers);
        }
        assert_eq!(tool.wrong_answers(&history), 2);
        history.push(ai(Vec::new()));
        history.extend(judge(&tool, "text", &mut Vec::new()).answers);
        assert_eq!(tool.wrong_answers(&history), 3);
        history.push(Arc::new(Message::human("new", "2")));
        assert_eq!(tool.wrong_answers(&history), 0);
    }
}
