//! Small ports of the runtime itself. Simulation and tests own them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use agent_checkpoint_store::OutboxMessage;
use agent_executor_core::Stamp;
use async_trait::async_trait;

/// Time and randomness for the machine.
pub trait Clock: Send + Sync + 'static {
    /// A stamp for the next event.
    fn stamp(&self) -> Stamp;
}

/// The system's clock and random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn stamp(&self) -> Stamp {
        // A clock before 1970 counts as 1970: ids only need to be greater than those before them.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let now_ns = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        Stamp { now_ns, seed: rand::random() }
    }
}

/// Why a result event did not leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PublishError(pub String);

/// Tells the world about results.
#[async_trait]
pub trait ResultPublisher: Send + Sync + 'static {
    /// Publishes one message and waits until it is safe. Publishing it again is harmless: its id is the same.
    ///
    /// # Errors
    /// [`PublishError`]; the message stays in the outbox.
    async fn publish(&self, message: &OutboxMessage) -> Result<(), PublishError>;
}

/// For embedders without a broker: results are read from the store.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPublisher;

#[async_trait]
impl ResultPublisher for NoPublisher {
    async fn publish(&self, _: &OutboxMessage) -> Result<(), PublishError> {
        Ok(())
    }
}
