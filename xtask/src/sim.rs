//! `cargo xtask sim`: the simulation, built as all tests are, so that nothing is compiled twice.

use xshell::cmd;

use crate::flags::Sim;
use crate::place;

impl Sim {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let sh = place::shell()?;
        match self.seed {
            Some(seed) => sh.set_var("SIM_SEED", seed.to_string()),
            None => {
                sh.set_var("SIM_SEEDS", self.seeds.unwrap_or(2000).to_string());
                sh.set_var("SIM_FIRST", self.first.unwrap_or(1).to_string());
            }
        }
        if self.log {
            sh.set_var("SIM_LOG", "1");
        }
        if self.liveness {
            sh.set_var("SIM_LIVENESS", "1");
        }
        // All packages are named, so that cargo takes the same features, and the same compiled crates, as for the
        // tests.
        let test = ["--exact", "seeds", "--nocapture"];
        Ok(cmd!(sh, "cargo test --quiet --workspace --test simulation -- {test...}").quiet().run()?)
    }
}
