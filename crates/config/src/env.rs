//! Every variable that is read, once: names, default, kind, meaning. `docs/configuration.md` is made from [`AREAS`].

use crate::{
    Kind,
    settings::{Dependency, LogFormat, OpenAiApi, ScriptMode, SslMode, WireFileContent},
};

/// One setting's variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Var {
    /// Its main name.
    pub name: &'static str,
    /// Other names that are read where the main one is not set, in this order.
    pub also: &'static [&'static str],
    /// What kind of value it takes.
    pub kind: Kind,
    /// Its value where nothing is set.
    pub default: Option<&'static str>,
    /// Whether the value is never shown, and may be given by a file that `<name>_FILE` names.
    pub secret: bool,
    /// One sentence.
    pub doc: &'static str,
}

impl Var {
    /// Whether `<name>_FILE` may name a file with the value. The file of tokens is a setting of its own.
    pub(crate) fn may_be_file(&self) -> bool {
        self.secret && self.kind != Kind::Tokens
    }

    /// All names that are looked at, those of files too.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        let file = self.may_be_file();
        let plain = [self.name].into_iter().chain(self.also.iter().copied());
        plain.flat_map(move |name| [Some(name.to_owned()), file.then(|| format!("{name}_FILE"))]).flatten()
    }
}

/// Whether `name` is read by us, or by a library on our behalf.
pub(crate) fn knows(name: &str) -> bool {
    names().any(|known| known == name)
}

pub(crate) fn names() -> impl Iterator<Item = String> {
    AREAS.iter().flat_map(|(_, _, variables)| variables.iter()).flat_map(|var| var.names())
}

impl Var {
    const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { name, also: &[], kind, default: None, secret: false, doc }
    }
    const fn also(self, also: &'static [&'static str]) -> Self {
        Self { also, ..self }
    }
    const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }
    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }
}

/// A constant per variable, and the list of areas that the page is made from.
macro_rules! variables {
    ($( $area:literal $about:literal { $(
        $constant:ident: $kind:expr, $doc:literal $(, $option:ident($($value:expr),*))*;
    )+ } )+) => {
        $($(
            #[doc = $doc]
            pub const $constant: Var = Var::new(stringify!($constant), $kind, $doc)$(.$option($($value),*))*;
        )+)+
        /// Every variable: area, what the area is about, its variables.
        pub const AREAS: &[(&str, &str, &[Var])] = &[$( ($area, $about, &[$($constant),+]) ),+];
    };
}

