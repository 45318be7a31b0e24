//! `worker validate` as a process: exit codes, what it says, and that the JSON Schema which it prints and its own
//! judgement agree. The judge of the schema is Python's `jsonschema`.

#![expect(clippy::unwrap_used, reason = "helpers of tests stand outside of the test functions")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// Prints for each document of a list whether it fits the schema.
const JUDGE: &str = r#"
import json, sys
from jsonschema import Draft202012Validator
schema, documents = (json.load(open(path)) for path in sys.argv[1:])
Draft202012Validator.check_schema(schema)
judge = Draft202012Validator(schema)
print(json.dumps([judge.is_valid(document) for document in documents]))
"#;

/// Runs `worker validate`: exit code, stdout, stderr.
fn validate(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_worker"))
        .arg("validate")
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::remove_dir_all(&folder).ok();
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn orchestrator(more: Value) -> Value {
    let mut config = json!({"name": "main", "system_prompt": "You lead.", "model": "openai:gpt-4o-mini"});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"nodes": [{"type": "orchestrator", "config": config}]})
}

#[test]
fn the_exit_code_says_whether_a_job_would_run() {
    let folder = folder("validate-codes");
    let good = file(&folder, "good.json", &orchestrator(json!({})).to_string());
    let odd = file(&folder, "odd.json", &orchestrator(json!({"systemPrompt": "x"})).to_string());
    let bad =
        file(&folder, "bad.json", &orchestrator(json!({"tools": "ls", "recursion_limit": 0})).to_string());
    let broken = file(&folder, "broken.json", "{\"nodes\": [");
    let nowhere = folder.join("nowhere.json");

    assert_eq!(validate(&[&good]), (Some(0), format!("{good}: ok\n"), String::new()));

    let (code, told, _) = validate(&[&odd]);
    let warning = format!(
        "{odd}: warning [definition.unknown_member] nodes[0].config.systemPrompt: no member of a node's config has \
         this name; it is kept and has no effect\n  fix: did you mean `system_prompt`?\n"
    );
    assert_eq!((code, told.as_str()), (Some(0), warning.as_str()));
    assert_eq!(validate(&["--strict", &odd]).0, Some(1));

    let (code, told, _) = validate(&[&good, &bad]);
    assert_eq!(code, Some(1), "one of several is enough");
    for said in [
        format!("{good}: ok\n"),
        format!(
            "{bad}: error [definition.wrong_kind] nodes[0].config.tools: expected a list, found a string\n  fix: write \
             a list here, or leave the member out\n"
        ),
        format!(
            "{bad}: error [definition.out_of_range] nodes[0].config.recursion_limit: expected a whole number from 1 to \
             9999, found 0\n  fix: write a whole number from 1 to 9999, or leave the member out\n"
        ),
    ] {
        assert!(told.contains(&said), "{said}\nin\n{told}");
    }

    let (code, told, _) = validate(&["--json", &bad]);
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, lines.len()), (Some(1), 2), "{told}");
    let kind = lines.iter().find(|line| line["code"] == "definition.wrong_kind").unwrap();
    assert_eq!(
        *kind,
        json!({"file": bad, "severity": "error", "code": "definition.wrong_kind", "path": "nodes[0].config.tools",
            "problem": "expected a list, found a string", "fix": "write a list here, or leave the member out"})
    );

    for unreadable in [broken.as_str(), nowhere.to_str().unwrap()] {
        let (code, _, errors) = validate(&[unreadable]);
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains(unreadable), "{errors}");
    }
    assert_eq!(validate(&[]).0, Some(2), "nothing to validate");
}

#[test]
fn the_schema_that_it_prints_is_the_published_one() {
    let published =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas/agent-definition-v1.schema.json");
    let (code, printed, _) = validate(&["--schema"]);
    assert_eq!((code, printed), (Some(0), std::fs::read_to_string(published).unwrap()));
}

