//! How to reach Dragonfly, or another server that speaks Redis' protocol.

use std::path::PathBuf;

use secrecy::SecretString;

use crate::{env, reader::Reader};

/// How to reach the cache.
#[derive(Debug, Clone)]
pub struct DragonflySettings {
    /// URL; where it is given, `host`, `port` and `tls` are not read.
    pub url: Option<SecretString>,
    /// Host name or address. Empty where there is none.
    pub host: String,
    /// Port.
    pub port: u16,
    /// ACL user.
    pub username: Option<String>,
    /// Password.
    pub password: Option<SecretString>,
    /// Whether to speak TLS.
    pub tls: bool,
    /// Authorities to trust beside the system's.
    pub tls_ca_file: Option<PathBuf>,
}

impl DragonflySettings {
    /// Whether there is anything to connect to.
    pub fn is_set(&self) -> bool {
        self.url.is_some() || !self.host.is_empty()
    }

    pub(crate) fn read(reader: &mut Reader<'_>, needed: bool) -> Self {
        let settings = Self {
            url: reader.find(&env::REDIS_URL),
            host: reader.get(&env::DRAGONFLY_HOST),
            port: reader.get(&env::DRAGONFLY_PORT),
            username: reader.find(&env::DRAGONFLY_USERNAME),
            password: reader.find(&env::DRAGONFLY_PASSWORD),
            tls: reader.get(&env::DRAGONFLY_TLS),
            tls_ca_file: reader.find(&env::DRAGONFLY_TLS_CA_FILE),
        };
        if needed && !reader.has(&env::REDIS_URL) && !reader.has(&env::DRAGONFLY_HOST) {
            reader.missing("Dragonfly", &[&env::REDIS_URL, &env::DRAGONFLY_HOST]);
        }
        settings
    }
}
