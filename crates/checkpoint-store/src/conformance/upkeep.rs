//! What is done beside the jobs.

use std::time::Duration;

use bytes::Bytes;

use super::Expire;
use super::fixtures::{SHORT, end, message, name, offer, running, started, step};
use crate::port::{Store, StoreError};
use crate::types::{Begin, Commit, DeadLetter, Retention, Snapshot};

const NOW: Duration = Duration::ZERO;

/// At least once: a message is offered until somebody says that it has left.
pub async fn an_outbox_message_is_due_until_it_is_sent<S: Store + Expire>(store: S) {
    for n in 1..=3 {
        let (job, thread) = (format!("job-{n}"), format!("thread-{n}"));
        let lease = running(&store, &job, &thread).await;
        store.finish(&lease, Commit::default(), end(&job, &thread)).await.unwrap();
    }
    assert!(store.outbox_due(SHORT, 10).await.unwrap().is_empty(), "they are young");
    let due = store.outbox_due(NOW, 10).await.unwrap();
    let mut ids: Vec<_> = due.iter().map(|message| &*message.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["result-job-1", "result-job-2", "result-job-3"]);
    assert!(due.contains(&message("result-job-2", "thread-2")), "byte for byte: {due:?}");
    assert_eq!(store.outbox_due(NOW, 2).await.unwrap().len(), 2);

    store.outbox_sent(&due[..2]).await.unwrap();
    store.outbox_sent(&due[..2]).await.unwrap();

    assert_eq!(store.outbox_due(NOW, 10).await.unwrap(), due[2..]);
}

fn letter(seq: u64) -> DeadLetter {
    DeadLetter {
        source: "AGENT_EXECUTION".to_owned(),
        seq,
        code: "input.not_json".to_owned(),
        reason: "expected a value at line 1".to_owned(),
        job_id: None,
        subject: "agent.execute.x".to_owned(),
        head: Bytes::from_static(b"\0\xff{"),
        hash: "00ff".to_owned(),
        outbox: None,
    }
}

/// A redelivered message is the same letter; letters without a number are each their own.
pub async fn dead_letters_are_recorded_once<S: Store + Expire>(store: S) {
    let told =
        DeadLetter { job_id: Some("x".to_owned()), outbox: Some(message("failed-x", "x")), ..letter(7) };
    for _ in 0..2 {
        store.dead_letter(told.clone()).await.unwrap();
        store.dead_letter(letter(0)).await.unwrap();
    }
    store.dead_letter(DeadLetter { source: "another".to_owned(), ..letter(7) }).await.unwrap();

    let all = store.dead_letters(None, 10).await.unwrap();
    assert_eq!(all.iter().map(|record| record.letter.seq).collect::<Vec<_>>(), [7, 0, 0, 7]);
    assert!(all.windows(2).all(|pair| pair[0].id > pair[1].id), "newest first");
    assert_eq!(all[3].letter, DeadLetter { outbox: None, ..told });
    assert_eq!(store.dead_letters(Some(all[1].id), 1).await.unwrap(), all[2..3]);
    assert_eq!(store.outbox_due(NOW, 10).await.unwrap(), [message("failed-x", "x")]);
}

/// What nobody is at and nobody talks about: the sweeper's work.
pub async fn orphans_are_open_threads_that_nobody_holds<S: Store + Expire>(store: S) {
    let released = running(&store, "job-1", "released").await;
    running(&store, "job-2", "expired").await;
    running(&store, "job-3", "held").await;
    let done = running(&store, "job-4", "done").await;
    store.release(&released, 0).await.unwrap();
    store.expire("expired").await;
    store.finish(&done, Commit::default(), end("job-4", "done")).await.unwrap();

    let mut orphans = store.orphans(NOW, NOW, 10).await.unwrap();
    orphans.sort();

    assert_eq!(orphans, [name("expired"), name("released")]);
    assert_eq!(store.orphans(NOW, NOW, 1).await.unwrap().len(), 1);
    let long = SHORT * 60;
    assert!(store.orphans(long, long, 10).await.unwrap().is_empty(), "they were active just now");
}

/// Whoever hands a thread back rings a doorbell; a vanished holder's doorbell rings only after a while.
pub async fn a_handed_back_thread_is_an_orphan_sooner_than_an_expired_one<S: Store + Expire>(store: S) {
    let released = running(&store, "job-1", "released").await;
    running(&store, "job-2", "expired").await;
    store.release(&released, 0).await.unwrap();
    store.expire("expired").await;

    assert_eq!(store.orphans(SHORT, NOW, 10).await.unwrap(), [name("released")]);
    assert_eq!(store.orphans(NOW, SHORT, 10).await.unwrap(), [name("expired")]);
}

