//! `cargo xtask test`: servers first, then doc tests, then all tests; the runner's summary comes last.

use std::time::Duration;

use agent_testkit::{Images, Servers, engine_answers};
use anyhow::{Context, anyhow};
use tokio::runtime::Runtime;
use xshell::{Shell, cmd};

use crate::flags::Test;
use crate::{install, place};

/// Three images from a registry over a slow line; past that the local programs are quicker.
const CONTAINERS_LIMIT: Duration = Duration::from_secs(300);

impl Test {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let sh = place::shell()?;
        let runtime = place::runtime()?;
        let servers = servers(&runtime, &sh)?;
        install::browser(&sh);
        install::faketime(&sh);
        for (name, url) in servers.environment() {
            sh.set_var(name, url);
        }
        sh.set_var("AGENT_EXECUTOR_REQUIRE_SERVERS", "1");
        let outcome = self.tests(&sh);
        if self.keep {
            println!("\nThe servers run until Ctrl-C:");
            for (name, url) in servers.environment() {
                println!("  export {name}={url}");
            }
            runtime.block_on(tokio::signal::ctrl_c())?;
        }
        let ended = runtime.block_on(servers.end()).context("end the servers");
        outcome?;
        ended
    }

    fn tests(&self, sh: &Shell) -> anyhow::Result<()> {
        let filter = &self.filter;
        if filter.is_empty() {
            println!("xtask: doc tests");
            cmd!(sh, "cargo test --quiet --workspace --doc").quiet().run()?;
        }
        println!("xtask: tests");
        if cmd!(sh, "cargo nextest --version").quiet().ignore_stdout().ignore_stderr().run().is_ok() {
            // Twice as many as processors: most tests wait for servers, leases and pauses.
            let threads = std::thread::available_parallelism().map_or(2, |cores| cores.get() * 2).to_string();
            let run = cmd!(sh, "cargo nextest run --workspace --test-threads {threads} {filter...}");
            return Ok(run.quiet().run()?);
        }
        println!("xtask: cargo-nextest is absent, cargo test serves (slower, same tests)");
        let name = filter.first();
        Ok(cmd!(sh, "cargo test --workspace --lib --bins --tests -- {name...}").quiet().run()?)
    }
}

/// The first that can be had: the environment's, containers, local programs, local programs after installing them.
pub(crate) fn servers(runtime: &Runtime, sh: &Shell) -> anyhow::Result<Servers> {
    let named = ["TEST_POSTGRES_URL", "TEST_NATS_URL", "TEST_REDIS_URL"];
    if named.iter().all(|name| std::env::var_os(name).is_some()) {
        println!("xtask: using the servers of {}", named.join(", "));
        return runtime.block_on(Servers::from_env_or_start());
    }
    if engine_answers() {
        let images = Images::from_env();
        let (postgres, nats, redis) = (images.postgres, images.nats, images.redis);
        println!("xtask: a Docker engine answers, starting containers of {postgres}, {nats}, {redis}");
        let started = runtime
            .block_on(async { tokio::time::timeout(CONTAINERS_LIMIT, Servers::from_containers()).await });
        match started.map_err(|_| anyhow!("not ready within {CONTAINERS_LIMIT:?}")).flatten() {
            Ok(servers) => return Ok(servers),
            Err(error) => println!("xtask: containers cannot be used ({error:#}), taking local programs"),
        }
    }
    install::missing_programs(sh)?;
    println!("xtask: starting local PostgreSQL, NATS and a Redis-protocol server on free ports");
    runtime.block_on(Servers::from_local_programs())
}
