use serde_json::json;

use super::*;
use crate::ModelRef;

fn told(document: &Value) -> Vec<String> {
    let model = ModelRef { provider: "openai".to_owned(), model: "m".to_owned() };
    let found = Definition::diagnose(document, &Defaults { model: Some(model) });
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn all_problems_are_told_at_once_each_with_path_problem_and_fix() {
    let document = json!({
        "nodes": [
            {"type": "Orchestrator", "config": {"name": "Lead", "model": "gemini:pro", "recursion_limit": 0,
                "tools": "ls"}},
            {"type": "specialist", "config": {"name": "A", "systemPrompt": "x", "tools": ["pre_wrok"]}},
            {"type": "specialist", "config": {"name": "A", "response_format": {"type": "array"}}},
            7
        ],
        "tool_definitions": [{"name": "pre_work", "runtime": {"script": "x"}}, {"runtime": {}}],
        "fail_if_output_matches": "(",
        "edges": [{"from": "Lead", "to": "B"}]
    });
    let told = told(&document);
    for expected in [
        "error [definition.missing] tool_definitions[1].name: expected the tool's name, found nothing\n  fix: add the \
         tool's name",
        "error [definition.out_of_range] nodes[0].config.recursion_limit: expected a whole number from 1 to 9999, \
         found 0\n  fix: write a whole number from 1 to 9999, or leave the member out",
        "error [definition.wrong_kind] nodes[0].config.tools: expected a list, found a string\n  fix: write a list \
         here, or leave the member out",
        "error [definition.unknown_provider] nodes[0].config.model: no provider is called `gemini`; there are openai, \
         anthropic, ollama\n  fix: use one of openai, anthropic, ollama; a server that speaks OpenAI's language is \
         `openai` with OPENAI_BASE_URL",
        "error [definition.out_of_range] nodes[2].config.response_format.type: expected the type `object`, found \
         \"array\"\n  fix: write the type `object`, or leave the member out",
        "error [definition.wrong_kind] nodes[3]: expected an object, found a number\n  fix: write an object here, or \
         leave the member out",
        "error [definition.duplicate_name] nodes[2]: Duplicate subagent name 'A'; each subagent must have a unique \
         name.\n  fix: give each specialist a name of its own; the model calls `A` by it",
        "warning [definition.unknown_member] nodes[1].config.systemPrompt: no member of a node's config has this \
         name; it is kept and has no effect\n  fix: did you mean `system_prompt`?",
        "warning [definition.unknown_tool] nodes[1].config.tools[0]: no tool is called `pre_wrok`; the agent goes \
         without it\n  fix: did you mean `pre_work`?",
        "warning [definition.unknown_edge_end] edges[0].to: no node has the id or name `B`; edges have no effect\n  \
         fix: write the `id` of a node, or remove the edge",
    ] {
        assert!(told.iter().any(|line| line == expected), "{expected}\n\nin\n\n{}", told.join("\n"));
    }
    let patterns =
        told.iter().filter(|line| line.contains("[definition.bad_pattern] fail_if_output_matches"));
    assert_eq!(patterns.count(), 1, "{}", told.join("\n"));
    assert_eq!(told.len(), 11, "{}", told.join("\n"));
}

#[test]
fn every_form_found_in_practice_is_read_without_a_word() {
    let flat = json!({
        "name": "d", "version": 1,
        "tool_definitions": [{"name": "pre_work", "script": "x", "dependencies": []}],
        "nodes": [
            {"id": "o", "type": "orchestrator", "name": "Builder Agent Orchestrator", "system_prompt": "p",
                "model_name": "gpt-4.1-mini", "tools": ["pre_work"]},
            {"id": "g", "type": "Specialist", "name": "Guardrail Agent", "system_prompt": "q",
                "model": {"provider": "anthropic", "model_name": "claude-x"}}
        ],
        "edges": [{"source": "o", "target": "g"}, {"from": "Guardrail Agent", "to": "o"}]
    });
    let nested = json!({
        "$schema": "agent-definition-v1.schema.json", "schema_version": 1,
        "nodes": [{"id": "o", "config": {"name": "Only One", "model": "openai:gpt-4o", "description": null}}],
        "edges": null
    });
    for document in [flat, nested] {
        assert_eq!(told(&document), Vec::<String>::new(), "{document}");
    }
}

#[test]
fn a_newer_form_is_refused() {
    let told = told(&json!({"schema_version": 2, "nodes": [{}]}));
    let expected = "error [definition.newer_schema] schema_version: expected a version up to 1, found 2\n  fix: use a \
        newer worker, or write the definition in the older form";
    assert_eq!(told, [expected]);
}

#[test]
fn unknown_members_are_kept_and_told_once_for_each_name() {
    let document = json!({"color": 1, "nodes": [{"name": "a", "mood": 1}, {"name": "b", "mood": 2}]});
    let examined = Definition::examine(&document, &Defaults::default());
    assert_eq!(examined.definition.map(|definition| definition.document), Some(Arc::new(document.clone())));
    assert_eq!(told(&document).len(), 2);
}

#[test]
fn a_form_that_has_the_name_of_a_tool_is_refused() {
    let told = told(&json!({"nodes": [{"response_format": {"type": "object", "title": "ls"}, "name": "a"}]}));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("error [definition.duplicate_name] nodes: agent `a`: `response_format`"),
        "{told:?}"
    );
}
