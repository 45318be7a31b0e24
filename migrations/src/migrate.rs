//! Applies what is missing, one process at a time.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::{HISTORY, MigrateError, current_version, embedded};

/// How to migrate.
#[derive(Debug, Clone)]
pub struct Options {
    /// Schema that the tables live in; created if absent, and set as the connection's `search_path`.
    /// `None`: the first one of the `search_path` that the connection has.
    pub schema: Option<String>,
    /// How long to wait for another migration, and for the locks of each statement.
    pub lock_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { schema: None, lock_timeout: Duration::from_secs(60) }
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Schema that the tables live in.
    pub schema: String,
    /// Whether the schema itself was created.
    pub schema_created: bool,
    /// Whether LangGraph's tables were there before ours and were taken as they are.
    pub adopted: bool,
    /// Version before; 0 for none.
    pub from: i64,
    /// Version now. May be newer than this program knows.
    pub to: i64,
    /// Names of the migrations that this call applied, in order.
    pub applied: Vec<String>,
}

/// Applies the migrations that the database does not have, under a session lock: of several callers one applies,
/// the others find nothing to do. Needs a direct connection, not one through a pooler in transaction mode, which
/// would lose the lock. The connection keeps the schema's `search_path` afterwards.
///
/// # Errors
/// [`MigrateError`].
pub async fn migrate(client: &mut Client, options: &Options) -> Result<Report, MigrateError> {
    lock(client, options.lock_timeout).await?;
    let result = apply(client, options).await;
    // Fails only where the connection is gone, and the lock with it.
    let unlocked = client.execute("select pg_advisory_unlock($1)", &[&LOCK]).await;
    let report = result?;
    unlocked.map_err(MigrateError::at("release the migration lock"))?;
    Ok(report)
}

/// Any number that nobody else uses: "agentmig" in ASCII.
const LOCK: i64 = 0x6167_656e_746d_6967;

async fn lock(client: &Client, timeout: Duration) -> Result<(), MigrateError> {
    // 0 would mean no limit.
    let limit = timeout.as_millis().max(1);
    client
        .batch_execute(&format!("set lock_timeout = {limit}; set client_min_messages = warning"))
        .await
        .map_err(MigrateError::at("set the lock timeout"))?;
    match client.execute("select pg_advisory_lock($1)", &[&LOCK]).await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            Err(MigrateError::Locked { waited: timeout })
        }
        Err(source) => Err(MigrateError::Database { action: "take the migration lock", source }),
    }
}

async fn apply(client: &mut Client, options: &Options) -> Result<Report, MigrateError> {
    let schema_created = match &options.schema {
        Some(schema) => enter(client, schema).await?,
        None => false,
    };
    let row = client
        .query_one("select current_schema()::text, to_regclass('checkpoint_migrations') is not null", &[])
        .await
        .map_err(MigrateError::at("look at the schema"))?;
    let schema: Option<String> = row.get(0);
    let langgraph_was_there: bool = row.get(1);
    let from = current_version(client).await?;

    let mut runner = embedded::migrations::runner();
    runner.set_migration_table_name(HISTORY);
    // A database that a newer release has migrated is no error: one release back keeps working on it.
    let runner = runner.set_abort_missing(false);
    let report =
        runner.run_async(client).await.map_err(|source| MigrateError::Apply { source: Box::new(source) })?;

    let applied = report.applied_migrations().iter().map(ToString::to_string).collect();
    Ok(Report {
        schema: schema.unwrap_or_default(),
        schema_created,
        adopted: from == 0 && langgraph_was_there,
        from,
        to: current_version(client).await?,
        applied,
    })
}

/// Makes `schema` the one that tables are made in. Whether it had to be created.
async fn enter(client: &Client, schema: &str) -> Result<bool, MigrateError> {
    let quoted = format!("\"{}\"", schema.replace('"', "\"\""));
    // Asked first: CREATE SCHEMA IF NOT EXISTS wants the right to create also where it creates nothing.
    let there = client
        .query_one("select exists (select from pg_namespace where nspname = $1)", &[&schema])
        .await
        .map_err(MigrateError::at("look for the schema"))?;
    let created = !there.get::<_, bool>(0);
    if created {
        client
            .batch_execute(&format!("create schema {quoted}"))
            .await
            .map_err(MigrateError::at("create the schema"))?;
    }
    client
        .batch_execute(&format!("set search_path to {quoted}"))
        .await
        .map_err(MigrateError::at("enter the schema"))?;
    Ok(created)
}
