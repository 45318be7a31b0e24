//! The shapes that leave and enter as types, from which JSON Schema and OpenAPI are made.
//!
//! Events and results are written by hand for speed (see [`crate::stream`], [`crate::ResultEvent`]); tests read what
//! those write into these types and back, so that neither can change alone.

use std::collections::BTreeMap;

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A job, as the body of `POST /invoke`, the `data` of a CloudEvent, or a bare NATS message. Members that are not
/// named here are ignored; null counts as absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Job")]
pub struct Job {
    /// Unique over all jobs. The same id again is the same job.
    #[schemars(regex(pattern = r"^\s*[A-Za-z0-9_-]{1,128}\s*$"))]
    pub job_id: String,
    /// The conversation; the job's id where it is absent.
    #[schemars(regex(pattern = r"^\s*([A-Za-z0-9._:@-]{1,255}\s*)?$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// The trace it belongs to; any text, which is hashed where it is not hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Agents, tools and models; empty: the default definition, where the worker has one.
    pub agent_definition: Map<String, Value>,
    /// `messages`, `files`, `instructions`, `context`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_payload: Option<Map<String, Value>>,
    /// Super-steps of the main graph.
    #[schemars(range(min = 1, max = 9999))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recursion_limit: Option<u32>,
    /// Seconds from admission.
    #[schemars(extend("exclusiveMinimum" = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<f64>,
    /// Model calls over all agents.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_model_calls: Option<u64>,
    /// Tokens over all agents.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Takes the place of the orchestrator's model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
}

/// A model of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Model")]
pub struct ModelName {
    /// `openai`, `anthropic`, `ollama`.
    #[schemars(regex(pattern = r"\S"))]
    pub provider: String,
    /// The provider's name for it.
    #[schemars(regex(pattern = r"\S"))]
    pub model: String,
}

/// A job around which a structured CloudEvent lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobEvent {
    /// `1.0`.
    #[schemars(extend("const" = "1.0"))]
    pub specversion: String,
    /// Any; `dev.my-platform.agent.execute` by custom.
    #[schemars(length(min = 1))]
    pub r#type: String,
    /// Any.
    #[schemars(length(min = 1))]
    pub source: String,
    /// Any.
    #[schemars(length(min = 1))]
    pub id: String,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// The job.
    pub data: Job,
}

/// A file of the virtual file system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct File {
    /// Lines, to be joined by LF; or one string (`WIRE_FILE_CONTENT=string`).
    pub content: FileText,
    /// `utf-8`, or `base64` for bytes.
    pub encoding: String,
    /// ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<String>,
    /// What a job's input brought besides.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Content of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FileText {
    /// Split at LF.
    Lines(Vec<String>),
    /// As it is.
    Text(String),
}

/// Files by path.
pub type Files = BTreeMap<String, File>;

/// The result CloudEvent, published on `agent.status.completed` and `agent.status.failed` and answered by `POST /`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Result")]
pub struct ResultShape {
    /// `1.0`.
    pub specversion: String,
    /// `dev.my-platform.agent.completed` or `dev.my-platform.agent.failed`.
    pub r#type: String,
    /// `agent-executor-service`.
    pub source: String,
    /// The job; `unknown` where a message held no job id.
    pub subject: String,
    /// The same for a job however often it is sent: drop repeats by it.
    pub id: String,
    /// W3C trace context.
    pub traceparent: String,
    /// W3C trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
    /// How the job ended.
    pub data: Outcome,
}

/// `result` or `error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// The job.
    pub job_id: String,
    /// It completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Completed>,
    /// It did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failed>,
}

/// What a completed job gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Completed {
    /// Content of the last message: a string, a list of blocks, or null.
    pub output: Value,
    /// `completed`.
    pub status: String,
    /// The structured answer, where the definition asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured_response: Option<Value>,
    /// The files at the end; absent where they were too large for a message (`files_omitted` says where they are).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Files>,
    /// Count, bytes and `href` of files that were left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files_omitted: Option<Map<String, Value>>,
    /// Tokens and calls over all agents.
    pub usage: Usage,
    /// Codes of what the caller should know nevertheless.
    pub warnings: Vec<String>,
    /// Whether `output` was cut to fit a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_truncated: Option<bool>,
    /// `STREAM_COMPAT=python`: the files once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_state: Option<Map<String, Value>>,
}

/// What a job has cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// Calls that were answered.
    pub model_calls: u64,
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failed {
    /// For people.
    pub message: String,
    /// `ExecutionError`, `GraphBuilderError`, `ValidationError`, `Cancelled`, `DeadlineExceeded`, `BudgetExceeded`,
    /// `PoisonJob`.
    pub r#type: String,
    /// Always empty.
    pub stack_trace: String,
    /// Stable.
    pub code: String,
}

