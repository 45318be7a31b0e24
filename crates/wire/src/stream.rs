//! Stream events (wire contract 6.1): one encoding for the channel, the WebSocket, Server-Sent Events and the journal.
//!
//! Each function gives the whole text `{"event_type":…,"data":{…}}`.

use agent_executor_core::AgentLabel;
use agent_langgraph_codec::{Content, Files, Kind, Message, ToolCall, ToolStatus};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::files::{self, FileForm};
use crate::json::{self, Object};

/// The members that every event has.
#[derive(Debug, Clone, Copy)]
pub struct Common<'a> {
    /// Ascending per thread over all of its jobs, gap-free or with a marker.
    pub seq: u64,
    /// The job.
    pub job_id: &'a str,
    /// The lease's epoch: rises when another worker takes over.
    pub epoch: i64,
    /// LangGraph's step.
    pub step: i64,
    /// Attempt of this step, from 1.
    pub attempt: u32,
    /// Which sub-agent; `None` for the orchestrator.
    pub label: Option<&'a AgentLabel>,
}

/// Writes one event; `members` adds what only this kind has.
fn event(event_type: &str, common: &Common<'_>, room: usize, members: impl FnOnce(&mut Object<'_>)) -> Bytes {
    let mut out = Vec::with_capacity(room + 256);
    let mut envelope = Object::open(&mut out);
    envelope.text("event_type", event_type);
    let mut data = Object::open(envelope.key("data"));
    data.uint("seq", common.seq);
    data.text("job_id", common.job_id);
    json::int(data.key("epoch"), common.epoch);
    json::int(data.key("step"), common.step);
    data.uint("attempt", u64::from(common.attempt));
    if let Some(label) = common.label {
        data.text("agent", &label.agent);
        data.text("ns", &label.ns);
    }
    members(&mut data);
    data.close();
    envelope.close();
    Bytes::from(out)
}

/// One message as it stands in `messages_json`: `{type, content, id, name?, tool_calls?, tool_call_id?, status?}`.
/// Messages never change: keep this text and give it to [`state_update`] again.
pub fn message_json(message: &Message) -> String {
    let mut out = Vec::with_capacity(256);
    let mut object = Object::open(&mut out);
    object.text("type", message.type_name());
    match &message.content {
        Content::Text(text) => object.text("content", text),
        Content::Blocks(blocks) => json::array(object.key("content"), blocks, json::value),
    }
    match &message.id {
        Some(id) => object.text("id", id),
        None => object.raw("id", b"null"),
    }
    if let Some(name) = &message.name {
        object.text("name", name);
    }
    match &message.kind {
        Kind::Ai { tool_calls, .. } if !tool_calls.is_empty() => {
            json::array(object.key("tool_calls"), tool_calls, tool_call);
        }
        Kind::Tool { tool_call_id, status, .. } => {
            object.text("tool_call_id", tool_call_id);
            object.text("status", status_word(*status));
        }
        Kind::Ai { .. } | Kind::Human | Kind::System | Kind::Remove | Kind::Chat { .. } | Kind::Function => {}
    }
    object.close();
    // Only `str`s and ASCII were written.
    String::from_utf8(out).unwrap_or_default()
}

fn tool_call(out: &mut Vec<u8>, call: &ToolCall) {
    let mut object = Object::open(out);
    object.text("name", &call.name);
    json::map(object.key("args"), &call.args);
    match &call.id {
        Some(id) => object.text("id", id),
        None => object.raw("id", b"null"),
    }
    object.text("type", "tool_call");
    object.close();
}

const fn status_word(status: ToolStatus) -> &'static str {
    match status {
        ToolStatus::Success => "success",
        ToolStatus::Error => "error",
    }
}

/// `on_state_update`: the state after a super-step. A member that is `None` did not change and is left out;
/// `messages` are texts of [`message_json`].
pub fn state_update<'m>(
    common: &Common<'_>,
    messages: Option<impl Iterator<Item = &'m str>>,
    files: Option<&Files>,
    todos: Option<&Value>,
    form: FileForm,
) -> Bytes {
    event("on_state_update", common, 2048, |data| {
        if let Some(messages) = messages {
            let raw = |out: &mut Vec<u8>, text: &str| out.extend_from_slice(text.as_bytes());
            json::array(data.key("messages_json"), messages, raw);
        }
        if let Some(files) = files {
            files::write(data.key("files"), files, form);
        }
        if let Some(todos) = todos {
            json::value(data.key("todos"), todos);
        }
    })
}

