//! The HTTP client against servers that play scripts, well-behaved and not.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of tests"
)]

mod conformance;
mod forms;
mod metrics;
mod recorded;
mod render;
mod retries;
mod server;
mod streams;
