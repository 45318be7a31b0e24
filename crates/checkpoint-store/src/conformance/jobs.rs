//! A job's way from admission to its end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Expire;
use super::fixtures::{SHORT, end, job, name, offer, running, started, step};
use crate::port::{Store, StoreError};
use crate::types::{Begin, BeginRequest, Commit, Finished, JobStatus, NewJob, Terminal};

/// The first job of a thread runs without waiting, under epoch 1 and number 1.
pub async fn a_new_thread_starts_at_once<S: Store + Expire>(store: S) {
    let Begin::Started { lease, job: started, fresh, admitted } =
        store.begin(offer("job-1", "thread", "worker-a")).await.unwrap()
    else {
        panic!("a new thread is free")
    };

    assert_eq!((lease.epoch, lease.next_seq, lease.taken_over), (1, 1, false));
    assert_eq!((&*lease.thread_id, &*lease.owner), ("thread", "worker-a"));
    assert!(admitted && !fresh, "it is new, and there was nothing to write");
    assert_eq!(started.status, JobStatus::Running);
    assert_eq!(started.request, job("job-1", "thread").request);
    assert_eq!(store.job("job-1").await.unwrap(), Some(*started.clone()));
    assert_eq!(store.jobs_of("thread").await.unwrap(), [*started]);
}

/// A message that is delivered again does not admit its job again, nor take the lease from the one who runs it.
pub async fn begin_twice_is_harmless<S: Store + Expire>(store: S) {
    let lease = running(&store, "job", "thread").await;

    for owner in ["worker-a", "worker-b"] {
        let again = store.begin(offer("job", "thread", owner)).await.unwrap();
        let Begin::Busy { remaining, admitted: false } = again else { panic!("{again:?}") };
        assert!(remaining > Duration::ZERO && remaining <= SHORT, "{remaining:?}");
    }

    assert_eq!(store.jobs_of("thread").await.unwrap().len(), 1);
    store.commit(&lease, step(&lease, "job", 0)).await.unwrap();
}

/// wire-contract 2.2.2: never overwrite, never run.
pub async fn an_id_with_other_content_is_refused<S: Store + Expire>(store: S) {
    let lease = running(&store, "job", "thread").await;
    let other_content = NewJob { payload_hash: "another".to_owned(), ..job("job", "thread") };
    let request = |job| BeginRequest { job, owner: name("worker-b"), fresh: None };

    assert_eq!(store.begin(request(other_content.clone())).await.unwrap(), Begin::IdReused);
    assert_eq!(store.begin(request(job("job", "another thread"))).await.unwrap(), Begin::IdReused);
    assert!(store.jobs_of("another thread").await.unwrap().is_empty());

    store.finish(&lease, Commit::default(), end("job", "thread")).await.unwrap();
    assert_eq!(store.begin(request(other_content)).await.unwrap(), Begin::IdReused);
}

/// Invariant I2.
pub async fn a_finished_job_is_terminal_and_never_changes<S: Store + Expire>(store: S) {
    let lease = running(&store, "job", "thread").await;
    store.finish(&lease, step(&lease, "job", 0), end("job", "thread")).await.unwrap();
    let ended = store.job("job").await.unwrap().expect("the job is kept");
    assert_eq!(ended.status, JobStatus::Completed);
    assert_eq!(ended.result, Some(Bytes::from_static(b"result of job \0")));

    let failed = Terminal { status: JobStatus::Failed, result: Bytes::new(), ..end("job", "thread") };
    let late = store.finish(&lease, Commit::default(), failed.clone()).await;
    assert!(matches!(late, Ok(Finished { next: None }) | Err(StoreError::Fenced { .. })), "{late:?}");
    let again = store.begin(offer("job", "thread", "worker-b")).await.unwrap();
    assert_eq!(again, Begin::Terminal(Box::new(ended.clone())));
    assert_eq!(store.request_cancel("job").await.unwrap(), Some(ended.clone()));

    let next = running(&store, "job-2", "thread").await;
    store.finish(&next, Commit::default(), failed).await.unwrap();
    assert_eq!(store.job("job").await.unwrap(), Some(ended));
}

/// A worker that lost the answer to its finish asks again.
pub async fn finish_twice_gives_the_same_answer<S: Store + Expire>(store: S) {
    let lease = running(&store, "job-1", "thread").await;
    store.begin(offer("job-2", "thread", "worker-b")).await.unwrap();

    let first = store.finish(&lease, step(&lease, "job-1", 0), end("job-1", "thread")).await.unwrap();
    let again = store.finish(&lease, step(&lease, "job-1", 0), end("job-1", "thread")).await.unwrap();
    assert_eq!(first.next.as_ref().map(|job| &*job.job_id), Some("job-2"));
    assert_eq!(first, again);

    let last = store.finish(&lease, Commit::default(), end("job-2", "thread")).await.unwrap();
    assert_eq!(last, Finished { next: None });
    let again = store.finish(&lease, Commit::default(), end("job-2", "thread")).await.unwrap();
    assert_eq!(again, Finished { next: None });
}

