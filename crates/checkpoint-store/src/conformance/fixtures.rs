//! Jobs, rows and leases to test with.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use agent_langgraph_codec::{BlobRow, CheckpointRow, Rows, WriteRow};
use bytes::Bytes;

use crate::port::Store;
use crate::types::{
    Begin, BeginRequest, Commit, JobRecord, JobStatus, JournalRow, Lease, NewJob, OutboxMessage, Terminal,
};

pub(super) const SHORT: Duration = Duration::from_secs(60);

pub(super) fn name(text: &str) -> Arc<str> {
    Arc::from(text)
}

pub(super) fn job(job_id: &str, thread_id: &str) -> NewJob {
    NewJob {
        job_id: name(job_id),
        thread_id: name(thread_id),
        payload_hash: format!("hash of {job_id}"),
        request: Bytes::from(format!("request of {job_id}")),
        deadline: None,
    }
}

pub(super) fn offer(job_id: &str, thread_id: &str, owner: &str) -> BeginRequest {
    BeginRequest { job: job(job_id, thread_id), owner: name(owner), fresh: None }
}

pub(super) async fn started(store: &impl Store, request: BeginRequest) -> (Lease, JobRecord) {
    match store.begin(request).await.unwrap() {
        Begin::Started { lease, job, .. } => (lease, *job),
        other => panic!("the thread should be free: {other:?}"),
    }
}

pub(super) async fn running(store: &impl Store, job_id: &str, thread_id: &str) -> Lease {
    started(store, offer(job_id, thread_id, "worker-a")).await.0
}

/// A super-step: a checkpoint, two blobs, two writes and a journal row, all telling `step`.
pub(super) fn step(lease: &Lease, job_id: &str, step: u64) -> Commit {
    let checkpoint_id = checkpoint_id(step);
    let ns = name("");
    let blob = |channel: &str| BlobRow {
        ns: ns.clone(),
        channel: channel.to_owned(),
        version: format!("{step:032}.5"),
        type_: Cow::Borrowed("msgpack"),
        blob: Some(Bytes::from(format!("{channel} at {step}"))),
    };
    let write = |idx: i32| WriteRow {
        ns: ns.clone(),
        checkpoint_id: checkpoint_id.clone(),
        task_id: format!("task-{step}"),
        idx,
        channel: "messages".to_owned(),
        type_: Cow::Borrowed("msgpack"),
        blob: Bytes::from(format!("write {idx} of {step}")),
        task_path: "~__pregel_pull, model".to_owned(),
    };
    let rows = Rows {
        checkpoints: vec![CheckpointRow {
            ns: ns.clone(),
            checkpoint_id: checkpoint_id.clone(),
            parent_checkpoint_id: step.checked_sub(1).map(self::checkpoint_id),
            checkpoint: format!(r#"{{"v":4,"id":"{checkpoint_id}","channel_values":{{}}}}"#),
            metadata: format!(r#"{{"step":{step},"source":"loop"}}"#),
        }],
        blobs: vec![blob("messages"), blob("files")],
        writes: vec![write(0), write(1)],
    };
    Commit {
        rows,
        journal: vec![journal(lease, job_id, step + 1, step + 1)],
        steps: Vec::new(),
        last_seq: step + 1,
    }
}

pub(super) fn checkpoint_id(step: u64) -> String {
    format!("1f0a0000-0000-6000-8000-{step:012}")
}

pub(super) fn journal(lease: &Lease, job_id: &str, first_seq: u64, last_seq: u64) -> JournalRow {
    let events = Bytes::from(format!("events {first_seq} to {last_seq}"));
    JournalRow { first_seq, last_seq, job_id: name(job_id), epoch: lease.epoch, events }
}

pub(super) fn message(id: &str, thread_id: &str) -> OutboxMessage {
    OutboxMessage {
        id: name(id),
        thread_id: name(thread_id),
        subject: "agent.status.completed".to_owned(),
        body: Bytes::from_static(b"{\"text\":\"\\u0000 and \0\"}"),
    }
}

pub(super) fn end(job_id: &str, thread_id: &str) -> Terminal {
    Terminal {
        job_id: name(job_id),
        status: JobStatus::Completed,
        result: Bytes::from(format!("result of {job_id} \0")),
        outbox: message(&format!("result-{job_id}"), thread_id),
    }
}

/// JSON columns may come back with other spacing and member order (PostgreSQL's jsonb); everything else may not.
pub(super) fn comparable(mut rows: Rows) -> Rows {
    for row in &mut rows.checkpoints {
        for column in [&mut row.checkpoint, &mut row.metadata] {
            let mut value: serde_json::Value = serde_json::from_str(column).expect("JSON comes back as JSON");
            value.sort_all_objects();
            *column = value.to_string();
        }
    }
    rows
}

pub(super) fn steps_of(rows: &Rows) -> Vec<String> {
    rows.checkpoints.iter().map(|row| row.checkpoint_id.clone()).collect()
}
