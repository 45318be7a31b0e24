//! A tool whose effect cannot be undone, and the log of what it did, kept outside of everything that is broken here.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::common::{Plan, job};

/// Model calls of one of [`Effects::jobs`]; it makes three calls of the tool.
pub(crate) const CALLS_OF_EFFECTS_JOB: u64 = 3;

/// The log: each call with the key that came with it.
pub(crate) struct Effects {
    port: u16,
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Effects {
    /// `None`, said, where there is no Python: then nothing can have an effect.
    pub(crate) async fn start() -> anyhow::Result<Option<Self>> {
        let python = Command::new("python3").arg("--version").output();
        if !python.is_ok_and(|output| output.status.success()) {
            println!("skipped: effects of at-most-once tools: there is no python3");
            return Ok(None);
        }
        build_launcher()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (port, seen) = (listener.local_addr()?.port(), Arc::new(Mutex::new(Vec::new())));
        let log = seen.clone();
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let log = log.clone();
                // A caller that dies before it has said everything has had no effect.
                tokio::spawn(async move { note(caller, &log).await.ok() });
            }
        });
        Ok(Some(Self { port, seen }))
    }

    /// What the workers need to run the tool.
    pub(crate) fn plan(plan: Plan) -> Plan {
        plan.env("PATH", std::env::var("PATH").unwrap_or_default()).env("TOOL_SCRIPTS_NETWORK", "true")
    }

    /// Jobs whose agent calls the tool twice at once and then once more.
    pub(crate) fn jobs(&self, prefix: &str, count: usize) -> Vec<Value> {
        let script = format!(
            "
import os, socket
from langchain_core.tools import tool

@tool
def act(what: str) -> str:
    'Do what cannot be undone.'
    with socket.create_connection(('127.0.0.1', {}), timeout=20) as log:
        log.sendall((what + '\\t' + os.environ.get('IDEMPOTENCY_KEY', '') + '\\n').encode())
        log.recv(1)
    return 'done'
",
            self.port
        );
        let tools = json!([{ "name": "act", "effect": "at_most_once", "runtime": { "script": script } }]);
        let one = |n: usize| {
            let id = format!("{prefix}-{n}");
            let mut job = job(&id, "effects tokens=10 delay_ms=20");
            if let Some(definition) = job.get_mut("agent_definition").and_then(Value::as_object_mut) {
                definition.insert("tool_definitions".to_owned(), tools.clone());
            }
            if let Some(config) =
                job.pointer_mut("/agent_definition/nodes/0/config").and_then(Value::as_object_mut)
            {
                config.insert("tools".to_owned(), json!(["act"]));
            }
            if let Some(said) = job.pointer_mut("/input_payload/messages/0/content") {
                *said = json!(id);
            }
            job
        };
        (0..count).map(one).collect()
    }

    /// Every effect so far: the call, unique over all jobs, and its key.
    pub(crate) fn seen(&self) -> Vec<(String, String)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn note(caller: TcpStream, log: &Mutex<Vec<(String, String)>>) -> anyhow::Result<()> {
    let mut caller = BufReader::new(caller);
    let mut line = String::new();
    caller.read_line(&mut line).await?;
    if let Some((call, key)) = line.trim_end_matches('\n').split_once('\t') {
        log.lock().unwrap_or_else(PoisonError::into_inner).push((call.to_owned(), key.to_owned()));
    }
    Ok(caller.write_all(b".").await?)
}

/// Puts the launcher beside the worker where nobody has built it yet.
fn build_launcher() -> anyhow::Result<()> {
    let worker = Path::new(env!("CARGO_BIN_EXE_worker"));
    if !worker.with_file_name("tool-launcher").is_file() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "-p", "tool-launcher"]);
        if worker.components().any(|part| part.as_os_str() == "release") {
            build.arg("--release");
        }
        anyhow::ensure!(build.status()?.success(), "tool-launcher cannot be built");
    }
    Ok(())
}
