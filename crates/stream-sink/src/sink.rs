//! The port.

use std::time::Duration;

use async_trait::async_trait;

use crate::SinkEvent;

/// What a listener hears.
#[derive(Debug, Clone)]
pub enum Heard {
    /// An event. It may come twice, and events of a worker that lost its thread may come late: look at the number.
    Event(SinkEvent),
    /// Some were missed: the listener was too slow.
    Missed,
    /// Nothing more will come on this ear.
    Closed,
}

/// One listener's ear on one thread.
#[async_trait]
pub trait Listener: Send + Sync {
    /// What is told next.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    async fn next(&mut self) -> Heard;
}

/// Where the events of running threads go, live.
///
/// Events of one thread leave in the order in which they were handed over. Threads are independent of each other.
#[async_trait]
pub trait StreamSink: Send + Sync + 'static {
    /// Hands an event over. Never blocks, never fails: when the bounded buffer is full the oldest of the thread is
    /// dropped, and a gap marks the place.
    fn publish(&self, event: SinkEvent);

    /// Waits until what was handed over has left, at most `limit` long. `false`: something is still here.
    ///
    /// # Cancel safety
    /// A dropped flush changes nothing; the events go on leaving.
    async fn flush(&self, limit: Duration) -> bool;

    /// Deletes what the backend keeps of a thread for late readers. Best effort: what stays goes by its own time.
    async fn forget(&self, thread_id: &str) {
        // Most backends keep nothing.
        let _ = thread_id;
    }

    /// Whether events reach the backend now. Really asks it, and answers within about a second.
    async fn healthy(&self) -> bool;

    /// An ear on a thread, for what is told from now on, by this process or another. `None`: nobody can listen here.
    fn listen(&self, _thread: &str) -> Option<Box<dyn Listener>> {
        None
    }

    /// The newest events of a thread, oldest first, as far as the backend keeps any and answers within a second.
    async fn recent(&self, _thread: &str) -> Vec<SinkEvent> {
        Vec::new()
    }
}
