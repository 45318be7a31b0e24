//! `write_todos`: replaces the to-do list.

use serde_json::{Map, Value, json};

use super::args::{self, Reader};
use super::{BuiltIn, ToolAnswer, ToolContext, no_target};
use crate::{ToolSpec, pyrepr};

pub(super) const WRITE_TODOS: BuiltIn =
    BuiltIn { name: "write_todos", spec, run, mutates: false, target: no_target };

/// Answer to each of several calls in one turn: the lists would replace each other.
pub(super) const ONLY_ONE: &str = "Error: The `write_todos` tool should never be called multiple times in parallel. \
    Please call it only once per model invocation to update the todo list.";

const STATES: &[&str] = &["pending", "in_progress", "completed"];

const DESCRIPTION: &str = "\
Keeps a list of what is to be done in this session, for you and for the user who watches your progress. \
Each call replaces the whole list.

When it helps: work of three steps or more, several things asked for at once, a plan that will change as you \
learn more, or a user who asks for such a list. When it does not: one simple thing, anything done in fewer than \
three easy steps, plain conversation. Then just do it.

States of an item:
- pending: not begun
- in_progress: being worked on; more than one only where they do not depend on each other
- completed: done, all of it

How to use it:
- Mark the first items in_progress as you write the list, and each further one before you begin with it. Until \
everything is completed there is always one in progress.
- Mark an item completed the moment it is done, not several together later.
- completed means finished without open errors, missing parts or things you could not find. Otherwise leave it \
in_progress, and add an item for what stands in the way.
- Items should be concrete and small, with clear names. Add those that turn up, remove those that no longer \
matter, leave completed ones as they are. Many changes fit in one call.
- Never call it twice in one turn.

The list is bookkeeping, not an answer: what the user asked for has to be said in a message after your last \
call of write_todos.";

fn spec() -> ToolSpec {
    ToolSpec {
        name: WRITE_TODOS.name.to_owned(),
        description: DESCRIPTION.to_owned(),
        parameters: json!({
            "properties": {
                "todos": {
                    "items": {
                        "description": "One thing to do and how far it is.",
                        "properties": {
                            "content": {"type": "string"},
                            "status": {"enum": STATES, "type": "string"}
                        },
                        "required": ["content", "status"],
                        "type": "object"
                    },
                    "type": "array"
                }
            },
            "required": ["todos"],
            "type": "object"
        }),
    }
}

fn run(_context: &ToolContext<'_>, args: &Map<String, Value>) -> ToolAnswer {
    let mut reader = Reader::new(args);
    let sent = reader.required("todos");
    let todos = sent.map(|sent| read_list(&mut reader, sent)).unwrap_or_default();
    if let Some(refusal) = reader.refusal(WRITE_TODOS.name) {
        return refusal;
    }
    let todos = Value::Array(todos);
    let text = format!("Updated todo list to {}", pyrepr::value(&todos));
    ToolAnswer { todos: Some(todos), ..ToolAnswer::success(text) }
}

fn read_list(reader: &mut Reader<'_>, sent: &Value) -> Vec<Value> {
    let Some(items) = sent.as_array() else {
        reader.problem("todos", "Input should be a valid list");
        return Vec::new();
    };
    items.iter().enumerate().map(|(index, item)| read_item(reader, index, item)).collect()
}

/// An item with the two members that count, in their order; others are dropped.
fn read_item(reader: &mut Reader<'_>, index: usize, sent: &Value) -> Value {
    let Some(sent) = sent.as_object() else {
        reader.problem(format!("todos.{index}"), "Input should be a valid dictionary");
        return Value::Null;
    };
    let (content, status) = (sent.get("content"), sent.get("status"));
    match content {
        Some(Value::String(_)) => {}
        Some(_) => reader.problem(format!("todos.{index}.content"), args::NOT_TEXT),
        None => reader.problem(format!("todos.{index}.content"), args::MISSING),
    }
    match status.map(Value::as_str) {
        Some(Some(word)) if STATES.contains(&word) => {}
        Some(_) => reader.problem(format!("todos.{index}.status"), args::not_one_of(STATES)),
        None => reader.problem(format!("todos.{index}.status"), args::MISSING),
    }
    json!({"content": content, "status": status})
}
