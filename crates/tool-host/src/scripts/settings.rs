//! Where scripts run and what they may use.

use std::path::PathBuf;
use std::time::Duration;

/// What one call of a script may use. Everything that it starts counts together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptLimits {
    /// From the request to the answer; loading the script is measured by itself. Default 30 s.
    pub wall: Duration,
    /// CPU time; whole seconds. Default 10 s.
    pub cpu: Duration,
    /// Memory, in bytes. Default 512 MiB.
    pub memory_bytes: u64,
    /// Processes at once, the interpreter included; four times as many threads. Default 16.
    pub processes: usize,
    /// The whole working folder, in bytes, however many files. Default 64 MiB.
    pub folder_bytes: u64,
    /// The result, in bytes. Default 1 MiB.
    pub result_bytes: usize,
    /// Kept of each of stdout and stderr, in bytes. Default 64 KiB.
    pub output_bytes: usize,
}

impl Default for ScriptLimits {
    fn default() -> Self {
        Self {
            wall: Duration::from_secs(30),
            cpu: Duration::from_secs(10),
            memory_bytes: 512 << 20,
            processes: 16,
            folder_bytes: 64 << 20,
            result_bytes: 1 << 20,
            output_bytes: 64 << 10,
        }
    }
}

/// What happens where the kernel cannot enforce the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Confinement {
    /// Scripts are refused.
    #[default]
    Required,
    /// Scripts run with what can be had (`TOOL_SCRIPTS_UNCONFINED=true`).
    AllowUnconfined,
}

/// How scripts are run.
#[derive(Debug, Clone)]
pub struct ScriptSettings {
    /// Limits of a call.
    pub limits: ScriptLimits,
    /// What happens where the kernel cannot enforce the sandbox.
    pub confinement: Confinement,
    /// Whether scripts may use the network. Default no.
    pub network: bool,
    /// Uses only the first version of Landlock, as on a kernel (before 6.12) that has no other that serves. For trying
    /// that out; default no.
    pub first_landlock: bool,
    /// Interpreter; `None`: `python3` on PATH.
    pub python: Option<PathBuf>,
    /// The launcher; `None`: `tool-launcher` beside this program.
    pub launcher: Option<PathBuf>,
    /// Existing folder in which working folders are made. Default: the system's folder for temporary files.
    pub folder: PathBuf,
    /// Interpreters kept ready for each set of scripts. Default 1.
    pub warm: usize,
    /// Sets of scripts for which interpreters are kept ready; the longest unused one goes first. Default 4.
    pub warm_sets: usize,
    /// Calls at once. Default 16; more wait.
    pub concurrent: usize,
}

impl Default for ScriptSettings {
    fn default() -> Self {
        Self {
            limits: ScriptLimits::default(),
            confinement: Confinement::Required,
            network: false,
            first_landlock: false,
            python: None,
            launcher: None,
            folder: std::env::temp_dir(),
            warm: 1,
            warm_sets: 4,
            concurrent: 16,
        }
    }
}
