//! A Python with LangChain and LangGraph, for comparing with what we do in their place.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::programs::tools_folder;

/// The versions that the recordings were made with.
const PACKAGES: [&str; 2] = ["langchain-core==1.7.2", "langgraph==1.2.22"];

/// The interpreter of an environment with both, made once; `None`, with the reason on stderr, where it cannot be had.
pub fn langchain_python() -> Option<PathBuf> {
    python_with("langchain-venv", &PACKAGES)
}

/// The interpreter of an environment with these packages, made once under this name; `None`, with the reason on stderr,
/// where it cannot be had.
#[expect(clippy::print_stderr, reason = "this speaks to whoever reads a test's output")]
pub fn python_with(name: &str, packages: &[&str]) -> Option<PathBuf> {
    let found = make(name, packages);
    if found.is_none() {
        eprintln!("skipped: python3, its venv or the packages {packages:?} cannot be had");
    }
    found
}

fn make(name: &str, packages: &[&str]) -> Option<PathBuf> {
    std::fs::create_dir_all(tools_folder()).ok()?;
    let tools = tools_folder().canonicalize().ok()?;
    // Several tests may want it at once.
    let lock = File::create(tools.join(format!("{name}.lock"))).ok()?;
    lock.lock().ok()?;
    let venv = tools.join(name);
    let (python, done) = (venv.join("bin/python"), venv.join("installed"));
    let made = done.exists()
        || ran(Path::new("python3"), &["-m", "venv", venv.to_str()?])
            && ran(&python, &[&["-m", "pip", "install", "--quiet"], packages].concat())
            && std::fs::write(done, "").is_ok();
    made.then_some(python)
}

fn ran(program: &Path, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
