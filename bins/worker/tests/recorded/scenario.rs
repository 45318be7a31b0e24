//! The recorded scenarios.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

/// A scenario as its folder describes it.
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) thread_id: String,
    pub(crate) turns: Vec<Turn>,
    /// Whether it needs tool scripts.
    scripts: bool,
}

/// One job of the scenario's thread.
pub(crate) struct Turn {
    pub(crate) job_id: String,
    data: Map<String, Value>,
}

impl Turn {
    /// The job under ids of its own, so that a store can hold many runs of it.
    pub(crate) fn job(&self, thread_id: &str, label: &str) -> Value {
        let mut data = self.data.clone();
        data.insert("job_id".to_owned(), format!("{}-{label}", self.job_id).into());
        data.insert("thread_id".to_owned(), format!("{thread_id}-{label}").into());
        Value::Object(data)
    }
}

/// The recordings beside the clone; says so where they, or python3, are absent.
pub(crate) fn folder() -> Option<PathBuf> {
    let golden = agent_testkit::recording_or_skip("golden/check.py")?.parent()?.to_path_buf();
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        println!("skipped: the checker and the scripted model need python3");
        return None;
    }
    Some(golden)
}

/// All scenarios but those with tool scripts, which need the launcher: `cargo xtask golden` plays them.
pub(crate) fn all(golden: &Path) -> Vec<Scenario> {
    let entries = std::fs::read_dir(golden.join("scenarios")).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let mut scenarios: Vec<Scenario> = folders.iter().map(|folder| read(folder)).collect();
    scenarios.retain(|scenario| !scenario.scripts);
    scenarios
}

/// The scenario of this folder.
pub(crate) fn read(folder: &Path) -> Scenario {
    let description = json_file(&folder.join("scenario.json"));
    let definition = json_file(&folder.join("definition.json"));
    let scripts = definition["tool_definitions"].as_array().is_some_and(|tools| !tools.is_empty());
    let turns: Vec<Turn> = description["turns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|turn| {
            let job = json!({ "agent_definition": definition, "input_payload": turn["input"] });
            let mut data = job.as_object().unwrap().clone();
            data.extend(turn["options"].as_object().cloned().unwrap_or_default());
            Turn { job_id: turn["job_id"].as_str().unwrap().to_owned(), data }
        })
        .collect();
    Scenario {
        name: description["name"].as_str().unwrap().to_owned(),
        folder: folder.to_path_buf(),
        thread_id: description["turns"][0]["thread_id"].as_str().unwrap().to_owned(),
        turns,
        scripts,
    }
}

fn json_file(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
