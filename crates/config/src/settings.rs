//! What the variables mean, typed. One struct an area, each in its file.

mod dragonfly;
mod http;
mod models;
mod nats;
mod postgres;
mod rest;
mod tools;
mod worker;

use secrecy::{ExposeSecret as _, SecretString};

pub use self::{
    dragonfly::DragonflySettings,
    http::{ApiToken, Dependency, HttpSettings, HttpTls},
    models::{ModelSettings, OpenAiApi},
    nats::NatsSettings,
    postgres::{PostgresSettings, SslMode},
    rest::{LogFormat, LogSettings, RetentionSettings, StreamSettings, WireFileContent},
    tools::{ScriptLimitSettings, ScriptMode, ToolSettings},
    worker::WorkerSettings,
};
use crate::{Address, ConfigError, Environment, Shown, Source, Warning, reader::Reader};

/// What the settings are for, and so what must be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// `worker serve`: PostgreSQL and Dragonfly.
    Serve,
    /// `migrate-init`: PostgreSQL.
    Migrate,
    /// `worker watch`: Dragonfly.
    Watch,
    /// `worker run` and whatever needs no server.
    Embedded,
}

/// All settings. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The database.
    pub postgres: PostgresSettings,
    /// The cache.
    pub dragonfly: DragonflySettings,
    /// The queue.
    pub nats: NatsSettings,
    /// The HTTP interface.
    pub http: HttpSettings,
    /// Jobs.
    pub worker: WorkerSettings,
    /// Model providers.
    pub models: ModelSettings,
    /// Tools.
    pub tools: ToolSettings,
    /// Live events.
    pub stream: StreamSettings,
    /// What is deleted when.
    pub retention: RetentionSettings,
    /// Logs and traces.
    pub logs: LogSettings,
    /// What works, and an operator should know.
    pub warnings: Vec<Warning>,
    shown: Vec<Shown>,
}

impl Settings {
    /// Reads everything.
    ///
    /// # Errors
    /// Everything that is wrong or missing for `purpose`, at once.
    pub fn load(environment: &Environment, purpose: Purpose) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(environment);
        let needs = |wanted: &[Purpose]| wanted.contains(&purpose);
        let postgres = PostgresSettings::read(&mut reader, needs(&[Purpose::Serve, Purpose::Migrate]));
        let dragonfly = DragonflySettings::read(&mut reader, needs(&[Purpose::Serve, Purpose::Watch]));
        let nats = NatsSettings::read(&mut reader);
        let http = HttpSettings::read(&mut reader, needs(&[Purpose::Serve]));
        let worker = WorkerSettings::read(&mut reader);
        let models = ModelSettings::read(&mut reader);
        let tools = ToolSettings::read(&mut reader);
        let stream = StreamSettings::read(&mut reader);
        let retention = RetentionSettings::read(&mut reader);
        let logs = LogSettings::read(&mut reader);
        let Reader { problems, warnings, shown, .. } = reader;
        if !problems.is_empty() {
            return Err(ConfigError { problems });
        }
        Ok(Self {
            postgres,
            dragonfly,
            nats,
            http,
            worker,
            models,
            tools,
            stream,
            retention,
            logs,
            warnings,
            shown,
        })
    }

    /// Each setting with its value, `[REDACTED]` for a secret, `unset` for nothing, and its source, in the order of
    /// the documentation.
    pub fn explain(&self) -> Vec<(&'static str, String, Source)> {
        self.shown.iter().map(|shown| (shown.name, shown.value.clone(), shown.source.clone())).collect()
    }

    /// Every secret value, to be registered with whoever writes logs: passwords inside connection strings too.
    pub fn secrets(&self) -> Vec<String> {
        let whole = [
            &self.postgres.dsn,
            &self.postgres.password,
            &self.dragonfly.url,
            &self.dragonfly.password,
            &self.nats.password,
            &self.nats.token,
            &self.models.openai_api_key,
            &self.models.anthropic_api_key,
            &self.logs.otlp_headers,
        ];
        let whole = whole.into_iter().flatten().chain(self.http.tokens.iter().map(|token| &token.token));
        let whole: Vec<String> = whole.map(|secret| secret.expose_secret().to_owned()).collect();
        let models = &self.models;
        let urls = [
            &models.openai_base_url,
            &models.anthropic_base_url,
            &models.ollama_base_url,
            &models.https_proxy,
        ];
        let urls = urls.into_iter().flatten().chain([&self.nats.url]);
        let addresses: Vec<&str> = urls.map(Address::as_str).collect();
        let inside =
            whole.iter().map(String::as_str).chain(addresses.iter().flat_map(|urls| urls.split(',')));
        let inside: Vec<String> = inside.flat_map(passwords).collect();
        let headers = self.logs.otlp_headers.iter().flat_map(|headers| headers.expose_secret().split(','));
        let headers =
            headers.filter_map(|header| header.split_once('=')).map(|(_, value)| value.trim().to_owned());
        let headers: Vec<String> = headers.filter(|value| !value.is_empty()).collect();
        whole.into_iter().chain(inside).chain(headers).collect()
    }
}

/// Passwords within a connection string, as written and as meant.
fn passwords(text: &str) -> Vec<String> {
    let pairs = text.split_whitespace().filter_map(|pair| pair.strip_prefix("password=")).map(str::to_owned);
    let mut found: Vec<String> = pairs.collect();
    if let Some((_, rest)) = text.split_once("://")
        && let Some((user, _)) = rest.rsplit_once('@')
        && let Some((_, password)) = user.split_once(':')
    {
        let meant: String =
            url::form_urlencoded::parse(format!("x={}", password.replace('+', "%2B")).as_bytes())
                .map(|(_, value)| value.into_owned())
                .collect();
        found.extend([password.to_owned(), meant]);
    }
    found
}

/// The text of a secret that is still to be taken apart.
fn text_of(secret: &SecretString) -> &str {
    secret.expose_secret()
}