/// `on_llm_stream`: a piece of what a model says. `content` may be empty beside `thinking`; `source` is
/// `summarization` for summary calls.
pub fn llm_stream(
    common: &Common<'_>,
    content: &str,
    thinking: Option<&str>,
    node: &str,
    message_id: &str,
    source: Option<&str>,
) -> Bytes {
    event("on_llm_stream", common, content.len(), |data| {
        data.text("content", content);
        if let Some(thinking) = thinking {
            data.text("thinking", thinking);
        }
        data.text("node", node);
        data.text("message_id", message_id);
        if let Some(source) = source {
            data.text("source", source);
        }
    })
}

/// `on_tool_start`: a tool is about to run.
pub fn tool_start(common: &Common<'_>, id: &str, name: &str, args: &Map<String, Value>) -> Bytes {
    event("on_tool_start", common, 256, |data| {
        data.text("id", id);
        data.text("name", name);
        json::map(data.key("args"), args);
    })
}

/// `on_tool_end`: a tool's result is durable. `output` is the text as stored in the thread; `interim` says that it is
/// a sub-agent's text from before its end, since its last message was empty.
pub fn tool_end(
    common: &Common<'_>,
    id: &str,
    name: &str,
    output: &str,
    status: ToolStatus,
    duration_ms: u64,
    interim: bool,
) -> Bytes {
    event("on_tool_end", common, output.len() + 64, |data| {
        data.text("id", id);
        data.text("name", name);
        data.text("output", output);
        data.text("status", status_word(status));
        data.uint("duration_ms", duration_ms);
        if interim {
            data.raw("interim", b"true");
        }
    })
}

/// `error`: the job failed. On the channel an `end` follows.
pub fn error(common: &Common<'_>, kind: &str, code: &str, message: &str) -> Bytes {
    event("error", common, message.len() + 64, |data| {
        let mut error = Object::open(data.key("error"));
        error.text("type", kind);
        error.text("code", code);
        error.text("message", message);
        error.close();
        data.text("context", "execution_failed");
    })
}

/// `end`: the last event of a job.
pub fn end(common: &Common<'_>, completed: bool) -> Bytes {
    event("end", common, 0, |data| {
        data.text("status", if completed { "completed" } else { "failed" });
    })
}

/// `attempt_superseded`: what does not count any more. With `message_id`: the text of this message from `from_seq` on,
/// since another attempt of its call begins. Without: every event from `from_seq` on, since the worker that sent them
/// was lost before they were durable.
pub fn attempt_superseded(common: &Common<'_>, from_seq: u64, message_id: Option<&str>) -> Bytes {
    event("attempt_superseded", common, 0, |data| {
        data.uint("from_seq", from_seq);
        if let Some(message_id) = message_id {
            data.text("message_id", message_id);
        }
    })
}

/// What a super-step changed of an agent's state, as the journal keeps it: see [`crate::journal`].
#[derive(Debug)]
pub struct StateChange<'a> {
    /// The agent begins with the orchestrator's files and nothing else.
    pub begins: bool,
    /// How many messages stay at the front, and the texts of [`message_json`] that follow them.
    pub messages: Option<(usize, Vec<&'a str>)>,
    /// Files that are new or other.
    pub files: Option<Files>,
    /// Paths that are gone.
    pub gone: Vec<&'a str>,
    /// The whole list.
    pub todos: Option<&'a Value>,
}

/// The journal's form of [`state_update`].
pub fn state_change(common: &Common<'_>, change: &StateChange<'_>, form: FileForm) -> Bytes {
    event("on_state_update", common, 512, |data| {
        let mut object = Object::open(data.key("change"));
        if change.begins {
            object.raw("begins", b"true");
        }
        if let Some((keep, add)) = &change.messages {
            object.uint("keep", u64::try_from(*keep).unwrap_or(u64::MAX));
            let raw = |out: &mut Vec<u8>, text: &str| out.extend_from_slice(text.as_bytes());
            json::array(object.key("add"), add.iter().copied(), raw);
        }
        if let Some(files) = &change.files {
            files::write(object.key("files"), files, form);
            json::array(object.key("gone"), change.gone.iter().copied(), json::string);
        }
        if let Some(todos) = change.todos {
            json::value(object.key("todos"), todos);
        }
        object.close();
    })
}

/// `gap`: the events `from_seq` to `to_seq` were dropped on this channel; `/threads/{id}/events` has them. It stands
/// in for events of which nothing is known any more, so it has neither job nor step.
pub fn gap(thread_id: &str, from_seq: u64, to_seq: u64) -> Bytes {
    let mut out = Vec::with_capacity(160);
    let mut envelope = Object::open(&mut out);
    envelope.text("event_type", "gap");
    let mut data = Object::open(envelope.key("data"));
    data.uint("seq", to_seq);
    data.text("thread_id", thread_id);
    data.uint("from_seq", from_seq);
    data.uint("to_seq", to_seq);
    data.close();
    envelope.close();
    Bytes::from(out)
}
