//! From settings to backends: the only place that names both.

use std::path::Path;
use std::sync::Arc;

use agent_checkpoint_store::postgres::{SslMode, Tls};
use agent_checkpoint_store::{PostgresConfig, Retention};
use agent_config::{HttpSettings, OpenAiApi as Api, ScriptMode, Settings, WireFileContent};
use agent_executor_core::ModelRef;
use agent_executor_runtime::RuntimeSettings;
use agent_model_client::{HttpClient, HttpConfig, OpenAiApi};
use agent_stream_sink::{QueueLimits, RedisConfig, RedisSink, Replay};
use agent_telemetry::traces::{Traces, TracesOptions};
use agent_tool_host::{Confinement, ScriptHost, ScriptLimits, ScriptSettings};
use agent_transport_http::{Guard, ServerSettings, TlsFiles, Tokens};
use agent_transport_nats::{Credentials, NatsSettings, Streams};
use agent_wire::{FileForm, Limits, journal, stream};
use anyhow::Context;
use secrecy::ExposeSecret;
use serde_json::Value;
use uuid::Uuid;

/// Retries the provider's failures as the settings say.
pub(crate) fn models(settings: &Settings) -> anyhow::Result<HttpClient> {
    let models = &settings.models;
    let mut config = HttpConfig::default();
    config.timeouts.connect = models.connect_timeout;
    config.timeouts.head = models.head_timeout;
    config.timeouts.idle = models.idle_timeout;
    config.retry.retries = models.retries;
    config.retry.base_delay = models.retry_first;
    config.retry.retry_after_cap = models.retry_after_limit;
    config.breaker.retry_budget = models.retry_budget;
    config.breaker.failures = models.breaker_failures;
    config.breaker.open_for = models.breaker_open;
    let providers = [
        ("openai", &models.openai_base_url, &models.openai_api_key),
        ("anthropic", &models.anthropic_base_url, &models.anthropic_api_key),
        ("ollama", &models.ollama_base_url, &None),
    ];
    for (name, base_url, key) in providers {
        let Some(provider) = config.provider_mut(name) else { continue };
        if let Some(base_url) = base_url {
            provider.base_url = base_url.as_str().to_owned();
        }
        provider.api_key = key.clone();
        provider.api = match models.openai_api {
            Api::Auto => OpenAiApi::Auto,
            Api::Chat => OpenAiApi::Chat,
            Api::Responses => OpenAiApi::Responses,
        };
    }
    HttpClient::new(config).context("the model client cannot be built")
}

/// The cache. It connects by itself, now or later.
pub(crate) fn sink(settings: &Settings) -> anyhow::Result<RedisSink> {
    RedisSink::start(cache(settings)).context("the cache's settings cannot be used")
}

/// How to reach the cache.
pub(crate) fn cache(settings: &Settings) -> RedisConfig {
    let (cache, events) = (&settings.dragonfly, &settings.stream);
    RedisConfig {
        url: cache.url.as_ref().map(|url| url.expose_secret().to_owned()),
        username: cache.username.clone(),
        password: cache.password.as_ref().map(|password| password.expose_secret().to_owned()),
        tls: cache.tls,
        tls_ca_file: cache.tls_ca_file.clone(),
        queue: QueueLimits { events: events.buffer_events, bytes: events.buffer_bytes },
        replay: (events.replay_events > 0)
            .then_some(Replay { events: events.replay_events, keep: events.replay_keep }),
        read: Some(journal::name_and_seq),
        ..RedisConfig::new(cache.host.clone(), cache.port, stream::gap)
    }
}

/// How to reach NATS.
pub(crate) fn nats(settings: &Settings) -> NatsSettings {
    let nats = &settings.nats;
    let credentials = match (&nats.creds_file, &nats.user, &nats.token) {
        (Some(file), _, _) => Credentials::File(file.clone()),
        (None, Some(user), _) => {
            Credentials::User { user: user.clone(), password: nats.password.clone().unwrap_or_default() }
        }
        (None, None, Some(token)) => Credentials::Token(token.clone()),
        (None, None, None) => Credentials::None,
    };
    NatsSettings {
        stream: nats.stream.clone(),
        consumer: nats.consumer.clone(),
        subject_must_match: nats.subject_must_match,
        ack_wait: nats.ack_wait,
        credentials,
        ca_file: nats.tls_ca_file.clone(),
        client_name: settings.logs.service_name.clone(),
        ..NatsSettings::new(nats.url.as_str())
    }
}

/// Where traces go; `None`: nowhere. Call it inside the runtime.
pub(crate) fn traces(settings: &Settings) -> anyhow::Result<Option<Traces>> {
    let logs = &settings.logs;
    let Some(endpoint) = &logs.otlp_endpoint else { return Ok(None) };
    let options = TracesOptions {
        endpoint: endpoint.as_str(),
        headers: logs.otlp_headers.as_ref().map_or("", |headers| headers.expose_secret()),
        service: &logs.service_name,
        version: logs.service_version.as_deref().unwrap_or(env!("CARGO_PKG_VERSION")),
        attributes: logs.resource_attributes.as_deref().unwrap_or_default(),
    };
    Ok(Some(agent_telemetry::traces::install(options)?))
}

