//! What waits for a group.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::rows::size;
use crate::port::StoreError;
use crate::types::{Begin, BeginRequest, Commit, Finished, Lease, Terminal};

/// A call that may share its transaction with calls of other threads.
pub(super) trait Call {
    fn thread(&self) -> &Arc<str>;
    /// About as many bytes as it takes on the wire.
    fn size(&self) -> usize;
    /// When it stops waiting for a connection.
    fn patience(&self) -> Instant;
    fn fail(self, error: StoreError);
}

pub(super) struct BeginCall {
    pub(super) request: BeginRequest,
    /// Random, so that a begin whose answer was lost finds out what it did.
    pub(super) token: i64,
    /// An attempt before this one has admitted the job.
    pub(super) admitted: bool,
    pub(super) patience: Instant,
    pub(super) answer: oneshot::Sender<Result<Begin, StoreError>>,
}

/// A commit, or a finish where it has a terminal.
pub(super) struct WriteCall {
    pub(super) lease: Lease,
    pub(super) commit: Commit,
    pub(super) terminal: Option<Terminal>,
    pub(super) patience: Instant,
    pub(super) answer: oneshot::Sender<Result<Finished, StoreError>>,
}

/// Tells the caller; one that has gone wants no answer.
pub(super) fn answer<T>(to: oneshot::Sender<T>, what: T) {
    drop(to.send(what));
}

impl Call for BeginCall {
    fn thread(&self) -> &Arc<str> {
        &self.request.job.thread_id
    }

    fn size(&self) -> usize {
        self.request.job.request.len() + self.request.fresh.as_ref().map_or(0, size) + 256
    }

    fn patience(&self) -> Instant {
        self.patience
    }

    fn fail(self, error: StoreError) {
        answer(self.answer, Err(error));
    }
}

impl Call for WriteCall {
    fn thread(&self) -> &Arc<str> {
        &self.lease.thread_id
    }

    fn size(&self) -> usize {
        let terminal = |it: &Terminal| it.result.len() + it.outbox.body.len() + 256;
        size(&self.commit) + self.terminal.as_ref().map_or(0, terminal) + 128
    }

    fn patience(&self) -> Instant {
        self.patience
    }

    fn fail(self, error: StoreError) {
        answer(self.answer, Err(error));
    }
}
