//! `glob`: files whose path or name fits a pattern.

use std::cmp::Reverse;

use agent_langgraph_codec::{FileData, Files};
use serde_json::{Map, Value, json};

use super::args::Reader;
use super::ls::NOTHING;
use super::pattern::{Matcher, Pattern, PatternError};
use super::{BuiltIn, ToolAnswer, ToolContext, limits, no_target, path};
use crate::ToolSpec;

pub(super) const GLOB: BuiltIn = BuiltIn { name: "glob", spec, run, mutates: false, target: no_target };

fn spec() -> ToolSpec {
    ToolSpec {
        name: GLOB.name.to_owned(),
        description: "Lists the absolute paths of the files that a glob pattern describes, latest change first.\n\n\
            Understood are `*` (anything inside one path segment), `?` (one character), `[abc]` (one of these), \
            `**` (directories, however many) and `{a,b}` (either): `*.py`, `src/**/*.py`, `*.{yml,yaml}`.\n\n\
            Without a `/`, the pattern is about the file's name, wherever it lies: `*.py` finds \
            `src/app/main.py`. With a `/`, it is about the path below the search root: `src/**/*.py`. A `/` at \
            the beginning stands for the search root: `/*.py` finds only what lies directly in it.\n\n\
            Names that begin with a dot are found only where the pattern has that dot too (`.env`, \
            `.github/**/*.yml`). `**` does not enter such directories, the pattern without `/` does: `*.yml` finds \
            more than `**/*.yml`, and mostly that is what is wanted."
            .to_owned(),
        parameters: json!({
            "properties": {
                "pattern": {
                    "description": "The pattern, e.g. '*.py', '**/*.py', '/subdir/**/*.md'. Without '/' it is \
                        matched with file names at any depth, with '/' with the path below the search root; a \
                        leading '/' means the search root itself ('/*.py': top level only). A leading dot has to \
                        be in the pattern, and '**' passes by directories such as '.github': '*.py' is a better \
                        choice than '**/*.py'.",
                    "type": "string"
                },
                "path": {
                    "anyOf": [{"type": "string"}, {"type": "null"}],
                    "default": null,
                    "description": "The directory to search. Without it: the root."
                }
            },
            "required": ["pattern"],
            "type": "object"
        }),
    }
}

fn run(context: &ToolContext<'_>, args: &Map<String, Value>) -> ToolAnswer {
    let mut args = Reader::new(args);
    let pattern = args.text("pattern");
    let root = args.optional_text("path").unwrap_or("/");
    if let Some(refusal) = args.refusal(GLOB.name) {
        return refusal;
    }
    let root = match path::normalise_path(root) {
        Ok(root) => root,
        Err(refused) => return ToolAnswer::error(format!("Error: {refused}")),
    };
    let found = Pattern::new(pattern).and_then(|pattern| search(context.files, &root, Some(&pattern)));
    let mut found = match found {
        Ok(found) => found,
        Err(problem) => return ToolAnswer::error(format!("Error: {problem}")),
    };
    if found.is_empty() {
        return ToolAnswer::success(NOTHING);
    }
    // Stable: files of one time stay in the order of the map.
    found.sort_by_key(|(_, file)| Reverse(file.modified_at.as_deref().unwrap_or_default()));
    let paths: Vec<&str> = found.into_iter().map(|(path, _)| path).collect();
    ToolAnswer::success(limits::list(&paths))
}

/// The files at or below a root that fit a pattern, in the order of the map.
pub(super) fn search<'a>(
    files: &'a Files,
    root: &str,
    pattern: Option<&Pattern>,
) -> Result<Vec<(&'a str, &'a FileData)>, PatternError> {
    let prefix = path::prefix(root);
    let mut matcher = pattern.map(Matcher::new);
    let mut found = Vec::new();
    // A root that is a file is that file, whatever lies below its name.
    let only = files.contains_key(root);
    for (path, file) in files.iter().filter(|(path, _)| !only || path.as_str() == root) {
        let Some(below) = path::relative(path, root, &prefix) else { continue };
        let fits = match &mut matcher {
            Some(matcher) => matcher.fits(below)?,
            None => true,
        };
        if fits {
            found.push((path.as_str(), file.as_ref()));
        }
    }
    Ok(found)
}
