//! The database schema and its locked runner.
