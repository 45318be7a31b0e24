//! Tools that leave the state machine: the port, and the hosts behind it.
//!
//! Built-in tools are not here: they are functions on the run's state, in `agent-executor-core`.

pub mod conformance;
mod off;
mod port;
#[cfg(feature = "scripts")]
mod scripts;

pub use off::ScriptsOff;
pub use port::{Invocation, ToolHost, ToolHostError};
#[cfg(feature = "scripts")]
pub use scripts::{Confinement, ScriptHost, ScriptLimits, ScriptSettings};
