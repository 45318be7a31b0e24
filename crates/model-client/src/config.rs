//! How to reach providers. Plain data: reading files and the environment is the caller's affair.

use std::{collections::BTreeMap, time::Duration};

use secrecy::SecretString;

use crate::providers::PROVIDERS;

/// Which of OpenAI's two APIs is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OpenAiApi {
    /// Chat Completions, but Responses for all agents of a definition one of whose models exists only there.
    #[default]
    Auto,
    /// Chat Completions.
    Chat,
    /// Responses.
    Responses,
}

/// In which header the key goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyHeader {
    /// `Authorization: Bearer KEY`.
    Bearer,
    /// `x-api-key: KEY`.
    XApiKey,
}

/// One provider.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// `http` or `https` URL, without the API's own path: `https://api.openai.com/v1`, `https://api.anthropic.com`.
    pub base_url: String,
    /// `None` sends no key; the vendors' own servers are then not asked at all.
    pub api_key: Option<SecretString>,
    /// Where the key goes.
    pub key_header: KeyHeader,
    /// Sent with every request, e.g. `anthropic-version`. Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// OpenAI only.
    pub api: OpenAiApi,
}

/// Bounds on waiting.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// For the connection, TLS included. Default 10 s.
    pub connect: Duration,
    /// From the request to the head of the response. Default 60 s.
    pub head: Duration,
    /// Longest silence within a stream. Default 300 s: models that reason may be silent that long.
    pub idle: Duration,
    /// For one `complete` with all its retries; `None` leaves it to the job's deadline.
    pub total: Option<Duration>,
}

/// When and how often a request is repeated. Only ever before the first piece of an answer.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    /// Repetitions after the first try. Default 4.
    pub retries: u32,
    /// Before the first repetition; doubles each time. Default 0.5 s (0.5, 1, 2, 4 s).
    pub base_delay: Duration,
    /// Part of a delay that is left to chance, 0 to 1. Default 0.25: between 75 % and all of it.
    pub jitter: f64,
    /// Longest obeyed `Retry-After`. Default 60 s.
    pub retry_after_cap: Duration,
}

/// When a provider counts as down, and how many repetitions all calls together may make.
#[derive(Debug, Clone)]
pub struct BreakerPolicy {
    /// Requests in a row, over all calls, that meet a provider that is down before nobody asks it any more. 0: never.
    /// Default 10.
    pub failures: u32,
    /// How long nobody asks it then; after that one request at a time finds out. Default 15 s.
    pub open_for: Duration,
    /// Repetitions in hand. Default 100.
    pub retry_budget: u32,
    /// What an answer adds to them. Default 0.2.
    pub earned: f64,
}

/// Everything that [`HttpClient`](crate::HttpClient) can be told.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// By name: `openai`, `anthropic`, `ollama`. A provider that is missing here is unknown to the client.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// Bounds on waiting.
    pub timeouts: Timeouts,
    /// Repetitions.
    pub retry: RetryPolicy,
    /// When to leave a provider alone.
    pub breaker: BreakerPolicy,
    /// Most bytes of one answer's stream. Default 64 MiB.
    pub max_response_bytes: usize,
    /// Most bytes of one event of a stream. Default 16 MiB.
    pub max_event_bytes: usize,
}

impl Default for HttpConfig {
    /// All known providers at their vendors' addresses, without keys.
    fn default() -> Self {
        let providers = PROVIDERS.iter().map(|provider| {
            let config = ProviderConfig {
                base_url: provider.base_url.to_owned(),
                api_key: None,
                key_header: provider.key_header,
                headers: provider.headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
                api: OpenAiApi::Auto,
            };
            (provider.name.to_owned(), config)
        });
        Self {
            providers: providers.collect(),
            timeouts: Timeouts {
                connect: Duration::from_secs(10),
                head: Duration::from_secs(60),
                idle: Duration::from_secs(300),
                total: None,
            },
            retry: RetryPolicy {
                retries: 4,
                base_delay: Duration::from_millis(500),
                jitter: 0.25,
                retry_after_cap: Duration::from_secs(60),
            },
            breaker: BreakerPolicy {
                failures: 10,
                open_for: Duration::from_secs(15),
                retry_budget: 100,
                earned: 0.2,
            },
            max_response_bytes: 64 << 20,
            max_event_bytes: 16 << 20,
        }
    }
}

impl HttpConfig {
    /// The settings of one provider, to be changed; `None` for a name that nothing here speaks to.
    pub fn provider_mut(&mut self, name: &str) -> Option<&mut ProviderConfig> {
        self.providers.get_mut(name)
    }
}

/// Why a client cannot be built from its settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No codec has this name.
    #[error("no provider is called `{name}`; there are {known}")]
    UnknownProvider {
        /// The name given.
        name: String,
        /// Names that exist.
        known: String,
    },
    /// Not an address of a server.
    #[error("base URL of `{provider}`: expected an http or https URL, found `{found}`")]
    BaseUrl {
        /// Whose.
        provider: String,
        /// The text given, without user and password.
        found: String,
    },
    /// A header, or the key, holds letters that HTTP does not allow. The value is not shown.
    #[error("header `{header}` of `{provider}`: its name or value holds characters that HTTP does not allow")]
    Header {
        /// Whose.
        provider: String,
        /// Its name.
        header: String,
    },
    /// The HTTP stack could not be set up, e.g. its certificates.
    #[error("the HTTP client could not be set up")]
    Transport(#[source] reqwest::Error),
}
