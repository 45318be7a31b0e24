//! Who may write.

use std::sync::Arc;

use super::Expire;
use super::fixtures::{end, name, offer, running, started, step};
use crate::port::{Store, StoreError};
use crate::types::{Begin, Commit, Lease};

async fn assert_fenced(store: &impl Store, lease: &Lease) {
    let before = (store.load("thread").await.unwrap(), store.jobs_of("thread").await.unwrap());

    let commit = store.commit(lease, step(lease, "job", 7)).await;
    assert!(
        matches!(&commit, Err(StoreError::Fenced { thread_id, epoch }) if **thread_id == *"thread" && *epoch == lease.epoch),
        "{commit:?}"
    );
    let finish = store.finish(lease, step(lease, "job", 8), end("job", "thread")).await;
    assert!(matches!(finish, Err(StoreError::Fenced { .. })), "{finish:?}");
    assert_eq!(store.renew(std::slice::from_ref(lease)).await.unwrap(), [name("thread")]);
    store.release(lease, 900).await.unwrap();

    let after = (store.load("thread").await.unwrap(), store.jobs_of("thread").await.unwrap());
    assert_eq!(before, after);
    assert!(store.events("thread", 0, 100).await.unwrap().iter().all(|row| row.last_seq < 8));
}

/// A fenced owner changes nothing, whatever it tries (reliability 3.3, one active executor per thread).
pub async fn a_stale_epoch_writes_nothing<S: Store + Expire>(store: S) {
    let old = running(&store, "job", "thread").await;
    store.commit(&old, step(&old, "job", 0)).await.unwrap();
    store.expire("thread").await;
    let (new, _) = started(&store, offer("job", "thread", "worker-b")).await;
    assert_eq!(new.epoch, old.epoch + 1);

    assert_fenced(&store, &old).await;
    assert_fenced(&store, &Lease { epoch: new.epoch, ..old.clone() }).await;
    assert_fenced(&store, &Lease { epoch: new.epoch + 1, ..new.clone() }).await;

    store.commit(&new, step(&new, "job", 1)).await.unwrap();
}

/// Running out alone harms nobody: the epoch decides.
pub async fn an_expired_lease_that_nobody_took_still_commits<S: Store + Expire>(store: S) {
    let lease = running(&store, "job", "thread").await;
    store.expire("thread").await;

    store.commit(&lease, step(&lease, "job", 0)).await.unwrap();

    let begun = store.begin(offer("job", "thread", "worker-b")).await.unwrap();
    assert!(matches!(begun, Begin::Busy { .. }), "the commit extended the lease: {begun:?}");
}

/// What was handed back is gone, even if nobody took it.
pub async fn a_released_lease_writes_nothing<S: Store + Expire>(store: S) {
    let lease = running(&store, "job", "thread").await;
    store.release(&lease, 0).await.unwrap();

    assert_fenced(&store, &lease).await;
}

/// A handover is not the job's fault; a holder that vanished may be.
pub async fn only_an_unreleased_takeover_counts_as_unclean<S: Store + Expire>(store: S) {
    let lease = running(&store, "job", "thread").await;
    store.release(&lease, 0).await.unwrap();
    let (lease, job) = started(&store, offer("job", "thread", "worker-b")).await;
    assert_eq!((lease.taken_over, job.unclean_count), (false, 0));

    for times in 1..=3_u32 {
        store.expire("thread").await;
        let (lease, job) = started(&store, offer("job", "thread", "worker-c")).await;
        assert_eq!((lease.taken_over, job.unclean_count), (true, times));
    }

    store.expire("thread").await;
    let (lease, job) = store.acquire("thread", &name("sweeper")).await.unwrap().expect("it ran out");
    assert_eq!((lease.taken_over, job.unclean_count), (true, 4));
    assert_eq!(store.job("job").await.unwrap(), Some(job));
}

/// The sweeper's and the next worker's way in.
pub async fn acquire_takes_only_free_threads_with_open_jobs<S: Store + Expire>(store: S) {
    let me = name("sweeper");
    assert_eq!(store.acquire("unknown", &me).await.unwrap(), None);
    let lease = running(&store, "job-1", "thread").await;
    store.begin(offer("job-2", "thread", "worker-b")).await.unwrap();
    assert_eq!(store.acquire("thread", &me).await.unwrap(), None, "somebody holds it");

    store.release(&lease, 0).await.unwrap();
    let (lease, job) = store.acquire("thread", &me).await.unwrap().expect("it is free");
    assert_eq!((&*job.job_id, job.unclean_count, &lease.owner), ("job-1", 0, &me));
    store.finish(&lease, Commit::default(), end("job-1", "thread")).await.unwrap();
    store.finish(&lease, Commit::default(), end("job-2", "thread")).await.unwrap();

    assert_eq!(store.acquire("thread", &me).await.unwrap(), None, "nothing is open");
}

/// One statement for all leases of a worker tells which of them are lost.
pub async fn renewal_tells_which_leases_are_lost<S: Store + Expire>(store: S) {
    let kept = running(&store, "job-1", "kept").await;
    let expired = running(&store, "job-2", "expired").await;
    let taken = running(&store, "job-3", "taken").await;
    let released = running(&store, "job-4", "released").await;
    let unknown = Lease { thread_id: name("unknown"), ..kept.clone() };
    store.expire("expired").await;
    store.expire("taken").await;
    let (new, _) = started(&store, offer("job-3", "taken", "worker-b")).await;
    store.release(&released, 0).await.unwrap();

    let all = [kept.clone(), expired.clone(), taken, released, unknown, new];
    let mut lost = store.renew(&all).await.unwrap();
    lost.sort();

    assert_eq!(lost, [name("released"), name("taken"), name("unknown")]);
    let begun = store.begin(offer("job-2", "expired", "worker-b")).await.unwrap();
    assert!(matches!(begun, Begin::Busy { .. }), "it was renewed: {begun:?}");
    assert!(store.renew(&[]).await.unwrap().is_empty());
}

/// Many workers get the same message; one runs it.
pub async fn one_of_many_racing_begins_gets_the_lease<S: Store + Expire>(store: S) {
    let store = Arc::new(store);
    for round in 0..5 {
        let (job, thread) = (format!("job-{round}"), format!("thread-{round}"));
        let offers = (0..12).map(|n| {
            let (store, request) = (store.clone(), offer(&job, &thread, &format!("worker-{n}")));
            tokio::spawn(async move { store.begin(request).await.unwrap() })
        });
        let (mut winners, mut admissions) = (0, 0);
        for task in offers.collect::<Vec<_>>() {
            match task.await.unwrap() {
                Begin::Started { admitted, lease, .. } => {
                    winners += 1;
                    admissions += u32::from(admitted);
                    assert_eq!(lease.epoch, 1);
                }
                Begin::Busy { admitted, .. } => admissions += u32::from(admitted),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((winners, admissions), (1, 1));
    }
}
