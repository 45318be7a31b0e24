//! Streaming client of model providers: one port, an HTTP client with a codec per provider, a scripted model.
//!
//! Knows requests, replies and wire formats; knows nothing of agents and tools.

mod args;
mod blocks;
mod codec;
mod config;
pub mod conformance;
mod http;
mod json;
mod port;
mod providers;
mod scripted;
pub mod sse;
mod turn;

pub use config::{
    BreakerPolicy, ConfigError, HttpConfig, KeyHeader, OpenAiApi, ProviderConfig, RetryPolicy, Timeouts,
};
pub use http::{HttpClient, METRIC_NAMES, Probe};
pub use port::{Delta, ModelClient, OnDelta};
pub use scripted::{Answer, Rule, Scripted, ScriptedCall};

/// The README's example is compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
