//! What the launcher told, as the machine and the model are told it.

use std::sync::Arc;

use agent_executor_core::ToolResult;
use agent_langgraph_codec::{Content, Encoding, FileContent, FileData, ToolStatus};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::launch::{Outcome, Report};
use super::settings::ScriptLimits;

const MIB: u64 = 1 << 20;

#[derive(Deserialize)]
struct Answer {
    content: Value,
    status: String,
    files: Map<String, Value>,
    values: Map<String, Value>,
}

/// An error text.
pub(super) fn failed(text: String) -> ToolResult {
    ToolResult {
        content: Content::Text(text),
        status: ToolStatus::Error,
        files: Vec::new(),
        values: Map::new(),
    }
}

/// The result of a call.
pub(super) fn from_report(tool: &str, report: &Report, reply: &[u8], limits: &ScriptLimits) -> ToolResult {
    if report.outcome != Outcome::Reply {
        return failed(format!("Error: script `{tool}` was ended: {}", ended(report, limits)));
    }
    let Ok(answer) = serde_json::from_slice::<Answer>(reply) else {
        return failed(format!("Error: script `{tool}` gave no answer that can be read"));
    };
    let size = answer.content.as_str().map_or_else(|| answer.content.to_string().len(), str::len);
    if size > limits.result_bytes {
        return failed(format!(
            "Error: script `{tool}`: its result of {size} bytes is over {}",
            result(limits)
        ));
    }
    let status = if answer.status == "error" { ToolStatus::Error } else { ToolStatus::Success };
    let mut content = match answer.content {
        Value::String(text) => Content::Text(text),
        Value::Array(blocks) => Content::Blocks(blocks),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            Content::Text(other.to_string())
        }
    };
    if let (Content::Text(text), ToolStatus::Error, 1..) = (&mut content, status, report.forks_refused) {
        text.push_str(&format!(" ({})", processes(limits)));
    }
    let files = answer.files.into_iter().map(|(path, record)| (path, file(record))).collect();
    // The runner takes these out of what a tool returns; but it shares its process with the script.
    let values = answer.values.into_iter().filter(|(channel, _)| !reserved(channel)).collect();
    ToolResult { content, status, files, values }
}

/// Channels that are not a script's to write as a whole: the conversation, the files, what LangGraph itself keeps.
fn reserved(channel: &str) -> bool {
    matches!(channel, "messages" | "files") || channel.starts_with('_') || channel.starts_with("branch:")
}

/// What ended the script, for the model and for people.
pub(super) fn ended(report: &Report, limits: &ScriptLimits) -> String {
    match report.outcome {
        Outcome::Wall => format!("it took longer than its {} s", limits.wall.as_secs_f64()),
        Outcome::Cpu => format!("it used more than its {} s of CPU time", limits.cpu.as_secs()),
        Outcome::Memory => format!("it used more than its {} MiB of memory", limits.memory_bytes / MIB),
        Outcome::Processes => processes(limits),
        Outcome::Folder => {
            format!("its working folder holds more than its {} MiB", limits.folder_bytes / MIB)
        }
        Outcome::Result => format!("its result of {} is over {}", report.detail, result(limits)),
        Outcome::Died => format!("its process ended with {}", report.detail),
        Outcome::Ready | Outcome::Refused | Outcome::Reply => report.detail.clone(),
    }
}

fn processes(limits: &ScriptLimits) -> String {
    format!("it wanted more than its {} processes", limits.processes)
}

fn result(limits: &ScriptLimits) -> String {
    format!("the limit of {} KiB", limits.result_bytes / 1024)
}

/// A file as the runner writes it; null deletes. The runner has checked the content's form, but it shares its
/// process with the script, so that anything may come.
fn file(record: Value) -> Option<Arc<FileData>> {
    let Value::Object(mut record) = record else { return None };
    let mut text = |name: &str| match record.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let (created_at, modified_at) = (text("created_at"), text("modified_at"));
    let encoding =
        text("encoding").map(|name| if name == "base64" { Encoding::Base64 } else { Encoding::Utf8 });
    let content = match record.remove("content") {
        Some(Value::String(text)) => FileContent::Text(text),
        Some(Value::Array(lines)) => FileContent::Lines(
            lines.iter().map(|line| line.as_str().unwrap_or_default().to_owned()).collect(),
        ),
        Some(_) | None => FileContent::Text(String::new()),
    };
    Some(Arc::new(FileData { content, encoding, created_at, modified_at, extra: record }))
}
