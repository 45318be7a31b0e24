//! What is stored comes back as it was.

use std::borrow::Cow;

use agent_langgraph_codec::{BlobRow, CheckpointRow, Rows, WriteRow};
use bytes::Bytes;

use super::Expire;
use super::fixtures::{comparable, end, job, name, offer, running, started, step, steps_of};
use crate::port::{Store, StoreError};
use crate::types::{Begin, BeginRequest, Commit, Snapshot, StepRecord, StepState};

/// The input's checkpoint may ride along with the admission, but never over what is there.
pub async fn fresh_rows_are_written_on_a_virgin_thread_only<S: Store + Expire>(store: S) {
    let first = |job_id: &str, n: u64, owner: &str| {
        let lease = crate::Lease {
            thread_id: name("thread"),
            owner: name(owner),
            epoch: 1,
            next_seq: 1,
            taken_over: false,
        };
        let fresh = Some(step(&lease, job_id, n));
        BeginRequest { job: job(job_id, "thread"), owner: name(owner), fresh }
    };
    let Begin::Started { lease, fresh: true, admitted: true, .. } =
        store.begin(first("job-1", 0, "worker-a")).await.unwrap()
    else {
        panic!("the thread is new")
    };
    assert_eq!(lease.next_seq, 2, "the fresh rows used number 1");
    let snapshot = store.load("thread").await.unwrap();
    assert_eq!(snapshot.rows.checkpoints.len(), 1);
    assert_eq!(store.events("thread", 0, 9).await.unwrap().len(), 1);

    let busy = store.begin(first("job-2", 1, "worker-b")).await.unwrap();
    assert!(matches!(busy, Begin::Busy { admitted: true, .. }), "{busy:?}");
    store.release(&lease, 1).await.unwrap();
    let again = store.begin(first("job-1", 2, "worker-b")).await.unwrap();
    assert!(matches!(again, Begin::Started { fresh: false, admitted: false, .. }), "{again:?}");

    assert_eq!(store.load("thread").await.unwrap(), snapshot);
}

fn awkward() -> Rows {
    let root = name("");
    let inner = name("tools:5c6a1f0e-0000-0000-0000-000000000000");
    let all_bytes: Bytes = (0..=255_u8).collect();
    let checkpoint = |ns: &std::sync::Arc<str>, id: &str, parent: Option<&str>| CheckpointRow {
        ns: ns.clone(),
        checkpoint_id: id.to_owned(),
        parent_checkpoint_id: parent.map(str::to_owned),
        checkpoint: r#"{"v": 4, "text": "ü \ud83d\ude00 \\u0000 'quoted' \"twice\"", "n": 1.5}"#.to_owned(),
        metadata: r#"{"step":-1,"source":"input","parents":{}}"#.to_owned(),
    };
    let blob = |channel: &str, type_: &'static str, blob: Option<Bytes>| BlobRow {
        ns: root.clone(),
        channel: channel.to_owned(),
        version: "00000000000000000000000000000002.0.123".to_owned(),
        type_: Cow::Borrowed(type_),
        blob,
    };
    let write = |idx: i32, channel: &str, type_: &'static str, blob: Bytes| WriteRow {
        ns: inner.clone(),
        checkpoint_id: "b".to_owned(),
        task_id: "task".to_owned(),
        idx,
        channel: channel.to_owned(),
        type_: Cow::Borrowed(type_),
        blob,
        task_path: "~__pregel_push, 0000000001".to_owned(),
    };
    Rows {
        checkpoints: vec![
            checkpoint(&root, "a", None),
            checkpoint(&inner, "b", Some("a")),
            checkpoint(&root, "c", Some("a")),
        ],
        blobs: vec![
            blob("branch:to:model", "null", Some(Bytes::new())),
            blob("files", "empty", None),
            blob("messages", "msgpack", Some(all_bytes.clone())),
        ],
        writes: vec![
            write(-2, "__interrupt__", "msgpack", all_bytes),
            write(0, "messages", "null", Bytes::new()),
            write(10, "todos", "msgpack", Bytes::from_static(b"\x90")),
        ],
    }
}

/// Bytes are bytes; null, empty and absent stay apart; namespaces do not mix.
pub async fn rows_come_back_byte_for_byte<S: Store + Expire>(store: S) {
    assert_eq!(store.load("thread").await.unwrap(), Snapshot::default());
    let lease = running(&store, "job", "thread").await;
    assert_eq!(store.load("thread").await.unwrap(), Snapshot::default());

    store.commit(&lease, Commit { rows: awkward(), ..Commit::default() }).await.unwrap();

    let back = store.load("thread").await.unwrap();
    assert_eq!(comparable(back.rows), comparable(awkward()));
}

