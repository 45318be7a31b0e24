//! `write_file`: creates or replaces a file.

use std::sync::Arc;

use agent_langgraph_codec::{Encoding, FileContent, FileData};
use serde_json::{Map, Value, json};

use super::args::Reader;
use super::path::below_root;
use super::{BuiltIn, Target, ToolAnswer, ToolContext};
use crate::ToolSpec;

pub(super) const WRITE_FILE: BuiltIn = BuiltIn { name: "write_file", spec, run, mutates: true, target };

fn spec() -> ToolSpec {
    ToolSpec {
        name: WRITE_FILE.name.to_owned(),
        description: "Stores text as a file: a new one, or in place of everything that the file held.\n\n\
            - No need to read the file before.\n\
            - To change part of an existing file, edit_file is the better tool; prefer changing what is there \
            to adding files."
            .to_owned(),
        parameters: json!({
            "properties": {
                "file_path": {"description": "Where to store it, as an absolute path.", "type": "string"},
                "content": {"description": "All of the file's text. Must be given.", "type": "string"}
            },
            "required": ["file_path", "content"],
            "type": "object"
        }),
    }
}

struct Args<'a> {
    file_path: &'a str,
    content: &'a str,
}

fn read(args: &Map<String, Value>) -> Result<Args<'_>, Box<ToolAnswer>> {
    let mut args = Reader::new(args);
    let read = Args { file_path: args.text("file_path"), content: args.text("content") };
    args.refusal(WRITE_FILE.name).map_or(Ok(read), |refusal| Err(Box::new(refusal)))
}

fn target(args: &Map<String, Value>) -> Option<Target> {
    let path = below_root(read(args).ok()?.file_path).ok()?;
    Some(Target { path, with_everything_below: false })
}

fn run(context: &ToolContext<'_>, args: &Map<String, Value>) -> ToolAnswer {
    let args = match read(args) {
        Ok(args) => args,
        Err(refusal) => return *refusal,
    };
    let path = match below_root(args.file_path) {
        Ok(path) => path,
        Err(refused) => return ToolAnswer::error(format!("Error: {refused}")),
    };
    let old = context.files.get(&path).map(Arc::as_ref);
    let file = record(args.content.to_owned(), Some(Encoding::Utf8), old, context.now);
    let mut answer = ToolAnswer::success(format!("Updated file {path}"));
    answer.files.push((path, Some(Arc::new(file))));
    answer
}

/// The record of a file with new content. A file keeps its birth; one whose birth is not known gets none.
pub(crate) fn record(
    content: String,
    encoding: Option<Encoding>,
    old: Option<&FileData>,
    now: &str,
) -> FileData {
    FileData {
        content: FileContent::Text(content),
        encoding,
        created_at: old.map_or_else(|| Some(now.to_owned()), |old| old.created_at.clone()),
        modified_at: Some(now.to_owned()),
        extra: Map::new(),
    }
}
