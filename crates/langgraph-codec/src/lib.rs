//! LangGraph's and LangChain's data model as plain Rust types: messages, tool calls, file records,
//! and the rows and bytes in which LangGraph's PostgreSQL saver keeps them.
//!
//! Source of every format: `langgraph-checkpoint-postgres` 3.2.0 with `langgraph` 1.2.22 and
//! `langchain-core` 1.7.2. Nothing here does I/O, reads a clock or draws random numbers.

mod file;
mod message;
mod rows;

pub use file::{Encoding, FileContent, FileData, Files};
pub use message::{Content, InvalidToolCall, Kind, Message, ToolCall, ToolStatus};
pub use rows::{BlobRow, CheckpointRow, Rows, WriteRow};