/// An event of a thread: a frame of the WebSocket, a message of the channel; over Server-Sent Events `event` and `data`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event_type", content = "data")]
pub enum Event {
    /// The state after a super-step. What did not change since the last update may be absent.
    #[serde(rename = "on_state_update")]
    StateUpdate(StateUpdate),
    /// A piece of what a model says.
    #[serde(rename = "on_llm_stream")]
    LlmStream(LlmStream),
    /// A tool is about to run.
    #[serde(rename = "on_tool_start")]
    ToolStart(ToolStart),
    /// A tool's result is durable.
    #[serde(rename = "on_tool_end")]
    ToolEnd(ToolEnd),
    /// The job failed.
    #[serde(rename = "error")]
    Error(ErrorEvent),
    /// The last event of a job.
    #[serde(rename = "end")]
    End(End),
    /// Numbers that are lost on this way.
    #[serde(rename = "gap")]
    Gap(Gap),
    /// What does not count any more.
    #[serde(rename = "attempt_superseded")]
    AttemptSuperseded(AttemptSuperseded),
}

/// The members that every event but `gap` has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Common {
    /// Ascends over all jobs of the thread.
    pub seq: u64,
    /// The job.
    pub job_id: String,
    /// Rises when another worker takes over.
    pub epoch: i64,
    /// The super-step.
    pub step: i64,
    /// The attempt of this step, from 1.
    pub attempt: u32,
    /// The sub-agent; absent for the orchestrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Its checkpoint namespace; absent for the orchestrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ns: Option<String>,
}

