//! The local stack: its ports, its processes in the background, and what is written down about them in
//! `target/stack`, so that `down` stops exactly those.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use xshell::cmd;

use crate::place;

pub(crate) const POSTGRES: u16 = 15_433;
pub(crate) const REDIS: u16 = 16_380;
pub(crate) const NATS: u16 = 14_222;
pub(crate) const NATS_MONITOR: u16 = 18_222;
pub(crate) const MODEL: u16 = 18_100;
pub(crate) const WORKER: u16 = 8_080;
pub(crate) const USER: &str = "test_user";
pub(crate) const PASSWORD: &str = "test_pass";
pub(crate) const DATABASE: &str = "test_db";

/// All parts, in the order in which they are stopped.
pub(crate) const PARTS: [&str; 5] = ["worker", "model", "nats", "redis", "postgres"];

pub(crate) fn folder() -> PathBuf {
    place::root().join("target/stack")
}

pub(crate) fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// A background process of the stack, as `target/stack/<part>.pid` tells: pid and start time, because pids are
/// used again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Running {
    pub(crate) pid: Pid,
}

/// Starts `command` in a process group of its own, its output in `target/stack/<part>.log`.
pub(crate) fn spawn(part: &str, command: &mut Command) -> anyhow::Result<Running> {
    let folder = folder();
    std::fs::create_dir_all(&folder)?;
    let log = File::create(folder.join(format!("{part}.log")))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    let child = command.spawn().with_context(|| format!("start {part}"))?;
    let pid = Pid::from_child(&child);
    std::fs::write(folder.join(format!("{part}.pid")), format!("{} {}", child.id(), started_at(pid)))?;
    Ok(Running { pid })
}

/// The part, if its process still runs and is the one that was written down.
pub(crate) fn running(part: &str) -> Option<Running> {
    let text = std::fs::read_to_string(folder().join(format!("{part}.pid"))).ok()?;
    let (pid, started) = text.split_once(' ')?;
    let pid = Pid::from_raw(pid.parse().ok()?)?;
    let alive = rustix::process::test_kill_process(pid).is_ok() && !is_zombie(pid);
    (alive && started_at(pid) == started).then_some(Running { pid })
}

/// Asks a part to end, `signal` first; past `limit` it is killed.
pub(crate) fn stop(part: &str, signal: Signal, limit: Duration) -> anyhow::Result<bool> {
    let Some(found) = running(part) else { return Ok(false) };
    kill_process(found.pid, signal)?;
    if place::wait("it ends", limit, || running(part).is_none()).is_err() {
        println!("xtask: {part} did not end within {limit:?}, killing it");
        kill_process_group(found.pid, Signal::KILL)?;
    }
    std::fs::remove_file(folder().join(format!("{part}.pid")))?;
    Ok(true)
}

/// Field 22 of /proc/<pid>/stat; empty where there is no /proc.
fn started_at(pid: Pid) -> String {
    stat(pid, 19)
}

fn is_zombie(pid: Pid) -> bool {
    stat(pid, 0) == "Z"
}

/// A field of /proc/<pid>/stat, counted from the state (field 3).
fn stat(pid: Pid, index: usize) -> String {
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let fields = text.rsplit_once(") ").map_or("", |(_, fields)| fields);
    fields.split(' ').nth(index).unwrap_or_default().to_owned()
}

/// Builds a binary and says where it lies, whatever target folder cargo uses.
pub(crate) fn build(package: &str, release: bool) -> anyhow::Result<PathBuf> {
    let sh = place::shell()?;
    let profile: &[&str] = if release { &["--release"] } else { &[] };
    println!("xtask: cargo build -p {package} {}", profile.join(" "));
    let output =
        cmd!(sh, "cargo build --quiet -p {package} {profile...} --message-format=json-render-diagnostics");
    let output = output.quiet().read()?;
    let of = output.lines().filter_map(|line| executable(line, package)).next_back();
    of.with_context(|| format!("cargo built no binary `{package}`"))
}

/// Builds all binaries and examples as `cargo xtask test` does, so that neither compiles again what the other did;
/// says where those of these names lie.
pub(crate) fn build_all<const N: usize>(names: [&str; N], release: bool) -> anyhow::Result<[PathBuf; N]> {
    let sh = place::shell()?;
    let profile: &[&str] = if release { &["--release"] } else { &[] };
    println!("xtask: cargo build --workspace --bins --examples {}", profile.join(" "));
    let output = cmd!(
        sh,
        "cargo build --quiet --workspace --bins --examples {profile...} --message-format=json-render-diagnostics"
    );
    let output = output.quiet().read()?;
    let mut found = Vec::with_capacity(N);
    for name in names {
        let program = output.lines().filter_map(|line| executable(line, name)).next_back();
        found.push(program.with_context(|| format!("cargo built no binary `{name}`"))?);
    }
    found.try_into().map_err(|_| anyhow::anyhow!("as many programs as names"))
}

fn executable(line: &str, name: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let named = message.pointer("/target/name")?.as_str()? == name;
    message.get("executable")?.as_str().filter(|_| named).map(PathBuf::from)
}

/// Builds the worker, and beside it the launcher of its tool scripts.
pub(crate) fn build_worker(release: bool) -> anyhow::Result<PathBuf> {
    build("tool-launcher", release)?;
    build("worker", release)
}

/// Settings of migrate-init and worker for this stack, by the names of the wire contract.
pub(crate) fn environment() -> Vec<(&'static str, String)> {
    let mut list = vec![
        ("POSTGRES_HOST", "127.0.0.1".to_owned()),
        ("POSTGRES_PORT", POSTGRES.to_string()),
        ("POSTGRES_DB", DATABASE.to_owned()),
        ("POSTGRES_USER", USER.to_owned()),
        ("POSTGRES_PASSWORD", PASSWORD.to_owned()),
        ("DRAGONFLY_HOST", "127.0.0.1".to_owned()),
        ("DRAGONFLY_PORT", REDIS.to_string()),
        ("NATS_URL", format!("nats://127.0.0.1:{NATS}")),
        ("PORT", WORKER.to_string()),
    ];
    if !real_model() {
        list.push(("OPENAI_API_KEY", "scripted".to_owned()));
        list.push(("OPENAI_BASE_URL", format!("http://127.0.0.1:{MODEL}/v1")));
    }
    list
}

/// Whether the environment names a model provider; it then reaches the worker as it is.
pub(crate) fn real_model() -> bool {
    let named =
        ["OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"];
    named.iter().any(|name| std::env::var(name).is_ok_and(|value| !value.is_empty()))
}

/// Starts the worker and returns how long it took to be ready.
pub(crate) fn start_worker(program: &Path, extra: &[(&str, &str)]) -> anyhow::Result<Duration> {
    let mut command = Command::new(program);
    command.arg("serve").current_dir(place::root());
    // Other databases of the caller's environment would win over this stack's.
    for name in ["DATABASE_URL", "POSTGRES_URI", "REDIS_URL", "DRAGONFLY_PASSWORD", "POSTGRES_SCHEMA"] {
        command.env_remove(name);
    }
    command.envs(environment()).envs(extra.iter().copied());
    spawn("worker", &mut command)?;
    let answer = place::wait("the worker is ready", Duration::from_secs(30), || {
        ready(WORKER) || running("worker").is_none()
    });
    if running("worker").is_none() || answer.is_err() {
        let log = std::fs::read_to_string(folder().join("worker.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n");
        anyhow::bail!("the worker is not ready; its log ends:\n{tail}");
    }
    answer
}

/// `GET /ready` answers 200.
pub(crate) fn ready(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address(port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}
