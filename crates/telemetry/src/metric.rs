//! Every metric of the product, once. `docs/metrics.md` is generated from [`ALL`].
//!
//! ```
//! use agent_telemetry::metric;
//! metric::JOBS.with(&["completed"]).increment(1);
//! ```

use crate::declare::{Counter, Family, Gauge, Histogram, Label, Metric};

const EVENT_TYPES: &[&str] = &[
    "on_state_update",
    "on_llm_stream",
    "on_tool_start",
    "on_tool_end",
    "error",
    "end",
    "gap",
    "attempt_superseded",
];
const PROVIDERS: &[&str] = &["openai", "anthropic"];
const METHOD: Label = Label::open("method", &["GET", "POST"]);
const ENDPOINT: Label = Label::open("endpoint", &["invoke", "state"]);
/// A failure's stable code; `internal` is the one that stands for everything without a better.
const CODE: Label = Label::open("code", &["internal"]);
const PROVIDER: Label = Label::open("provider", PROVIDERS);

/// Bounds for what a job takes, and a request, a listener, a commit, a first token. Seconds.
const JOB_SECONDS: &[f64] = &[0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
const REQUEST_SECONDS: &[f64] = &[0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const LISTENER_SECONDS: &[f64] = &[1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
const COMMIT_BOUNDS: &[f64] = &[0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
const FIRST_TOKEN_SECONDS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
const GROUP_SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

/// Declares each metric as a constant and lists it in [`ALL`], so that none can be forgotten there.
macro_rules! metrics {
    ($( $constant:ident = $kind:ident $name:literal $([$($label:expr),*])? $(as [$($alias:literal),*])?
        $(in $buckets:ident)?; $help:literal )+) => {
        $(
            #[doc = $help]
            pub const $constant: $kind = $kind(
                Family {
                    name: concat!("agent_executor_", $name),
                    help: $help,
                    labels: &[$($($label),*)?],
                    aliases: &[$($($alias),*)?],
                }
                $(, $buckets)?
            );
        )+
        /// Every metric of the product, in the order of the documentation.
        pub const ALL: &[Metric] = &[$( Metric::$kind($constant) ),+];
    };
}

metrics! {
    JOBS = Counter "jobs_total" [Label::closed("status", &["completed", "failed", "cancelled"])]
        as ["deepagents_runtime_jobs_total"];
        "Jobs that ended, by how."
    JOB_DURATION = Histogram "job_duration_seconds" as ["deepagents_runtime_job_duration_seconds"] in JOB_SECONDS;
        "Seconds from a job's admission to its end."
    JOBS_IN_WORK = Gauge "jobs_in_work";
        "Jobs that this worker runs now."
    JOBS_FAILED = Counter "jobs_failed_total" [CODE];
        "Jobs that failed, by the failure's code."
    STEPS_COMMITTED = Counter "steps_committed_total" [Label::closed("outcome", &["committed", "fenced", "unknown"])];
        "Super-steps handed to the store, by what became of their commit."
    COMMIT_GROUP_SIZE = Histogram "commit_group_size" in GROUP_SIZES;
        "Commits that shared a transaction."
    COMMIT_DURATION = Histogram "commit_seconds" in COMMIT_BOUNDS;
        "Seconds of a transaction with its group of commits."
    LEASES_LOST = Counter "lease_lost_total";
        "Leases that this worker held and found taken by another."
    FENCED_WRITES = Counter "fenced_writes_total";
        "Writes that the store refused because the lease had changed hands."
    SELF_FENCED = Counter "self_fenced_total";
        "Runs that began no further call since their lease was not heard of for too long."
    JOBS_ADOPTED = Counter "jobs_adopted_total";
        "Jobs that nobody held and that this worker took up."
    JOB_PANICS = Counter "job_panics_total";
        "Runs that ended by a bug of ours; their jobs go to another worker."
    JOBS_HANDED_BACK = Counter "jobs_handed_back_total";
        "Jobs that this worker gave back unfinished: it drained, or the store stayed away."
    STORE_CALL_FAILURES = Counter "store_call_failures_total"
        [Label::closed("call", &[
            "begin", "commit", "finish", "renewal", "cancels", "journal", "release", "outbox", "status",
        ])];
        "Calls to the store that failed for now, by what they were for; somebody tries them again."
    SWEEP_FAILURES = Counter "sweep_failures_total"
        [Label::closed("what", &["election", "outbox", "deadlines", "orphans", "retention"])];
        "Parts of the upkeep that failed; the next round tries them again."
    TOOL_OUTCOMES_UNKNOWN = Counter "tool_outcomes_unknown_total";
        "At-most-once calls whose outcome nobody can tell; the model was told so."
    SWEEPER = Gauge "sweeper";
        "1 on the worker that does the upkeep for all."
    FETCH_PAUSED = Gauge "fetch_paused" [Label::closed("reason",
        &["store_away", "store_pool", "store_disk_full", "provider_down"])];
        "1 while no new job is fetched, for this reason."
    PURGED_ROWS = Counter "purged_rows_total";
        "Rows and threads deleted since they were older than the retention."
    DB_CONNECTION_ERRORS = Counter "db_connection_errors_total"
        as ["deepagents_runtime_db_connection_errors_total"];
        "Failed attempts to reach PostgreSQL, and connections that broke."
    OUTBOX_PENDING = Gauge "outbox_pending";
        "Result events that are committed and not yet published."
    OUTBOX_PUBLISHED = Counter "outbox_published_total" [Label::closed("outcome", &["published", "failed"])];
        "Attempts to publish a result event."
    RESULTS_UNSTREAMED = Counter "results_unstreamed_total";
        "Result events published as plain messages, since no stream holds their subject."
    NATS_MESSAGES_PROCESSED = Counter "nats_messages_processed_total"
        as ["deepagents_runtime_nats_messages_processed_total", "nats_messages_processed_total"];
        "Messages whose job reached its end and that were acknowledged."
    NATS_MESSAGES_FAILED = Counter "nats_messages_failed_total"
        as ["deepagents_runtime_nats_messages_failed_total", "nats_messages_failed_total"];
        "Messages that were refused, or whose job failed."
    NATS_ERRORS = Counter "nats_errors_total"
        [Label::closed("what", &["connection", "consumer", "fetch", "ack", "admit", "dead_letter", "cancel"])];
        "What failed between the worker and NATS, or on a message's way into the store; it is tried again."
    DEAD_LETTERS = Counter "dead_letters_total" [CODE];
        "Messages kept as dead letters, by the refusal's code."
    MODEL_REQUESTS = Counter "model_requests_total"
        [PROVIDER, Label::closed("outcome", &["completed", "failed", "cancelled"])];
        "Requests to a model, without the retries inside each."
    MODEL_RETRIES = Counter "model_retries_total" [PROVIDER];
        "Requests to a model that were sent again."
    MODEL_CIRCUIT_OPEN = Gauge "model_circuit_open" [PROVIDER];
        "1 while a provider that is down is left alone."
    MODEL_RETRY_BUDGET_SPENT = Counter "model_retry_budget_spent_total" [PROVIDER];
        "Calls that failed without a further retry, since the provider's budget was spent."
    MODEL_FIRST_TOKEN = Histogram "model_first_token_seconds" [PROVIDER] in FIRST_TOKEN_SECONDS;
        "Seconds from a request to the first piece of its answer."
    MODEL_TOKENS = Counter "model_tokens_total"
        [PROVIDER, Label::closed("kind", &["input", "output", "cache_read", "cache_write", "reasoning"])];
        "Tokens as counted by the provider."
    TOOL_CALLS = Counter "tool_calls_total"
        [
            Label::open("tool", &[
                "ls", "read_file", "write_file", "edit_file", "delete", "glob", "grep", "write_todos", "task",
                "execute", "custom",
            ]),
            Label::closed("status", &["success", "error"])
        ];
        "Tool calls; tools that a definition brings are counted as `custom`."
    TOOL_SCRIPT_RUNS = Counter "tool_script_runs_total"
        [Label::closed("outcome", &[
            "reply", "wall", "cpu", "memory", "processes", "folder", "result", "died", "not_started", "lost",
        ])];
        "Calls of a definition's scripts, by what ended them."
    TOOL_SCRIPTS_UNAVAILABLE = Gauge "tool_scripts_unavailable";
        "1 where scripts are allowed and cannot be run as they must be."
    REDIS_PUBLISH = Counter "redis_publish_total" [Label::closed("event_type", EVENT_TYPES)]
        as ["deepagents_runtime_redis_publish_total"];
        "Stream events published."
    REDIS_PUBLISH_ERRORS = Counter "redis_publish_errors_total" as ["deepagents_runtime_redis_publish_errors_total"];
        "Stream events whose publishing failed or has an unknown outcome."
    REDIS_DELETE_ERRORS = Counter "redis_delete_errors_total";
        "Deleted threads whose events the cache may keep until its own time is over."
    STREAM_DROPPED = Counter "stream_dropped_total";
        "Stream events dropped for want of room or after a failed publishing; a gap stands in their place."
    HTTP_REQUESTS = Counter "http_requests_total"
        [METHOD, ENDPOINT, Label::open("status", &["200", "404", "422", "500"])]
        as ["deepagents_runtime_http_requests_total"];
        "HTTP requests answered."
    HTTP_REQUEST_DURATION = Histogram "http_request_duration_seconds" [METHOD, ENDPOINT]
        as ["deepagents_runtime_http_request_duration_seconds"] in REQUEST_SECONDS;
        "Seconds to answer an HTTP request."
    HTTP_REFUSED = Counter "http_refused_total"
        [Label::closed("reason", &["auth", "origin", "too_large", "slow", "connections"])];
        "Requests and connections that were not served: no right, another origin, too large, too slow, too many."
    HTTP_UNAUTHENTICATED = Gauge "http_unauthenticated";
        "1 while the HTTP interface asks nobody for a token."
    WEBSOCKET_CONNECTIONS = Counter "websocket_connections_total"
        as ["deepagents_runtime_websocket_connections_total"];
        "WebSocket connections accepted."
    WEBSOCKET_CONNECTIONS_ACTIVE = Gauge "websocket_connections_active"
        as ["deepagents_runtime_websocket_connections_active"];
        "WebSocket connections open now."
    WEBSOCKET_MESSAGES_SENT = Counter "websocket_messages_sent_total" [Label::closed("event_type", EVENT_TYPES)]
        as ["deepagents_runtime_websocket_messages_sent_total"];
        "Frames sent over WebSockets."
    WEBSOCKET_DURATION = Histogram "websocket_duration_seconds"
        as ["deepagents_runtime_websocket_duration_seconds"] in LISTENER_SECONDS;
        "Seconds that a WebSocket was open."
    HEALTH_CHECKS = Counter "health_checks_total"
        [
            Label::closed("type", &["liveness", "readiness"]),
            Label::closed("status", &["healthy", "unhealthy"])
        ]
        as ["deepagents_runtime_health_checks_total"];
        "Answers to liveness and readiness probes."
}
