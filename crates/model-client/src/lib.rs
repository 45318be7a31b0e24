//! Streaming client of model providers: one port, an HTTP client with a codec per provider, a scripted model.
//!
//! Knows requests, replies and wire formats; knows nothing of agents and tools.

mod port;

pub use port::{Delta, ModelClient, OnDelta};
