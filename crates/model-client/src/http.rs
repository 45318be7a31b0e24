//! The HTTP client: transport, time limits, retries, redaction and metrics for all providers alike.

mod attempt;
mod breaker;
mod endpoint;
mod failure;
mod metric;
mod probe;
mod retry;
mod tools;

use std::{collections::BTreeMap, time::Duration};

use agent_executor_core::{ModelError, ModelErrorKind, ModelReply, ModelRequest};
use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    codec::{Call, Codec},
    config::{ConfigError, HttpConfig, RetryPolicy, Timeouts},
    port::{ModelClient, OnDelta},
    turn::Deltas,
};
use breaker::{Permit, Turned};
use endpoint::Endpoint;
use failure::Failed;
pub use metric::METRIC_NAMES;
pub use probe::Probe;

/// Asks model providers over HTTP. Cheap to share, not to build: keep one per process.
///
/// Idle connections are pooled per provider. Metrics appear at zero when it is built, so install the recorder before.
pub struct HttpClient {
    endpoints: BTreeMap<String, Endpoint>,
    transport: reqwest::Client,
    tools: tools::Cache,
    timeouts: Timeouts,
    retry: RetryPolicy,
    limits: Limits,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    response: usize,
    event: usize,
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let providers: Vec<&str> = self.endpoints.keys().map(String::as_str).collect();
        f.debug_struct("HttpClient").field("providers", &providers).finish_non_exhaustive()
    }
}

