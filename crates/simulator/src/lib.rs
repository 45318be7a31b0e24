//! The real runtime in a seeded world: one `u64` decides schedule, faults and payloads, and the audit of
//! `agent-executor-core` judges what was seen.
//!
//! What is simulated is what stands behind the runtime's ports, and the doors in front of it. Time is tokio's paused
//! clock; nothing waits for real.

mod dice;
mod door;
mod jobs;
mod ledger;
mod model;
mod nemesis;
mod node;
mod outlets;
mod plan;
mod queue;
mod run;
mod store;
mod tools;
mod world;

pub use plan::{Options, Planted};
pub use run::{Report, run_seed, run_seeds};
