//! What the server's codes mean to a caller.

use std::error::Error as _;

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::port::StoreError;

/// What to do about a failed statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// The server rolled back a transaction that may go through if tried again now.
    Retry,
    /// The connection is of no use; what it was doing may or may not have happened.
    Broken,
    /// Nothing was written; later it may work.
    Unavailable,
    /// This data will never be taken.
    Refused,
}

pub(super) fn class(error: &tokio_postgres::Error) -> Class {
    let Some(code) = error.code() else {
        // The client's own complaint about a value that it could not encode; all else is the connection's.
        return if error.is_closed() || is_io(error) { Class::Broken } else { Class::Refused };
    };
    if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED {
        return Class::Retry;
    }
    match code.code() {
        // 25006: the server has become read-only, a failover; 0A000: a cached plan from before a migration.
        "25006" | "0A000" | "57P01" | "57P02" | "57P03" | "57P05" => Class::Broken,
        "42P01" | "42703" | "3F000" | "42501" | "54000" => Class::Unavailable,
        other => match other.get(..2) {
            Some("08") => Class::Broken,
            Some("53" | "55" | "57" | "58" | "25" | "28" | "3D" | "XX") => Class::Unavailable,
            _ => Class::Refused,
        },
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    let mut next = error.source();
    while let Some(source) = next {
        if source.is::<std::io::Error>() {
            return true;
        }
        next = source.source();
    }
    // Errors of the protocol and of TLS carry no code and no I/O error, but end the connection as well.
    let text = error.to_string();
    text.starts_with("error communicating")
        || text.starts_with("unexpected message")
        || text.contains("timeout")
}

/// The server's message and code; its details are left out, for they repeat values.
pub(super) fn told(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

impl From<&tokio_postgres::Error> for StoreError {
    fn from(error: &tokio_postgres::Error) -> Self {
        match class(error) {
            Class::Refused => Self::Refused(told(error)),
            Class::Retry | Class::Broken | Class::Unavailable => Self::Unavailable(told(error)),
        }
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::from(&error)
    }
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Unavailable(told(&error)),
            PoolError::Timeout(_) => Self::Unavailable("no connection became free in time".to_owned()),
            PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}
