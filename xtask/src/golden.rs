//! `cargo xtask golden`: recorded scenarios played against the real worker and compared by the recordings' checker.

mod bench;
mod dump;
mod play;
mod scenario;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use futures_util::StreamExt;

use crate::flags::Golden;
use crate::{install, place};
use scenario::Scenario;

/// Scenarios in work at once; each waits mostly for Python.
const AT_ONCE: usize = 4;

/// Where the checker and the scripted model are, and the scenarios to play.
struct Recordings {
    tools: PathBuf,
    scenarios: PathBuf,
}

impl Golden {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let Some(recordings) = recordings(self.scenarios.as_deref())? else {
            println!(
                "skipped: ../shared/golden is absent (AGENT_EXECUTOR_SHARED may name the folder ../shared)"
            );
            return Ok(());
        };
        if Command::new("python3").arg("--version").output().is_err() {
            println!("skipped: the checker and the scripted model need python3, which is not on PATH");
            return Ok(());
        }
        let scenarios = scenario::all(&recordings.scenarios, &self.filter)?;
        ensure!(!scenarios.is_empty(), "no scenario under {}", recordings.scenarios.display());
        let sh = place::shell()?;
        let programs = bench::Programs::build(self.release)?;
        install::missing_programs(&sh)?;
        let python = agent_testkit::langgraph_python();
        if let Err(error) = &python {
            println!("xtask: no Python with LangGraph's saver ({error:#}); state is read by our own reader");
        }
        let runtime = place::runtime()?;
        let servers = crate::test::servers(&runtime, &sh)?;
        let played =
            runtime.block_on(play_all(&recordings, &scenarios, &programs, python.ok().as_deref(), &servers));
        runtime.block_on(servers.end())?;
        let rows = played?;
        table::print(&rows, self.verbose);
        let different = rows.iter().filter(|row| !row.holds()).count();
        ensure!(different == 0, "{different} of {} scenarios differ", rows.len());
        Ok(())
    }
}

/// The folder named on the command line, else the recordings beside the clone.
fn recordings(named: Option<&Path>) -> anyhow::Result<Option<Recordings>> {
    let shared = place::shared().map(|shared| shared.join("golden"));
    let has_tools = |folder: &PathBuf| folder.join("check.py").is_file();
    let Some(named) = named else {
        let there = shared.filter(has_tools);
        return Ok(there.map(|tools| Recordings { scenarios: tools.join("scenarios"), tools }));
    };
    let scenarios = named.canonicalize().with_context(|| format!("no folder `{}`", named.display()))?;
    let beside = scenarios.parent().map(Path::to_path_buf);
    let tools = [beside, Some(scenarios.clone()), shared].into_iter().flatten().find(has_tools);
    let tools = tools.context("check.py is neither beside the scenarios nor in ../shared/golden")?;
    Ok(Some(Recordings { tools, scenarios }))
}

async fn play_all(
    recordings: &Recordings,
    scenarios: &[Scenario],
    programs: &bench::Programs,
    python: Option<&Path>,
    servers: &agent_testkit::Servers,
) -> anyhow::Result<Vec<table::Row>> {
    let out = place::root().join("target/golden");
    if out.exists() {
        std::fs::remove_dir_all(&out)?;
    }
    std::fs::create_dir_all(&out)?;
    let bench = bench::Bench::start(programs, servers, recordings, &out).await?;
    let dumper = dump::Dumper::start(python, &recordings.tools, &programs.reader, bench.dsn())?;
    let work = scenarios.iter().map(|scenario| {
        let (bench, dumper, out) = (&bench, &dumper, &out);
        async move {
            let candidate = out.join(&scenario.name);
            let played = play::play(scenario, bench, dumper, &candidate).await;
            let row = match played {
                Ok(()) => table::check(&recordings.tools, scenario, &candidate).await,
                Err(error) => Err(error),
            };
            row.unwrap_or_else(|error| table::Row::broken(scenario, &error))
        }
    });
    let mut rows: Vec<table::Row> =
        futures_util::stream::iter(work).buffer_unordered(AT_ONCE).collect().await;
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    println!("xtask: what was produced lies in {}", out.display());
    Ok(rows)
}
