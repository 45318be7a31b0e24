//! Where things are, and small things that several commands need.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

pub(crate) use agent_testkit::shared_folder as shared;

/// A shell in the workspace's root.
pub(crate) fn shell() -> anyhow::Result<xshell::Shell> {
    let sh = xshell::Shell::new()?;
    sh.change_dir(root());
    Ok(sh)
}

pub(crate) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start a runtime")
}

/// Asks `ready` every 5 ms, for at most `limit`; returns how long it took.
pub(crate) fn wait(what: &str, limit: Duration, mut ready: impl FnMut() -> bool) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    while !ready() {
        ensure!(begun.elapsed() < limit, "{what}: not so within {limit:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(begun.elapsed())
}