/// Only a terminal status ends a job.
pub async fn a_job_cannot_end_as_running<S: Store + Expire>(store: S) {
    let lease = running(&store, "job", "thread").await;
    let terminal = Terminal { status: JobStatus::Running, ..end("job", "thread") };

    let refused = store.finish(&lease, Commit::default(), terminal).await;

    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    store.commit(&lease, Commit::default()).await.unwrap();
}

/// The request is kept as it came, U+0000 and invalid UTF-8 included.
pub async fn a_request_may_hold_any_bytes<S: Store + Expire>(store: S) {
    let bytes: Bytes = (0..=255_u8).collect();
    let new = NewJob { request: bytes.clone(), ..job("job", "thread") };

    let (_, started) = started(&store, BeginRequest { job: new, owner: name("w"), fresh: None }).await;

    assert_eq!(started.request, bytes);
    assert_eq!(store.job("job").await.unwrap().expect("admitted").request, bytes);
}

/// The deadline is kept as a moment of the store's clock.
pub async fn a_deadline_counts_from_admission<S: Store + Expire>(store: S) {
    let new = NewJob { deadline: Some(Duration::from_millis(1500)), ..job("job", "thread") };

    let (_, started) = started(&store, BeginRequest { job: new, owner: name("w"), fresh: None }).await;

    assert_eq!(started.deadline_at_ms, Some(started.created_at_ms + 1500));
    assert_eq!(store.job("job").await.unwrap(), Some(started));
}

/// A request to cancel stands until the job has ended, and comes with the job wherever that is read.
pub async fn cancel_requests_are_seen_until_the_end<S: Store + Expire>(store: S) {
    let lease = running(&store, "job-1", "thread").await;
    store.begin(offer("job-2", "thread", "worker-b")).await.unwrap();
    let all = [name("job-1"), name("job-2"), name("unknown")];
    assert!(store.cancel_requests(&all).await.unwrap().is_empty());
    assert_eq!(store.request_cancel("unknown").await.unwrap(), None);

    let asked = store.request_cancel("job-2").await.unwrap().expect("it is known");

    assert!(asked.cancel_requested && asked.status == JobStatus::Queued);
    assert_eq!(store.cancel_requests(&all).await.unwrap(), [name("job-2")]);
    let finished = store.finish(&lease, Commit::default(), end("job-1", "thread")).await.unwrap();
    assert!(finished.next.expect("job-2 is next").cancel_requested);
}

/// wire-contract 2.2.1: the worker that finishes takes the next job of the thread, in order of admission.
pub async fn a_busy_thread_queues_and_finish_hands_over_in_admission_order<S: Store + Expire>(store: S) {
    let lease = running(&store, "job-1", "thread").await;
    for id in ["job-2", "job-3"] {
        let queued = store.begin(offer(id, "thread", "worker-b")).await.unwrap();
        assert!(matches!(queued, Begin::Busy { admitted: true, .. }), "{queued:?}");
        assert_eq!(store.job(id).await.unwrap().expect("admitted").status, JobStatus::Queued);
    }

    let mut ran = Vec::new();
    let mut current = Some(name("job-1"));
    while let Some(id) = current {
        store.commit(&lease, Commit::default()).await.unwrap();
        let finished = store.finish(&lease, Commit::default(), end(&id, "thread")).await.unwrap();
        ran.push(id);
        current = finished.next.map(|job| {
            assert_eq!((job.status, job.unclean_count), (JobStatus::Running, 0));
            job.job_id
        });
    }

    assert_eq!(ran, [name("job-1"), name("job-2"), name("job-3")]);
    assert_eq!(running(&store, "job-4", "thread").await.epoch, lease.epoch + 1);
}

/// However begins and finishes cross, a job that was told `Busy` is run by the one who held the thread.
pub async fn no_queued_job_is_left_behind_when_begin_meets_finish<S: Store + Expire>(store: S) {
    const JOBS: usize = 40;
    let store = Arc::new(store);
    let ended = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let tasks = (0..JOBS).map(|n| {
        let (store, ended) = (store.clone(), ended.clone());
        tokio::spawn(async move {
            let begun = store.begin(offer(&format!("job-{n}"), "thread", &format!("worker-{n}"))).await;
            let Begin::Started { lease, job, .. } = begun.unwrap() else { return };
            let mut current = Some(job);
            while let Some(job) = current {
                let finished = store.finish(&lease, Commit::default(), end(&job.job_id, "thread")).await;
                ended.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                current = finished.unwrap().next;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }

    assert_eq!(ended.load(std::sync::atomic::Ordering::Relaxed), JOBS);
    assert!(store.jobs_of("thread").await.unwrap().iter().all(|job| job.status == JobStatus::Completed));
}
