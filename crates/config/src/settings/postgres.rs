//! How to reach PostgreSQL.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;

use super::text_of;
use crate::{
    env,
    kind::{FromText as _, choice},
    reader::Reader,
};

choice! {
    /// Whether to speak TLS, and what to check; libpq's words and meanings.
    SslMode {
        /// Never.
        Disable = "disable",
        /// Where the server insists. Treated as `prefer`.
        Allow = "allow",
        /// Where the server can; nothing is checked.
        #[default]
        Prefer = "prefer",
        /// Always; nothing is checked unless a root certificate is given.
        Require = "require",
        /// Always; the certificate must be signed by a known authority.
        VerifyCa = "verify-ca",
        /// Always; it must be the server's own too.
        VerifyFull = "verify-full",
    }
}

/// How to reach PostgreSQL.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// Connection string; where it is given, host to password are not its. Without `sslmode` and `sslrootcert`.
    pub dsn: Option<SecretString>,
    /// Host name or address. Empty where there is none.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Database.
    pub db: String,
    /// Role.
    pub user: String,
    /// Password.
    pub password: Option<SecretString>,
    /// Schema of all tables.
    pub schema: Option<String>,
    /// TLS.
    pub ssl_mode: SslMode,
    /// Authorities to trust.
    pub ssl_root_cert: Option<PathBuf>,
    /// Connections that commit.
    pub commit_connections: usize,
    /// Connections for everything else.
    pub read_connections: usize,
    /// Longest wait for a free connection.
    pub pool_wait: Duration,
    /// Longest wait for a new connection.
    pub connect_wait: Duration,
    /// How long `migrate-init` waits for the server.
    pub migrate_wait: Duration,
}

impl PostgresSettings {
    /// Whether there is anything to connect to.
    pub fn is_set(&self) -> bool {
        self.dsn.is_some() || !self.host.is_empty()
    }

    pub(crate) fn read(reader: &mut Reader<'_>, needed: bool) -> Self {
        let dsn: Option<SecretString> = reader.find(&env::DATABASE_URL);
        let mut settings = Self {
            dsn: None,
            host: reader.get(&env::POSTGRES_HOST),
            port: reader.get(&env::POSTGRES_PORT),
            db: reader.get(&env::POSTGRES_DB),
            user: reader.get(&env::POSTGRES_USER),
            password: reader.find(&env::POSTGRES_PASSWORD),
            schema: reader.find(&env::POSTGRES_SCHEMA),
            ssl_mode: reader.get(&env::POSTGRES_SSLMODE),
            ssl_root_cert: reader.find(&env::POSTGRES_SSLROOTCERT),
            commit_connections: reader.get(&env::POSTGRES_COMMIT_CONNECTIONS),
            read_connections: reader.get(&env::POSTGRES_READ_CONNECTIONS),
            pool_wait: reader.get(&env::POSTGRES_POOL_WAIT_SECONDS),
            connect_wait: reader.get(&env::POSTGRES_CONNECT_SECONDS),
            migrate_wait: reader.get(&env::MIGRATE_WAIT_SECONDS),
        };
        if let Some(dsn) = dsn {
            settings.take(reader, text_of(&dsn));
        }
        if needed && !reader.has(&env::DATABASE_URL) && !reader.has(&env::POSTGRES_HOST) {
            reader.missing("PostgreSQL", &[&env::DATABASE_URL, &env::POSTGRES_HOST]);
        }
        settings
    }

    /// Takes what is libpq's alone out of a connection string: drivers refuse what they do not know.
    fn take(&mut self, reader: &mut Reader<'_>, dsn: &str) {
        let dsn = dsn.trim();
        let (head, separator, pairs): (&str, _, Vec<&str>) = match dsn.split_once('?') {
            Some((head, query)) if dsn.contains("://") => (head, '&', query.split('&').collect()),
            Some(_) | None if dsn.contains("://") => (dsn, '&', Vec::new()),
            Some(_) | None => ("", ' ', dsn.split_whitespace().collect()),
        };
        let mut kept = Vec::new();
        for pair in pairs {
            match pair.split_once('=') {
                Some(("sslmode", mode)) => match SslMode::from_text(mode, env::POSTGRES_SSLMODE.kind) {
                    Some(mode) => self.ssl_mode = mode,
                    None => reader.invalid("sslmode in DATABASE_URL", env::POSTGRES_SSLMODE.kind, Ok(mode)),
                },
                Some(("sslrootcert", path)) => {
                    let path = url::form_urlencoded::parse(pair.as_bytes())
                        .next()
                        .map_or_else(|| path.to_owned(), |(_, path)| path.into_owned());
                    self.ssl_root_cert =
                        Some(PathBuf::from(path)).filter(|path| path.as_os_str() != "system");
                }
                Some(_) | None => kept.push(pair),
            }
        }
        let rest = kept.join(&separator.to_string());
        let question = if head.is_empty() || rest.is_empty() { "" } else { "?" };
        self.dsn = Some(SecretString::from(format!("{head}{question}{rest}")));
    }
}
