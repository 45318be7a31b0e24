//! How a run ends.

use agent_langgraph_codec::Content;
use serde_json::Value;

use super::{ORCHESTRATOR, Run};
use crate::StreamEvent;
use crate::effect::Outcome;

impl Run {
    /// The orchestrator came to its end.
    pub(super) fn complete(&mut self) {
        let Some(agent) = self.agents.get(&ORCHESTRATOR) else { return };
        let output = agent.graph.messages.last().map_or(Value::Null, |message| match &message.content {
            Content::Text(text) => Value::String(text.clone()),
            Content::Blocks(blocks) => Value::Array(blocks.clone()),
        });
        let asked = agent.spec.structured.is_some();
        let structured_response = asked.then(|| agent.graph.structured_response().cloned()).flatten();
        let files = agent.graph.files.clone();
        if let Some(missing) =
            self.setup.compiled.definition.required_files.iter().find(|path| !files.contains_key(*path))
        {
            let message = format!("the definition requires the file `{missing}`, which was not written");
            return self.end("ExecutionError", "result.requirement", message);
        }
        let text = agent.graph.messages.last().map(|message| message.text("")).unwrap_or_default();
        let mut refused = self.setup.compiled.refused_outputs.iter();
        if let Some((pattern, _)) = refused.find(|(_, regex)| regex.is_match(&text)) {
            let message = format!("the output matches `{pattern}`, which the definition counts as a failure");
            return self.end("ExecutionError", "result.requirement", message);
        }
        let last = agent.graph.messages.last().and_then(|message| super::stops::last_stop(message));
        let empty = text.trim().is_empty().then_some("output.empty");
        let warnings = empty.into_iter().chain(last).chain(std::mem::take(&mut self.warnings)).collect();
        self.emit(ORCHESTRATOR, StreamEvent::End { completed: true });
        self.outcome = Some(Outcome::Completed { output, structured_response, files, warnings });
    }

    /// The job ends without success. What is committed stays; open calls are healed by the thread's next job.
    pub(super) fn end(&mut self, kind: &'static str, code: &'static str, message: String) {
        if self.outcome.is_some() {
            return;
        }
        let message = match kind {
            "ExecutionError" => format!("Graph execution failed: {message}"),
            _ => message,
        };
        let told = StreamEvent::Error { kind, code: code.to_owned(), message: message.clone() };
        self.emit(ORCHESTRATOR, told);
        self.emit(ORCHESTRATOR, StreamEvent::End { completed: false });
        self.outcome = Some(Outcome::Failed { kind, code, message });
    }
}
