//! `task`: hands work to a sub-agent. The work itself is the machine's affair; here are form and refusals.

use serde_json::{Map, Value, json};

use super::ToolAnswer;
use super::args::Reader;
use crate::ToolSpec;

/// Name by which a model calls it.
pub const NAME: &str = "task";

/// What a model asks of a sub-agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskArgs {
    /// The sub-agent's first and only message; may be empty.
    pub description: String,
    /// Name of the sub-agent.
    pub subagent_type: String,
}

/// The tool as offered to a model that has these sub-agents: name and description, in their order.
pub fn spec(subagents: &[(String, String)]) -> ToolSpec {
    let agents: Vec<String> =
        subagents.iter().map(|(name, description)| format!("- {name}: {description}")).collect();
    let description = format!(
        "Gives a larger piece of work, one of many steps, to a sub-agent that lives as long as the work lasts.\n\n\
         The agents, and what each can do:\n{}\n\n\
         `subagent_type` says which one. Please note:\n\
         - Independent pieces of work run side by side: call several agents in one message.\n\
         - Unless its description says that it knows the conversation, an agent knows nothing but the text you \
         give it, and gives back one final report. Tell it everything it needs and what exactly to report.\n\
         - The user does not see the report. Say yourself what matters in it.\n\
         - Say whether you want something made, examined or only looked up: an agent cannot guess what the user \
         is after.\n\
         - Where a description asks you to use the agent on your own initiative, do.\n\
         - If general-purpose is the only one, give it whatever is involved or needs much context; it can do all \
         that you can.",
        agents.join("\n")
    );
    ToolSpec {
        name: NAME.to_owned(),
        description: description.trim().to_owned(),
        parameters: json!({
            "properties": {
                "description": {
                    "description": "The whole assignment, for an agent that works on its own: the goal, all that it \
                        has to know, and the form of the report.",
                    "type": "string"
                },
                "subagent_type": {
                    "description": "Which agent: one of the names in this tool's list.",
                    "type": "string"
                }
            },
            "required": ["description", "subagent_type"],
            "type": "object"
        }),
    }
}

/// Reads the arguments of a call.
///
/// # Errors
/// The answer to give instead: arguments are missing, of a wrong kind, or unknown (only this tool minds those).
#[expect(
    clippy::result_large_err,
    reason = "the refusal is the answer of the call, not an error passed upwards"
)]
pub fn parse(args: &Map<String, Value>) -> Result<TaskArgs, ToolAnswer> {
    let mut reader = Reader::new(args);
    let mut unknown: Vec<&String> =
        args.keys().filter(|key| !matches!(key.as_str(), "description" | "subagent_type")).collect();
    unknown.sort_unstable();
    for key in unknown {
        reader.problem(
            key,
            format!(
                "Value error, Unexpected argument '{key}'; put all instructions for the subagent in `description`."
            ),
        );
    }
    // They are looked for before the fields: where there are some, nothing else is said.
    if let Some(refusal) = reader.refusal(NAME) {
        return Err(refusal);
    }
    let mut reader = Reader::new(args);
    let description = reader.text("description").to_owned();
    let subagent_type = reader.text("subagent_type").to_owned();
    match reader.refusal(NAME) {
        Some(refusal) => Err(refusal),
        None => Ok(TaskArgs { description, subagent_type }),
    }
}

/// The answer to a call for a sub-agent that does not exist; `known` in the order of the tool's list.
pub fn unknown_subagent(name: &str, known: &[String]) -> ToolAnswer {
    let known: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
    ToolAnswer::error(format!(
        "We cannot invoke subagent {name} because it does not exist, the only allowed types are {}",
        known.join(", ")
    ))
}
