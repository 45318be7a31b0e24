//! The recordings and tools that lie beside a clone and are no part of it.

use std::path::{Path, PathBuf};

/// `../shared` beside the clone, or what `AGENT_EXECUTOR_SHARED` names; `None` where somebody has the clone alone.
pub fn shared_folder() -> Option<PathBuf> {
    let named = std::env::var_os("AGENT_EXECUTOR_SHARED").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"));
    folder.is_dir().then(|| folder.canonicalize().unwrap_or(folder))
}

/// A file or folder in [`shared_folder`], for tests: prints that it is absent and gives `None`.
#[expect(clippy::print_stderr, reason = "this speaks to whoever reads a test's output")]
pub fn recording_or_skip(place: &str) -> Option<PathBuf> {
    let found = shared_folder().map(|folder| folder.join(place)).filter(|path| path.exists());
    if found.is_none() {
        eprintln!("skipped: no ../shared/{place} (AGENT_EXECUTOR_SHARED may name the folder)");
    }
    found
}
