//! What some models are told after their agent's own prompt, as deepagents does it for exactly these names. In our own
//! words; what a model is asked to do is the same.

use crate::ToolSpec;

const PARALLEL: &str = "\
<use_parallel_tool_calls>
Calls that do not need each other's results belong into one turn: three files to read are three calls made together, \
not one after the other. Where a call needs what another one finds, wait for that result. Never invent a value for an \
argument, and never leave a placeholder in one.
</use_parallel_tool_calls>";

const LOOK_FIRST: &str = "\
<investigate_before_answering>
Say nothing about code or files that you have not opened. A file that the user names is read before you answer, and so \
is whatever else a question about the code depends on. State as a fact only what you have seen or know for certain.
</investigate_before_answering>";

const REFLECT: &str = "\
<tool_result_reflection>
When results come back, judge how good they are and what they change before you go on; plan with what you have learned, \
then take the step that now is best.
</tool_result_reflection>";

const OBSERVE: &str = "\
<tool_usage>
Where the work depends on how files, tests or the output of a system really are, use tools to see it; do not work it out \
from memory. Read a file before you describe it, run tests before you say that they pass, search before you say that a \
name exists or does not. Looking is the normal way to work, not the last resort.
</tool_usage>";

const DELEGATE: &str = "\
<subagent_usage>
What you can finish yourself in one answer, such as changing a function that you have before you, needs no sub-agent.

Work that spreads over several items or files goes to several sub-agents, started in the same turn.
</subagent_usage>";

const CODEX: &str = "\
## Codex-Specific Behavior

- Work as an experienced engineer who needs no supervision: once the direction is given, gather what you need, plan, \
build and check without waiting to be asked for each step.
- Stay with the task until it is done from end to end, in this turn where that is possible. An analysis or half a change \
is not the end: carry it through, check it, and say clearly what came of it.
- Act. Take reasonable assumptions rather than ending the turn with a question, unless nothing can be done without the \
answer.
- Begin with the work itself, not with a plan or a report of what you are about to do.

## Parallel Tool Use

- Settle which files and other things you will need before the first call.
- Read, search and do whatever else is independent in one batch of calls, not one by one.
- Go one after the other only where a call cannot be written without an earlier result.";

const PLAN: &str = "\
## Plan Hygiene

- Before you finish, go through every item that you have written with write_todos: it is done, blocked (say in one \
sentence by what) or cancelled. Nothing may stay pending at the end.";

/// The guidance for a model, where there is any. Parts about tools that the agent does not have are left out.
fn parts(provider: &str, model: &str) -> &'static [(Option<&'static str>, &'static str)] {
    match (provider, model) {
        ("anthropic", "claude-haiku-4-5" | "claude-sonnet-4-6") => {
            &[(None, PARALLEL), (None, LOOK_FIRST), (None, REFLECT)]
        }
        ("anthropic", "claude-opus-4-7") => &[
            (None, PARALLEL),
            (None, LOOK_FIRST),
            (None, REFLECT),
            (None, OBSERVE),
            (Some("task"), DELEGATE),
        ],
        ("openai", "gpt-5.1-codex" | "gpt-5.2-codex" | "gpt-5.3-codex") => {
            &[(None, CODEX), (Some("write_todos"), PLAN)]
        }
        _ => &[],
    }
}

/// An agent's system prompt: its own, and after it what its model is told besides.
pub(crate) fn system_prompt(own: &str, provider: &str, model: &str, tools: &[ToolSpec]) -> String {
    let has = |name: &str| tools.iter().any(|tool| tool.name == name);
    let told = parts(provider, model).iter().filter(|(tool, _)| tool.is_none_or(has)).map(|(_, text)| *text);
    let all: Vec<&str> = std::iter::once(own).filter(|own| !own.is_empty()).chain(told).collect();
    all.join("\n\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn prompt(own: &str, model: &str, tools: &[&str]) -> String {
        let tool = |name: &&str| ToolSpec {
            name: (*name).to_owned(),
            description: String::new(),
            parameters: json!({}),
        };
        let tools: Vec<ToolSpec> = tools.iter().map(tool).collect();
        let (provider, model) = model.split_once(':').unwrap();
        system_prompt(own, provider, model, &tools)
    }

    #[test]
    fn only_these_models_are_told_more_than_their_agents_prompt() {
        for told in [
            "anthropic:claude-haiku-4-5",
            "anthropic:claude-sonnet-4-6",
            "anthropic:claude-opus-4-7",
            "openai:gpt-5.1-codex",
            "openai:gpt-5.2-codex",
            "openai:gpt-5.3-codex",
        ] {
            let text = prompt("You lead.", told, &["task", "write_todos"]);
            let more = text.strip_prefix("You lead.\n\n").unwrap_or_default();
            assert!(more.len() > 500, "{told}: {text}");
            assert_eq!(prompt("", told, &["task", "write_todos"]), more, "{told}: no prompt of its own");
        }
        for plain in [
            "anthropic:claude-sonnet-4-5",
            "anthropic:claude-haiku-4-5-20251001",
            "anthropic:gpt-5.1-codex",
            "openai:gpt-4o-mini",
            "openai:gpt-5.1-codex-max",
            "openai:claude-opus-4-7",
        ] {
            assert_eq!(prompt("You lead.", plain, &["task", "write_todos"]), "You lead.", "{plain}");
        }
    }

    #[test]
    fn nobody_is_told_about_a_tool_that_he_does_not_have() {
        for (model, tool, words) in [
            ("anthropic:claude-opus-4-7", "task", "<subagent_usage>"),
            ("openai:gpt-5.3-codex", "write_todos", "## Plan Hygiene"),
        ] {
            assert!(prompt("p", model, &["ls", tool]).contains(words), "{model}");
            assert!(!prompt("p", model, &["ls"]).contains(words), "{model}");
        }
    }
}
