//! Every metric of the product, the form of a log line, and what may never stand in one.
//!
//! - [`metric`]: each metric, declared once with its name, labels and help.
//! - [`install`]: the recorder behind them, and the page that `/metrics` answers with.
//! - [`logs`]: JSON lines for machines, plain lines for people.
//! - [`traces`]: spans of jobs, model calls and tool calls, exported by OTLP.
//! - [`secrets`]: values that are replaced wherever a line would show them.

pub mod declare;
pub mod logs;
pub mod metric;
mod page;
mod recorder;
pub mod secrets;
pub mod traces;

pub use page::metrics_page;
pub use recorder::{InstallError, Metrics, install};
