//! The database schema and its locked runner.

mod error;
mod migrate;
mod rights;
mod schema;

pub use error::MigrateError;
pub use migrate::{Options, Report, migrate};
pub use rights::missing_rights;
pub use schema::{NEEDED_VERSION, current_version};

/// Where the runner keeps its history: in the schema of the tables, beside them.
pub(crate) const HISTORY: &str = "agent_schema_history";

mod embedded {
    refinery::embed_migrations!("sql");
}
