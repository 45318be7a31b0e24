//! `delete`: removes a file, or a directory with everything in it.

use serde_json::{Map, Value, json};

use super::args::Reader;
use super::path::{self, below_root};
use super::{BuiltIn, Target, ToolAnswer, ToolContext};
use crate::ToolSpec;

pub(super) const DELETE: BuiltIn = BuiltIn { name: "delete", spec, run, mutates: true, target };

fn spec() -> ToolSpec {
    ToolSpec {
        name: DELETE.name.to_owned(),
        description: "Removes a file, or a directory together with everything below it.\n\n\
            - There is no way back: be sure that nothing of it is needed any more.\n\
            - A directory goes in one call; there is no need to remove its files one by one.\n\
            - The root directory itself cannot be removed."
            .to_owned(),
        parameters: json!({
            "properties": {
                "file_path": {
                    "description": "The file or directory to remove, as an absolute path.",
                    "type": "string"
                }
            },
            "required": ["file_path"],
            "type": "object"
        }),
    }
}

fn read(args: &Map<String, Value>) -> Result<&str, Box<ToolAnswer>> {
    let mut args = Reader::new(args);
    let file_path = args.text("file_path");
    args.refusal(DELETE.name).map_or(Ok(file_path), |refusal| Err(Box::new(refusal)))
}

fn target(args: &Map<String, Value>) -> Option<Target> {
    let path = below_root(read(args).ok()?).ok()?;
    Some(Target { path, with_everything_below: true })
}

fn run(context: &ToolContext<'_>, args: &Map<String, Value>) -> ToolAnswer {
    let file_path = match read(args) {
        Ok(file_path) => file_path,
        Err(refusal) => return *refusal,
    };
    let target = match path::normalise_path(file_path) {
        Ok(root) if root == "/" => {
            return ToolAnswer::error("Error: Deleting the root directory '/' is not allowed.");
        }
        Ok(target) => target,
        Err(refused) => return ToolAnswer::error(format!("Error: {refused}")),
    };
    let below = path::prefix(&target);
    let gone = context.files.keys().filter(|file| **file == target || file.starts_with(&below));
    let gone: Vec<_> = gone.map(|file| (file.clone(), None)).collect();
    if gone.is_empty() {
        return ToolAnswer::error(format!("Error: File '{target}' not found"));
    }
    ToolAnswer { files: gone, ..ToolAnswer::success(format!("Deleted {target}")) }
}
