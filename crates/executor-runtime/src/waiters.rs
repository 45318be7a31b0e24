//! Who waits for which job's end on this worker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::executor::JobEnd;

type Senders = Mutex<HashMap<Arc<str>, Vec<oneshot::Sender<JobEnd>>>>;

#[derive(Debug, Clone, Default)]
pub(crate) struct Waiters(Arc<Senders>);

/// A wait for one job. Dropping it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Waiter {
    receiver: oneshot::Receiver<JobEnd>,
    job_id: Arc<str>,
    senders: Arc<Senders>,
}

impl Waiters {
    pub(crate) fn wait(&self, job_id: &str) -> Waiter {
        let (sender, receiver) = oneshot::channel();
        let job_id: Arc<str> = Arc::from(job_id);
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        senders.entry(job_id.clone()).or_default().push(sender);
        Waiter { receiver, job_id, senders: self.0.clone() }
    }

    pub(crate) fn tell(&self, job_id: &str, end: JobEnd) {
        let senders = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(job_id);
        for sender in senders.into_iter().flatten() {
            // A receiver that is gone does not want to know.
            sender.send(end).ok();
        }
    }
}

impl Waiter {
    /// Waits for the end of the work on this worker.
    ///
    /// # Cancel safety
    /// Can be dropped and called again.
    pub(crate) async fn ended(&mut self) -> JobEnd {
        // The sender is dropped only when the worker's task was: the job is still in the store.
        (&mut self.receiver).await.unwrap_or(JobEnd::HandedBack)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.receiver.close();
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left) = senders.get_mut(&self.job_id) {
            left.retain(|sender| !sender.is_closed());
            if left.is_empty() {
                senders.remove(&self.job_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_is_told_and_nothing_is_left() {
        let waiters = Waiters::default();
        let (mut one, mut two, gone) = (waiters.wait("job"), waiters.wait("job"), waiters.wait("other"));
        drop(gone);
        waiters.tell("job", JobEnd::HandedBack);
        assert_eq!((one.ended().await, two.ended().await), (JobEnd::HandedBack, JobEnd::HandedBack));
        drop((one, two));
        assert!(waiters.0.lock().unwrap().is_empty());
    }
}
