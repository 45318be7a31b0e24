//! Many at once: grouping must not be seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::Expire;
use super::fixtures::{end, name, offer, running, started, step, steps_of};
use crate::port::{Store, StoreError};
use crate::types::{Commit, Lease, StepRecord, StepState};

async fn thirty(store: &impl Store) -> Vec<Lease> {
    let mut leases = Vec::new();
    for n in 0..30 {
        leases.push(running(store, &format!("job-{n}"), &format!("thread-{n}")).await);
    }
    leases
}

async fn commit_all<S: Store>(store: &Arc<S>, commits: Vec<(Lease, Commit)>) -> Vec<Result<(), StoreError>> {
    let tasks: Vec<_> = commits
        .into_iter()
        .map(|(lease, commit)| {
            let store = store.clone();
            tokio::spawn(async move { store.commit(&lease, commit).await })
        })
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

/// performance 4: with group commit one bad row once failed thirty innocent jobs.
pub async fn a_bad_commit_among_thirty_harms_none<S: Store + Expire>(store: S) {
    let store = Arc::new(store);
    let leases = thirty(&*store).await;
    let commits = leases.iter().enumerate().map(|(n, lease)| {
        let mut commit = step(lease, &format!("job-{n}"), 0);
        if n == 11 {
            commit.rows.checkpoints[0].metadata = "not JSON".to_owned();
        }
        (lease.clone(), commit)
    });

    let results = commit_all(&store, commits.collect()).await;

    for (n, result) in results.iter().enumerate() {
        let rows = store.load(&format!("thread-{n}")).await.unwrap().rows;
        if n == 11 {
            assert!(matches!(result, Err(StoreError::Refused(_))), "{result:?}");
            assert_eq!(rows.blobs.len() + rows.checkpoints.len() + rows.writes.len(), 0);
        } else {
            assert!(result.is_ok(), "thread-{n}: {result:?}");
            assert_eq!((rows.checkpoints.len(), rows.blobs.len(), rows.writes.len()), (1, 2, 2));
        }
    }
}

/// The guard is each thread's own lease row.
pub async fn a_fenced_commit_among_thirty_harms_none<S: Store + Expire>(store: S) {
    let store = Arc::new(store);
    let leases = thirty(&*store).await;
    for n in [3, 17] {
        store.expire(&format!("thread-{n}")).await;
        started(&*store, offer(&format!("job-{n}"), &format!("thread-{n}"), "worker-b")).await;
    }
    let commits =
        leases.iter().enumerate().map(|(n, lease)| (lease.clone(), step(lease, &format!("job-{n}"), 0)));

    let results = commit_all(&store, commits.collect()).await;

    for (n, result) in results.iter().enumerate() {
        let written = store.load(&format!("thread-{n}")).await.unwrap().rows.checkpoints.len();
        if n == 3 || n == 17 {
            assert!(matches!(result, Err(StoreError::Fenced { .. })), "{result:?}");
            assert_eq!(written, 0);
        } else {
            assert!(result.is_ok(), "thread-{n}: {result:?}");
            assert_eq!(written, 1);
        }
    }
}

/// Commits that were handed over one after the other are written so, also where they wait together.
pub async fn commits_of_one_thread_keep_their_order<S: Store + Expire>(store: S) {
    const STEPS: i64 = 60;
    let lease = running(&store, "job", "thread").await;
    let record = |value: i64| StepRecord {
        job_id: name("job"),
        step: 0,
        call_id: "the same".to_owned(),
        state: if value % 2 == 0 { StepState::Intent } else { StepState::Unknown },
    };
    let last = |value: i64| StepRecord { call_id: format!("call {value:03}"), ..record(value) };
    let commits = (0..STEPS).map(|value| {
        let steps = vec![record(value), last(value)];
        // Polled in this order, and each hands its work over at its first poll.
        store.commit(&lease, Commit { steps, ..Commit::default() })
    });

    let results = in_order(commits.collect()).await;

    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let steps = store.load("thread").await.unwrap().steps;
    let same = steps.iter().find(|step| step.call_id == "the same").unwrap();
    assert_eq!(same.state, StepState::Unknown, "the last one won");
    assert_eq!(steps.len(), usize::try_from(STEPS).unwrap() + 1);
}

/// Polls all futures, each time in the order given, until all are done.
async fn in_order<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (slot, future) in done.iter_mut().zip(&mut futures) {
            if slot.is_none()
                && let std::task::Poll::Ready(output) = std::pin::Pin::new(future).poll(context)
            {
                *slot = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(done.iter_mut().map(|slot| slot.take().unwrap()).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

/// architecture 7: a trial without SKIP LOCKED saw ten deadlocks in twelve seconds, each a second long.
pub async fn renewal_during_full_load_never_fails<S: Store + Expire>(store: S) {
    let store = Arc::new(store);
    let mut leases = thirty(&*store).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = leases
        .iter()
        .enumerate()
        .map(|(n, lease)| {
            let (store, lease, stop) = (store.clone(), lease.clone(), stop.clone());
            tokio::spawn(async move {
                let mut written = 0;
                while !stop.load(Ordering::Relaxed) {
                    store.commit(&lease, step(&lease, &format!("job-{n}"), written)).await.unwrap();
                    written += 1;
                }
                written
            })
        })
        .collect();

    leases.reverse();
    for _ in 0..40 {
        let lost = store.renew(&leases).await.unwrap();
        assert!(lost.is_empty(), "a row that is being committed is not lost: {lost:?}");
    }
    stop.store(true, Ordering::Relaxed);

    for (n, writer) in writers.into_iter().enumerate() {
        let written = writer.await.unwrap();
        let rows = store.load(&format!("thread-{n}")).await.unwrap().rows;
        assert_eq!(u64::try_from(steps_of(&rows).len()).unwrap(), written);
    }
}

/// A commit beyond the limit of a group goes alone and whole, beside small ones.
pub async fn a_large_commit_is_written_whole<S: Store + Expire>(store: S) {
    let store = Arc::new(store);
    let leases = thirty(&*store).await;
    let body = Bytes::from(vec![0x5a; 5 << 20]);
    let commits = leases.iter().enumerate().map(|(n, lease)| {
        let mut commit = step(lease, &format!("job-{n}"), 0);
        if n % 10 == 5 {
            commit.rows.blobs[0].blob = Some(body.clone());
        }
        (lease.clone(), commit)
    });

    let results = commit_all(&store, commits.collect()).await;

    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let blobs = store.load("thread-25").await.unwrap().rows.blobs;
    assert!(blobs.iter().any(|row| row.blob.as_ref() == Some(&body)));
    let finished = store.finish(&leases[5], Commit::default(), end("job-5", "thread-5")).await.unwrap();
    assert_eq!(finished.next, None);
}
