//! What an operator can set.

use std::sync::Arc;
use std::time::Duration;

use agent_checkpoint_store::Retention;
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
    /// How often abandoned jobs and unsent results are looked for. Default 2.5 s, an eighth of the lease.
    pub sweep_every: Duration,
    /// A job whose lease ran out so long ago is taken over. Default 2.5 s: mostly before its message comes again, and
    /// whether or not it does.
    pub orphan_after: Duration,
    /// A job that was handed back and that nobody has taken for so long is taken up. Default 10 s.
    pub handed_back_after: Duration,
    /// So long after the lease was last known to stand, by this process's monotonic clock, no model or tool call
    /// begins. Default 14 s, six less than the lease.
    pub fence_after: Duration,
    /// How long things are kept. Default: all for ever.
    pub retention: Retention,
    /// How often old rows are looked for. Default 10 min.
    pub purge_every: Duration,
    /// How long the deletion of a thread waits for its jobs' end. Default 30 s, more than a lease.
    pub delete_patience: Duration,
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
    /// Old string members beside ours in events and results. `STREAM_COMPAT=python`.
    pub python_compat: bool,
    /// Limits of a job's message.
    pub limits: Limits,
}

impl RuntimeSettings {
    /// The protocol's times for leases that last so long: renewed after a quarter, no call after seven tenths, others'
    /// jobs looked for each eighth, and taken up an eighth after they ran out.
    #[must_use]
    pub fn with_lease(self, lease: Duration) -> Self {
        Self {
            renew_every: lease.mul_f64(0.25),
            fence_after: lease.mul_f64(0.7),
            sweep_every: lease.mul_f64(0.125),
            orphan_after: lease.mul_f64(0.125),
            handed_back_after: lease.mul_f64(0.5),
            delete_patience: lease.mul_f64(1.5),
            ..self
        }
    }

    /// The defaults for a worker of this name.
    pub fn new(owner: impl Into<Arc<str>>) -> Self {
        Self {
            owner: owner.into(),
            concurrency: 32,
            renew_every: Duration::from_secs(5),
            sweep_every: Duration::from_millis(2_500),
            orphan_after: Duration::from_millis(2_500),
            handed_back_after: Duration::from_secs(10),
            fence_after: Duration::from_secs(14),
            retention: Retention::default(),
            purge_every: Duration::from_secs(600),
            delete_patience: Duration::from_secs(30),
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
            python_compat: false,
            limits: Limits::default(),
        }
    }
}
