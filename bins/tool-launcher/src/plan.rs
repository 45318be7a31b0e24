//! What the worker asks for, as JSON in one argument. The other side is `scripts/launch.rs` of agent-tool-host.

use std::path::PathBuf;

use serde::Deserialize;

/// How one interpreter is started and what it may do.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Plan {
    /// Interpreter, absolute.
    pub(crate) python: PathBuf,
    /// Source that it runs with `-c`; its one argument is the number of its channel.
    pub(crate) runner: String,
    /// Private folder: made at the start, removed at the end.
    pub(crate) work: PathBuf,
    /// What it may read besides.
    pub(crate) readable: Vec<PathBuf>,
    /// Whether it may use the network.
    pub(crate) network: bool,
    /// Whether only the first version of Landlock is used, as on a kernel that has no other.
    pub(crate) first_landlock: bool,
    /// Whether it may run although the kernel cannot confine it.
    pub(crate) unconfined: bool,
    pub(crate) wall_ms: u64,
    pub(crate) cpu_seconds: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) processes: usize,
    pub(crate) folder_bytes: u64,
    pub(crate) result_bytes: usize,
    pub(crate) output_bytes: usize,
}
