//! Results too large for the history: kept as a file, with a note and a preview in the history.

use agent_langgraph_codec::{Content, Encoding, FileData};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::lines::python_lines;
use super::write_file::record;
use super::{ToolAnswer, limits};

/// Text longer than this many code points is moved to a file.
pub const LARGE_RESULT: usize = limits::LONGEST;

/// Directory of the files that hold large results.
pub const DIRECTORY: &str = "/large_tool_results";

/// Tools that keep their results small themselves, or whose results are files already.
const EXEMPT: &[&str] = &["ls", "glob", "grep", "read_file", "edit_file", "write_file", "delete"];

/// Lines of the preview, of each end where the middle is left out, and characters of a line.
const PREVIEW_LINES: usize = 10;
const PREVIEW_END: usize = 5;
const PREVIEW_WIDTH: usize = 1000;

/// Longest call id that serves as a file name, in bytes, and longest that is shown, in characters.
const LONGEST_NAME: usize = 128;
const LONGEST_SHOWN: usize = 32;

/// Moves a result with more than [`LARGE_RESULT`] characters of text to a file: the file's path, its record, and
/// what the message says instead. `None` where the result stays as it is.
pub fn evict(
    call_id: &str,
    tool: &str,
    answer: &ToolAnswer,
    now: &str,
) -> Option<(String, FileData, Content)> {
    evict_above(LARGE_RESULT, call_id, tool, answer, now)
}

/// [`evict`] with another limit.
pub fn evict_above(
    limit: usize,
    call_id: &str,
    tool: &str,
    answer: &ToolAnswer,
    now: &str,
) -> Option<(String, FileData, Content)> {
    if EXEMPT.contains(&tool) {
        return None;
    }
    limits::is_longer(&text_of_content(&answer.content), limit)
        .then(|| move_out(call_id, &answer.content, now))
}

/// Moves a result to a file, whatever its size.
pub(crate) fn move_out(call_id: &str, content: &Content, now: &str) -> (String, FileData, Content) {
    let text = text_of_content(content);
    let others: Vec<Value> = match content {
        Content::Text(_) => Vec::new(),
        Content::Blocks(blocks) => blocks.iter().filter(|block| text_of(block).is_none()).cloned().collect(),
    };
    let path = path_of(call_id);
    let note = note(call_id, &path, &text);
    let content = if others.is_empty() {
        Content::Text(note)
    } else {
        let note = json!({"type": "text", "text": note});
        Content::Blocks(std::iter::once(note).chain(others).collect())
    };
    (path, record(text, Some(Encoding::Utf8), None, now), content)
}

/// Where the result of this call would be kept.
pub(crate) fn path_of(call_id: &str) -> String {
    format!("{DIRECTORY}/{}", file_name(call_id))
}

/// The text blocks, one a line.
pub(crate) fn text_of_content(content: &Content) -> String {
    match content {
        Content::Text(text) => text.clone(),
        Content::Blocks(blocks) => blocks.iter().filter_map(text_of).collect::<Vec<_>>().join("\n"),
    }
}

