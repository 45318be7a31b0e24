//! Which version the schema has.

use tokio_postgres::Client;

use crate::{HISTORY, MigrateError};

/// The version that programs of this release need. They run on newer ones: a release expands, the next contracts.
pub const NEEDED_VERSION: i64 = 2;

/// The version of the schema that the connection's `search_path` leads to; 0 where there is none.
///
/// # Errors
/// [`MigrateError::Database`].
pub async fn current_version(client: &Client) -> Result<i64, MigrateError> {
    let failed = || MigrateError::at("read the schema's version");
    // to_regclass, since naming a table that is not there would be an error.
    let known = client.query_one("select to_regclass($1) is not null", &[&HISTORY]).await.map_err(failed())?;
    if !known.get::<_, bool>(0) {
        return Ok(0);
    }
    let newest = format!("select coalesce(max(version), 0)::int8 from {HISTORY}");
    Ok(client.query_one(&newest, &[]).await.map_err(failed())?.get(0))
}
