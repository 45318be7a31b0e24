//! Threads whose readers wait for the journal to grow: one question to the store for all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use agent_checkpoint_store::Store;
use tokio::sync::watch;
use tracing::warn;

use crate::setbacks::StoreCall;

#[derive(Debug, Default)]
pub(crate) struct Watches(Mutex<BTreeMap<Arc<str>, watch::Sender<u64>>>);

impl Watches {
    /// Tells the last journalled number of a thread whenever it has changed; 0 until it was looked at.
    pub(crate) fn watch(&self, thread: &Arc<str>) -> watch::Receiver<u64> {
        self.lock().entry(thread.clone()).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Arc<str>, watch::Sender<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One look at all journals; who is gone is forgotten.
    pub(crate) async fn look(&self, store: &dyn Store) {
        let threads: Vec<Arc<str>> = {
            let mut watched = self.lock();
            watched.retain(|_, sender| sender.receiver_count() > 0);
            watched.keys().cloned().collect()
        };
        if threads.is_empty() {
            return;
        }
        match store.journal_ends(&threads).await {
            Ok(ends) => {
                let watched = self.lock();
                for (thread, end) in threads.iter().zip(ends) {
                    if let Some(sender) = watched.get(thread) {
                        sender.send_if_modified(|known| std::mem::replace(known, end) != end);
                    }
                }
            }
            Err(error) => {
                warn!(event = "journals_unread", threads = threads.len(), %error,
                    runbook = "docs/operations.md#journals-unread");
                StoreCall::Journal.failed();
            }
        }
    }
}
