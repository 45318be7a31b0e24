//! Python environments of the tests' own: made once under a name, from pinned packages.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::programs::tools_folder;

/// The interpreter of the environment `target/tools/<name>`, which is made at first use and anew when the list of its
/// packages changes. Processes that want it at once wait for the one that makes it.
///
/// # Errors
/// When python3, its venv module or the packages cannot be had; the error says which.
pub fn python_venv(name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    std::fs::create_dir_all(tools_folder())?;
    let tools = tools_folder().canonicalize()?;
    let lock = File::create(tools.join(format!("{name}.lock")))?;
    lock.lock()?;
    let venv = tools.join(name);
    let (python, done) = (venv.join("bin/python"), venv.join("installed"));
    let wanted = packages.join("\n");
    let there = std::fs::read_to_string(&done).is_ok_and(|found| found == wanted);
    if there && ended_well(Command::new(&python).arg("--version")).is_ok() {
        return Ok(python);
    }
    ended_well(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))
        .context("python3 -m venv")?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
    ended_well(&mut install).with_context(|| format!("pip install {}", packages.join(" ")))?;
    std::fs::write(done, wanted)?;
    Ok(python)
}

/// As [`python_venv`], for tests: prints why there is none and gives `None`.
#[expect(clippy::print_stderr, reason = "this speaks to whoever reads a test's output")]
pub fn python_or_skip(name: &str, packages: &[&str]) -> Option<PathBuf> {
    match python_venv(name, packages) {
        Ok(python) => Some(python),
        Err(error) => {
            eprintln!("skipped: no Python environment `{name}`: {error:#}");
            None
        }
    }
}

fn ended_well(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", output.status, told.trim());
    Ok(())
}

/// LangChain and LangGraph in the versions that the recordings were made with, for comparing with what we do in their
/// place.
pub fn langchain_python() -> Option<PathBuf> {
    python_or_skip("langchain-venv", &["langchain-core==1.7.2", "langgraph==1.2.22"])
}

/// The releases that recorded the golden runs, as far as reading and continuing threads needs them.
const LANGGRAPH: [&str; 8] = [
    "deepagents==0.7.32",
    "langchain==1.4.7",
    "langchain-core==1.7.2",
    "langchain-openai==1.7.3",
    "langgraph==1.2.22",
    "langgraph-checkpoint==4.3.2",
    "langgraph-checkpoint-postgres==3.2.0",
    "psycopg[binary]==3.3.9",
];

/// Deepagents and LangGraph's own saver, for tests that ask Python itself.
///
/// # Errors
/// As [`python_venv`].
pub fn langgraph_python() -> anyhow::Result<PathBuf> {
    python_venv("langgraph-venv", &LANGGRAPH)
}

/// As [`langgraph_python`], for tests: prints why there is none and gives `None`.
pub fn langgraph_python_or_skip() -> Option<PathBuf> {
    python_or_skip("langgraph-venv", &LANGGRAPH)
}
