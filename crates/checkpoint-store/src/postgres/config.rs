//! Where the database is and how it is used.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;

use super::tls::{SslMode, Tls};
use crate::port::StoreError;

/// Settings of [`PostgresStore`](super::PostgresStore). Every limit has a default; [`PostgresConfig::new`].
#[derive(Clone)]
#[non_exhaustive]
pub struct PostgresConfig {
    /// Hosts, user, password, database.
    pub server: Config,
    /// Transport security; wins over what `server` says.
    pub tls: Tls,
    /// Schema of the tables; `None`: the first of the server's `search_path`.
    pub schema: Option<String>,
    /// Connections for everything but `begin`, `commit` and `finish`.
    pub pool_size: usize,
    /// Connections that write groups. More of them mean smaller groups and more work for the server.
    pub commit_connections: usize,
    /// How long a lease stands without a commit or a renewal.
    pub lease_ttl: Duration,
    /// Limit of one statement, kept by the server.
    pub statement_timeout: Duration,
    /// How long a call waits for a connection.
    pub pool_wait: Duration,
    /// Limit of one connection attempt.
    pub connect_timeout: Duration,
    /// Calls in one group at most.
    pub group_calls: usize,
    /// Bytes in one group at most; a larger call goes alone.
    pub group_bytes: usize,
}

impl std::fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never `server`: it may hold a password in its options.
        f.debug_struct("PostgresConfig")
            .field("hosts", &self.server.get_hosts())
            .field("database", &self.server.get_dbname())
            .field("tls", &self.tls)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl PostgresConfig {
    /// Defaults: 4 readers, 2 writers, leases of 20 s, groups of at most 64 calls and 1 MiB.
    pub fn new(server: Config, tls: Tls) -> Self {
        Self {
            server,
            tls,
            schema: None,
            pool_size: 4,
            commit_connections: 2,
            lease_ttl: Duration::from_secs(20),
            statement_timeout: Duration::from_secs(10),
            pool_wait: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            group_calls: 64,
            group_bytes: 1 << 20,
        }
    }

    /// Reads a connection string of libpq, as URL or as `key=value` words, with all its `sslmode`s and
    /// `sslrootcert`.
    ///
    /// # Errors
    /// [`StoreError::Refused`], which never repeats the string: it may hold a password.
    pub fn from_dsn(dsn: &str) -> Result<Self, StoreError> {
        let (rest, tls) = take_tls(dsn)?;
        let server = rest.parse().map_err(|error: tokio_postgres::Error| {
            let reason =
                std::error::Error::source(&error).map_or_else(String::new, |source| format!(": {source}"));
            StoreError::Refused(format!("the PostgreSQL connection string cannot be read{reason}"))
        })?;
        Ok(Self::new(server, tls))
    }

    pub(super) fn prepared(&self) -> Config {
        let mut server = self.server.clone();
        server.ssl_mode(self.tls.mode.of_client());
        if server.get_connect_timeout().is_none() {
            server.connect_timeout(self.connect_timeout);
        }
        if server.get_application_name().is_none() {
            server.application_name("agent-executor");
        }
        // A dead peer is found out by the kernel, also while nothing is asked.
        server.keepalives_idle(Duration::from_secs(15)).keepalives_interval(Duration::from_secs(5));
        server.keepalives_retries(3).tcp_user_timeout(Duration::from_secs(30));
        server
    }

    /// What every connection is told first.
    pub(super) fn greeting(&self) -> String {
        let limit = self.statement_timeout.as_millis().max(1);
        let mut greeting = format!(
            "set statement_timeout = {limit}; set idle_in_transaction_session_timeout = {limit}; \
             set default_transaction_isolation = 'read committed'"
        );
        if let Some(schema) = &self.schema {
            greeting.push_str(&format!("; set search_path to \"{}\"", schema.replace('"', "\"\"")));
        }
        greeting
    }
}

/// `tokio_postgres` knows neither `verify-*` nor `sslrootcert`, so they are taken out of the string.
fn take_tls(dsn: &str) -> Result<(String, Tls), StoreError> {
    let mut tls = Tls::default();
    let mut keep = |word: &str, key: &str, value: &str| -> Result<Option<String>, StoreError> {
        match key {
            "sslmode" => {
                tls.mode = SslMode::parse(value).ok_or_else(|| {
                    StoreError::Refused(
                        "sslmode must be disable, prefer, require, verify-ca or verify-full".to_owned(),
                    )
                })?;
                Ok(None)
            }
            "sslrootcert" => {
                tls.root_cert = Some(PathBuf::from(value));
                Ok(None)
            }
            _ => Ok(Some(word.to_owned())),
        }
    };
    let rest = if dsn.contains("://") {
        let (base, query) = dsn.split_once('?').unwrap_or((dsn, ""));
        let mut kept = Vec::new();
        for word in query.split('&').filter(|word| !word.is_empty()) {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            // A path is the one value here that tends to come escaped.
            kept.extend(keep(word, key, &value.replace("%2F", "/").replace("%2f", "/"))?);
        }
        if kept.is_empty() { base.to_owned() } else { format!("{base}?{}", kept.join("&")) }
    } else {
        let mut kept = Vec::new();
        for word in dsn.split_whitespace() {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            kept.extend(keep(word, key, value.trim_matches('\''))?);
        }
        kept.join(" ")
    };
    Ok((rest, tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libpqs_sslmodes_are_known_in_both_forms() {
        let url = "postgres://u:p@h:5433/d?sslmode=verify-full&sslrootcert=%2Fca.pem&application_name=x";
        for dsn in
            [url, "host=h port=5433 user=u password=p dbname=d sslmode=verify-full sslrootcert=/ca.pem"]
        {
            let config = PostgresConfig::from_dsn(dsn).unwrap();
            assert_eq!(config.tls.mode, SslMode::VerifyFull);
            assert_eq!(config.tls.root_cert, Some(PathBuf::from("/ca.pem")));
            assert_eq!(config.server.get_dbname(), Some("d"));
            assert_eq!(config.server.get_ports(), [5433]);
        }
    }

    #[test]
    fn no_error_and_no_debug_text_holds_the_password() {
        let wrong = PostgresConfig::from_dsn("postgres://u:s3cret@h:notaport/d").unwrap_err();
        assert!(!wrong.to_string().contains("s3cret"), "{wrong}");
        let wrong = PostgresConfig::from_dsn("postgres://u:s3cret@h/d?sslmode=s3cret").unwrap_err();
        assert!(!wrong.to_string().contains("s3cret"), "{wrong}");
        let right = PostgresConfig::from_dsn("postgres://u:s3cret@h/d").unwrap();
        assert!(!format!("{right:?}").contains("s3cret"));
    }
}
