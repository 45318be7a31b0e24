//! Holds the crate against rows written by LangGraph, and against its own laws.

mod examples;
mod folding;
mod golden_bytes;
mod golden_threads;
mod ids;
mod json_columns;
mod properties;
mod reading;
