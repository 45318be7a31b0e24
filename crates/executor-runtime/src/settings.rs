//! What an operator can set.

use std::sync::Arc;
use std::time::Duration;

use agent_executor_core::ModelRef;
use agent_wire::{FileForm, Limits};
use serde_json::Value;

/// Settings of the runtime. The defaults are the protocol's (docs/reliability.md).
#[derive(Debug, Clone)]
pub struct RuntimeSettings {
    /// Name of this process in leases; unique among all workers.
    pub owner: Arc<str>,
    /// Jobs in work at once. 1 to 10,000, default 32. `WORKER_CONCURRENCY`.
    pub concurrency: usize,
    /// How often leases are renewed. Default 5 s, a quarter of the lease.
    pub renew_every: Duration,
    /// How often abandoned jobs and unsent results are looked for. Default 15 s.
    pub sweep_every: Duration,
    /// A job without a holder and without activity for so long is taken over. Default 60 s.
    pub orphan_after: Duration,
    /// A result that has not left after so long is sent again. Default 5 s.
    pub outbox_after: Duration,
    /// Text pieces of a model are merged for so long before they are published. Default 20 ms.
    pub merge_deltas: Duration,
    /// Tries of one model call whose stream broke, the first included. Default 3.
    pub model_attempts: u32,
    /// How long a commit is tried while the store is away, before the job is handed back. Default 10 min.
    pub commit_patience: Duration,
    /// Unclean lease losses after which a job fails. Default 5. `POISON_LIMIT`.
    pub poison_limit: u32,
    /// Model of agents whose definition names none. `LLM_MODEL_NAME`.
    pub default_model: Option<ModelRef>,
    /// Definition of jobs that bring an empty one. `DEFAULT_AGENT_DEFINITION_FILE`.
    pub default_definition: Option<Arc<Value>>,
    /// Deadline of jobs that name none. `JOB_DEADLINE_SECONDS`.
    pub default_deadline: Option<Duration>,
    /// Built-in tools that nobody is offered. `TOOLS_WITHOUT`.
    pub without_tools: Vec<String>,
    /// Form of files in events. `WIRE_FILE_CONTENT`.
    pub file_form: FileForm,
    /// Limits of a job's message.
    pub limits: Limits,
}

impl RuntimeSettings {
    /// The defaults for a worker of this name.
    pub fn new(owner: impl Into<Arc<str>>) -> Self {
        Self {
            owner: owner.into(),
            concurrency: 32,
            renew_every: Duration::from_secs(5),
            sweep_every: Duration::from_secs(15),
            orphan_after: Duration::from_secs(60),
            outbox_after: Duration::from_secs(5),
            merge_deltas: Duration::from_millis(20),
            model_attempts: 3,
            commit_patience: Duration::from_secs(600),
            poison_limit: 5,
            default_model: None,
            default_definition: None,
            default_deadline: None,
            without_tools: Vec::new(),
            file_form: FileForm::Lines,
            limits: Limits::default(),
        }
    }
}
