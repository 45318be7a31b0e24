//! The recordings' checker as a process that answers many questions.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

use crate::scenario::Scenario;

const SCRIPT: &str = r#"
import json, sys
sys.path.insert(0, sys.argv[1])
import check
recordings = {}
for line in sys.stdin:
    ask = json.loads(line)
    folder = ask["folder"]
    if folder not in recordings:
        recordings[folder] = check.load_recording(folder)
    recording = recordings[folder]
    candidate = {"requests": check.scrub(check.group_requests(ask["requests"])),
                 "state": check.scrub(ask["state"]), "result": ask["result"]}
    reports = check.compare(recording, candidate, ("requests", "state", "result"))
    print(json.dumps([[part, one] for part, report in reports.items() for one in report.differences
                      if not check.accepted(recording, part, report)]), flush=True)
"#;

/// Ends with the value.
pub(crate) struct Checker(Mutex<(Child, ChildStdin, Lines<BufReader<ChildStdout>>)>);

impl Checker {
    pub(crate) fn start(golden: &Path) -> Self {
        let mut process = Command::new("python3")
            .args(["-c", SCRIPT])
            .arg(golden)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (ask, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self(Mutex::new((process, ask, BufReader::new(answers).lines())))
    }

    /// What differs from the recording: the newest states and all results of a run.
    pub(crate) async fn differences(
        &self,
        scenario: &Scenario,
        requests: &[Value],
        states: &[Value],
        results: &[Value],
    ) -> Vec<Value> {
        let question = json!({
            "folder": scenario.folder, "requests": requests, "state": states, "result": results,
        });
        let mut process = self.0.lock().await;
        process.1.write_all(format!("{question}\n").as_bytes()).await.unwrap();
        let answer = process.2.next_line().await.unwrap().expect("the checker has ended");
        serde_json::from_str(&answer).unwrap()
    }
}
