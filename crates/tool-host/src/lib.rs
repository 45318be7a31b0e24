//! Tools that leave the state machine: the port, and the hosts behind it.
//!
//! Built-in tools are not here: they are functions on the run's state, in `agent-executor-core`.

mod off;
mod port;

pub use off::ScriptsOff;
pub use port::{Invocation, ToolHost, ToolHostError};