/// What there must be in NATS.
pub(crate) fn streams(settings: &Settings) -> Streams {
    let nats = &settings.nats;
    Streams {
        status_stream: nats.status_stream.clone(),
        max_age: nats.max_age,
        max_bytes: i64::try_from(nats.max_bytes).unwrap_or(i64::MAX),
        replicas: nats.replicas,
        max_ack_pending: agent_transport_nats::max_ack_pending(settings.worker.concurrency, nats.max_workers),
    }
}

/// How to reach PostgreSQL.
pub(crate) fn postgres(settings: &Settings) -> anyhow::Result<PostgresConfig> {
    let from = &settings.postgres;
    let mut config = match &from.dsn {
        Some(dsn) => PostgresConfig::from_dsn(dsn.expose_secret())?,
        None => {
            let mut server = tokio_postgres::Config::new();
            server.host(&from.host).port(from.port).dbname(&from.db).user(&from.user);
            if let Some(password) = &from.password {
                server.password(password.expose_secret());
            }
            PostgresConfig::new(server, Tls::default())
        }
    };
    let mode = SslMode::parse(from.ssl_mode.as_str()).context("`POSTGRES_SSLMODE` is not known")?;
    config.tls = Tls { mode, root_cert: from.ssl_root_cert.clone() };
    config.schema = from.schema.clone();
    config.pool_size = from.read_connections;
    config.commit_connections = from.commit_connections;
    config.pool_wait = from.pool_wait;
    config.connect_timeout = from.connect_wait;
    config.lease_ttl = settings.worker.lease;
    Ok(config)
}

/// The host of Python scripts; `None` where the operator wants none.
pub(crate) fn scripts(settings: &Settings) -> Option<ScriptHost> {
    let (tools, limits) = (&settings.tools, &settings.tools.script_limits);
    match tools.scripts {
        ScriptMode::Off => return None,
        ScriptMode::Sandbox => {}
    }
    Some(ScriptHost::new(ScriptSettings {
        limits: ScriptLimits {
            wall: limits.wall,
            cpu: limits.cpu,
            memory_bytes: limits.memory_bytes,
            processes: limits.processes,
            folder_bytes: limits.folder_bytes,
            result_bytes: limits.result_bytes,
            output_bytes: limits.output_bytes,
        },
        confinement: match tools.scripts_unconfined {
            true => Confinement::AllowUnconfined,
            false => Confinement::Required,
        },
        network: tools.scripts_network,
        python: tools.scripts_python.clone(),
        concurrent: tools.scripts_concurrency,
        warm: tools.scripts_warm,
        ..ScriptSettings::default()
    }))
}

/// The runtime's own settings.
pub(crate) fn runtime(settings: &Settings) -> anyhow::Result<RuntimeSettings> {
    let worker = &settings.worker;
    let keep = &settings.retention;
    let default_definition = worker.default_definition_file.as_deref().map(definition).transpose()?;
    Ok(RuntimeSettings {
        concurrency: worker.concurrency,
        poison_limit: worker.poison_limit,
        retention: Retention {
            threads: keep.threads,
            events: keep.events,
            outbox: keep.outbox,
            dead_letters: keep.dead_letters,
        },
        commit_patience: worker.store_patience,
        default_deadline: worker.job_deadline,
        default_model: Some(default_model(&settings.models.default_model)),
        default_definition: default_definition.map(Arc::new),
        merge_deltas: settings.stream.merge,
        model_attempts: settings.models.attempts,
        without_tools: settings.tools.without.clone(),
        file_form: match settings.stream.file_content {
            WireFileContent::Lines => FileForm::Lines,
            WireFileContent::Text => FileForm::String,
        },
        python_compat: settings.stream.python_compat,
        limits: Limits { max_bytes: settings.http.body_bytes, max_depth: worker.job_depth },
        // A name of its own for each process, so that a restarted one never takes its old leases for its own.
        ..RuntimeSettings::new(format!("{}-{}", worker.name, Uuid::new_v4().simple()))
            .with_lease(worker.lease)
    })
}

/// `provider:model`, or a bare name of OpenAI's.
fn default_model(text: &str) -> ModelRef {
    let (provider, model) = text.split_once(':').unwrap_or(("openai", text));
    ModelRef { provider: provider.to_owned(), model: model.to_owned() }
}

/// Who may use the HTTP interface.
pub(crate) fn guard(http: &HttpSettings) -> anyhow::Result<Guard> {
    let pairs = http.tokens.iter().map(|token| (token.name.clone(), token.token.expose_secret().to_owned()));
    let tokens = Tokens::new(pairs, http.tokens_file.clone())?;
    Ok(Guard {
        tokens: Arc::new(tokens),
        certificates: http.tls.client_ca.is_some(),
        origins: Arc::from(http.allowed_origins.as_slice()),
    })
}

/// Bounds and TLS of the HTTP listener.
pub(crate) fn server(http: &HttpSettings) -> ServerSettings {
    let tls = http.tls.cert.clone().zip(http.tls.key.clone());
    ServerSettings {
        connections: http.connections,
        per_peer: http.connections_per_peer,
        header_bytes: http.header_bytes,
        read: http.read,
        write: http.write,
        tls: tls.map(|(certificate, key)| TlsFiles {
            certificate,
            key,
            client_ca: http.tls.client_ca.clone(),
        }),
    }
}

/// Reads a definition from a file.
pub(crate) fn definition(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("`{}` is not JSON", path.display()))
}
