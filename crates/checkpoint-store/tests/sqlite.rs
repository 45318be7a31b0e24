//! The store in a SQLite file does what every store must do. Each test has a file of its own.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "helpers of tests stand outside of the test functions")]

use agent_checkpoint_store::SqliteStore;

async fn fresh() -> Option<SqliteStore> {
    let folder = tempfile::tempdir().unwrap();
    // The open file outlives its name, so that nothing is left behind.
    Some(SqliteStore::open(&folder.path().join("store.db")).unwrap())
}

agent_checkpoint_store::store_conformance!(fresh());
