//! `edit_file`: replaces a text that stands in a file.

use std::ops::Range;
use std::sync::Arc;

use agent_langgraph_codec::Encoding;
use serde_json::{Map, Value, json};

use super::args::Reader;
use super::write_file::record;
use super::{BuiltIn, Target, ToolAnswer, ToolContext, path};
use crate::ToolSpec;

pub(super) const EDIT_FILE: BuiltIn = BuiltIn { name: "edit_file", spec, run, mutates: true, target };

fn spec() -> ToolSpec {
    ToolSpec {
        name: EDIT_FILE.name.to_owned(),
        description: "Replaces one exact piece of a file's text by another.\n\n\
            - Read the file first, so that you know what really stands there.\n\
            - Give old_string with the file's own indentation; the status header of read_file is not part of the \
            file and belongs neither in old_string nor in new_string.\n\
            - Where a file exists already, edit it instead of writing a new one.\n\
            - Add emojis only when the user wants them."
            .to_owned(),
        parameters: json!({
            "properties": {
                "file_path": {"description": "The file to change, as an absolute path.", "type": "string"},
                "old_string": {
                    "description": "What stands in the file now, character by character. It has to occur exactly \
                        once, unless replace_all is True.",
                    "type": "string"
                },
                "new_string": {
                    "description": "What shall stand there instead; something other than old_string.",
                    "type": "string"
                },
                "replace_all": {
                    "default": false,
                    "description": "True: replace each occurrence of old_string. False, the default: there must \
                        be only one.",
                    "type": "boolean"
                }
            },
            "required": ["file_path", "old_string", "new_string"],
            "type": "object"
        }),
    }
}

struct Args<'a> {
    file_path: &'a str,
    old: &'a str,
    new: &'a str,
    replace_all: bool,
}

fn read(args: &Map<String, Value>) -> Result<Args<'_>, Box<ToolAnswer>> {
    let mut args = Reader::new(args);
    let read = Args {
        file_path: args.text("file_path"),
        old: args.text("old_string"),
        new: args.text("new_string"),
        replace_all: args.flag("replace_all", false),
    };
    args.refusal(EDIT_FILE.name).map_or(Ok(read), |refusal| Err(Box::new(refusal)))
}

fn target(args: &Map<String, Value>) -> Option<Target> {
    let path = path::normalise_path(read(args).ok()?.file_path).ok()?;
    Some(Target { path, with_everything_below: false })
}

fn run(context: &ToolContext<'_>, args: &Map<String, Value>) -> ToolAnswer {
    let args = match read(args) {
        Ok(args) => args,
        Err(refusal) => return *refusal,
    };
    let path = match path::normalise_path(args.file_path) {
        Ok(path) => path,
        Err(refused) => return ToolAnswer::error(format!("Error: {refused}")),
    };
    let Some(file) = context.files.get(&path) else {
        return ToolAnswer::error(format!("Error: File '{path}' not found"));
    };
    if file.encoding == Some(Encoding::Base64) {
        return ToolAnswer::error("Error: Cannot edit binary files with text replacements.");
    }
    match replaced(&file.text(), &args) {
        Ok((text, count)) => {
            let encoding = file.encoding.or(Some(Encoding::Utf8));
            let file = record(text, encoding, Some(file), context.now);
            let mut answer = ToolAnswer::success(format!(
                "Successfully replaced {count} instance(s) of the string in '{path}'"
            ));
            answer.files.push((path, Some(Arc::new(file))));
            answer
        }
        Err(problem) => ToolAnswer::error(format!("Error: {problem}")),
    }
}

/// The new text and how many places changed.
fn replaced(text: &str, args: &Args<'_>) -> Result<(String, usize), String> {
    if args.old.is_empty() {
        return Err("old_string cannot be empty. Provide the exact text to replace.".to_owned());
    }
    let exact = text.matches(args.old).count();
    if exact > 0 {
        check_count(exact, args)?;
        return Ok((text.replace(args.old, args.new), exact));
    }
    let (plain, places) = loose_matches(text, args.old);
    if places.is_empty() {
        return Err(not_found(text, &plain, args));
    }
    check_count(places.len(), args)?;
    Ok((replace_places(text, &places, args.new), places.len()))
}

fn check_count(count: usize, args: &Args<'_>) -> Result<(), String> {
    if count == 1 || args.replace_all {
        return Ok(());
    }
    Err(format!(
        "String '{}' appears {count} times in file. Use replace_all=True to replace all instances, \
         or provide a more specific string with surrounding context.",
        args.old
    ))
}

