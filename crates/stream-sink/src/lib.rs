//! Port and backends of the live event stream.
//!
//! A [`StreamSink`] takes events that are already numbered and encoded, and passes them on to whoever listens. It
//! is a loudspeaker, not a record: the journal in the store has every event, so a sink may drop, but it says so
//! with a gap event, and it never makes a job wait.
//!
//! - [`InProcess`]: listeners in this process, with a bounded replay per thread.
//! - [`NoSink`]: nobody listens.
//! - `RedisSink` (feature `redis`): Redis, Valkey or Dragonfly; pub/sub and a capped list per thread.
//!
//! [`conformance`] is the suite that every backend runs.

pub mod conformance;
mod event;
mod in_process;
mod metric;
mod none;
#[cfg(feature = "redis")]
mod queue;
#[cfg(feature = "redis")]
mod redis;
mod sink;

pub use event::{EventKind, GapPayload, ReadHead, SinkEvent};
pub use in_process::{InProcess, InProcessLimits, Subscription};
pub use metric::METRIC_NAMES;
pub use none::NoSink;
#[cfg(feature = "redis")]
pub use queue::QueueLimits;
#[cfg(feature = "redis")]
pub use redis::{
    RedisConfig, RedisConfigError, RedisSink, RedisTail, Replay, TailError, Told, channel_of, list_of,
};
pub use sink::{Heard, Listener, StreamSink};
