//! `cargo xtask containers`: the container path, proven where Docker can be had. Local images come from
//! `../shared/images/build` where that exists, so that no registry is needed; it installs and starts an engine too.

use std::path::Path;
use std::time::Duration;

use agent_testkit::engine_answers;
use rustix::process::{Pid, Signal, kill_process};
use xshell::{Shell, cmd};

use crate::flags::Containers;
use crate::{install, place};

/// 50 s on a two-core machine; a slow package mirror took four times that.
const BUILD_SECONDS: &str = "400";
const LOCAL_IMAGES: [(&str, &str); 3] = [
    ("AGENT_EXECUTOR_TEST_IMAGE_POSTGRES", "agent-executor-test/postgres:16"),
    ("AGENT_EXECUTOR_TEST_IMAGE_NATS", "agent-executor-test/nats:2"),
    ("AGENT_EXECUTOR_TEST_IMAGE_REDIS", "agent-executor-test/valkey:8"),
];

impl Containers {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let sh = place::shell()?;
        let there_before = engine_answers();
        if let Some(build) =
            place::shared().map(|shared| shared.join("images/build")).filter(|build| build.is_file())
        {
            if let Err(reason) = local_images(&sh, &build, there_before) {
                println!("skipped: the container path: {reason:#}");
                return Ok(());
            }
        } else if !there_before {
            println!("skipped: the container path: no Docker engine answers");
            return Ok(());
        }
        sh.set_var("AGENT_EXECUTOR_TEST_CONTAINERS", "1");
        println!("xtask: the container path");
        let outcome = cmd!(sh, "cargo test --quiet --workspace --test testkit containers").quiet().run();
        if !there_before {
            stop_engine()?;
        }
        Ok(outcome?)
    }
}

fn local_images(sh: &Shell, build: &Path, engine: bool) -> anyhow::Result<()> {
    anyhow::ensure!(engine || install::is_root(), "no Docker engine answers, and starting one needs root");
    println!("xtask: building local images (about a minute the first time), log in target/containers.log");
    let log = place::root().join("target/containers.log");
    sh.create_dir(place::root().join("target"))?;
    let script = "exec bash \"$0\" >\"$1\" 2>&1 </dev/null";
    if let Err(error) = cmd!(sh, "timeout {BUILD_SECONDS} bash -c {script} {build} {log}").quiet().run() {
        let text = sh.read_file(&log).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(5).collect();
        anyhow::bail!(
            "the images were not built ({error}); the log ends, newest line first: {}",
            last.join(" | ")
        );
    }
    for (name, image) in LOCAL_IMAGES {
        sh.set_var(name, image);
    }
    Ok(())
}

/// Ends the engine that the image script started: it is the one that wrote this pid file after we began.
fn stop_engine() -> anyhow::Result<()> {
    let file = Path::new("/var/run/docker.pid");
    let pid =
        std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        println!("xtask: stopping the Docker engine that was started for this");
        kill_process(pid, Signal::TERM)?;
        place::wait("the Docker engine ends", Duration::from_secs(30), || !file.exists())?;
    }
    Ok(())
}
