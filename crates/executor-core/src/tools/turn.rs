//! What concerns the calls of a turn together, and the answers to calls that never run.

use agent_langgraph_codec::ToolCall;

use super::write_todos::{ONLY_ONE, WRITE_TODOS};
use super::{Target, ToolAnswer, execute, find};

/// Refuses the calls of one turn that get in each other's way: one entry per call, `None` for those that run.
///
/// - Changes of the same path: the first in call order runs. A `delete` also conflicts with every change below
///   its path. Calls that are refused anyway (arguments, path, this rule) stand in nobody's way; a call that
///   runs and fails does.
/// - Several `write_todos`: none runs. Their answers go into the history before those of other calls and, as in
///   Python, without the tool's name on the message.
///
/// Give only calls of built-in tools; one whose name a definition's own tool has taken is none.
pub fn parallel_conflicts(calls: &[ToolCall]) -> Vec<Option<ToolAnswer>> {
    let lists = calls.iter().filter(|call| call.name == WRITE_TODOS.name).count();
    let mut taken: Vec<Target> = Vec::new();
    calls
        .iter()
        .map(|call| {
            if call.name == WRITE_TODOS.name && lists > 1 {
                return Some(ToolAnswer::error(ONLY_ONE));
            }
            let target = find(&call.name).and_then(|tool| (tool.target)(&call.args))?;
            if taken.iter().any(|other| conflict(other, &target)) {
                return Some(ToolAnswer::error(
                    "Error: parallel file mutations to the same path are not allowed.",
                ));
            }
            taken.push(target);
            None
        })
        .collect()
}

fn conflict(one: &Target, other: &Target) -> bool {
    one.path == other.path || contains(one, other) || contains(other, one)
}

fn contains(outer: &Target, inner: &Target) -> bool {
    outer.with_everything_below
        && inner.path.strip_prefix(&outer.path).is_some_and(|below| below.starts_with('/'))
}

/// The answer to a call of a tool that is not there; `known` are the names on offer, in order.
///
/// `execute` is named after `grep` although nobody offers it: the Python agent has it registered.
pub fn unknown_tool(name: &str, known: &[&str]) -> ToolAnswer {
    let hidden = !known.contains(&execute::NAME);
    let names = known.iter().flat_map(|known| {
        let and_execute = (hidden && *known == "grep").then_some(execute::NAME);
        std::iter::once(*known).chain(and_execute)
    });
    let names: Vec<&str> = names.collect();
    ToolAnswer::error(format!("Error: {name} is not a valid tool, try one of [{}].", names.join(", ")))
}

/// The answer to a call whose arguments could not be read; status `error`.
pub fn malformed_call_text(name: Option<&str>, id: &str) -> String {
    let name = name.filter(|name| !name.is_empty()).unwrap_or("unknown");
    format!("Tool call {name} with id {id} could not be executed - arguments were malformed or truncated.")
}

/// The answer to a call of which no result was recorded; status `error`.
pub fn dangling_call_text(name: &str, id: &str) -> String {
    format!(
        "Tool call {name} with id {id} did not complete - no result was recorded. \
         It may have been cancelled or interrupted."
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn refused(calls: &[(&str, Value)]) -> Vec<bool> {
        let calls: Vec<ToolCall> = calls
            .iter()
            .map(|(name, args)| ToolCall {
                id: None,
                name: (*name).to_owned(),
                args: args.as_object().cloned().unwrap_or_default(),
            })
            .collect();
        parallel_conflicts(&calls).iter().map(Option::is_some).collect()
    }

    fn write(path: &str) -> (&'static str, Value) {
        ("write_file", json!({"file_path": path, "content": ""}))
    }

    fn delete(path: &str) -> (&'static str, Value) {
        ("delete", json!({"file_path": path}))
    }

    #[test]
    fn deleting_a_directory_excludes_changes_below_it_in_either_order() {
        assert_eq!(refused(&[write("/d/f"), delete("/d")]), [false, true]);
        assert_eq!(
            refused(&[delete("d/"), write("/d/e/f"), delete("/d/e"), write("/de")]),
            [false, true, true, false]
        );
    }

    #[test]
    fn a_file_and_a_file_below_its_name_do_not_conflict() {
        assert_eq!(refused(&[write("/a"), write("/a/b"), write("/a")]), [false, false, true]);
    }

    #[test]
    fn refused_calls_stand_in_nobodys_way() {
        let invalid = ("write_file", json!({"file_path": "/x"}));
        assert_eq!(refused(&[invalid, write("../x"), delete("/"), write("/x")]), [false; 4]);
        assert_eq!(refused(&[write("/d/f"), delete("/d"), write("/d/g")]), [false, true, false]);
    }

    #[test]
    fn of_several_to_do_lists_none_is_taken() {
        let list = ("write_todos", json!({"todos": []}));
        assert_eq!(refused(&[list.clone(), ("ls", json!({"path": "/"})), list.clone()]), [true, false, true]);
        assert_eq!(refused(&[list]), [false]);
    }

    #[test]
    fn a_malformed_call_without_a_name_is_called_unknown() {
        let text =
            "Tool call unknown with id c1 could not be executed - arguments were malformed or truncated.";
        assert_eq!(malformed_call_text(None, "c1"), text);
        assert_eq!(malformed_call_text(Some(""), "c1"), text);
    }
}
