//! Ids of traces that begin here: the job's own where it brings one.

use std::cell::Cell;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

thread_local! {
    static WANTED: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// Runs `begin` so that a trace begun in it has this id. The SDK asks its generator, on the same thread.
pub(super) fn with_trace_id<T>(trace_id: &str, begin: impl FnOnce() -> T) -> T {
    WANTED.set(TraceId::from_hex(trace_id).ok().filter(|id| *id != TraceId::INVALID));
    let begun = begin();
    WANTED.set(None);
    begun
}

#[derive(Debug, Default)]
pub(super) struct JobsOwnIds(RandomIdGenerator);

impl IdGenerator for JobsOwnIds {
    fn new_trace_id(&self) -> TraceId {
        WANTED.take().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}
