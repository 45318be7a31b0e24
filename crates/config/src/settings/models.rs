//! Model providers.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;

use crate::{Address, env, kind::choice, reader::Reader};

choice! {
    /// Which of OpenAI's interfaces is used.
    OpenAiApi {
        /// Chat, but responses for all agents where one of the models exists only there.
        #[default]
        Auto = "auto",
        /// Chat completions.
        Chat = "chat",
        /// Responses.
        Responses = "responses",
    }
}

/// Model providers, and how patient we are with them.
#[derive(Debug, Clone)]
pub struct ModelSettings {
    /// Model of agents whose definition names none.
    pub default_model: String,
    /// Key for OpenAI.
    pub openai_api_key: Option<SecretString>,
    /// Base URL; `None`: the vendor's.
    pub openai_base_url: Option<Address>,
    /// Which interface.
    pub openai_api: OpenAiApi,
    /// Key for Anthropic.
    pub anthropic_api_key: Option<SecretString>,
    /// Base URL; `None`: the vendor's.
    pub anthropic_base_url: Option<Address>,
    /// Base URL of an Ollama server.
    pub ollama_base_url: Option<Address>,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for the head of an answer.
    pub head_timeout: Duration,
    /// Longest silence within an answer.
    pub idle_timeout: Duration,
    /// Retries before the first token.
    pub retries: u32,
    /// Pause before the first retry.
    pub retry_first: Duration,
    /// Longest `Retry-After` that is obeyed.
    pub retry_after_limit: Duration,
    /// Retries that all calls to a provider together have in hand.
    pub retry_budget: u32,
    /// Requests in a row that meet a provider that is down before it is left alone; 0: never.
    pub breaker_failures: u32,
    /// How long it is left alone.
    pub breaker_open: Duration,
    /// Tries of a call whose stream broke, the first included.
    pub attempts: u32,
    /// Proxy for egress; the HTTP client reads it itself.
    pub https_proxy: Option<Address>,
    /// Hosts reached without it.
    pub no_proxy: Option<String>,
    /// Certificates in place of the system's; the HTTP client reads it itself.
    pub ssl_cert_file: Option<PathBuf>,
}

impl ModelSettings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            default_model: reader.get(&env::LLM_MODEL_NAME),
            openai_api_key: reader.find(&env::OPENAI_API_KEY),
            openai_base_url: reader.find(&env::OPENAI_BASE_URL),
            openai_api: reader.get(&env::OPENAI_API),
            anthropic_api_key: reader.find(&env::ANTHROPIC_API_KEY),
            anthropic_base_url: reader.find(&env::ANTHROPIC_BASE_URL),
            ollama_base_url: reader.find(&env::OLLAMA_BASE_URL),
            connect_timeout: reader.get(&env::MODEL_CONNECT_TIMEOUT_SECONDS),
            head_timeout: reader.get(&env::MODEL_HEAD_TIMEOUT_SECONDS),
            idle_timeout: reader.get(&env::MODEL_IDLE_TIMEOUT_SECONDS),
            retries: reader.get(&env::MODEL_RETRIES),
            retry_first: reader.get(&env::MODEL_RETRY_FIRST_MILLISECONDS),
            retry_after_limit: reader.get(&env::MODEL_RETRY_AFTER_SECONDS),
            retry_budget: reader.get(&env::MODEL_RETRY_BUDGET),
            breaker_failures: reader.get(&env::MODEL_BREAKER_FAILURES),
            breaker_open: reader.get(&env::MODEL_BREAKER_SECONDS),
            attempts: reader.get(&env::MODEL_ATTEMPTS),
            https_proxy: reader.find(&env::HTTPS_PROXY),
            no_proxy: reader.find(&env::NO_PROXY),
            ssl_cert_file: reader.find(&env::SSL_CERT_FILE),
        }
    }
}
