//! Starting the launcher, and talking to it. Its side is `bins/tool-launcher/src/{plan,frames}.rs`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rand::Rng as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::settings::{Confinement, ScriptSettings};

/// What the interpreter runs: one program in six files.
const RUNNER: &str = concat!(
    include_str!("../runner/stand_ins.py"),
    include_str!("../runner/schema.py"),
    include_str!("../runner/check.py"),
    include_str!("../runner/langchain.py"),
    include_str!("../runner/answer.py"),
    include_str!("../runner/main.py"),
);
/// Asks an interpreter where it lives: itself, what it really is, where its libraries are.
const PROBE: &str = "import os, sys; print('\\n'.join([sys.executable, os.path.realpath(sys.executable), \
    sys.base_prefix + '/lib', sys.prefix + '/pyvenv.cfg'] + sys.path))";
/// What programs that a script starts may need.
const SYSTEM: &[&str] =
    &["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/etc/alternatives"];
/// What finding a host and trusting it needs, where scripts may use the network.
const NETWORK: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
];
/// Longest header of a report: two outputs, each byte up to six when escaped.
const MAX_HEAD: usize = 4 << 20;
/// More than the launcher needs to end and remove everything after a limit.
const GRACE: Duration = Duration::from_secs(20);

/// Starts interpreters.
#[derive(Debug)]
pub(super) struct Launcher {
    program: PathBuf,
    python: PathBuf,
    readable: Vec<PathBuf>,
}

impl Launcher {
    /// Looks up the two programs; the error is for people.
    pub(super) async fn find(settings: &ScriptSettings) -> Result<Self, String> {
        let beside =
            || std::env::current_exe().map(|own| own.with_file_name("tool-launcher")).unwrap_or_default();
        let program = settings.launcher.clone().unwrap_or_else(beside);
        if !program.is_file() {
            let program = program.display();
            return Err(format!(
                "`{program}` is missing: expected the program `tool-launcher` beside the worker"
            ));
        }
        let asked = settings.python.clone().unwrap_or_else(|| "python3".into());
        let told = probe(&asked).await.map_err(|reason| {
            let asked = asked.display();
            format!("`{asked}` is no Python interpreter that runs (TOOL_SCRIPTS_PYTHON): {reason}")
        })?;
        let mut lines = told.lines().map(PathBuf::from).filter(|path| path.is_absolute());
        let python = lines.next().unwrap_or_default();
        let network = if settings.network { NETWORK } else { &[] };
        let system = SYSTEM.iter().chain(network).map(PathBuf::from);
        // A search path of `/` would open everything.
        let readable = lines.filter(|path| path.parent().is_some()).chain([python.clone()]).chain(system);
        Ok(Self { program, readable: readable.collect(), python })
    }

    fn plan(&self, settings: &ScriptSettings, work: &Path) -> Value {
        let limits = &settings.limits;
        json!({
            "python": self.python, "runner": RUNNER, "work": work, "readable": self.readable,
            "network": settings.network, "first_landlock": settings.first_landlock,
            "unconfined": settings.confinement == Confinement::AllowUnconfined,
            "wall_ms": u64::try_from(limits.wall.as_millis()).unwrap_or(u64::MAX),
            "cpu_seconds": limits.cpu.as_secs().max(1), "memory_bytes": limits.memory_bytes,
            "processes": limits.processes, "folder_bytes": limits.folder_bytes,
            "result_bytes": limits.result_bytes, "output_bytes": limits.output_bytes,
        })
    }

