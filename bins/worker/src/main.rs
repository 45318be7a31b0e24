//! The agent executor's worker.

fn main() {}
