//! Jobs and their limits.

use std::{path::PathBuf, time::Duration};

use crate::{env, reader::Reader};

/// Jobs and their limits.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Name of this process in leases, to which a part of its own is added.
    pub name: String,
    /// Jobs in work at once.
    pub concurrency: usize,
    /// How long running steps may go on after SIGTERM.
    pub drain_budget: Duration,
    /// Deadline of jobs that name none.
    pub job_deadline: Option<Duration>,
    /// Most objects and lists inside one another in a job's body.
    pub job_depth: usize,
    /// Unclean lease losses after which a job fails.
    pub poison_limit: u32,
    /// Definition used where a job's is empty.
    pub default_definition_file: Option<PathBuf>,
    /// How long a silent worker keeps its jobs.
    pub lease: Duration,
    /// How long a commit is tried while PostgreSQL is away.
    pub store_patience: Duration,
}

impl WorkerSettings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            concurrency: reader.get(&env::WORKER_CONCURRENCY),
            name: reader.get(&env::WORKER_NAME),
            drain_budget: reader.get(&env::DRAIN_BUDGET_SECONDS),
            job_deadline: reader.find(&env::JOB_DEADLINE_SECONDS),
            job_depth: reader.get(&env::JOB_DEPTH_LEVELS),
            poison_limit: reader.get(&env::POISON_LIMIT),
            default_definition_file: reader.find(&env::DEFAULT_AGENT_DEFINITION_FILE),
            lease: reader.get(&env::LEASE_SECONDS),
            store_patience: reader.get(&env::STORE_PATIENCE_SECONDS),
        }
    }
}
