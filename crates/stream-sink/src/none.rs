//! The sink that nobody listens to.

use std::time::Duration;

use async_trait::async_trait;

use crate::{SinkEvent, StreamSink};

/// Drops every event; readers use the journal.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSink;

#[async_trait]
impl StreamSink for NoSink {
    fn publish(&self, _event: SinkEvent) {}

    async fn flush(&self, _limit: Duration) -> bool {
        true
    }

    async fn healthy(&self) -> bool {
        true
    }
}
