//! `cargo xtask bench`: the load driver's scenarios against a stack of its own, and one table.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_testkit::python_venv;
use anyhow::{Context, ensure};
use rustix::process::Signal;
use serde_json::Value;
use xshell::cmd;

use crate::flags::Bench;
use crate::{down, place, stack, streams, up};

/// What the driver is asked for; `jobs` fills `--n` unless the row says so itself.
struct Row {
    name: &'static str,
    arguments: &'static [&'static str],
}

const ROWS: &[Row] = &[
    Row {
        name: "hello, queue filled",
        arguments: &["--scenario", "hello", "--window", "0", "--warmup", "20"],
    },
    Row {
        name: "hello, 50 in work",
        arguments: &["--scenario", "hello", "--window", "50", "--warmup", "20"],
    },
    Row { name: "tools, 50 in work", arguments: &["--scenario", "tools", "--window", "50"] },
    Row { name: "sub-agents, 50 in work", arguments: &["--scenario", "subagents", "--window", "50"] },
    Row { name: "sub-agents in parallel", arguments: &["--scenario", "subagents_par", "--window", "50"] },
    Row {
        name: "hello, alone, 20 ms chunks",
        arguments: &["--scenario", "hello", "--window", "1", "--delay-ms", "20", "--n", "10"],
    },
    Row {
        name: "hello of 1 s, 200 at once",
        arguments: &["--scenario", "hello", "--window", "0", "--delay-ms", "20", "--n", "200"],
    },
];

impl Bench {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        if self.streams {
            return self.measure_streams();
        }
        let Some(driver) = place::shared().map(|shared| shared.join("bench/load_driver.py")) else {
            println!("skipped: ../shared/bench is absent (AGENT_EXECUTOR_SHARED may name the folder)");
            return Ok(());
        };
        ensure!(driver.is_file(), "no load driver at {}", driver.display());
        ensure!(
            !stack::real_model(),
            "a model provider is set in the environment; the bench needs the scripted one"
        );
        let python = environment()?;
        let worker = stack::build_worker(!self.dev)?;
        up::servers(!self.dev)?;
        let measured = self.measure(&worker, &python, &driver);
        down::all()?;
        measured
    }

    fn measure_streams(&self) -> anyhow::Result<()> {
        let worker = stack::build_worker(!self.dev)?;
        up::servers(!self.dev)?;
        let plan = streams::Plan { idle: self.idle.unwrap_or(1_000), active: self.active.unwrap_or(200) };
        let measured = plan.measure(&worker);
        down::all()?;
        measured
    }

    fn measure(&self, worker: &Path, python: &Path, driver: &Path) -> anyhow::Result<()> {
        // The last row promises that 200 jobs are in work at once; 32, the default, would queue them.
        let ready = stack::start_worker(worker, &[("WORKER_CONCURRENCY", "200")])?;
        let pid = stack::running("worker").context("the worker has ended")?.pid.as_raw_nonzero().get();
        let idle = memory(pid);
        let jobs = self.jobs.unwrap_or(200).to_string();
        println!(
            "\n{:<28} {:>8} {:>8} {:>8} {:>8} {:>10} {:>9}",
            "", "jobs", "jobs/s", "p50 ms", "p99 ms", "CPU ms/job", "peak MB"
        );
        let mut failed = Vec::new();
        for row in ROWS {
            let output = drive(row, python, driver, pid, &jobs)?;
            println!("{}", line(row.name, &output));
            if output.pointer("/exit") == Some(&Value::Bool(false)) {
                failed.push(format!("{}: {output}", row.name));
            }
        }
        println!("\nstart to ready {ready:?}; memory idle {} MB", idle / 1024);
        stack::stop("worker", Signal::TERM, Duration::from_secs(40))?;
        ensure!(failed.is_empty(), "not every job has one result that completed:\n{}", failed.join("\n"));
        Ok(())
    }
}

/// One run of the driver; its JSON, with `exit` added.
fn drive(row: &Row, python: &Path, driver: &Path, pid: i32, jobs: &str) -> anyhow::Result<Value> {
    let sh = place::shell()?;
    let (nats, redis) =
        (format!("nats://127.0.0.1:{}", stack::NATS), format!("redis://127.0.0.1:{}", stack::REDIS));
    let (arguments, pid) = (row.arguments, pid.to_string());
    // The later `--n` wins, so a row's own comes last.
    let common = ["--nats", &nats, "--redis", &redis, "--pid", &pid, "--n", jobs, "--timeout", "120"];
    let command = cmd!(sh, "{python} {driver} {common...} {arguments...}").quiet().ignore_status();
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().next_back().unwrap_or_default();
    let mut value: Value = serde_json::from_str(last).with_context(|| {
        format!("the driver printed no JSON: {}", String::from_utf8_lossy(&output.stderr))
    })?;
    if let Some(members) = value.as_object_mut() {
        members.insert("exit".to_owned(), output.status.success().into());
    }
    Ok(value)
}

fn line(name: &str, output: &Value) -> String {
    let number = |key: &str| output.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
    format!(
        "{name:<28} {:>8} {:>8.1} {:>8.1} {:>8.1} {:>10.2} {:>9.1}",
        number("completed"),
        number("jobs_per_s"),
        number("p50_s") * 1000.0,
        number("p99_s") * 1000.0,
        number("cpu_ms_per_job"),
        number("rss_peak_kb") / 1024.0,
    )
}

/// Resident memory in KiB, from /proc.
pub(crate) fn memory(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// A Python with the driver's modules.
fn environment() -> anyhow::Result<PathBuf> {
    python_venv("bench-venv", &["nats-py", "redis", "aiohttp"])
}