impl HttpClient {
    /// A client with these settings. The process must have installed its TLS provider before.
    ///
    /// # Errors
    /// [`ConfigError`] for a provider that nothing here speaks to, a bad URL or header, missing certificates.
    pub fn new(config: HttpConfig) -> Result<Self, ConfigError> {
        let endpoints: BTreeMap<String, Endpoint> = config
            .providers
            .into_iter()
            .map(|(name, provider)| {
                Ok((name.clone(), Endpoint::new(name, provider, config.breaker.clone())?))
            })
            .collect::<Result<_, ConfigError>>()?;
        // Streams are not worth compressing, and a proxy that buffers them to do so would hold tokens back.
        let transport = reqwest::Client::builder()
            .user_agent(concat!("agent-executor/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(config.timeouts.connect)
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            .pool_idle_timeout(Duration::from_secs(90))
            .redirect(reqwest::redirect::Policy::none())
            .no_gzip()
            .build()
            .map_err(ConfigError::Transport)?;
        for endpoint in endpoints.values() {
            metric::register(&endpoint.name);
        }
        let limits = Limits { response: config.max_response_bytes, event: config.max_event_bytes };
        let (timeouts, retry) = (config.timeouts, config.retry);
        Ok(Self { endpoints, transport, tools: tools::Cache::default(), timeouts, retry, limits })
    }

    /// Tries until there is an answer, a refusal, or no try left.
    async fn ask(
        &self,
        endpoint: &Endpoint,
        request: &ModelRequest,
        deltas: &mut Deltas<'_>,
    ) -> Result<ModelReply, ModelError> {
        let codec = endpoint.codec(request);
        let tools = self.tools.get(codec, &request.tools);
        let body = |ask_usage| Bytes::from(codec.encode(&Call { request, tools: &tools, ask_usage }));
        let mut bytes = body(endpoint.asks_usage());
        let mut tried = 0;
        loop {
            if let Permit::Wait(wait) = endpoint.breaker.permit() {
                // It is down: waiting stands for the repetition that would have met it so.
                if tried >= self.retry.retries {
                    return Err(failure::circuit_open(&endpoint.name));
                }
                tried += 1;
                tokio::time::sleep(wait).await;
                continue;
            }
            let failed = match self.attempt(endpoint, codec, bytes.clone(), deltas).await {
                Ok(reply) => return Ok(reply),
                Err(failed) => failed,
            };
            if failed.refuses_usage && endpoint.asks_usage() {
                endpoint.stop_asking_usage();
                bytes = body(false);
                continue;
            }
            match retry::delay(&self.retry, tried, &failed, rand::random()) {
                Some(_) if deltas.first().is_none() && !endpoint.breaker.spend() => {
                    note_spent(endpoint, &failed);
                    return Err(failed.error);
                }
                Some(delay) if deltas.first().is_none() => {
                    tried += 1;
                    note_retry(endpoint, &failed, tried, delay);
                    tokio::time::sleep(delay).await;
                }
                _ => return Err(failed.error),
            }
        }
    }

    async fn attempt(
        &self,
        endpoint: &Endpoint,
        codec: &dyn Codec,
        body: Bytes,
        deltas: &mut Deltas<'_>,
    ) -> Result<ModelReply, Failed> {
        deltas.restart();
        let guard = breaker::Guard::new(&endpoint.breaker);
        let outcome = async {
            let response = attempt::send(&self.transport, endpoint, codec, body, &self.timeouts).await?;
            attempt::read(response, endpoint, codec, deltas, self.timeouts.idle, self.limits).await
        };
        let outcome = outcome.await;
        note_turn(endpoint, guard.ended(outcome.as_ref().err().map(|failed| failed.error.kind)));
        outcome
    }
}

fn note_turn(endpoint: &Endpoint, turned: Turned) {
    match turned {
        Turned::Opened => {
            metric::opened(&endpoint.name, true);
            tracing::warn!(
                event = "model_circuit_opened",
                provider = %endpoint.name,
                runbook = "docs/operations.md#provider-down"
            );
        }
        Turned::Closed => {
            metric::opened(&endpoint.name, false);
            tracing::info!(event = "model_circuit_closed", provider = %endpoint.name);
        }
        Turned::Nothing => {}
    }
}

fn note_spent(endpoint: &Endpoint, failed: &Failed) {
    metric::budget_spent(&endpoint.name);
    tracing::warn!(
        event = "model_retry_budget_spent",
        provider = %endpoint.name,
        error = %failed.error,
        runbook = "docs/operations.md#provider-down"
    );
}

fn note_retry(endpoint: &Endpoint, failed: &Failed, number: u32, delay: Duration) {
    metric::retried(&endpoint.name);
    tracing::warn!(
        event = "model_request_retried",
        provider = %endpoint.name,
        status = failed.error.status,
        request_id = failed.error.request_id.as_deref(),
        retry = number,
        delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX),
        error = %failed.error,
    );
}

#[async_trait]
impl ModelClient for HttpClient {
    async fn complete(
        &self,
        request: &ModelRequest,
        on_delta: OnDelta<'_>,
    ) -> Result<ModelReply, ModelError> {
        let name = &request.model.provider;
        let Some(endpoint) = self.endpoints.get(name) else {
            return Err(failure::unknown_provider(name, self.endpoints.keys()));
        };
        let counted = metric::Counted::new(&endpoint.name);
        let mut deltas = Deltas::new(on_delta);
        let outcome = match (endpoint.missing_key(), self.timeouts.total) {
            (Some(error), _) => Err(error),
            (None, None) => self.ask(endpoint, request, &mut deltas).await,
            (None, Some(total)) => {
                let asked = tokio::time::timeout(total, self.ask(endpoint, request, &mut deltas)).await;
                asked.unwrap_or_else(|_| Err(total_passed(endpoint, &deltas, total)))
            }
        };
        counted.done(&outcome, deltas.first());
        outcome
    }

    fn ready(&self) -> bool {
        let mut in_use = self.endpoints.values().filter_map(|endpoint| endpoint.breaker.usable()).peekable();
        in_use.peek().is_none() || in_use.any(|usable| usable)
    }
}

fn total_passed(endpoint: &Endpoint, deltas: &Deltas<'_>, total: Duration) -> ModelError {
    let kind =
        if deltas.first().is_some() { ModelErrorKind::Interrupted } else { ModelErrorKind::Unavailable };
    failure::plain(kind, format!("{}: no complete answer within {total:?}", endpoint.name))
}
