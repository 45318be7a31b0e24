//! `cargo xtask chaos`: the worker's chaos test. The servers that all scenarios share are started here; what a scenario
//! breaks it starts itself.

use anyhow::Context;
use xshell::cmd;

use crate::flags::Chaos;
use crate::{place, test};

impl Chaos {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let sh = place::shell()?;
        let runtime = place::runtime()?;
        let servers = test::servers(&runtime, &sh)?;
        for (name, url) in servers.environment() {
            sh.set_var(name, url);
        }
        sh.set_var("CHAOS", if self.short { "short" } else { "full" });
        sh.set_var("AGENT_EXECUTOR_REQUIRE_SERVERS", "1");
        if let Some(only) = &self.only {
            sh.set_var("CHAOS_ONLY", only);
        }
        let test = ["--exact", "chaos", "--nocapture"];
        // All packages are named, so that cargo takes the same features as for the tests and compiles nothing twice.
        let profile = self.release.then_some("--release");
        let run =
            cmd!(sh, "cargo test --quiet --workspace {profile...} --test chaos -- {test...}").quiet().run();
        let ended = runtime.block_on(servers.end()).context("end the servers");
        run?;
        ended
    }
}
