//! The three stores.

use std::path::PathBuf;
use std::sync::Arc;

use agent_checkpoint_store::{MemoryStore, PostgresConfig, PostgresStore, SqliteStore, Store};
use agent_testkit::Servers;
use serde::{Deserialize, Serialize};
use tokio_postgres::NoTls;

/// Where a store's rows are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Place {
    Memory,
    Sqlite(PathBuf),
    Postgres(String),
}

impl Place {
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }

    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory => Arc::new(MemoryStore::default()),
            Self::Sqlite(path) => Arc::new(SqliteStore::open(path).unwrap()),
            Self::Postgres(dsn) => {
                let config = PostgresConfig::from_dsn(dsn).unwrap();
                Arc::new(PostgresStore::connect(config).await.unwrap())
            }
        }
    }

    /// Lets a dead process's lease run out at once, as time would.
    pub(crate) async fn let_leases_run_out(&self, thread_id: &str) {
        match self {
            Self::Memory => {}
            Self::Sqlite(path) => {
                let sql = "UPDATE agent_leases SET lease_until = 1 WHERE thread_id = ?1";
                rusqlite::Connection::open(path).unwrap().execute(sql, [thread_id]).unwrap();
            }
            Self::Postgres(dsn) => {
                let (client, connection) = tokio_postgres::connect(dsn, NoTls).await.unwrap();
                tokio::spawn(connection);
                let sql =
                    "update agent_leases set lease_until = now() - interval '1 second' where thread_id = $1";
                client.execute(sql, &[&thread_id]).await.unwrap();
            }
        }
    }
}

/// A database with the schema.
pub(crate) async fn database(servers: &Servers) -> String {
    let dsn = servers.postgres.fresh_database().await.unwrap();
    let (mut client, connection) = tokio_postgres::connect(&dsn, NoTls).await.unwrap();
    tokio::spawn(connection);
    agent_migrations::migrate(&mut client, &agent_migrations::Options::default()).await.unwrap();
    dsn
}
