//! Holds the crate against rows written by LangGraph, and against its own laws.

#![cfg(test)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "tests read recordings, and their helpers stand outside of the test functions"
)]

mod examples;
mod folding;
mod golden_bytes;
mod golden_threads;
mod ids;
mod json_columns;
mod properties;
mod reading;