    /// An interpreter, started and confined; nothing of a definition has run in it.
    pub(super) async fn start(&self, settings: &ScriptSettings) -> Result<Process, Lost> {
        let work = settings.folder.join(format!("tool-{:032x}", rand::rng().random::<u128>()));
        let mut child = Command::new(&self.program)
            .args(["supervise", &self.plan(settings, &work).to_string()])
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Lost::Io(io::Error::other("no pipes")));
        };
        let patience = settings.limits.wall + GRACE;
        let mut process = Process { child, input, output, patience };
        let (report, _) = process.read().await?;
        match report.outcome {
            Outcome::Ready if report.detail.is_empty() => Ok(process),
            Outcome::Ready => {
                tracing::warn!(event = "tool_scripts_unconfined", lacking = %report.detail);
                Ok(process)
            }
            Outcome::Refused
            | Outcome::Reply
            | Outcome::Wall
            | Outcome::Cpu
            | Outcome::Memory
            | Outcome::Processes
            | Outcome::Folder
            | Outcome::Result
            | Outcome::Died => Err(Lost::Refused(report.detail)),
        }
    }
}

async fn probe(python: &Path) -> Result<String, String> {
    let done = Command::new(python)
        .args(["-I", "-B", "-c", PROBE])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| error.to_string())?;
    if !done.status.success() {
        return Err(format!("{}: {}", done.status, String::from_utf8_lossy(&done.stderr).trim()));
    }
    String::from_utf8(done.stdout).map_err(|error| error.to_string())
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    /// The launcher has ended or cannot be started.
    #[error("its launcher was lost: {0}")]
    Io(#[from] io::Error),
    /// The launcher says that the sandbox cannot be had.
    #[error("{0}")]
    Refused(String),
}

/// How a request ended; names as the launcher writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Ready,
    Refused,
    Reply,
    Wall,
    Cpu,
    Memory,
    Processes,
    Folder,
    Result,
    Died,
}

impl Outcome {
    /// Its name in logs and metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ready | Self::Refused => "not_started",
            Self::Reply => "reply",
            Self::Wall => "wall",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Processes => "processes",
            Self::Folder => "folder",
            Self::Result => "result",
            Self::Died => "died",
        }
    }
}

/// What the launcher tells beside the reply.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) outcome: Outcome,
    pub(super) detail: String,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) forks_refused: u64,
}

/// A running launcher with its interpreter. Dropping it closes the channel, at which the launcher ends everything.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
    patience: Duration,
}

impl Process {
    /// Whether it waits for a request: one that hit a limit meanwhile has ended.
    pub(super) fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// One request after which the interpreter goes on.
    pub(super) async fn ask(&mut self, request: &Value) -> Result<(Report, Vec<u8>), Lost> {
        self.request(request, b'K').await
    }

    /// The last request: when this returns, everything that was started has ended and the folder is gone.
    pub(super) async fn last(mut self, request: &Value) -> Result<(Report, Vec<u8>), Lost> {
        let answered = self.request(request, b'E').await?;
        self.child.wait().await?;
        Ok(answered)
    }

    async fn request(&mut self, request: &Value, kind: u8) -> Result<(Report, Vec<u8>), Lost> {
        let payload = request.to_string().into_bytes();
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let mut frame = Vec::with_capacity(payload.len() + 5);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.push(kind);
        frame.extend_from_slice(&payload);
        // One that has hit a limit meanwhile has said so and reads nothing any more.
        let written = self.input.write_all(&frame).await;
        match tokio::time::timeout(self.patience, self.read()).await {
            Ok(Ok(answered)) => Ok(answered),
            Ok(Err(lost)) => Err(written.err().map_or(lost, Lost::Io)),
            Err(_) => {
                // A launcher that hangs cannot end what it started; the kernel ends the interpreter with it.
                self.child.start_kill()?;
                Err(Lost::Io(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    async fn read(&mut self) -> Result<(Report, Vec<u8>), Lost> {
        let head = self.output.read_u32().await? as usize;
        let reply = self.output.read_u32().await? as usize;
        if head > MAX_HEAD {
            return Err(Lost::Io(io::Error::other("a report out of form")));
        }
        let mut bytes = vec![0; head];
        self.output.read_exact(&mut bytes).await?;
        let report = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
        let mut bytes = vec![0; reply];
        self.output.read_exact(&mut bytes).await?;
        Ok((report, bytes))
    }
}