/// LangGraph's own rules for rows that are there (langgraph-checkpoints 1.3).
pub async fn repeated_rows_change_nothing_but_checkpoints_and_special_writes<S: Store + Expire>(store: S) {
    let lease = running(&store, "job", "thread").await;
    let commit = |rows| Commit { rows, ..Commit::default() };
    store.commit(&lease, commit(awkward())).await.unwrap();
    store.commit(&lease, commit(awkward())).await.unwrap();
    assert_eq!(comparable(store.load("thread").await.unwrap().rows), comparable(awkward()));

    let mut changed = awkward();
    for row in &mut changed.checkpoints {
        row.parent_checkpoint_id = Some("another".to_owned());
        row.metadata = r#"{"step":5}"#.to_owned();
    }
    changed.blobs[2].blob = Some(Bytes::from_static(b"another"));
    for row in &mut changed.writes {
        row.blob = Bytes::from_static(b"another");
        row.task_path = "another".to_owned();
    }
    store.commit(&lease, commit(changed)).await.unwrap();

    let mut expected = awkward();
    for row in &mut expected.checkpoints {
        row.metadata = r#"{"step":5}"#.to_owned();
    }
    expected.writes[0].blob = Bytes::from_static(b"another");
    assert_eq!(comparable(store.load("thread").await.unwrap().rows), comparable(expected));
}

/// The same ids in two threads are two rows.
pub async fn threads_do_not_see_each_other<S: Store + Expire>(store: S) {
    for (job, thread) in [("job-1", "thread-1"), ("job-2", "thread-2"), ("job-3", "thread")] {
        let lease = running(&store, job, thread).await;
        let many = if thread == "thread" { 3 } else { 1 };
        for n in 0..many {
            store.commit(&lease, step(&lease, job, n)).await.unwrap();
        }
    }

    for (thread, many) in [("thread-1", 1), ("thread-2", 1), ("thread", 3)] {
        let snapshot = store.load(thread).await.unwrap();
        assert_eq!(steps_of(&snapshot.rows).len(), many);
        assert_eq!(snapshot.rows.blobs.len(), 2 * many);
        assert_eq!(snapshot.rows.writes.len(), 2 * many);
        assert_eq!(store.events(thread, 0, 100).await.unwrap().len(), many);
        assert_eq!(store.jobs_of(thread).await.unwrap().len(), 1);
    }
}

/// An intent stands until its outcome is known; ended jobs need none of it.
pub async fn step_records_are_settled_and_end_with_their_job<S: Store + Expire>(store: S) {
    let lease = running(&store, "job-1", "thread").await;
    store.begin(offer("job-2", "thread", "worker-a")).await.unwrap();
    let record = |job_id: &str, call_id: &str, state| StepRecord {
        job_id: name(job_id),
        step: 3,
        call_id: call_id.to_owned(),
        state,
    };
    let commit = |steps| Commit { steps, ..Commit::default() };
    let intents = vec![record("job-1", "a", StepState::Intent), record("job-1", "b", StepState::Intent)];
    store.commit(&lease, commit(intents)).await.unwrap();

    let settled = vec![record("job-1", "a", StepState::Done)];
    store.commit(&lease, commit(settled)).await.unwrap();

    store.expire("thread").await;
    let (lease, _) = started(&store, offer("job-1", "thread", "worker-b")).await;
    let expected = [record("job-1", "a", StepState::Done), record("job-1", "b", StepState::Intent)];
    assert_eq!(store.load("thread").await.unwrap().steps, expected);

    let settled = vec![record("job-1", "b", StepState::Unknown)];
    store.finish(&lease, commit(settled), end("job-1", "thread")).await.unwrap();
    let of_the_next = vec![record("job-2", "c", StepState::Intent)];
    store.commit(&lease, commit(of_the_next.clone())).await.unwrap();
    assert_eq!(store.load("thread").await.unwrap().steps, of_the_next);
}

/// What PostgreSQL cannot hold is refused for good, by every backend, and nothing of it is written.
pub async fn data_that_cannot_be_stored_is_refused<S: Store + Expire>(store: S) {
    let lease = running(&store, "job", "thread").await;
    store.commit(&lease, step(&lease, "job", 0)).await.unwrap();
    let before = store.load("thread").await.unwrap();

    for bad in ["not JSON", r#"{"text":"\u0000"}"#, ""] {
        let mut commit = step(&lease, "job", 1);
        commit.rows.checkpoints[0].checkpoint = bad.to_owned();
        let refused = store.commit(&lease, commit).await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{bad}: {refused:?}");
    }
    let mut commit = step(&lease, "job", 1);
    commit.rows.blobs[1].channel = "nul \0".to_owned();
    let refused = store.commit(&lease, commit).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    let refused = store.begin(offer("nul \0", "thread-2", "worker-a")).await;
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");

    assert_eq!(store.load("thread").await.unwrap(), before);
    store.commit(&lease, step(&lease, "job", 1)).await.unwrap();
}
