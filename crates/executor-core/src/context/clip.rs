//! The last resort: tool results at the end of a conversation that does not fit are moved out or cut.

use std::sync::Arc;

use agent_langgraph_codec::{Content, FileData, Files, Kind, Message};
use serde_json::Value;

use super::with_content;
use crate::tools::{eviction, first_chars};

/// Characters that are left of what `read_file` gave; the file is there anyway.
const LEFT: usize = 4_000;

/// What clipping made of a conversation.
pub(crate) struct Clipped {
    pub(crate) messages: Vec<Arc<Message>>,
    /// The changed messages, each under its id.
    pub(crate) replaced: Vec<Arc<Message>>,
    pub(crate) files: Vec<(String, FileData)>,
}

/// Clips the tool results that the conversation ends with. `None`: it does not end with any, or they are short
/// already.
pub(crate) fn tail(messages: &[Arc<Message>], files: &Files, now: &str) -> Option<Clipped> {
    let rest = messages.iter().rev().take_while(|message| matches!(message.kind, Kind::Tool { .. })).count();
    let start = messages.len() - rest;
    let mut clipped = Clipped { messages: messages.to_vec(), replaced: Vec::new(), files: Vec::new() };
    for message in clipped.messages.iter_mut().skip(start) {
        let Kind::Tool { tool_call_id, .. } = &message.kind else { continue };
        let content = match path_read(messages, tool_call_id) {
            Some(path) => cut(&message.content, path),
            // What was moved out already must not take the place of the file that it points to.
            None if is_pointer(&message.content, &eviction::path_of(tool_call_id), files) => continue,
            None => {
                let (path, file, pointer) = eviction::move_out(tool_call_id, &message.content, now);
                clipped.files.push((path, file));
                pointer
            }
        };
        *message = with_content(message, content);
        clipped.replaced.push(message.clone());
    }
    (!clipped.replaced.is_empty()).then_some(clipped)
}

/// The path that this call of `read_file` named.
fn path_read<'a>(messages: &'a [Arc<Message>], call_id: &str) -> Option<&'a str> {
    let calls = messages.iter().rev().flat_map(|message| message.tool_calls());
    let call = calls.into_iter().find(|call| call.id.as_deref() == Some(call_id))?;
    let path = call.args.get("file_path").and_then(Value::as_str).filter(|path| !path.is_empty());
    path.filter(|_| call.name == "read_file")
}

fn cut(content: &Content, path: &str) -> Content {
    let text = eviction::text_of_content(content);
    let left = first_chars(&text, LEFT);
    Content::Text(format!(
        "{left}\n\n[Output was truncated due to context window size limits. The full content is at {path}. \
         Use read_file with offset and limit parameters to retrieve specific portions. For example, to read the \
         first 100 lines, call read_file with file_path='{path}', offset=0, limit=100.]"
    ))
}

fn is_pointer(content: &Content, path: &str, files: &Files) -> bool {
    let text = eviction::text_of_content(content);
    files.contains_key(path) && text.starts_with("Tool result too large") && text.contains(path)
}

#[cfg(test)]
mod tests {
    use agent_langgraph_codec::{ToolCall, ToolStatus};
    use serde_json::json;

    use super::*;

    fn thread(results: &[(&str, &str)]) -> Vec<Arc<Message>> {
        let call = |(id, name): (&str, &str)| ToolCall {
            id: Some(id.to_owned()),
            name: name.to_owned(),
            args: json!({"file_path": "/f.txt"}).as_object().unwrap().clone(),
        };
        let calls = vec![call(("r", "read_file")), call(("o", "own"))];
        let mut thread = vec![Arc::new(Message::ai(Content::Text(String::new()), calls, None))];
        thread.extend(results.iter().map(|(id, text)| {
            let content = Content::Text((*text).to_owned());
            Arc::new(Message::tool(content, "t", *id, ToolStatus::Success, format!("m-{id}")))
        }));
        thread
    }

    #[test]
    fn files_are_cut_and_other_results_moved_out() {
        let long = "x".repeat(60_000);
        let messages = thread(&[("r", &long), ("o", &long)]);
        let clipped = tail(&messages, &Files::new(), "T").unwrap();
        let texts: Vec<String> = clipped.messages.iter().map(|message| message.text("")).collect();
        assert!(
            texts[1].starts_with(&"x".repeat(4_000)) && texts[1].contains("The full content is at /f.txt.")
        );
        assert!(texts[2].starts_with("Tool result too large, the result of this tool call o was saved"));
        let ids: Vec<&str> = clipped.replaced.iter().filter_map(|message| message.id.as_deref()).collect();
        assert_eq!(ids, ["m-r", "m-o"]);
        assert_eq!(
            (clipped.files[0].0.as_str(), clipped.files[0].1.text().len()),
            ("/large_tool_results/o", 60_000)
        );
    }

    #[test]
    fn a_pointer_never_takes_its_files_place() {
        let messages = thread(&[("o", &"x".repeat(10))]);
        let clipped = tail(&messages, &Files::new(), "T").unwrap();
        let (path, file) = clipped.files.into_iter().next().unwrap();
        let files = Files::from([(path, Arc::new(file))]);
        assert!(tail(&clipped.messages, &files, "T").is_none());
        assert!(tail(&messages[..1], &files, "T").is_none(), "no result at the end");
    }
}
