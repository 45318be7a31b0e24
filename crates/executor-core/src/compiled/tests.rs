use serde_json::json;

use super::*;
use crate::Defaults;

fn compiled(model: &str) -> Compiled {
    let document = json!({"nodes": [
        {"type": "orchestrator", "name": "main", "system_prompt": "You lead.", "model": model},
        {"type": "specialist", "name": "own", "system_prompt": "You write.", "model": "anthropic:claude-haiku-4-5"},
        {"type": "specialist", "name": "same", "system_prompt": "You read."},
    ]});
    let parsed = Definition::parse(&document, &Defaults::default()).unwrap();
    Compiled::new(Arc::new(parsed.definition), &IndexMap::new(), &[]).unwrap()
}

fn told_more(agent: &CompiledAgent) -> bool {
    agent.system.starts_with(&format!("{}\n\n", agent.prompt))
}

#[test]
fn what_an_agent_is_told_besides_its_prompt_goes_by_its_own_model() {
    let plain = compiled("openai:gpt-4o-mini");
    assert_eq!(plain.root.system, "You lead.");
    assert!(told_more(&plain.subagents["own"]));
    assert!(!told_more(&plain.subagents["same"]) && !told_more(&plain.subagents[GENERAL_PURPOSE]));

    let codex = compiled("openai:gpt-5.1-codex");
    assert!(told_more(&codex.root) && told_more(&codex.subagents["same"]));
    assert!(told_more(&codex.subagents[GENERAL_PURPOSE]));
    assert!(codex.root.system.contains("## Codex-Specific Behavior"), "{}", codex.root.system);
}

#[test]
fn a_jobs_model_takes_its_own_guidance_with_it() {
    let codex = compiled("openai:gpt-5.1-codex");
    let other = ModelRef { provider: "openai".to_owned(), model: "gpt-4o-mini".to_owned() };
    assert_eq!(codex.root.with_overrides(None, Some(other)).system, "You lead.");
    let opus = ModelRef { provider: "anthropic".to_owned(), model: "claude-opus-4-7".to_owned() };
    let root = codex.root.with_overrides(None, Some(opus));
    assert!(told_more(&root) && root.system.contains("<subagent_usage>"), "{}", root.system);
    assert!(!root.system.contains("Codex"), "{}", root.system);
}
