//! A thread's state as somebody else reads it: LangGraph's own saver where Python has it, else our own reader.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

/// Answers each thread id on stdin with one line: the state and every row, by the functions of dump_state.py.
const SCRIPT: &str = r#"
import json, sys
sys.path.insert(0, sys.argv[1])
import check, dump_state
from langgraph.checkpoint.postgres import PostgresSaver
channels = None
with PostgresSaver.from_conn_string(sys.argv[2]) as saver:
    channels = dump_state.specs()
    for line in sys.stdin:
        thread = json.loads(line)
        try:
            state = dump_state.state(saver, thread, channels=channels)
            rows = dump_state.name_namespaces(dump_state.rows(saver, thread))[0]
            answer = {"state": check.scrub(state), "checkpoints": check.scrub(rows)}
        except Exception as error:
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)
"#;

/// What is known about a thread.
pub(crate) struct Dump {
    pub(crate) state: Value,
    /// Every row; only Python tells them.
    pub(crate) checkpoints: Option<Value>,
}

pub(crate) enum Dumper {
    Python(Box<Mutex<Conversation>>),
    Ours { reader: PathBuf, dsn: String },
}

/// The Python process; ends with the value.
pub(crate) struct Conversation {
    _child: Child,
    ask: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Dumper {
    pub(crate) fn start(
        python: Option<&Path>,
        tools: &Path,
        reader: &Path,
        dsn: &str,
    ) -> anyhow::Result<Self> {
        let Some(python) = python else {
            return Ok(Self::Ours { reader: reader.to_path_buf(), dsn: dsn.to_owned() });
        };
        let mut child = Command::new(python)
            .args(["-c", SCRIPT])
            .arg(tools)
            .arg(dsn)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("start Python")?;
        let ask = child.stdin.take().context("Python has no stdin")?;
        let answers = BufReader::new(child.stdout.take().context("Python has no stdout")?).lines();
        Ok(Self::Python(Box::new(Mutex::new(Conversation { _child: child, ask, answers }))))
    }

    pub(crate) async fn dump(&self, thread: &str) -> anyhow::Result<Dump> {
        match self {
            Self::Python(conversation) => {
                let mut conversation = conversation.lock().await;
                conversation.ask.write_all(format!("{}\n", json!(thread)).as_bytes()).await?;
                let line = conversation.answers.next_line().await?.context("LangGraph's reader has ended")?;
                let mut answer: Value = serde_json::from_str(&line)?;
                let error = answer.get("error");
                ensure!(error.is_none(), "LangGraph cannot read thread {thread}: {answer}");
                let mut part = |key: &str| answer.get_mut(key).map(Value::take).unwrap_or_default();
                Ok(Dump { state: part("state"), checkpoints: Some(part("checkpoints")) })
            }
            Self::Ours { reader, dsn } => {
                let output = Command::new(reader).args([dsn.as_str(), thread]).output().await?;
                let told = String::from_utf8_lossy(&output.stderr);
                ensure!(output.status.success(), "our reader cannot read thread {thread}: {told}");
                Ok(Dump { state: serde_json::from_slice(&output.stdout)?, checkpoints: None })
            }
        }
    }
}
