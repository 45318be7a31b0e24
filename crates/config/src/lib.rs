//! Settings from the environment and an optional `.env` file: typed, all errors at once, each with its source.
//!
//! - [`env`]: every variable that is read, once; `docs/configuration.md` is made from it.
//! - [`Environment`]: what is set, and where.
//! - [`Settings`]: what it means.
//!
//! What values do is not known here: backends get them from whoever puts the program together.

mod address;
mod environment;
mod kind;
mod near;
mod page;
mod problem;
mod reader;
mod settings;

pub mod env;

pub use address::Address;
pub use environment::{Environment, EnvironmentError, Source};
pub use kind::Kind;
pub use page::configuration_page;
pub use problem::{ConfigError, Problem, Warning};
pub use reader::Shown;
pub use settings::{
    ApiToken, Dependency, DragonflySettings, HttpSettings, HttpTls, LogFormat, LogSettings, ModelSettings,
    NatsSettings, OpenAiApi, PostgresSettings, Purpose, RetentionSettings, ScriptLimitSettings, ScriptMode,
    Settings, SslMode, StreamSettings, ToolSettings, WireFileContent, WorkerSettings,
};
