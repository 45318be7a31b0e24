//! What the scenarios are played on: servers, both streams, the scripted model, and a worker of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use agent_testkit::{Nats, Servers, free_port, until};
use anyhow::{Context, ensure};
use async_nats::jetstream;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::Recordings;
use crate::{place, stack};

/// Binaries of the workspace that take part.
pub(crate) struct Programs {
    worker: PathBuf,
    migrate: PathBuf,
    /// Our own reader of threads.
    pub(crate) reader: PathBuf,
}

impl Programs {
    pub(crate) fn build(release: bool) -> anyhow::Result<Self> {
        // The worker starts the launcher of tool scripts from its own folder.
        let names = ["worker", "migrate-init", "thread_state", "tool-launcher"];
        let [worker, migrate, reader, _] = stack::build_all(names, release)?;
        Ok(Self { worker, migrate, reader })
    }
}

/// Ends with the value.
pub(crate) struct Bench {
    nats: Nats,
    redis: String,
    dsn: String,
    /// What the scripted model was asked.
    pub(crate) requests: PathBuf,
    _model: Child,
    _worker: Child,
}

impl Bench {
    pub(crate) async fn start(
        programs: &Programs,
        servers: &Servers,
        recordings: &Recordings,
        out: &Path,
    ) -> anyhow::Result<Self> {
        // The streams' subjects are fixed, so NATS is always our own.
        let nats = Nats::start_own().await?;
        let context = jetstream::new(nats.client().await?);
        for (name, subjects) in [("AGENT_EXECUTION", "agent.execute.*"), ("AGENT_STATUS", "agent.status.*")] {
            let config = jetstream::stream::Config {
                name: name.to_owned(),
                subjects: vec![subjects.to_owned()],
                ..Default::default()
            };
            context.create_stream(config).await?;
        }
        let dsn = servers.postgres.fresh_database().await?;
        let migrated = Command::new(&programs.migrate).env_clear().env("DATABASE_URL", &dsn).output().await?;
        ensure!(migrated.status.success(), "migrate-init: {}", String::from_utf8_lossy(&migrated.stderr));
        let requests = out.join("requests.jsonl");
        let (model, port) = model(recordings, &requests).await?;
        let worker = worker(programs, &nats, servers, &dsn, port, out).await?;
        let redis = servers.redis.address().to_owned();
        Ok(Self { nats, redis, dsn, requests, _model: model, _worker: worker })
    }

    pub(crate) fn dsn(&self) -> &str {
        &self.dsn
    }

    pub(crate) fn redis(&self) -> &str {
        &self.redis
    }

    pub(crate) async fn client(&self) -> anyhow::Result<async_nats::Client> {
        self.nats.client().await
    }
}

/// Starts the scripted model; it says on its first line where it listens.
async fn model(recordings: &Recordings, log: &Path) -> anyhow::Result<(Child, u64)> {
    let mut child = Command::new("python3")
        .arg(recordings.tools.join("scripted_llm.py"))
        .arg(&recordings.scenarios)
        .args(["--port", "0", "--log"])
        .arg(log)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("start the scripted model")?;
    let stdout = child.stdout.take().context("the scripted model has no stdout")?;
    let mut lines = BufReader::new(stdout).lines();
    let first = lines.next_line().await?.context("the scripted model ended at once")?;
    let said: Value =
        serde_json::from_str(&first).with_context(|| format!("the scripted model said {first}"))?;
    let port = said.get("port").and_then(Value::as_u64).context("the scripted model told no port")?;
    // Its pipe must stay open and be read.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok((child, port))
}

async fn worker(
    programs: &Programs,
    nats: &Nats,
    servers: &Servers,
    dsn: &str,
    model: u64,
    out: &Path,
) -> anyhow::Result<Child> {
    let port = free_port()?;
    let log = File::create(out.join("worker.log"))?;
    let mut command = Command::new(&programs.worker);
    command.arg("serve").env_clear().envs([
        ("DATABASE_URL", dsn.to_owned()),
        ("REDIS_URL", servers.redis.url().to_owned()),
        ("NATS_URL", nats.url().to_owned()),
        ("OPENAI_API_KEY", "scripted".to_owned()),
        ("OPENAI_BASE_URL", format!("http://127.0.0.1:{model}/v1")),
        ("ANTHROPIC_API_KEY", "scripted".to_owned()),
        ("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{model}")),
        ("HTTP_HOST", "127.0.0.1".to_owned()),
        ("PORT", port.to_string()),
    ]);
    // Tool scripts need an interpreter, and a kernel that confines it unless somebody says otherwise.
    for name in ["PATH", "TOOL_SCRIPTS", "TOOL_SCRIPTS_UNCONFINED"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    command.current_dir(place::root()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut child = command.kill_on_drop(true).spawn().context("start the worker")?;
    let ready = until("the worker is ready", Duration::from_secs(30), async || {
        let ended = child.try_wait().ok().flatten().is_some();
        (ended || stack::ready(port)).then_some(ended)
    });
    let ended = ready.await.unwrap_or(true);
    if ended {
        let log = std::fs::read_to_string(out.join("worker.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n");
        anyhow::bail!("the worker is not ready; its log ends:\n{tail}");
    }
    Ok(child)
}
