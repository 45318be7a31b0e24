//! `cargo xtask down`: stops what `up` started, and nothing else.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;

use crate::flags::Down;
use crate::{install, stack};

impl Down {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        all()
    }
}

/// The worker may drain for 25 s; the servers end at once.
pub(crate) fn all() -> anyhow::Result<()> {
    for part in stack::PARTS {
        // PostgreSQL: INT ends sessions and shuts down, TERM would wait for them.
        let signal = if part == "postgres" { Signal::INT } else { Signal::TERM };
        if stack::stop(part, signal, Duration::from_secs(30))? {
            println!("stopped {part}");
        }
    }
    for folder in [data_folder(), stack::folder().join("nats")] {
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
    }
    Ok(())
}

/// PostgreSQL's data: in the stack's folder, or, as root, where the account that the server runs as can go.
pub(crate) fn data_folder() -> PathBuf {
    if !install::is_root() {
        return stack::folder().join("postgres");
    }
    // One stack a machine: the ports are fixed, so the name may be.
    std::env::temp_dir().join(format!("agent-executor-stack-{}", stack::POSTGRES))
}