pub(crate) fn text_of(block: &Value) -> Option<&str> {
    match block {
        Value::String(text) => Some(text),
        Value::Object(map) if map.get("type").and_then(Value::as_str) == Some("text") => {
            map.get("text").and_then(Value::as_str)
        }
        Value::Object(_) | Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn file_name(call_id: &str) -> String {
    let name = call_id.replace(['.', '/', '\\'], "_");
    if name.len() <= LONGEST_NAME {
        return name;
    }
    let digest = Sha256::digest(call_id.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("call-{hex}")
}

fn note(call_id: &str, path: &str, text: &str) -> String {
    let (sentence, sample) = preview(text, "result");
    let start = limits::first_chars(call_id, LONGEST_SHOWN);
    let rest = if start.len() < call_id.len() { "..." } else { "" };
    format!(
        "Tool result too large, the result of this tool call {start}{rest} was saved in the filesystem at this path: \
         {path}\n\n\
         You can read the result from the filesystem by using the read_file tool, but make sure to only read part of \
         the result at a time.\n\n\
         You can do this by specifying an offset and limit in the read_file tool call. For example, to read the first \
         100 lines, you can use the read_file tool with offset=0 and limit=100.\n\n\
         {sentence}\n\n{sample}\n"
    )
}

/// A sentence about the sample, and the sample. `subject`: `result`, `content`.
pub(crate) fn preview(text: &str, subject: &str) -> (String, String) {
    let lines = python_lines(text);
    let shown = if lines.len() <= PREVIEW_LINES {
        numbered(&lines, 1)
    } else {
        let left_out = lines.len() - 2 * PREVIEW_END;
        let (head, _) = lines.split_at_checked(PREVIEW_END).unwrap_or_default();
        let (_, tail) = lines.split_at_checked(PREVIEW_END + left_out).unwrap_or_default();
        format!(
            "{}\n... [{left_out} lines truncated] ...\n{}",
            numbered(head, 1),
            numbered(tail, PREVIEW_END + left_out + 1)
        )
    };
    let omitted = lines.len() > PREVIEW_LINES;
    let (head, tail) =
        if omitted { (PREVIEW_END, lines.len() - PREVIEW_END) } else { (lines.len(), lines.len()) };
    let clipped = lines
        .iter()
        .enumerate()
        .any(|(index, line)| (index < head || index >= tail) && limits::is_longer(line, PREVIEW_WIDTH));
    (sentence(omitted, clipped, subject), shown)
}

fn sentence(omitted: bool, clipped: bool, subject: &str) -> String {
    let what = if omitted { "a preview showing the head and tail" } else { "a preview" };
    let remarks: Vec<&str> = [
        (omitted, "lines of the form `... [N lines truncated] ...` indicate omitted lines in the middle of the content"),
        (clipped, "the output contains lines longer than 1000 characters; this preview shows only their first 1000 characters"),
    ]
    .into_iter()
    .filter_map(|(applies, remark)| applies.then_some(remark))
    .collect();
    if remarks.is_empty() {
        format!("Here is {what} of the {subject}:")
    } else {
        format!("Here is {what} of the {subject} ({}):", remarks.join("; "))
    }
}

fn numbered(lines: &[&str], first: usize) -> String {
    let width = (first + lines.len()).saturating_sub(1).to_string().len();
    let numbered = lines.iter().enumerate().map(|(index, line)| {
        format!("{:>width$}  {}", first + index, limits::first_chars(line, PREVIEW_WIDTH))
    });
    numbered.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_are_no_text_stay_in_the_message() {
        let image = json!({"type": "image", "base64": "aGk=", "mime_type": "image/png"});
        let mut answer = ToolAnswer::success("");
        answer.content = Content::Blocks(vec![
            json!({"type": "text", "text": "one"}),
            image.clone(),
            json!({"type": "text", "text": "two"}),
        ]);
        assert_eq!(evict_above(7, "c", "own", &answer, "now"), None);
        let (path, file, content) = evict_above(6, "c", "own", &answer, "now").unwrap();
        assert_eq!((path.as_str(), file.text().as_ref()), ("/large_tool_results/c", "one\ntwo"));
        let Content::Blocks(blocks) = content else { panic!("{content:?}") };
        assert_eq!(blocks.len(), 2);
        assert!(blocks[0]["text"].as_str().unwrap().ends_with("preview of the result:\n\n1  one\n2  two\n"));
        assert_eq!(blocks[1], image);
    }

    #[test]
    fn a_call_id_makes_one_safe_file_name() {
        assert_eq!(file_name("k.1/2\\3"), "k_1_2_3");
        let long = "é".repeat(65);
        assert!(file_name(&long).starts_with("call-") && file_name(&long).len() == 5 + 64);
        assert!(note(&long, "/p", "x").contains(&format!("call {}... was saved", "é".repeat(32))));
    }

    #[test]
    fn tools_that_limit_themselves_are_exempt() {
        let answer = ToolAnswer::success("long");
        assert_eq!(evict_above(1, "c", "grep", &answer, "now"), None);
        assert!(evict_above(1, "c", "task", &answer, "now").is_some());
    }
}
