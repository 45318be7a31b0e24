//! The recordings' scripted model as a process, and its log.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::scenario::Scenario;

/// Ends with the value.
pub(crate) struct ScriptedModel {
    url: String,
    log: tempfile::NamedTempFile,
    _process: Child,
}

impl ScriptedModel {
    pub(crate) async fn start(golden: &Path) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut process = Command::new("python3")
            .arg(golden.join("scripted_llm.py"))
            .arg(golden.join("scenarios"))
            .args(["--port", "0", "--log"])
            .arg(log.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
        // Its pipe must stay open and be read.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { url: format!("http://127.0.0.1:{}", first["port"]), log, _process: process }
    }

    /// Where a run's requests go, so that its log lines can be told from others'.
    pub(crate) fn url(&self, scenario: &Scenario, run: &str) -> String {
        format!("{}/s/{}@{run}", self.url, scenario.name)
    }

    /// What a run has asked so far.
    pub(crate) fn asked(&self, scenario: &Scenario, run: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.log.path()).unwrap();
        // Most lines are of other runs, and long: they are told by their text.
        let mark = format!("\"scenario\": \"{}\", \"run\": \"{run}\", ", scenario.name);
        let own = text.lines().filter(|line| line.contains(&mark));
        own.map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