/// The sweeper's election: kept by whoever has it, free when its time has run out or it was given up.
pub async fn a_role_has_one_worker_at_a_time<S: Store + Expire>(store: S) {
    let (a, b) = (name("worker-a"), name("worker-b"));
    assert!(store.elect("sweeper", &a, SHORT).await.unwrap());
    assert!(!store.elect("sweeper", &b, SHORT).await.unwrap());
    assert!(store.elect("sweeper", &a, SHORT).await.unwrap(), "it keeps what it has");
    assert!(store.elect("another", &b, SHORT).await.unwrap());

    assert!(store.elect("sweeper", &a, NOW).await.unwrap(), "given up");
    assert!(store.elect("sweeper", &b, Duration::from_millis(1)).await.unwrap());
    while !store.elect("sweeper", &a, SHORT).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    assert!(store.orphans(NOW, NOW, 10).await.unwrap().is_empty(), "a role is no thread");
    let all = Retention { threads: Some(NOW), ..Retention::default() };
    store.purge(&all, 10).await.unwrap();
    assert!(!store.elect("sweeper", &b, SHORT).await.unwrap(), "nor is it purged");
}

/// Nothing is left to read, and whoever was at it may write no more, not even into the thread's next life.
pub async fn a_deleted_thread_leaves_nothing_and_fences_its_holder<S: Store + Expire>(store: S) {
    assert!(!store.delete_thread("thread").await.unwrap());
    let lease = running(&store, "job", "thread").await;
    let other = running(&store, "other", "other thread").await;
    store.commit(&other, step(&other, "other", 0)).await.unwrap();
    store.commit(&lease, step(&lease, "job", 0)).await.unwrap();

    assert!(store.delete_thread("thread").await.unwrap());

    assert!(!store.delete_thread("thread").await.unwrap());
    assert_eq!(store.load("thread").await.unwrap(), Snapshot::default());
    assert_eq!(store.job("job").await.unwrap(), None);
    assert!(store.jobs_of("thread").await.unwrap().is_empty());
    assert!(store.events("thread", 0, 10).await.unwrap().is_empty());
    assert_eq!(store.renew(std::slice::from_ref(&lease)).await.unwrap(), [name("thread")]);
    let (next, _) = started(&store, offer("job", "thread", "worker-a")).await;
    assert_eq!((next.next_seq, next.taken_over), (1, false));
    let late = store.commit(&lease, step(&lease, "job", 1)).await;
    assert!(matches!(late, Err(StoreError::Fenced { .. })), "{late:?}");
    store.finish(&next, Commit::default(), end("job", "thread")).await.unwrap();
    assert!(store.delete_thread("thread").await.unwrap());
    assert!(store.outbox_due(NOW, 10).await.unwrap().is_empty());
    assert_eq!(store.load("other thread").await.unwrap().rows.checkpoints.len(), 1);
}

/// Open threads and unsent messages stay, however old.
pub async fn purge_takes_what_is_old_and_settled<S: Store + Expire>(store: S) {
    let retention =
        |age| Retention { threads: Some(age), events: Some(age), outbox: Some(age), dead_letters: Some(age) };
    let held = running(&store, "job-1", "held").await;
    store.commit(&held, step(&held, "job-1", 0)).await.unwrap();
    for (job, thread) in [("job-2", "sent"), ("job-3", "unsent")] {
        let lease = running(&store, job, thread).await;
        store.finish(&lease, step(&lease, job, 0), end(job, thread)).await.unwrap();
    }
    store.outbox_sent(&[message("result-job-2", "sent")]).await.unwrap();
    store.dead_letter(letter(1)).await.unwrap();
    assert_eq!(store.purge(&retention(SHORT), 100).await.unwrap(), 0, "all is young");
    assert_eq!(store.purge(&Retention::default(), 100).await.unwrap(), 0, "for ever");

    assert!(store.purge(&retention(NOW), 100).await.unwrap() >= 3);

    assert_eq!(store.load("sent").await.unwrap(), Snapshot::default());
    assert_eq!(store.job("job-2").await.unwrap(), None);
    assert!(store.dead_letters(None, 10).await.unwrap().is_empty());
    assert_eq!(store.load("unsent").await.unwrap().rows.checkpoints.len(), 1);
    assert!(store.events("unsent", 0, 10).await.unwrap().is_empty(), "its job has ended");
    assert_eq!(store.outbox_due(NOW, 10).await.unwrap(), [message("result-job-3", "unsent")]);
    assert_eq!(store.events("held", 0, 10).await.unwrap().len(), 1);
    store.commit(&held, step(&held, "job-1", 1)).await.unwrap();
    let begun = store.begin(offer("job-1", "held", "worker-b")).await.unwrap();
    assert!(matches!(begun, Begin::Busy { .. }), "{begun:?}");
}

/// A store that works says so.
pub async fn a_healthy_store_says_so<S: Store + Expire>(store: S) {
    store.health().await.unwrap();
}
