//! Event numbers and the journal that holds them (reliability 3.2, point 8).

use std::sync::Arc;

use super::Expire;
use super::fixtures::{end, journal, offer, running, started};
use crate::port::Store;
use crate::types::{Commit, Lease};

fn used(last_seq: u64) -> Commit {
    Commit { last_seq, ..Commit::default() }
}

/// No hole between jobs that ended or were handed back properly.
pub async fn event_numbers_go_on_after_a_release<S: Store + Expire>(store: S) {
    let lease = running(&store, "job-1", "thread").await;
    store.commit(&lease, used(10)).await.unwrap();
    store.finish(&lease, used(17), end("job-1", "thread")).await.unwrap();

    let second = running(&store, "job-2", "thread").await;
    assert_eq!(second.next_seq, 18);
    store.release(&second, 0).await.unwrap();

    let (third, _) = started(&store, offer("job-2", "thread", "worker-b")).await;
    assert_eq!(third.next_seq, 18, "a holder that used no number leaves none out");
    store.release(&third, 20).await.unwrap();

    let (fourth, _) = started(&store, offer("job-2", "thread", "worker-b")).await;
    assert_eq!((fourth.next_seq, fourth.taken_over), (21, false));
    store.begin(offer("job-3", "thread", "worker-b")).await.unwrap();
    store.finish(&fourth, used(30), end("job-2", "thread")).await.unwrap();
    store.finish(&fourth, used(41), end("job-3", "thread")).await.unwrap();
    assert_eq!(running(&store, "job-4", "thread").await.next_seq, 42);
}

/// A vanished holder may have shown any number of its block to somebody.
pub async fn event_numbers_skip_the_reserved_block_after_a_takeover<S: Store + Expire>(store: S) {
    let lease = running(&store, "job", "thread").await;
    store.commit(&lease, used(10)).await.unwrap();
    store.expire("thread").await;

    let (second, _) = started(&store, offer("job", "thread", "worker-b")).await;

    assert_eq!((second.next_seq, second.taken_over), (1025, true));
}

/// A holder never runs out, however long it streams.
pub async fn commits_and_renewals_reserve_more_numbers<S: Store + Expire>(store: S) {
    let lease = running(&store, "job", "thread").await;
    store.commit(&lease, used(512)).await.unwrap();
    store.expire("thread").await;
    let (second, _) = started(&store, offer("job", "thread", "worker-b")).await;
    assert_eq!(second.next_seq, 1025, "512 are left: enough");

    store.commit(&second, used(1600)).await.unwrap();
    store.expire("thread").await;
    let (third, _) = started(&store, offer("job", "thread", "worker-b")).await;
    assert_eq!(third.next_seq, 1600 + 1024 + 1, "448 were left: a new block after the last used");

    let far_on = Lease { next_seq: 4001, ..third.clone() };
    store.expire("thread").await;
    assert!(store.renew(&[far_on]).await.unwrap().is_empty());
    store.expire("thread").await;
    let (fourth, _) = started(&store, offer("job", "thread", "worker-b")).await;
    assert_eq!(fourth.next_seq, 4000 + 1024 + 1, "a renewal knows how far its holder is");
}

/// Late readers ask for what they have not seen.
pub async fn the_journal_is_read_after_a_number<S: Store + Expire>(store: S) {
    let lease = running(&store, "job", "thread").await;
    let rows = [journal(&lease, "job", 1, 3), journal(&lease, "job", 4, 4), journal(&lease, "job", 5, 9)];
    for row in &rows {
        let commit = Commit { journal: vec![row.clone()], last_seq: row.last_seq, ..Commit::default() };
        store.commit(&lease, commit.clone()).await.unwrap();
        store.commit(&lease, commit).await.unwrap();
    }

    assert_eq!(store.events("thread", 0, 100).await.unwrap(), rows);
    assert_eq!(store.events("thread", 2, 100).await.unwrap(), rows);
    assert_eq!(store.events("thread", 3, 100).await.unwrap(), rows[1..]);
    assert_eq!(store.events("thread", 3, 1).await.unwrap(), rows[1..2]);
    assert!(store.events("thread", 9, 100).await.unwrap().is_empty());
    assert!(store.events("unknown", 0, 100).await.unwrap().is_empty());

    let both: [Arc<str>; 2] = [Arc::from("unknown"), Arc::from("thread")];
    assert_eq!(store.journal_ends(&both).await.unwrap(), [0, 9]);
    assert_eq!(store.job_begins("thread", "job").await.unwrap(), Some(1));
    assert_eq!(store.job_begins("thread", "other").await.unwrap(), None);
}
