//! `grep`: lines that hold a literal text.

use agent_langgraph_codec::{Encoding, Files};
use serde_json::{Map, Value, json};

use super::args::Reader;
use super::glob::search;
use super::pattern::{Pattern, PatternError};
use super::{BuiltIn, ToolAnswer, ToolContext, limits, no_target, path};
use crate::ToolSpec;

pub(super) const GREP: BuiltIn = BuiltIn { name: "grep", spec, run, mutates: false, target: no_target };

/// Matches shown where the call does not say.
const DEFAULT_CAP: usize = 1000;

const MODES: &[&str] = &["files_with_matches", "content", "count"];

const STOPPED_EARLY: &str = "\n\nNote: the search stopped early (it hit its time limit or the maximum match count). \
    The matches above are valid but incomplete. Narrow the search (a more specific pattern or a narrower path), \
    or raise max_count, to see the rest.";

const NO_REGEX: &str = "\n\nNote: grep matches literal text, not regex, so characters like `|`, `.*`, and `\\.` are \
    searched verbatim. Search for the literal text you need instead; for `|` alternation, run a separate search \
    per alternative.";

fn spec() -> ToolSpec {
    ToolSpec {
        name: GREP.name.to_owned(),
        description: "Looks for a text in files: the LITERAL text, no regular expression.\n\n\
            Each character of the pattern stands for itself. To look for several texts, call grep once for each; \
            `grep(pattern=\"foo|bar\")` looks for \"foo|bar\" with the bar in it, and `.*` or `\\.` likewise.\n\n\
            `output_mode` decides whether you get file names, lines or counts. Tool results that were too large to \
            show are kept below `/large_tool_results/`; search that directory if you do not know which file it was."
            .to_owned(),
        parameters: json!({"properties": properties(), "required": ["pattern"], "type": "object"}),
    }
}

fn properties() -> Value {
    json!({
        "pattern": {"description": "The text to look for, literally (no regex).", "type": "string"},
        "path": {
            "anyOf": [{"type": "string"}, {"type": "null"}],
            "default": null,
            "description": "The directory to search. Without it: everything."
        },
        "glob": {
            "anyOf": [{"type": "string"}, {"type": "null"}],
            "default": null,
            "description": "Search only files that fit this glob pattern (no regex), e.g. '*.py' or '*.ts'. Without \
                '/' it is matched with file names at any depth, with '/' with the path below the search root (e.g. \
                'src/**/*.py'). It has nothing to do with a call of the glob tool. Braces as in '*.{ts,tsx}' may \
                not work everywhere; one search per ending always does."
        },
        "output_mode": {
            "default": "files_with_matches",
            "description": "What to show. 'files_with_matches', the default: paths of files that hold the text, one \
                a line. 'content': for each file a line '<path>:' and below it the lines found, indented, as \
                '<line_number>: <line text>', without their neighbours. 'count': '<path>: <match_count>' for each \
                file.",
            "enum": MODES,
            "type": "string"
        },
        "max_count": {
            "anyOf": [{"exclusiveMinimum": 0, "type": "integer"}, {"type": "null"}],
            "default": null,
            "description": "Most matches to show, all files together; leave it out for the usual number. If there \
                are more, a note says so: then search for something narrower, or in a narrower place."
        }
    })
}

fn run(context: &ToolContext<'_>, args: &Map<String, Value>) -> ToolAnswer {
    let mut args = Reader::new(args);
    let pattern = args.text("pattern");
    let root = args.optional_text("path").unwrap_or("/");
    let glob = args.optional_text("glob").filter(|glob| !glob.is_empty());
    let mode = args.choice("output_mode", MODES);
    let cap = args.optional_positive("max_count");
    if let Some(refusal) = args.refusal(GREP.name) {
        return refusal;
    }
    let root = match path::normalise_path(root) {
        Ok(root) => root,
        Err(refused) => return ToolAnswer::error(format!("Error: {refused}")),
    };
    let cap = cap.map_or(DEFAULT_CAP, |cap| usize::try_from(cap).unwrap_or(usize::MAX));
    match find(context.files, &root, glob, pattern, cap) {
        Ok(found) => ToolAnswer::success(show(found, mode, pattern)),
        // Python gives these texts without the usual `Error: `.
        Err(problem) => ToolAnswer::error(problem.to_string()),
    }
}

struct Found {
    /// Per file its lines as they are shown.
    files: Vec<(String, Vec<String>)>,
    stopped_early: bool,
}

/// Files are searched in the order of the map, lines in theirs; the cap counts in that order.
fn find(
    files: &Files,
    root: &str,
    glob: Option<&str>,
    pattern: &str,
    cap: usize,
) -> Result<Found, PatternError> {
    let glob = glob.map(Pattern::new).transpose()?;
    let mut found = Found { files: Vec::new(), stopped_early: false };
    let mut left = cap;
    for (path, file) in search(files, root, glob.as_ref())? {
        if file.encoding == Some(Encoding::Base64) {
            continue;
        }
        let text = file.text();
        if !text.contains(pattern) {
            continue;
        }
        let mut hits = Vec::new();
        for (index, line) in text.split('\n').enumerate().filter(|(_, line)| line.contains(pattern)) {
            if left == 0 {
                found.stopped_early = true;
                break;
            }
            left -= 1;
            hits.push(format!("  {}: {line}", index + 1));
        }
        if !hits.is_empty() {
            found.files.push((path.to_owned(), hits));
        }
        if found.stopped_early {
            break;
        }
    }
    found.files.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(found)
}

fn show(found: Found, mode: &str, pattern: &str) -> String {
    if found.files.is_empty() {
        let hint = if looks_like_regex(pattern) { NO_REGEX } else { "" };
        return format!("No matches found{hint}");
    }
    let parts = found.files.iter().map(|(path, lines)| match mode {
        "content" => format!("{path}:\n{}", lines.join("\n")),
        "count" => format!("{path}: {}", lines.len()),
        _ => path.clone(),
    });
    let mut text = limits::text(parts.collect::<Vec<_>>().join("\n"));
    if found.stopped_early {
        text.push_str(STOPPED_EARLY);
    }
    text
}

/// `|`, `.*`, `.+`, or a backslash before something that is special only in a regular expression.
fn looks_like_regex(pattern: &str) -> bool {
    let mut pairs = pattern.chars().zip(pattern.chars().skip(1));
    pattern.contains('|')
        || pairs.any(|(one, next)| match one {
            '.' => matches!(next, '*' | '+'),
            '\\' => ".wWdDsSbB(){}[]|+*?^$".contains(next),
            _ => false,
        })
}
