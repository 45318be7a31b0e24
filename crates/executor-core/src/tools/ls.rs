//! `ls`: one level of a directory.

use std::collections::BTreeSet;

use agent_langgraph_codec::Files;
use serde_json::{Map, Value, json};

use super::args::Reader;
use super::{BuiltIn, ToolAnswer, ToolContext, limits, no_target, path};
use crate::ToolSpec;

pub(super) const LS: BuiltIn = BuiltIn { name: "ls", spec, run, mutates: false, target: no_target };

/// What every listing answers that has nothing to list. Not an error.
pub(super) const NOTHING: &str = "No files found";

fn spec() -> ToolSpec {
    ToolSpec {
        name: LS.name.to_owned(),
        description: "Shows the content of one directory, without its sub-directories' content.\n\n\
            Look here first: it tells you which files there are before you read or edit one."
            .to_owned(),
        parameters: json!({
            "properties": {
                "path": {"description": "The directory, as an absolute path.", "type": "string"}
            },
            "required": ["path"],
            "type": "object"
        }),
    }
}

fn run(context: &ToolContext<'_>, args: &Map<String, Value>) -> ToolAnswer {
    let mut args = Reader::new(args);
    let directory = args.text("path");
    if let Some(refusal) = args.refusal(LS.name) {
        return refusal;
    }
    let directory = match path::normalise_path(directory) {
        Ok(directory) => directory,
        Err(refused) => return ToolAnswer::error(format!("Error: {refused}")),
    };
    let entries = entries(context.files, &path::prefix(&directory));
    if entries.is_empty() {
        return ToolAnswer::success(NOTHING);
    }
    let entries: Vec<&str> = entries.into_iter().collect();
    ToolAnswer::success(limits::list(&entries))
}

/// Files directly below, and directories with a final slash, by code point.
fn entries<'a>(files: &'a Files, prefix: &str) -> BTreeSet<&'a str> {
    files
        .keys()
        .filter_map(|file| {
            let below = file.strip_prefix(prefix)?;
            match below.find('/') {
                Some(0) => None,
                Some(slash) => file.get(..=prefix.len() + slash),
                None => (!below.is_empty()).then_some(file.as_str()),
            }
        })
        .collect()
}
