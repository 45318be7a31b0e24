//! Holds the crate against rows written by LangGraph, and against its own laws.

#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "recordings are read from files")]
#![expect(clippy::wildcard_enum_match_arm, reason = "what a test does not expect is one thing")]

mod examples;
mod folding;
mod golden_bytes;
mod golden_threads;
mod ids;
mod json_columns;
mod properties;
mod reading;
