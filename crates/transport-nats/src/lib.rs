//! JetStream as a doorbell: pulls jobs into free slots, tells results, and keeps no promise of its own.
//!
//! A message that is lost, repeated or late changes nothing but latency: the store decides (docs/reliability.md).

mod cancel;
mod connection;
mod consumer;
mod delivery;
mod publisher;
mod settings;

pub use cancel::answer_cancels;
pub use connection::{ConnectError, Nats, connect};
pub use consumer::consume;
pub use publisher::NatsPublisher;
pub use settings::{Credentials, NatsSettings};
