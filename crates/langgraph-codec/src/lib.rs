//! LangGraph's and LangChain's data model as plain Rust types: messages, tool calls, file records,
//! and the rows and bytes in which LangGraph's PostgreSQL saver keeps them.
//!
//! Source of every format: `langgraph-checkpoint-postgres` 3.2.0 with `langgraph` 1.2.22 and
//! `langchain-core` 1.7.2. Nothing here does I/O, reads a clock or draws random numbers.

mod checkpoint;
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kinds of msgpack and of JSON are fixed for ever; all but the wanted ones are treated alike"
)]
mod decode;
mod encode;
mod error;
mod file;
mod fold;
mod graph;
mod id;
mod message;
mod nul;
mod pack;
mod rows;
mod send;
mod timestamp;
mod unpack;

pub use checkpoint::{Checkpoint, Metadata, Source, is_inline};
pub use decode::{
    ChannelValue, FilesWrite, MessagesWrite, decode_channel, decode_files, decode_interrupts, decode_json,
    decode_map, decode_messages, decode_sends,
};
pub use encode::{
    empty_list, encode_files_map, encode_files_snapshot, encode_files_write, encode_interrupts, encode_json,
    encode_map, encode_message, encode_messages, encode_messages_snapshot, encode_overwrite, encode_send,
    encode_sends, encode_start, encode_start_state,
};
pub use error::CodecError;
pub use file::{Encoding, FileContent, FileData, Files};
pub use fold::{
    MessageIndex, UnknownRemoval, add_messages, fold_files, fold_messages, fold_messages_indexed,
};
pub use graph::{GraphState, StateValues, Task, TaskKind, load_graph};
pub use id::{
    checkpoint_id, child_namespace, interrupt_id, next_version, task_id_pull, task_id_push, task_path_pull,
    task_path_push, version_counter,
};
pub use message::{Content, InvalidToolCall, Kind, Message, ToolCall, ToolStatus};
pub use rows::{BlobRow, CheckpointRow, Rows, WriteRow};
pub use send::{Interrupt, Send};
pub use timestamp::iso_timestamp;
