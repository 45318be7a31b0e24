//! The published JSON Schema of definitions is the one that the code makes, and says what the parser does.

#![expect(clippy::disallowed_methods, reason = "the committed schema is read from a file")]

#[cfg(test)]
mod tests {
    use std::path::Path;

    use agent_executor_core::{Defaults, Definition, definition_schema};

    /// `UPDATE_SCHEMAS=1 cargo test -p agent-executor-core --test published_schema` writes it anew.
    #[test]
    fn the_committed_schema_is_current() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas");
        let file = folder.join("agent-definition-v1.schema.json");
        let current = format!("{}\n", serde_json::to_string_pretty(&definition_schema()).unwrap());
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, &current).unwrap();
        }
        let committed = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            committed == current,
            "docs/schemas/agent-definition-v1.schema.json is not current: run the test with UPDATE_SCHEMAS=1"
        );
    }

    #[test]
    fn the_example_names_it_and_is_read_without_a_warning() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/research-team/agent.json");
        let example = serde_json::from_str(&std::fs::read_to_string(example).unwrap()).unwrap();
        let parsed = Definition::parse(&example, &Defaults::default()).unwrap();
        assert_eq!(parsed.warnings, []);
    }
}
