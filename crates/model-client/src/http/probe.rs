//! Whether a provider can be reached and takes the key, without asking a model anything.

use std::time::Duration;

use super::HttpClient;

/// Longest wait for the answer.
const LIMIT: Duration = Duration::from_secs(10);

/// What a provider's list of models answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Probe {
    /// It answers, and takes the key. Servers without such a list answer 404, which is as good.
    Good,
    /// It is the vendor's own server, and there is no key.
    NoKey,
    /// It refuses the key.
    KeyRefused {
        /// The HTTP status.
        status: u16,
    },
    /// It answers with a failure of its own.
    Failing {
        /// The HTTP status.
        status: u16,
    },
    /// No answer.
    Unreachable {
        /// Why, without the key.
        reason: String,
    },
}

impl HttpClient {
    /// Asks a provider for its list of models; `None` for a name that nothing here speaks to.
    pub async fn probe(&self, provider: &str) -> Option<Probe> {
        let endpoint = self.endpoints.get(provider)?;
        if endpoint.missing_key().is_some() {
            return Some(Probe::NoKey);
        }
        let request = self.transport.get(endpoint.models_url()).headers(endpoint.headers()).timeout(LIMIT);
        Some(match request.send().await {
            Ok(answer) => match answer.status().as_u16() {
                status @ (401 | 403) => Probe::KeyRefused { status },
                200..=299 | 400 | 404 | 405 => Probe::Good,
                status => Probe::Failing { status },
            },
            Err(error) => Probe::Unreachable { reason: endpoint.redact(reasons(&error)) },
        })
    }
}

/// The error with what caused it, without the address: a query could hold a key.
fn reasons(error: &reqwest::Error) -> String {
    let mut told = Vec::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = next {
        told.push(cause.to_string());
        next = cause.source();
    }
    if told.is_empty() { "no answer".to_owned() } else { told.join(": ") }
}
