//! What goes into the store and what comes out of it.

use std::sync::Arc;
use std::time::Duration;

use agent_langgraph_codec::Rows;
use bytes::Bytes;

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    /// Admitted, not begun.
    Queued,
    /// Some worker has begun it. Whether one is at it now is the lease's affair.
    Running,
    /// Ended well.
    Completed,
    /// Ended badly.
    Failed,
    /// Ended by request.
    Cancelled,
}

impl JobStatus {
    /// Whether the job has ended. A terminal status never changes.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// The word stored in `agent_jobs.status`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A job as it is offered for admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Unique over all jobs.
    pub job_id: Arc<str>,
    /// The conversation it belongs to.
    pub thread_id: Arc<str>,
    /// Tells whether a job that comes again is the same one.
    pub payload_hash: String,
    /// The whole request, kept so that any worker can run it. Opaque bytes, which may hold U+0000.
    pub request: Bytes,
    /// From admission; `None`: no deadline.
    pub deadline: Option<Duration>,
}

/// A job as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRecord {
    /// Unique over all jobs.
    pub job_id: Arc<str>,
    /// The conversation it belongs to.
    pub thread_id: Arc<str>,
    /// Tells whether a job that comes again is the same one.
    pub payload_hash: String,
    /// The request as admitted.
    pub request: Bytes,
    /// Where it stands.
    pub status: JobStatus,
    /// How often a worker lost this job's lease without handing it back.
    pub unclean_count: u32,
    /// Milliseconds since the epoch, by the store's clock.
    pub created_at_ms: i64,
    /// Milliseconds since the epoch, by the store's clock.
    pub deadline_at_ms: Option<i64>,
    /// Whether somebody asked to cancel it.
    pub cancel_requested: bool,
    /// The whole result (bytes of the result event's body, unshortened); set when terminal.
    pub result: Option<Bytes>,
}

/// A job in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSummary {
    /// Unique over all jobs.
    pub job_id: Arc<str>,
    /// The conversation it belongs to.
    pub thread_id: Arc<str>,
    /// Where it stands.
    pub status: JobStatus,
    /// Milliseconds since the epoch, by the store's clock.
    pub created_at_ms: i64,
    /// Milliseconds since the epoch; `None` while it is open.
    pub ended_at_ms: Option<i64>,
}

/// The right to write one thread, until it expires or somebody with a higher epoch takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The thread.
    pub thread_id: Arc<str>,
    /// Who holds it: one name per worker process.
    pub owner: Arc<str>,
    /// Rises with every acquisition; every write is guarded by it.
    pub epoch: i64,
    /// The first event number that is free for this holder.
    pub next_seq: u64,
    /// The holder before did not hand it back: its last attempt is superseded.
    pub taken_over: bool,
}

/// A job for admission, with everything that can be written at once if the thread is new.
#[derive(Debug, Clone)]
pub struct BeginRequest {
    /// The job.
    pub job: NewJob,
    /// Who wants to run it.
    pub owner: Arc<str>,
    /// What is written in the same transaction if the thread has no checkpoint of anybody's yet and
    /// this job is its first.
    pub fresh: Option<Commit>,
}

/// What became of a job that was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// The lease is yours. `job` is the thread's oldest job that has not ended, now running:
    /// the offered one, or one that was queued before it.
    Started {
        /// The right to write the thread.
        lease: Lease,
        /// What to run.
        job: Box<JobRecord>,
        /// Whether [`BeginRequest::fresh`] was written.
        fresh: bool,
        /// Whether this call put the offered job into the table.
        admitted: bool,
    },
    /// The job is in the table; another worker holds the thread.
    Busy {
        /// What is left of that lease.
        remaining: Duration,
        /// Whether this call put the offered job into the table.
        admitted: bool,
    },
    /// The job has ended before.
    Terminal(Box<JobRecord>),
    /// The id is taken by a job with other content.
    IdReused,
}

/// Rows and events that become visible together, or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// LangGraph's rows.
    pub rows: Rows,
    /// Events since the last commit, for late readers.
    pub journal: Vec<JournalRow>,
    /// Records of steps that LangGraph has no place for.
    pub steps: Vec<StepRecord>,
    /// The highest event number used so far; 0 where none was. More numbers are reserved when few are left.
    pub last_seq: u64,
}

/// A run of events of one thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// Number of the first event.
    pub first_seq: u64,
    /// Number of the last event.
    pub last_seq: u64,
    /// The job that they belong to.
    pub job_id: Arc<str>,
    /// Epoch of the writer.
    pub epoch: i64,
    /// The events, opaque.
    pub events: Bytes,
}

/// State of a step record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// The effect is about to be tried.
    Intent,
    /// It is known to have happened.
    Done,
    /// Nobody can tell.
    Unknown,
}

/// An at-most-once call inside a super-step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRecord {
    /// The job.
    pub job_id: Arc<str>,
    /// The super-step's number.
    pub step: i64,
    /// The call's id, unique within the step.
    pub call_id: String,
    /// What is known.
    pub state: StepState,
}

/// How a job ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// The job.
    pub job_id: Arc<str>,
    /// A terminal status.
    pub status: JobStatus,
    /// The whole result.
    pub result: Bytes,
    /// The message that tells the world.
    pub outbox: OutboxMessage,
}

/// A message that must leave, at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMessage {
    /// The message's id, the same however often it is sent.
    pub id: Arc<str>,
    /// Thread that it belongs to.
    pub thread_id: Arc<str>,
    /// Where it goes.
    pub subject: String,
    /// Its body, unshortened.
    pub body: Bytes,
}

/// The job has ended; what now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// The thread's next job, now running under the same lease. `None`: the lease was released.
    pub next: Option<Box<JobRecord>>,
}

/// All that a run needs to go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// LangGraph's rows of the thread, all namespaces, checkpoints oldest first.
    pub rows: Rows,
    /// Step records of jobs that have not ended.
    pub steps: Vec<StepRecord>,
}

/// A message that could not be made a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where it came from: a stream's name, or `http`.
    pub source: String,
    /// Its sequence number there; 0 where it has none. (source, seq) is unique, a repeat is ignored,
    /// except for seq 0.
    pub seq: u64,
    /// Stable code of the reason.
    pub code: String,
    /// The reason for people.
    pub reason: String,
    /// The job id, where it could be read.
    pub job_id: Option<String>,
    /// The subject it came on.
    pub subject: String,
    /// The first bytes, at most 64 KiB.
    pub head: Bytes,
    /// SHA-256 of the whole body, hex.
    pub hash: String,
    /// A message to send with it (a failed event), in the same transaction.
    pub outbox: Option<OutboxMessage>,
}

/// A dead letter as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterRecord {
    /// Its number in the store.
    pub id: i64,
    /// What was recorded.
    pub letter: DeadLetter,
    /// Milliseconds since the epoch, by the store's clock.
    pub created_at_ms: i64,
}

/// Why a store wants less work for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pressure {
    /// It cannot be reached.
    Away,
    /// Calls wait long for a connection.
    PoolWait,
    /// Its disk is full.
    DiskFull,
}

impl Pressure {
    /// A word for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Away => "store_away",
            Self::PoolWait => "store_pool",
            Self::DiskFull => "store_disk_full",
        }
    }
}

/// How long things are kept. `None`: for ever.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// Threads without activity, with all their rows.
    pub threads: Option<Duration>,
    /// Journal rows of ended jobs.
    pub events: Option<Duration>,
    /// Outbox messages that were sent.
    pub outbox: Option<Duration>,
    /// Dead letters.
    pub dead_letters: Option<Duration>,
}
