//! A Python with LangGraph's own saver and deepagents, for tests that ask Python itself.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// The releases that recorded the golden runs, as far as reading and continuing threads needs them.
const PACKAGES: [&str; 8] = [
    "deepagents==0.7.32",
    "langchain==1.4.7",
    "langchain-core==1.7.2",
    "langchain-openai==1.7.3",
    "langgraph==1.2.22",
    "langgraph-checkpoint==4.3.2",
    "langgraph-checkpoint-postgres==3.2.0",
    "psycopg[binary]==3.3.9",
];

/// The interpreter of `target/python-venv`, which is made at first use; processes that need it at once wait for it.
///
/// # Errors
/// When python3, its venv module or the packages cannot be had; the error says which.
pub fn langgraph_python() -> anyhow::Result<PathBuf> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    std::fs::create_dir_all(&target)?;
    let lock = std::fs::File::create(target.join("python-venv.lock"))?;
    lock.lock()?;
    let venv = target.canonicalize()?.join("python-venv");
    let (python, done) = (venv.join("bin/python"), venv.join("installed"));
    let wanted = PACKAGES.join("\n");
    let there = std::fs::read_to_string(&done).is_ok_and(|found| found == wanted);
    if there && ended_well(Command::new(&python).arg("--version")).is_ok() {
        return Ok(python);
    }
    ended_well(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))
        .context("python3 -m venv")?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
    ended_well(&mut install).context("pip install deepagents and LangGraph's saver")?;
    std::fs::write(done, wanted)?;
    Ok(python)
}

/// As [`langgraph_python`], for tests: prints why there is none and gives `None`.
#[expect(clippy::print_stderr, reason = "this speaks to whoever reads a test's output")]
pub fn langgraph_python_or_skip() -> Option<PathBuf> {
    match langgraph_python() {
        Ok(python) => Some(python),
        Err(error) => {
            eprintln!("skipped: no Python with deepagents and LangGraph's saver: {error:#}");
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
