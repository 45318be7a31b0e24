//! What the role of a running worker may do.

use tokio_postgres::Client;

use crate::MigrateError;

/// Tables that a worker reads and writes.
const TABLES: &[&str] = &[
    "checkpoints",
    "checkpoint_blobs",
    "checkpoint_writes",
    "agent_jobs",
    "agent_leases",
    "agent_steps",
    "agent_outbox",
    "agent_dead_letters",
    "agent_events",
];

/// Rights that the connection's role lacks, as `INSERT on agent_jobs`; a table that is not there lacks all.
///
/// # Errors
/// [`MigrateError::Database`].
pub async fn missing_rights(client: &Client) -> Result<Vec<String>, MigrateError> {
    let question = "select r.name || ' on ' || t.name
        from unnest($1::text[]) with ordinality as t(name, at)
        cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) with ordinality as r(name, at)
        where to_regclass(t.name) is null or not has_table_privilege(to_regclass(t.name), r.name)
        order by t.at, r.at";
    let failed = || MigrateError::at("read the role's rights");
    let rows = client.query(question, &[&TABLES]).await.map_err(failed())?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
