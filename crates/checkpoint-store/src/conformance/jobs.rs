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

/// What a list of threads shows.
pub async fn the_newest_jobs_come_first<S: Store + Expire>(store: S) {
    assert!(store.recent_jobs(10).await.unwrap().is_empty());
    for number in 0..4 {
        let (id, thread) = (format!("job-{number}"), format!("thread-{}", number % 2));
        store.begin(offer(&id, &thread, "worker-a")).await.unwrap();
    }
    let newest = store.recent_jobs(3).await.unwrap();
    let ids: Vec<&str> = newest.iter().map(|job| &*job.job_id).collect();
    assert_eq!(ids, ["job-3", "job-2", "job-1"]);
    let of = |at: usize| (&*newest[at].thread_id, newest[at].status);
    assert_eq!((of(0), of(2)), (("thread-1", JobStatus::Queued), ("thread-1", JobStatus::Running)));
    let whole = store.job("job-3").await.unwrap().unwrap();
    assert_eq!((newest[0].created_at_ms, newest[0].ended_at_ms), (whole.created_at_ms, None));
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

fn early(job_id: &str, status: JobStatus) -> Terminal {
    Terminal { status, ..end(job_id, "thread") }
}

/// A cancel or a deadline need not wait for the jobs before; what has begun is its holder's affair.
pub async fn a_queued_job_can_end_before_its_turn<S: Store + Expire>(store: S) {
    let lease = running(&store, "job-1", "thread").await;
    for id in ["job-2", "job-3"] {
        store.begin(offer(id, "thread", "worker-b")).await.unwrap();
    }

    assert!(!store.end_queued(early("job-1", JobStatus::Cancelled)).await.unwrap(), "it has begun");
    assert!(!store.end_queued(early("unknown", JobStatus::Cancelled)).await.unwrap());
    assert!(store.end_queued(early("job-2", JobStatus::Cancelled)).await.unwrap());
    assert!(!store.end_queued(early("job-2", JobStatus::Failed)).await.unwrap(), "it has ended");

    let ended = store.job("job-2").await.unwrap().expect("it is kept");
    assert_eq!((ended.status, ended.result), (JobStatus::Cancelled, Some(end("job-2", "thread").result)));
    let due = store.outbox_due(Duration::ZERO, 10).await.unwrap();
    assert_eq!(due, [end("job-2", "thread").outbox]);
    let finished = store.finish(&lease, Commit::default(), end("job-1", "thread")).await.unwrap();
    assert_eq!(finished.next.map(|job| job.job_id), Some(name("job-3")));

    let last = store.finish(&lease, Commit::default(), end("job-3", "thread")).await.unwrap();
    assert_eq!(last, Finished { next: None });
    assert_eq!(running(&store, "job-4", "thread").await.epoch, lease.epoch + 1, "the thread was free");
}

/// However finishes and early ends cross: no job ends twice, none is started after its end, none is left behind.
pub async fn each_job_ends_once_when_early_ends_meet_finishes<S: Store + Expire>(store: S) {
    const JOBS: usize = 40;
    let store = Arc::new(store);
    let lease = running(&*store, "job-0", "thread").await;
    for n in 1..JOBS {
        store.begin(offer(&format!("job-{n}"), "thread", "worker-b")).await.unwrap();
    }
    let enders = (1..JOBS).rev().map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let id = format!("job-{n}");
            store.end_queued(early(&id, JobStatus::Cancelled)).await.unwrap().then_some(id)
        })
    });
    let enders: Vec<_> = enders.collect();
    let mut finished = Vec::new();
    let mut current = Some(name("job-0"));
    while let Some(id) = current {
        let next = store.finish(&lease, Commit::default(), end(&id, "thread")).await.unwrap().next;
        finished.push(id.to_string());
        current = next.map(|job| {
            assert_eq!(job.status, JobStatus::Running);
            job.job_id
        });
    }

    let mut ended = finished.clone();
    for ender in enders {
        ended.extend(ender.await.unwrap());
    }
    ended.sort_unstable();
    let mut all: Vec<_> = (0..JOBS).map(|n| format!("job-{n}")).collect();
    all.sort_unstable();
    assert_eq!(ended, all);
    for job in store.jobs_of("thread").await.unwrap() {
        let by_finish = finished.iter().any(|id| **id == *job.job_id);
        let expected = if by_finish { JobStatus::Completed } else { JobStatus::Cancelled };
        assert_eq!(job.status, expected, "{}", job.job_id);
    }
    assert_eq!(running(&*store, "last", "thread").await.epoch, lease.epoch + 1, "the thread was free");
}

/// What the sweeper ends. A job that somebody is at is told by its own holder.
pub async fn overdue_jobs_are_those_that_must_end_and_that_nobody_is_at<S: Store + Expire>(store: S) {
    let at_once = |job_id: &str, thread: &str| BeginRequest {
        job: NewJob { deadline: Some(Duration::ZERO), ..job(job_id, thread) },
        owner: name("worker-a"),
        fresh: None,
    };
    let ids = async || -> Vec<String> {
        let jobs = store.overdue(10).await.unwrap();
        jobs.iter().map(|job| job.job_id.to_string()).collect()
    };
    started(&store, at_once("held", "thread-1")).await;
    store.begin(at_once("queued", "thread-1")).await.unwrap();
    let (vanished, _) = started(&store, at_once("vanished", "thread-2")).await;
    running(&store, "cancelled", "thread-3").await;
    running(&store, "fine", "thread-4").await;
    store.request_cancel("cancelled").await.unwrap();
    assert_eq!(ids().await, ["queued"], "the others are held");

    for thread in ["thread-2", "thread-3", "thread-4"] {
        store.expire(thread).await;
    }

    let mut overdue = ids().await;
    overdue.sort_unstable();
    assert_eq!(overdue, ["cancelled", "queued", "vanished"]);
    assert_eq!(store.overdue(1).await.unwrap().len(), 1);
    store.finish(&vanished, Commit::default(), end("vanished", "thread-2")).await.unwrap();
    assert_eq!(ids().await.len(), 2, "what has ended is not overdue");
}

/// Deadlines are compared with this clock and no other.
pub async fn the_stores_clock_is_the_jobs_clock<S: Store + Expire>(store: S) {
    let before = store.now_ms().await.unwrap();
    running(&store, "job", "thread").await;
    let created = store.job("job").await.unwrap().expect("admitted").created_at_ms;
    let after = store.now_ms().await.unwrap();
    assert!(before <= created && created <= after, "{before} {created} {after}");
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
