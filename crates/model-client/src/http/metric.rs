//! What is counted of model calls. Names are part of the operator's contract.

use std::time::Duration;

use agent_executor_core::{ModelError, ModelErrorKind, ModelReply};
use agent_langgraph_codec::Kind;
use metrics::{counter, gauge, histogram};
use serde_json::Value;

/// Calls by outcome; `cancelled`: the caller gave up.
const REQUESTS: &str = "agent_executor_model_requests_total";
/// Repeated requests.
const RETRIES: &str = "agent_executor_model_retries_total";
/// Seconds from a request to the first piece of its answer.
const FIRST_TOKEN: &str = "agent_executor_model_first_token_seconds";
/// Tokens by kind, as the providers count them. `cache_read` and `cache_creation` are part of `input`.
const TOKENS: &str = "agent_executor_model_tokens_total";

/// 1 while a provider is left alone.
const OPEN: &str = "agent_executor_model_circuit_open";
/// Calls that failed since no repetition was left in the budget.
const SPENT: &str = "agent_executor_model_retry_budget_spent_total";

/// Every metric of this crate.
pub const METRIC_NAMES: &[&str] = &[REQUESTS, RETRIES, FIRST_TOKEN, TOKENS, OPEN, SPENT];

const OUTCOMES: &[&str] = &[
    "ok",
    "context_overflow",
    "refused",
    "auth",
    "rate_limited",
    "unavailable",
    "interrupted",
    "unknown_provider",
    "cancelled",
];
const KINDS: &[&str] = &["input", "output", "cache_read", "cache_creation"];

/// All series of a provider, at zero.
pub(super) fn register(provider: &str) {
    for outcome in OUTCOMES {
        counter!(REQUESTS, "provider" => provider.to_owned(), "outcome" => *outcome).increment(0);
    }
    counter!(RETRIES, "provider" => provider.to_owned()).increment(0);
    counter!(SPENT, "provider" => provider.to_owned()).increment(0);
    gauge!(OPEN, "provider" => provider.to_owned()).set(0.0);
    for kind in KINDS {
        counter!(TOKENS, "provider" => provider.to_owned(), "kind" => *kind).increment(0);
    }
}

pub(super) fn opened(provider: &str, open: bool) {
    gauge!(OPEN, "provider" => provider.to_owned()).set(if open { 1.0 } else { 0.0 });
}

pub(super) fn budget_spent(provider: &str) {
    counter!(SPENT, "provider" => provider.to_owned()).increment(1);
}

pub(super) fn retried(provider: &str) {
    counter!(RETRIES, "provider" => provider.to_owned()).increment(1);
}

/// Counts a call, also one whose future is dropped.
pub(super) struct Counted<'a> {
    provider: &'a str,
    outcome: &'static str,
}

impl<'a> Counted<'a> {
    pub(super) fn new(provider: &'a str) -> Self {
        Self { provider, outcome: "cancelled" }
    }

    pub(super) fn done(mut self, outcome: &Result<ModelReply, ModelError>, first: Option<Duration>) {
        self.outcome = match outcome {
            Ok(_) => "ok",
            Err(error) => label(error.kind),
        };
        if let Some(first) = first {
            histogram!(FIRST_TOKEN).record(first.as_secs_f64());
        }
        if let Ok(ModelReply { usage: Some(usage), message, .. }) = outcome {
            self.tokens("input", usage.input_tokens);
            self.tokens("output", usage.output_tokens);
            if let Kind::Ai { usage_metadata: Some(metadata), .. } = &message.kind {
                for kind in ["cache_read", "cache_creation"] {
                    let count = metadata.get("input_token_details").and_then(|details| details.get(kind));
                    self.tokens(kind, count.and_then(Value::as_u64).unwrap_or(0));
                }
            }
        }
    }

    fn tokens(&self, kind: &'static str, count: u64) {
        if count > 0 {
            counter!(TOKENS, "provider" => self.provider.to_owned(), "kind" => kind).increment(count);
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        counter!(REQUESTS, "provider" => self.provider.to_owned(), "outcome" => self.outcome).increment(1);
    }
}

fn label(kind: ModelErrorKind) -> &'static str {
    match kind {
        ModelErrorKind::ContextOverflow => "context_overflow",
        ModelErrorKind::Refused => "refused",
        ModelErrorKind::Auth => "auth",
        ModelErrorKind::RateLimited => "rate_limited",
        ModelErrorKind::Unavailable => "unavailable",
        ModelErrorKind::Interrupted => "interrupted",
        ModelErrorKind::UnknownProvider => "unknown_provider",
    }
}
