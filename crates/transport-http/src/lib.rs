//! The HTTP door: jobs in, truth and events out, health for the platform. How a job runs is the executor's affair.

mod answers;
mod auth;
mod health;
mod history;
mod invoke;
mod jobs;
mod limits;
mod openapi;
mod patient;
mod replayed;
mod router;
mod server;
mod sse;
mod state;
mod tls;
mod ui;
mod ws;

pub use auth::{Guard, Tokens, TokensError};
pub use health::{Check, Checks};
pub use router::{HttpDoor, metrics_router, router};
pub use server::{ServeError, ServerSettings, serve};
pub use tls::{TlsError, TlsFiles};
