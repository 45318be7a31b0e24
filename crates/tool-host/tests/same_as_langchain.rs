//! Scripts are described, called and answered alike, whether the interpreter has LangChain, only a part, or nothing.

#![cfg(feature = "scripts")]
#![expect(clippy::unwrap_used, reason = "helpers of tests stand outside of the test functions")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn answers(python: &Path, isolated: &[&str], lacking: &[&str]) -> Vec<Value> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python)
        .args(isolated)
        .arg(here.join("tests/langchain/answers.py"))
        .arg(here.join("src/runner"))
        .args(lacking)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn stand_ins_do_what_langchain_does() {
    let Some(python) = agent_testkit::langchain_python() else { return };
    let theirs = answers(&python, &["-I"], &[]);
    assert!(theirs.len() > 30);
    let mixtures: [(&str, &[&str], &[&str]); 3] = [
        ("nothing is installed", &["-I", "-S"], &[]),
        ("LangGraph is missing", &["-I"], &["langgraph"]),
        ("only pydantic is installed", &["-I"], &["langgraph", "langchain"]),
    ];
    for (what, isolated, lacking) in mixtures {
        let ours = answers(&python, isolated, lacking);
        assert_eq!(ours.len(), theirs.len());
        for (case, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            // As text: the order of members counts, too.
            assert_eq!(ours.to_string(), theirs.to_string(), "case {case} where {what}");
        }
    }
}
