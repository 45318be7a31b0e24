//! JetStream as a doorbell: pulls jobs into free slots, tells results, and keeps no promise of its own.
//!
//! A message that is lost, repeated or late changes nothing but latency: the store decides (docs/reliability.md).

mod cancel;
mod connection;
mod consumer;
mod delivery;
mod inspect;
mod one_job;
mod provision;
mod publish_job;
mod publisher;
mod settings;

pub use cancel::answer_cancels;
pub use connection::{ConnectError, Nats, connect};
pub use consumer::consume;
pub use inspect::{Difference, Observation, State, examine};
pub use one_job::{OneJob, consume_one};
pub use provision::{Change, ProvisionError, Streams, max_ack_pending, provision};
pub use publish_job::{PublishJobError, publish_job};
pub use publisher::NatsPublisher;
pub use settings::{Credentials, NatsSettings};
