//! Why the schema is not what it should be.

use std::time::Duration;

use tokio_postgres::error::SqlState;

/// Why the migration did not go through. Each file is one transaction: those before the failed one are applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The server refused, or the connection broke.
    #[error("{action}: {}", told(source))]
    Database {
        /// What was being done.
        action: &'static str,
        /// What the server said.
        source: tokio_postgres::Error,
    },
    /// Another migration runs and did not end in time.
    #[error("another migration holds the lock, waited {} s for it", waited.as_secs_f64())]
    Locked {
        /// How long it was waited for.
        waited: Duration,
    },
    /// A migration failed, or the history does not fit these migrations.
    #[error("apply the migrations: {}", with_sources(source))]
    Apply {
        /// What the runner said.
        source: Box<refinery::Error>,
    },
}

impl MigrateError {
    pub(crate) fn at(action: &'static str) -> impl FnOnce(tokio_postgres::Error) -> Self {
        move |source| Self::Database { action, source }
    }

    /// Whether trying again may help: the server was away, or busy.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Locked { .. } => true,
            Self::Apply { .. } => false,
            Self::Database { source, .. } => source.code().is_none_or(|code| {
                code.code().starts_with("08")
                    || code.code().starts_with("57P")
                    || *code == SqlState::TOO_MANY_CONNECTIONS
            }),
        }
    }
}

/// The client's own message says only "db error"; the server's says what is wrong.
fn told(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => with_sources(error),
    }
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let more = source.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = source.source();
    }
    text
}
