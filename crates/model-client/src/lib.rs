//! Streaming client of model providers: one port, an HTTP client with a codec per provider, a scripted model.
//!
//! Knows requests, replies and wire formats; knows nothing of agents and tools.

mod args;
mod blocks;
mod codec;
mod config;
mod http;
mod json;
mod port;
pub mod profiles;
mod providers;
pub mod sse;
mod turn;

pub use config::{ConfigError, HttpConfig, KeyHeader, OpenAiApi, ProviderConfig, RetryPolicy, Timeouts};
pub use http::HttpClient;
pub use port::{Delta, ModelClient, OnDelta};