/// A definition with every member that has a meaning.
fn full() -> Value {
    let size = json!({"tokens": 1000});
    let context = json!({
        "max_input_tokens": 100_000, "max_output_tokens": 1000,
        "large_tool_result_chars": 5000, "large_user_message_chars": false,
        "truncate_arguments": {"at": {"messages": 20}, "keep": size, "max_chars": 2000},
        "summarize": {"at": ["fraction", 0.8], "keep": size, "prompt": "Sum up: {messages}", "model": "openai:gpt-4o"},
        "prompt_caching": true
    });
    json!({
        "schema_version": 1, "name": "team", "user_request": "Go.", "recursion_limit": 50,
        "required_files": ["/report.md"], "fail_if_output_matches": ["HALT"],
        "general_purpose": true, "without_tools": ["delete"], "context": context,
        "response_format": {"type": "object", "properties": {"a": {"type": "string"}}},
        "tool_definitions": [
            {"name": "count", "runtime": {"script": "x", "dependencies": []}, "effect": "pure"},
            {"name": "flat", "script": "x"}
        ],
        "nodes": [
            {"id": "o", "type": "orchestrator", "config": {
                "name": "Lead Agent", "system_prompt": "p", "tools": ["count", {"name": "flat"}],
                "model": {"provider": "openai", "model": "gpt-4o"}, "recursion_limit": 20,
                "without_tools": ["grep"],
                "response_format": {"schema": {"type": "object"}, "name": "Answer", "strategy": "tool"}}},
            {"id": "s", "type": "specialist", "name": "Writer", "description": "writes", "system_prompt": "q",
                "model_name": "claude-x", "provider": "anthropic",
                "state_schema": {"notes": {"type": "list", "reducer": "append"}, "topic": "str"},
                "response_format": {"type": "json_schema", "json_schema": {"name": "B", "schema": {"type": "object"}}}}
        ],
        "edges": [{"source": "o", "target": "s"}]
    })
}

fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                pointers(member, format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                pointers(item, format!("{at}/{index}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    found.push(at);
}

/// The full definition with one place replaced, each place by one value of each kind.
fn altered() -> Vec<Value> {
    let (full, mut places) = (full(), Vec::new());
    pointers(&full, String::new(), &mut places);
    let kinds = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1.5),
        json!("text"),
        json!([]),
        json!([7]),
        json!({}),
        json!({"name": 1}),
        json!("x".repeat(70_000)),
    ];
    let each = places.iter().flat_map(|place| {
        kinds.iter().map(|kind| {
            let mut document = full.clone();
            *document.pointer_mut(place).unwrap() = kind.clone();
            document
        })
    });
    each.collect()
}

/// The recorded definitions; said where they are absent.
fn recorded() -> Vec<Value> {
    let Some(folder) = agent_testkit::recording_or_skip("golden/scenarios") else { return Vec::new() };
    let scenarios = std::fs::read_dir(folder).unwrap();
    let files = scenarios.map(|entry| entry.unwrap().path().join("definition.json"));
    let texts = files.filter(|path| path.is_file()).map(|path| std::fs::read_to_string(path).unwrap());
    texts.map(|text| serde_json::from_str(&text).unwrap()).collect()
}

#[test]
fn what_it_accepts_fits_the_schema_and_what_does_not_fit_it_refuses_with_a_path() {
    let Some(python) = agent_testkit::python_or_skip("jsonschema-venv", &["jsonschema==4.23.0"]) else {
        return;
    };
    let folder = folder("validate-agrees");
    let mut documents = recorded();
    documents.extend([full(), orchestrator(json!({}))]);
    let good = documents.len();
    documents.extend(altered());

    let files: Vec<String> = documents
        .iter()
        .enumerate()
        .map(|(number, document)| file(&folder, &format!("{number:04}.json"), &document.to_string()))
        .collect();
    let (schema, list) = (folder.join("schema"), folder.join("list"));
    std::fs::write(&schema, validate(&["--schema"]).1).unwrap();
    std::fs::write(&list, Value::Array(documents.clone()).to_string()).unwrap();
    let judged = Command::new(python).args(["-c", JUDGE]).args([&schema, &list]).output().unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    let fits: Vec<bool> = serde_json::from_slice(&judged.stdout).unwrap();

    let names: Vec<&str> = files.iter().map(String::as_str).collect();
    let (_, told, errors) = validate(&[&["--json"], &names[..]].concat());
    assert_eq!(errors, "");
    let mut refused: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in told.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        if line["severity"] == "error" {
            refused.entry(line["file"].as_str().unwrap().to_owned()).or_default().push(line);
        }
    }
    let (mut unfit, mut beyond) = (0, BTreeSet::new());
    for (number, (file, fits)) in files.iter().zip(&fits).enumerate() {
        let problems = refused.get(file);
        assert!(number >= good || *fits && problems.is_none(), "{}: {problems:?}", documents[number]);
        unfit += usize::from(!fits);
        assert!(*fits || problems.is_some(), "accepted, and does not fit the schema: {}", documents[number]);
        for problem in problems.into_iter().flatten() {
            for part in ["code", "path", "problem", "fix"] {
                assert_ne!(problem[part].as_str().unwrap_or_default(), "", "{part} of {problem}");
            }
            if *fits {
                beyond.insert(problem["code"].as_str().unwrap());
            }
        }
    }
    println!("{} definitions: {good} good ones, {unfit} that do not fit the schema", documents.len());
    assert!(unfit > 500, "{unfit}");
    // What the schema cannot say: sizes in bytes, names of providers, what stands inside of texts and of other schemas.
    let expected = [
        "definition.missing",
        "definition.out_of_range",
        "definition.too_large",
        "definition.unknown_provider",
    ];
    assert_eq!(beyond, BTreeSet::from(expected));
}
