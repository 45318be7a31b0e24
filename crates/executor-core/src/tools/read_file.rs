//! `read_file`: a window of a text file under a status header, or media as a content block.

use agent_langgraph_codec::{Content, Encoding};
use serde_json::{Map, Value, json};

use super::args::Reader;
use super::lines::{is_blank, lines};
use super::{BuiltIn, ToolAnswer, ToolContext, limits, media, no_target, path};
use crate::ToolSpec;

pub(super) const READ_FILE: BuiltIn =
    BuiltIn { name: "read_file", spec, run, mutates: false, target: no_target };

const DEFAULT_LIMIT: i128 = 100;

fn spec() -> ToolSpec {
    ToolSpec {
        name: READ_FILE.name.to_owned(),
        description: "Shows a file. A path that the user names can be taken as given; if there is no such file, \
            the answer says so.\n\n\
            - Without `offset` and `limit` you get the first 100 lines; page through long files with them instead \
            of asking for everything.\n\
            - The first line is a status header, `@@ field | field | ... @@`; all lines below it are the file's own \
            text, unchanged. Where something was left out, a remark may stand above the header. The header must \
            never get into an edit.\n\
            - Needing several files, ask for all of them in one turn.\n\
            - A file without content gives a system reminder that says so.\n\
            - A tool result that was too large is kept in a file whose path you were told: read it here, page by \
            page.\n\
            - Images (`.png`, `.jpg` and the like) and documents such as PDFs come as content of their own kind, \
            always whole: name only `file_path` then, `offset` and `limit` are for text.\n\
            - Read a file before you edit it."
            .to_owned(),
        parameters: json!({
            "properties": {
                "file_path": {"description": "The file, as an absolute path.", "type": "string"},
                "offset": {
                    "default": 0,
                    "description": "How many lines to skip; 0 starts at the first. For paging.",
                    "type": "integer"
                },
                "limit": {
                    "default": 100,
                    "description": "How many lines to show at most. For paging.",
                    "type": "integer"
                }
            },
            "required": ["file_path"],
            "type": "object"
        }),
    }
}

fn run(context: &ToolContext<'_>, args: &Map<String, Value>) -> ToolAnswer {
    let mut args = Reader::new(args);
    let sent = args.text("file_path");
    let offset = args.integer("offset", 0);
    let limit = args.integer("limit", DEFAULT_LIMIT);
    if let Some(refusal) = args.refusal(READ_FILE.name) {
        return refusal;
    }
    let path = match path::normalise_path(sent) {
        Ok(path) => path,
        Err(refused) => return ToolAnswer::error(format!("Error: {refused}")),
    };
    let Some(file) = context.files.get(&path) else {
        return ToolAnswer::error(format!("Error: File '{path}' not found"));
    };
    let text = file.text();
    if is_blank(&text) {
        ToolAnswer::success("System reminder: File exists but has empty contents")
    } else if file.encoding == Some(Encoding::Base64) {
        show_media(&path, &text)
    } else if limit <= 0 {
        ToolAnswer::success(format!(
            "System reminder: no lines were read because `limit` was {limit}. The file was not inspected \
             and may have contents; retry with `limit` >= 1 to read it."
        ))
    } else {
        show_text(&path, &text, offset, limit)
    }
}

/// Images and documents as a block. Sound and films would reach the model as text, the whole payload in base64.
fn show_media(path: &str, base64: &str) -> ToolAnswer {
    let (kind, mime) = media::of(path);
    let name = kind.name();
    match kind {
        media::Kind::Audio | media::Kind::Video => ToolAnswer::error(format!(
            "[read_file: {path} was not attached because this model does not support {name} content ({mime}).]"
        )),
        media::Kind::Image | media::Kind::File => {
            let mut answer = ToolAnswer::success("");
            answer.content =
                Content::Blocks(vec![json!({"type": name, "base64": base64, "mime_type": mime})]);
            answer.additional_kwargs.insert("read_file_path".to_owned(), path.into());
            answer.additional_kwargs.insert("read_file_media_type".to_owned(), mime.into());
            answer
        }
    }
}

/// The lines that are shown.
struct Window<'a> {
    /// Lines before it.
    skipped: usize,
    lines: Vec<&'a str>,
    /// Lines of the file.
    total: usize,
}

impl Window<'_> {
    fn header(&self, count: usize, note: &str) -> String {
        let (first, last, total) = (self.skipped + 1, self.skipped + count, self.total);
        let next = if last < total { format!(" | next offset {last}") } else { String::new() };
        format!("@@ lines {first}-{last} of {total}{next}{note} @@\n")
    }
}

fn show_text(path: &str, text: &str, offset: i128, limit: i128) -> ToolAnswer {
    let skipped = usize::try_from(offset.max(0)).unwrap_or(usize::MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut all = lines(text);
    let mut passed = 0;
    while passed < skipped && all.next().is_some() {
        passed += 1;
    }
    let shown: Vec<&str> = all.by_ref().take(limit).collect();
    let total = passed + shown.len() + all.count();
    if shown.is_empty() {
        return ToolAnswer::error(format!("Error: Line offset {offset} exceeds file length ({total} lines)"));
    }
    let notice = if offset < 0 {
        format!("[Requested offset {offset} is before the start of the file; read from line 1 instead.]\n")
    } else {
        String::new()
    };
    let window = Window { skipped, lines: shown, total };
    let mut out = notice.clone();
    out.push_str(&window.header(window.lines.len(), ""));
    out.push_str(&window.lines.join("\n"));
    if out.len() >= limits::LONGEST && out.chars().count() >= limits::LONGEST {
        out = cut(path, &window, notice);
    }
    ToolAnswer::success(out)
}

/// As many whole lines as fit, else the beginning of the first.
fn cut(path: &str, window: &Window<'_>, notice: String) -> String {
    const NOTE: &str = " | truncated due to size";
    let mut out = notice + &truncated_notice(path);
    let room = limits::LONGEST.saturating_sub(out.chars().count());
    let mut used = 0;
    let mut count = 0;
    for line in &window.lines {
        used += line.chars().count() + usize::from(count > 0);
        if used + window.header(count + 1, NOTE).len() > room {
            break;
        }
        count += 1;
    }
    if count > 0 {
        out.push_str(&window.header(count, NOTE));
        out.push_str(&window.lines.iter().take(count).copied().collect::<Vec<_>>().join("\n"));
        return out;
    }
    let line = window.lines.first().copied().unwrap_or_default();
    let (number, total, length) = (window.skipped + 1, window.total, line.chars().count());
    let header = |shown: usize| {
        format!("@@ lines {number}-{number} of {total} | truncated mid-line | {shown} of {length} chars @@\n")
    };
    // The number of shown characters is part of what takes their room: reckon with the widest.
    let shown = room.saturating_sub(header(length).len());
    out.push_str(&header(shown));
    out.push_str(limits::first_chars(line, shown));
    out
}

fn truncated_notice(path: &str) -> String {
    format!(
        "[Output was truncated due to size limits. The file content is very large. Consider reformatting the file \
         to make it easier to navigate. For example, if this is JSON, use execute(command='jq . {path}') to \
         pretty-print it with line breaks. For other formats, you can use appropriate formatting tools to split \
         long lines.]\n"
    )
}