/// A text that a model copied from `read_file` has LF where the file has CRLF or CR: the file's text with LF
/// only, and where in the file the text stands if line ends count as equal.
fn loose_matches(text: &str, old: &str) -> (String, Vec<Range<usize>>) {
    if !text.contains('\r') && !old.contains('\r') {
        return (text.to_owned(), Vec::new());
    }
    let plain = with_line_feeds(text);
    let old = with_line_feeds(old);
    // The text is only shorter by the LF of each CRLF: walk both at once to translate positions.
    let mut shorter_by = 0;
    let mut at = 0;
    let mut original = |position: usize| {
        while at + shorter_by < text.len() && at < position {
            shorter_by += usize::from(
                text.as_bytes().get(at + shorter_by..).is_some_and(|rest| rest.starts_with(b"\r\n")),
            );
            at += 1;
        }
        position + shorter_by
    };
    let places = plain
        .match_indices(&old)
        .map(|(start, found)| original(start)..original(start + found.len()))
        .collect();
    (plain, places)
}

fn with_line_feeds(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

/// Puts the new text in; its line ends become those of the file.
fn replace_places(text: &str, places: &[Range<usize>], new: &str) -> String {
    let line_end = first_line_end(text);
    let new = with_line_feeds(new).replace('\n', line_end);
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for place in places {
        out.push_str(text.get(done..place.start).unwrap_or_default());
        out.push_str(&new);
        done = place.end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}

fn first_line_end(text: &str) -> &'static str {
    match text.find(['\r', '\n']).and_then(|end| text.get(end..)) {
        Some(rest) if rest.starts_with("\r\n") => "\r\n",
        Some(rest) if rest.starts_with('\r') => "\r",
        Some(_) | None => "\n",
    }
}

/// Why nothing was replaced. The usual slip is a final line feed that the file's last line does not have. `plain` is the
/// text with LF only.
fn not_found(text: &str, plain: &str, args: &Args<'_>) -> String {
    let shorter = args.old.strip_suffix('\n').filter(|rest| !rest.is_empty());
    let in_text =
        |text: &str| shorter.filter(|rest| text.ends_with(*rest)).map(|rest| text.matches(rest).count());
    let Some(count) = in_text(text).or_else(|| in_text(plain)) else {
        return format!("String not found in file: '{}'", args.old);
    };
    let slip = "old_string ends with a newline, but the file does not end with a newline.";
    if count > 1 {
        return format!(
            "{slip} With the trailing newline removed, old_string would appear {count} times in the file. \
             Retry with the trailing newline removed and add surrounding context so the match is unique."
        );
    }
    format!(
        "{slip} Retry with the trailing newline removed from old_string \
         (and from new_string if it also ends with a newline)."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(text: &str, old: &str, new: &str, replace_all: bool) -> Result<(String, usize), String> {
        replaced(text, &Args { file_path: "/f", old, new, replace_all })
    }

    #[test]
    fn text_copied_from_read_file_is_found_in_files_with_other_line_ends() {
        assert_eq!(
            edit("a\r\nb\r\nc\r\n", "a\nb", "x\ny\nz", false),
            Ok(("x\r\ny\r\nz\r\nc\r\n".to_owned(), 1))
        );
        assert_eq!(edit("a\rb\rc", "b\nc", "x\ny", false), Ok(("a\rx\ry".to_owned(), 1)));
        assert_eq!(edit("é\r\né\r\né\r\né", "é\né", "ü", true), Ok(("ü\r\nü".to_owned(), 2)));
        assert_eq!(edit("a\nb\n", "a\r\nb", "c", false), Ok(("c\n".to_owned(), 1)));
        assert!(
            edit("a\r\nb\r\na\r\nb", "a\nb", "c", false).is_err_and(|text| text.contains("appears 2 times"))
        );
    }

    #[test]
    fn an_exact_match_leaves_line_ends_alone() {
        assert_eq!(edit("a\r\nb", "a\r\nb", "x\ny", false), Ok(("x\ny".to_owned(), 1)));
        assert_eq!(edit("a\r\nb\n", "b", "x\ny", false), Ok(("a\r\nx\ny\n".to_owned(), 1)));
    }

    #[test]
    fn a_line_feed_too_many_is_told_of_with_the_count_of_the_files_own_text() {
        let told = |text, old, replace_all| edit(text, old, "x", replace_all).expect_err("no match");
        assert!(told("a b ", " \n", true).contains("would appear 2 times"));
        assert!(told("\r\n\r\nb", "b\n", false).ends_with("also ends with a newline)."));
        assert!(told("a\r\nb\n", "\r\nb\n\n", false).ends_with("also ends with a newline)."));
        assert!(told("a\r\n\r\n", "\n\n\n", true).starts_with("old_string ends with a newline"));
    }
}
