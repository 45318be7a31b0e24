//! All leases of this process, renewed together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use agent_checkpoint_store::{Lease, Store};
use agent_telemetry::metric;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::setbacks::StoreCall;

/// What a run is told from outside.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    /// The lease is lost: stop at once, tell nobody.
    pub(crate) lost: CancellationToken,
    /// Somebody asked for the job's end.
    pub(crate) cancel: CancellationToken,
    /// When the lease was last known to stand.
    pub(crate) pulse: Pulse,
}

/// When a lease was last known to stand, by this process's monotonic clock: the moment at which the last call was sent
/// that the store answered with a renewal.
#[derive(Debug, Clone)]
pub(crate) struct Pulse(Arc<watch::Sender<Instant>>);

impl Pulse {
    pub(crate) fn new(at: Instant) -> Self {
        Self(Arc::new(watch::Sender::new(at)))
    }

    pub(crate) fn beat(&self, at: Instant) {
        self.0.send_if_modified(|last| {
            let later = at > *last;
            *last = at.max(*last);
            later
        });
    }

    pub(crate) fn last(&self) -> Instant {
        *self.0.borrow()
    }

    /// Waits for a beat later than this one.
    pub(crate) async fn beats_after(&self, last: Instant) {
        let mut watching = self.0.subscribe();
        if watching.wait_for(|now| *now > last).await.is_err() {
            // Cannot be, since this value is a sender; then no beat will come.
            std::future::pending::<()>().await;
        }
    }
}

#[derive(Debug)]
struct Held {
    lease: Lease,
    job_id: Arc<str>,
    signals: Signals,
    /// The job's last commit is being made, which releases the lease and says itself whether it stood.
    ending: bool,
}

/// The leases that this process holds, by thread.
#[derive(Debug, Default)]
pub(crate) struct Leases(Mutex<BTreeMap<Arc<str>, Held>>);

impl Leases {
    /// Notes that this process works on a job under a lease, which was known to stand `since` then.
    pub(crate) fn hold(&self, lease: &Lease, job_id: &Arc<str>, since: Instant) -> Signals {
        let signals = Signals {
            lost: CancellationToken::new(),
            cancel: CancellationToken::new(),
            pulse: Pulse::new(since),
        };
        let held =
            Held { lease: lease.clone(), job_id: job_id.clone(), signals: signals.clone(), ending: false };
        if let Some(before) = self.lock().insert(lease.thread_id.clone(), held) {
            // The same thread under a newer epoch: whoever still runs under the old one must stop.
            if before.lease.epoch != lease.epoch {
                before.signals.lost.cancel();
            }
        }
        self.count();
        signals
    }

    /// Notes that the job's last commit is being made. A renewal that finds the lease gone tells nothing from now on.
    pub(crate) fn ends(&self, lease: &Lease) {
        let mut held = self.lock();
        if let Some(held) = held.get_mut(&lease.thread_id).filter(|held| held.lease.epoch == lease.epoch) {
            held.ending = true;
        }
    }

    pub(crate) fn drop_lease(&self, lease: &Lease) {
        let mut held = self.lock();
        if held.get(&lease.thread_id).is_some_and(|held| held.lease.epoch == lease.epoch) {
            held.remove(&lease.thread_id);
        }
        drop(held);
        self.count();
    }

    fn count(&self) {
        metric::JOBS_IN_WORK.with(&[]).set(f64::from(u32::try_from(self.len()).unwrap_or(u32::MAX)));
    }

    /// Tells the run of a job that its end is wanted, if it runs here.
    pub(crate) fn cancel(&self, job_id: &str) {
        for held in self.lock().values().filter(|held| *held.job_id == *job_id) {
            held.signals.cancel.cancel();
        }
    }

    pub(crate) fn holds(&self, thread_id: &str) -> bool {
        self.lock().contains_key(thread_id)
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Arc<str>, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One round: extends all leases in one statement, stops runs whose lease is lost, passes on cancels.
    pub(crate) async fn renew(&self, store: &dyn Store) {
        let (leases, jobs): (Vec<Lease>, Vec<Arc<str>>) =
            self.lock().values().map(|held| (held.lease.clone(), held.job_id.clone())).unzip();
        if leases.is_empty() {
            return;
        }
        let asked = Instant::now();
        match store.renew(&leases).await {
            Ok(lost) => {
                for thread_id in &lost {
                    self.lose(thread_id, &leases);
                }
                self.stand(&leases, &lost, asked);
            }
            Err(error) => {
                warn!(event = "lease_renewal_failed", leases = leases.len(), %error);
                StoreCall::Renewal.failed();
            }
        }
        match store.cancel_requests(&jobs).await {
            Ok(wanted) => wanted.iter().for_each(|job_id| self.cancel(job_id)),
            Err(error) => {
                warn!(event = "cancel_requests_unread", %error);
                StoreCall::Cancels.failed();
            }
        }
    }

    /// Notes that these leases stood when the question was sent, but for those that are lost.
    fn stand(&self, asked: &[Lease], lost: &[Arc<str>], at: Instant) {
        let held = self.lock();
        for lease in asked.iter().filter(|lease| !lost.contains(&lease.thread_id)) {
            if let Some(held) = held.get(&lease.thread_id).filter(|held| held.lease.epoch == lease.epoch) {
                held.signals.pulse.beat(at);
            }
        }
    }

    fn lose(&self, thread_id: &Arc<str>, asked: &[Lease]) {
        let held = self.lock();
        let Some(held) = held.get(thread_id).filter(|held| !held.ending) else { return };
        // A newer lease of this very process on the same thread is not the one that was lost.
        if asked.iter().any(|lease| lease.thread_id == *thread_id && lease.epoch == held.lease.epoch) {
            error!(event = "lease_lost", thread_id = %thread_id, job_id = %held.job_id, epoch = held.lease.epoch,
                runbook = "docs/operations.md#lease-lost");
            metric::LEASES_LOST.with(&[]).increment(1);
            held.signals.lost.cancel();
        }
    }
}
