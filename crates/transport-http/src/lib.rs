//! The HTTP door: jobs in, truth out, health for the platform. How a job runs is the executor's affair.

mod health;
mod invoke;
mod jobs;
mod limits;
mod router;
mod server;
mod state;

pub use health::{Check, Checks};
pub use router::{HttpDoor, router};
pub use server::{ServeError, serve};
