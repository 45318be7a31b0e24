//! Every JSON shape that enters or leaves: jobs, result events, stream messages, HTTP bodies.
//!
//! How bytes travel is the transports' affair; nothing here does I/O, reads a clock or draws random numbers.
//! Every shape names the section of the wire contract that it follows, and says what we added.

pub mod compat;
mod depth;
mod envelope;
mod files;
mod headers;
pub mod http;
mod ids;
mod job;
pub mod journal;
mod json;
mod limits;
mod refusal;
mod result;
pub mod schema;
mod shorten;
pub mod stream;
mod trace;

pub use files::{FileForm, file_texts, files_value, is_context_file};
pub use ids::{IdError, JobId, ThreadId};
pub use job::{JobLimits, JobRequest, StoredJobError};
pub use limits::Limits;
pub use refusal::{Problem, RawMessage, Refusal};
pub use result::{JobResult, ResultEvent, ResultForm, SOURCE, result_event_id};
pub use shorten::shorten;
pub use trace::TraceContext;