macro_rules! event {
    ($(#[doc = $about:literal])+ $name:ident { $($(#[$meta:meta])+ $member:ident: $kind:ty,)* }) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
        pub struct $name {
            /// What every event has.
            #[serde(flatten)]
            pub common: Common,
            $($(#[$meta])+ pub $member: $kind,)*
        }
    };
}

event! {
    /// `on_state_update`: complete after the input and in the last update before `end`.
    StateUpdate {
        /// `STREAM_COMPAT=python`: Python's text of the messages.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        messages: Option<String>,
        /// The whole list.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        messages_json: Option<Vec<Message>>,
        /// All files by path.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        files: Option<Files>,
        /// The whole list.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        todos: Option<Value>,
    }
}
event! {
    /// `on_llm_stream`
    LlmStream {
        /// Text of the answer; may be empty beside `thinking`.
        content: String,
        /// Text of the thinking.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thinking: Option<String>,
        /// The node that speaks.
        node: String,
        /// The message that it belongs to.
        message_id: String,
        /// `summarization` where a summary is written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<String>,
        /// `STREAM_COMPAT=python`: Python's text of the piece.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raw_event: Option<String>,
    }
}
event! {
    /// `on_tool_start`
    ToolStart {
        /// The call.
        id: String,
        /// The tool.
        name: String,
        /// As the model gave them.
        args: Map<String, Value>,
    }
}
event! {
    /// `on_tool_end`
    ToolEnd {
        /// The call.
        id: String,
        /// The tool.
        name: String,
        /// As stored in the thread.
        output: String,
        /// `success` or `error`.
        status: String,
        /// From start to result.
        duration_ms: u64,
        /// `output` is a sub-agent's text from before its end, since its last message was empty.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        interim: Option<bool>,
    }
}
event! {
    /// `error`
    ErrorEvent {
        /// What went wrong.
        error: ErrorText,
        /// `execution_failed`.
        context: String,
    }
}
event! {
    /// `end`. With `STREAM_COMPAT=python` its `data` is an empty object.
    End {
        /// `completed` or `failed`.
        status: String,
    }
}
event! {
    /// `attempt_superseded`: with `message_id` the text of that message does not count from `from_seq` on; without it
    /// no event does.
    AttemptSuperseded {
        /// From here on.
        from_seq: u64,
        /// Only this message's text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message_id: Option<String>,
    }
}

/// `gap`: `GET /threads/{thread_id}/events` has what is missing, unless it was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// As `to_seq`.
    pub seq: u64,
    /// The conversation.
    pub thread_id: String,
    /// The first number that is missing.
    pub from_seq: u64,
    /// The last one.
    pub to_seq: u64,
}

/// An error in a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorText {
    /// As in the result's `error`.
    pub r#type: String,
    /// Stable.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A message of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// `human`, `ai`, `tool`, `system`.
    pub r#type: String,
    /// A string, or a list of blocks.
    pub content: Value,
    /// Its id.
    pub id: Option<String>,
    /// Its author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Tools that the model calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Vec<Map<String, Value>>>,
    /// The call that a tool message answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// `success` or `error` of a tool message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// The published schemas: name and JSON Schema (2020-12).
pub fn published() -> Vec<(&'static str, Value)> {
    let of = |schema: schemars::Schema| schema.to_value();
    let generator = || SchemaGenerator::new(SchemaSettings::draft2020_12());
    vec![
        ("job", of(generator().into_root_schema_for::<Job>())),
        ("result", of(generator().into_root_schema_for::<ResultShape>())),
        ("event", of(generator().into_root_schema_for::<Event>())),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use agent_executor_core::AgentLabel;
    use agent_langgraph_codec as codec;
    use serde_json::json;

    use super::*;
    use crate::{FileForm, JobResult, ResultEvent, stream};

    /// Nothing may be lost on the way through the type and back.
    fn same<T: Serialize + for<'de> Deserialize<'de>>(text: &[u8]) {
        let given: Value = serde_json::from_slice(text).unwrap();
        let read: T =
            serde_json::from_value(given.clone()).unwrap_or_else(|error| panic!("{error}: {given}"));
        assert_eq!(serde_json::to_value(&read).unwrap(), given);
    }

    #[test]
    fn every_event_that_is_written_is_one_of_the_schema() {
        let label = AgentLabel { agent: Arc::from("sub"), ns: Arc::from("tools:1") };
        let of = |label| stream::Common { seq: 1, job_id: "j", epoch: 1, step: -1, attempt: 1, label };
        let call = codec::ToolCall { name: "ls".into(), args: Map::new(), id: Some("c".into()) };
        let messages = [
            codec::Message::human("hi", "1"),
            codec::Message::ai(codec::Content::Blocks(vec![json!({"type": "text"})]), vec![call], None),
            codec::Message::tool(codec::Content::Text("x".into()), "ls", "c", codec::ToolStatus::Error, "2"),
        ];
        let texts: Vec<String> = messages.iter().map(stream::message_json).collect();
        let file = codec::FileData {
            content: codec::FileContent::Text("a\nb".into()),
            encoding: None,
            created_at: Some("2025-01-01T00:00:00+00:00".into()),
            modified_at: None,
            extra: [("type".to_owned(), json!("markdown"))].into_iter().collect(),
        };
        let files = codec::Files::from([("/a".to_owned(), Arc::new(file))]);
        let todos = json!([{ "content": "x", "status": "pending" }]);
        for common in [of(None), of(Some(&label))] {
            let all = Some(texts.iter().map(String::as_str));
            for form in [FileForm::Lines, FileForm::String] {
                same::<Event>(&stream::state_update(&common, all.clone(), Some(&files), Some(&todos), form));
            }
            let none: Option<std::iter::Empty<&str>> = None;
            same::<Event>(&stream::state_update(&common, none, None, None, FileForm::Lines));
            same::<Event>(&stream::llm_stream(&common, "a", Some("b"), "model", "m", Some("summarization")));
            same::<Event>(&stream::llm_stream(&common, "a", None, "model", "m", None));
            same::<Event>(&stream::tool_start(&common, "c", "ls", &Map::new()));
            for interim in [false, true] {
                let status = codec::ToolStatus::Success;
                same::<Event>(&stream::tool_end(&common, "c", "ls", "x", status, 3, interim));
            }
            same::<Event>(&stream::error(&common, "ExecutionError", "model.refused", "no"));
            same::<Event>(&stream::end(&common, true));
            same::<Event>(&stream::attempt_superseded(&common, 5, Some("m")));
            same::<Event>(&stream::attempt_superseded(&common, 5, None));
        }
        same::<Event>(&stream::gap("t", 1, 2));
    }

    #[test]
    fn every_result_that_is_written_is_one_of_the_schema() {
        let completed = JobResult::Completed {
            output: json!("done"),
            structured_response: Some(json!({ "answer": 42 })),
            files: Arc::default(),
            usage: agent_executor_core::Usage::default(),
            model_calls: 2,
            warnings: vec!["output.empty"],
        };
        let failed =
            JobResult::Failed { kind: "Cancelled".into(), code: "job.cancelled".into(), message: "x".into() };
        for result in [completed, failed] {
            same::<ResultShape>(&ResultEvent::new("j", &result, None, 7, FileForm::Lines).body);
        }
    }

    #[test]
    fn the_committed_schemas_are_those_of_the_code() {
        for (name, schema) in published() {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/schemas/{name}.json"));
            let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
            if std::env::var_os("UPDATE_DOCS").is_some() {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, &text).unwrap();
            }
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == text,
                "docs/schemas/{name}.json is old; UPDATE_DOCS=1 cargo test -p agent-wire writes it"
            );
        }
    }
}