variables! {
    "PostgreSQL" "Needed by `worker serve` and `migrate-init`: a connection string or a host. Where there is a connection string, host, port, database, user and password are not read." {
        DATABASE_URL: Kind::Dsn, "Connection string. `sslmode` and `sslrootcert` in it go before the variables of that name; `postgresql+driver://` is read as `postgresql://`.", also(&["POSTGRES_URI"]), secret();
        POSTGRES_HOST: Kind::Host, "Host name or address.", also(&["PG_HOST", "PGHOST"]);
        POSTGRES_PORT: Kind::Port, "Port.", also(&["PG_PORT", "PGPORT"]), default("5432");
        POSTGRES_DB: Kind::Text, "Database.", also(&["PG_DATABASE", "PGDATABASE"]), default("langgraph_dev");
        POSTGRES_USER: Kind::Text, "Role.", also(&["PG_USER", "PGUSER"]), default("postgres");
        POSTGRES_PASSWORD: Kind::Text, "Password.", also(&["PG_PASSWORD", "PGPASSWORD"]), secret();
        POSTGRES_SCHEMA: Kind::Text, "Schema of all tables; unset: the server's `search_path`.";
        POSTGRES_SSLMODE: Kind::Choice(SslMode::WORDS), "TLS, with libpq's meanings.", also(&["PGSSLMODE"]), default("prefer");
        POSTGRES_SSLROOTCERT: Kind::Path, "Certificates (PEM) of the authorities to trust; unset: the system's.", also(&["PGSSLROOTCERT"]);
        POSTGRES_COMMIT_CONNECTIONS: Kind::Count(1, 64), "Connections that commit; commits that wait share a transaction, so few are faster than many.", default("2");
        POSTGRES_READ_CONNECTIONS: Kind::Count(1, 256), "Most connections for everything else.", default("4");
        POSTGRES_POOL_WAIT_SECONDS: Kind::Seconds(1, 60), "Longest wait for a free connection.", default("5");
        POSTGRES_CONNECT_SECONDS: Kind::Seconds(1, 60), "Longest wait for a new connection.", default("5");
        MIGRATE_WAIT_SECONDS: Kind::Seconds(0, 3600), "How long `migrate-init` waits for the server and for other migrations.", default("120");
    }
    "Dragonfly" "Needed by `worker serve`: a URL or a host. Any server that speaks Redis' protocol will do. Where there is a URL, host, port and TLS are not read." {
        REDIS_URL: Kind::Url(&["redis", "rediss"]), "URL; `rediss://` speaks TLS.", secret();
        DRAGONFLY_HOST: Kind::Host, "Host name or address.", also(&["REDIS_HOST"]);
        DRAGONFLY_PORT: Kind::Port, "Port.", also(&["REDIS_PORT"]), default("6379");
        DRAGONFLY_USERNAME: Kind::Text, "ACL user.", also(&["REDIS_USERNAME"]);
        DRAGONFLY_PASSWORD: Kind::Text, "Password; empty means no AUTH.", also(&["REDIS_PASSWORD"]), secret();
        DRAGONFLY_TLS: Kind::Flag, "Whether to speak TLS.", default("false");
        DRAGONFLY_TLS_CA_FILE: Kind::Path, "Certificates (PEM) of authorities to trust beside the system's.";
    }
    "NATS" "The last five are what `worker provision-nats` makes the streams and the consumer by." {
        NATS_URL: Kind::Servers, "Addresses of the servers, comma-separated; `tls://` speaks TLS.", default("nats://nats.nats.svc:4222");
        NATS_STREAM_NAME: Kind::Text, "Stream that holds the jobs.", default("AGENT_EXECUTION");
        NATS_CONSUMER_GROUP: Kind::Text, "Durable consumer that all workers share.", default("agent-executor-workers");
        NATS_CREDS_FILE: Kind::Path, "File with JWT and seed.";
        NATS_USER: Kind::Text, "User.";
        NATS_PASSWORD: Kind::Text, "Password of the user.", secret();
        NATS_TOKEN: Kind::Text, "Token.", secret();
        NATS_TLS_CA_FILE: Kind::Path, "Certificates (PEM) of the authorities to trust.";
        NATS_ACK_WAIT_SECONDS: Kind::Seconds(3, 300), "How long a job's message stays away from other workers without a sign of life; one comes after each third of it.", default("30");
        NATS_SUBJECT_MUST_MATCH: Kind::Flag, "Refuse a job whose subject token differs from its job_id.", default("false");
        NATS_STATUS_STREAM_NAME: Kind::Text, "Stream that holds the results.", default("AGENT_STATUS");
        NATS_STREAM_MAX_AGE_HOURS: Kind::Count(1, 8760), "Hours after which jobs and results leave their streams.", default("24");
        NATS_STREAM_MAX_BYTES: Kind::Count(1_048_576, 1_099_511_627_776), "Size of each stream. A full job stream refuses publishers; a full result stream forgets its oldest.", default("4294967296");
        NATS_STREAM_REPLICAS: Kind::Count(1, 5), "Copies of each stream in a cluster of servers.", default("1");
        NATS_MAX_WORKERS: Kind::Count(1, 1000), "Most workers that run at once; with `WORKER_CONCURRENCY` it says how many jobs the consumer lets out.", default("10");
    }
    "HTTP" "" {
        PORT: Kind::Port, "Port of the HTTP interface.", default("8080");
        HTTP_HOST: Kind::Host, "Address to listen on.", default("0.0.0.0");
        METRICS_PORT: Kind::Port, "Port of `/metrics` alone; unset: on the HTTP port.";
        API_TOKENS: Kind::Tokens, "Tokens that open the interface. Several are valid at once.", secret();
        API_TOKENS_FILE: Kind::Path, "File with a `name=token` or `name=sha256:HEX` a line, read again when it changes.";
        HTTP_REQUIRE_AUTH: Kind::Flag, "Refuse to start without tokens.", default("false");
        HTTP_BODY_BYTES: Kind::Count(1024, 67_108_864), "Largest body of a request.", default("1048576");
        HTTP_READ_SECONDS: Kind::Seconds(1, 600), "Longest wait for a request's head, and for its body.", default("30");
        HTTP_WRITE_SECONDS: Kind::Seconds(1, 600), "A client that takes nothing of an answer for so long is cut off.", default("30");
        HTTP_HEADER_BYTES: Kind::Count(8_192, 1_048_576), "Largest head of a request.", default("16384");
        HTTP_CONNECTIONS: Kind::Count(1, 1_000_000), "Most connections at once.", default("10000");
        HTTP_CONNECTIONS_PER_PEER: Kind::Count(1, 1_000_000), "Most connections at once from one address.", default("4096");
        HTTP_ALLOWED_ORIGINS: Kind::List, "Origins of pages that may open a WebSocket, beside the service's own; `*` is any.";
        HTTP_TLS_CERT_FILE: Kind::Path, "Certificate chain (PEM); with it the port speaks TLS.";
        HTTP_TLS_KEY_FILE: Kind::Path, "Its key (PEM).";
        HTTP_TLS_CLIENT_CA_FILE: Kind::Path, "Authorities (PEM) whose client certificates open the interface as a token does.";
        READY_REQUIRES: Kind::Some(Dependency::WORDS), "What `/ready` needs.", default("postgres,nats,dragonfly");
    }
    "Worker" "" {
        WORKER_CONCURRENCY: Kind::Count(1, 10_000), "Jobs in work at once.", default("32");
        WORKER_NAME: Kind::Text, "Name of this process in leases; a part of its own is added.", also(&["HOSTNAME"]), default("worker");
        DRAIN_BUDGET_SECONDS: Kind::Seconds(0, 3600), "After SIGTERM, how long running steps may go on; the base manifest sets 290 with a grace of 300.", default("25");
        JOB_DEADLINE_SECONDS: Kind::Seconds(1, 604_800), "Deadline of jobs that name none.";
        JOB_DEPTH_LEVELS: Kind::Count(8, 120), "Most objects and lists inside one another in a job's body.", default("64");
        POISON_LIMIT: Kind::Count(1, 100), "Unclean lease losses after which a job fails.", default("5");
        DEFAULT_AGENT_DEFINITION_FILE: Kind::Path, "Definition used where a job's is empty.";
        LEASE_SECONDS: Kind::Seconds(2, 300), "How long a worker that is silent keeps its jobs. It renews after a quarter of that, and begins no call after seven tenths; jobs of others are taken up an eighth after their lease ran out. The same for all workers.", default("20");
        STORE_PATIENCE_SECONDS: Kind::Seconds(1, 3600), "How long a commit is tried while PostgreSQL is away, before the job is handed back.", default("600");
    }
    "Models" "" {
        LLM_MODEL_NAME: Kind::Text, "Model of agents whose definition names none.", default("gpt-4o-mini");
        OPENAI_API_KEY: Kind::Text, "Key for OpenAI and servers that speak its protocol.", secret();
        OPENAI_BASE_URL: Kind::Url(&["http", "https"]), "Base URL; unset: the vendor's.", also(&["OPENAI_API_BASE"]);
        OPENAI_API: Kind::Choice(OpenAiApi::WORDS), "Which of OpenAI's interfaces; `auto` is chat, but responses for all agents where one of the models exists only there.", default("auto");
        ANTHROPIC_API_KEY: Kind::Text, "Key for Anthropic.", secret();
        ANTHROPIC_BASE_URL: Kind::Url(&["http", "https"]), "Base URL; unset: the vendor's.";
        OLLAMA_BASE_URL: Kind::Url(&["http", "https"]), "Base URL of an Ollama server.";
        MODEL_CONNECT_TIMEOUT_SECONDS: Kind::Seconds(1, 600), "Longest wait for a connection.", default("10");
        MODEL_HEAD_TIMEOUT_SECONDS: Kind::Seconds(1, 3600), "Longest wait for the head of an answer.", default("60");
        MODEL_IDLE_TIMEOUT_SECONDS: Kind::Seconds(1, 3600), "Longest silence within an answer.", default("300");
        MODEL_RETRIES: Kind::Count(0, 20), "Retries of a request before its first token.", default("4");
        MODEL_RETRY_FIRST_MILLISECONDS: Kind::Milliseconds(1, 60_000), "Pause before the first retry; doubled with each further one.", default("500");
        MODEL_RETRY_AFTER_SECONDS: Kind::Seconds(0, 3600), "Longest `Retry-After` that is obeyed.", default("60");
        MODEL_RETRY_BUDGET: Kind::Count(0, 100_000), "Retries that all calls to a provider together have in hand; each answer adds a fifth of one.", default("100");
        MODEL_BREAKER_FAILURES: Kind::Count(0, 1000), "Requests in a row that meet a provider that is down before it is left alone and no job is fetched; 0: never.", default("10");
        MODEL_BREAKER_SECONDS: Kind::Seconds(1, 600), "How long it is left alone before one request finds out.", default("15");
        MODEL_ATTEMPTS: Kind::Count(1, 10), "Tries of a call whose stream broke, the first included.", default("3");
        HTTPS_PROXY: Kind::Text, "Proxy for egress to providers.";
        NO_PROXY: Kind::Text, "Hosts that are reached without it.";
        SSL_CERT_FILE: Kind::Path, "Certificates (PEM) in place of the system's.";
    }
    "Tools" "" {
        TOOL_SCRIPTS: Kind::Choice(ScriptMode::WORDS), "Whether scripts in definitions run.", default("sandbox");
        TOOL_SCRIPTS_UNCONFINED: Kind::Flag, "Run scripts where the kernel cannot enforce the sandbox; warned about at each start.", default("false");
        TOOL_SCRIPTS_PYTHON: Kind::Path, "Interpreter for scripts; unset: `python3` on PATH.";
        TOOL_SCRIPTS_NETWORK: Kind::Flag, "Scripts may use the network (IPv4 and IPv6), the worker's own servers included.", default("false");
        TOOL_SCRIPTS_CONCURRENCY: Kind::Count(1, 1_000), "Calls of scripts at once; more wait.", default("16");
        TOOL_SCRIPTS_WARM: Kind::Count(0, 64), "Interpreters kept ready for each of the four definitions used last.", default("1");
        TOOL_SCRIPT_WALL_SECONDS: Kind::Seconds(1, 86_400), "Longest time of a call.", default("30");
        TOOL_SCRIPT_CPU_SECONDS: Kind::Seconds(1, 86_400), "Most CPU time of a call, all its processes together.", default("10");
        TOOL_SCRIPT_MEMORY_BYTES: Kind::Count(67_108_864, 1_099_511_627_776), "Most memory of a call, all its processes together.", default("536870912");
        TOOL_SCRIPT_PROCESSES: Kind::Count(1, 1_000), "Most processes of a call at once, the interpreter included; four times as many threads.", default("16");
        TOOL_SCRIPT_FOLDER_BYTES: Kind::Count(4_096, 1_099_511_627_776), "Most that a call's working folder may take, however many files.", default("67108864");
        TOOL_SCRIPT_RESULT_BYTES: Kind::Count(1_024, 67_108_864), "Largest result of a call.", default("1048576");
        TOOL_SCRIPT_OUTPUT_BYTES: Kind::Count(0, 1_048_576), "Kept of each of a call's stdout and stderr.", default("65536");
        TOOLS_WITHOUT: Kind::List, "Built-in tools that no agent is offered.";
    }
    "Stream" "Live events on the channel, the list for late readers, and what waits for them." {
        STREAM_BUFFER_EVENTS: Kind::Count(100, 10_000_000), "Most events that wait while the cache is slow or gone; then the oldest are dropped and marked.", default("100000");
        STREAM_BUFFER_BYTES: Kind::Count(1_048_576, 8_589_934_592), "Most bytes that wait.", default("67108864");
        STREAM_REPLAY_EVENTS: Kind::Count(0, 1_000_000), "Newest events kept per thread for late readers; 0: none.", default("2000");
        STREAM_REPLAY_SECONDS: Kind::Seconds(1, 604_800), "How long they are kept.", default("3600");
        STREAM_MERGE_MILLISECONDS: Kind::Milliseconds(0, 1_000), "Pieces of a model's text are merged for so long.", default("20");
        STREAM_COMPAT: Kind::Choice(&["python"]), "`python`: old string members beside ours.";
        WIRE_FILE_CONTENT: Kind::Choice(WireFileContent::WORDS), "Form of a file's content in events and results.", default("lines");
    }
    "Retention" "Unset: kept." {
        RETENTION_THREADS_DAYS: Kind::Days(1, 36_500), "Threads without activity.";
        RETENTION_EVENTS_DAYS: Kind::Days(1, 36_500), "The journal of events.", default("7");
        RETENTION_OUTBOX_DAYS: Kind::Days(1, 36_500), "Result events that were published.", default("7");
        RETENTION_DEAD_LETTERS_DAYS: Kind::Days(1, 36_500), "Dead letters.", default("30");
    }
    "Logs and traces" "" {
        LOG_LEVEL: Kind::Choice(&["trace", "debug", "info", "warn", "warning", "error", "critical", "off"]), "Least level that is logged.", default("info");
        RUST_LOG: Kind::Text, "Directives per target; wins over the level.";
        LOG_FORMAT: Kind::Choice(LogFormat::WORDS), "JSON lines, or lines for people.", default("json");
        OTEL_SERVICE_NAME: Kind::Text, "Name of this service in logs and traces.", default("agent-executor-service");
        OTEL_EXPORTER_OTLP_ENDPOINT: Kind::Url(&["http", "https"]), "Where traces go, as OTLP over HTTP (protobuf, usually port 4318): spans are sent to `<endpoint>/v1/traces`. Unset: nowhere.";
        OTEL_EXPORTER_OTLP_HEADERS: Kind::Text, "Headers of each request to it, `name=value` pairs, comma-separated.", secret();
        OTEL_SERVICE_VERSION: Kind::Text, "Version of this service in traces; unset: the program's.";
        OTEL_RESOURCE_ATTRIBUTES: Kind::Text, "Further attributes of this service in traces, `name=value` pairs, comma-separated.";
    }
}
