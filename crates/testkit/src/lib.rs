//! What tests of this workspace share: real servers ([`Servers`]), a proxy that breaks connections on demand
//! ([`FaultProxy`]), and a model provider that always answers the same ([`FakeModel`]).
//!
//! Nothing here knows the product's crates, so any of them may use it as a dev-dependency.

mod container;
mod fake_model;
mod fault_proxy;
mod nats;
mod ports;
mod postgres;
mod process;
pub mod programs;
mod python;
mod redis;
mod script;
mod server;
mod servers;
mod shared;
mod wait;

pub use container::{Images, engine_answers};
pub use fake_model::{FakeModel, ModelFault};
pub use fault_proxy::{Fault, FaultProxy};
pub use nats::Nats;
pub use ports::free_port;
pub use postgres::{Postgres, init_cluster, run_unprivileged};
pub use python::{langchain_python, langgraph_python, langgraph_python_or_skip, python_or_skip, python_venv};
pub use redis::{Redis, Subscription};
pub use server::{Probe, Server};
pub use servers::Servers;
pub use shared::{recording_or_skip, shared_folder};
pub use wait::until;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
