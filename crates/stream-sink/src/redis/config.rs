//! How to reach the server, and what to leave there.

use std::{path::PathBuf, sync::Arc, time::Duration};

use fred::{
    clients::SubscriberClient,
    prelude::{Builder, Client, ReconnectPolicy, ServerConfig, TlsConnector},
    types::config::{Config, UnresponsiveConfig},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{GapPayload, ReadHead, queue::QueueLimits};

/// Longest wait for an answer; then the connection counts as dead.
const ANSWER: Duration = Duration::from_secs(5);
/// Messages of other processes that wait to be passed on to listeners here; who misses one reads the journal.
const HEARD: usize = 4_096;

/// How to reach the server, and what to leave there. `Debug` shows no secret.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://` or `rediss://`; where it is given, `host`, `port` and `tls` are not read, and a user name and a
    /// password in it win.
    pub url: Option<String>,
    /// Host name or address, without port.
    pub host: String,
    /// Port; 6379 by custom.
    pub port: u16,
    /// ACL user; unset means `default`.
    pub username: Option<String>,
    /// Password; unset or empty means no AUTH.
    pub password: Option<String>,
    /// Whether to speak TLS.
    pub tls: bool,
    /// Certificates (PEM) to trust beside the system's.
    pub tls_ca_file: Option<PathBuf>,
    /// What may wait here while the server is slow or gone.
    pub queue: QueueLimits,
    /// The list that late readers take; `None` leaves nothing on the server.
    pub replay: Option<Replay>,
    /// Encodes the marker for dropped events.
    pub gap: GapPayload,
    /// Reads events that other processes have published. `None`: nobody can listen here.
    pub read: Option<ReadHead>,
}

/// The list `langgraph:events:{thread_id}`, for readers that come late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// Newest events kept per thread.
    pub events: u32,
    /// How long after the last state change the list stays. At least a second.
    pub keep: Duration,
}

impl Default for Replay {
    fn default() -> Self {
        Self { events: 2_000, keep: Duration::from_secs(3_600) }
    }
}

/// Why a configuration cannot work, whatever the server does.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisConfigError {
    /// The URL cannot be read. Its text is left out: it may hold a password.
    #[error("the Redis URL: expected `redis://` or `rediss://` with a host, found something else ({detail})")]
    Url {
        /// What the parser says.
        detail: String,
    },
    /// The file of certificates cannot be used.
    #[error("the Redis CA file `{path}`: expected PEM certificates, found {found}")]
    CaFile {
        /// Its name.
        path: PathBuf,
        /// The fault.
        found: String,
    },
    /// TLS cannot be set up.
    #[error("TLS for Redis cannot be set up: {detail}")]
    Tls {
        /// The fault.
        detail: String,
    },
}

impl RedisConfig {
    /// A server on `host:port` without password and TLS, with the defaults for everything else.
    pub fn new(host: impl Into<String>, port: u16, gap: GapPayload) -> Self {
        Self {
            url: None,
            host: host.into(),
            port,
            username: None,
            password: None,
            tls: false,
            tls_ca_file: None,
            queue: QueueLimits::default(),
            replay: Some(Replay::default()),
            gap,
            read: None,
        }
    }

    pub(super) fn client(&self) -> Result<Client, RedisConfigError> {
        self.builder()?.build().map_err(|error| RedisConfigError::Url { detail: error.details().to_owned() })
    }

    pub(super) fn subscriber(&self) -> Result<SubscriberClient, RedisConfigError> {
        let mut builder = self.builder()?;
        builder.with_performance_config(|performance| performance.broadcast_channel_capacity = HEARD);
        builder
            .build_subscriber_client()
            .map_err(|error| RedisConfigError::Url { detail: error.details().to_owned() })
    }

    fn builder(&self) -> Result<Builder, RedisConfigError> {
        let mut builder = Builder::from_config(self.server()?);
        builder
            .with_connection_config(|connection| {
                connection.connection_timeout = ANSWER;
                connection.internal_command_timeout = ANSWER;
                // Sent once: what happens to a batch of unknown outcome is decided here, not by the client.
                connection.max_command_attempts = 1;
                connection.tcp.nodelay = Some(true);
                connection.reconnect_on_auth_error = true;
                // Off by default: a peer that vanished without a word would be noticed by nobody.
                connection.unresponsive =
                    UnresponsiveConfig { max_timeout: Some(ANSWER), interval: Duration::from_secs(1) };
            })
            // Default: wait for ever.
            .with_performance_config(|performance| performance.default_command_timeout = ANSWER)
            .set_policy(ReconnectPolicy::new_exponential(0, 100, 5_000, 2));
        Ok(builder)
    }

    fn server(&self) -> Result<Config, RedisConfigError> {
        let (mut config, tls) = match &self.url {
            Some(url) => {
                // TLS is set up below: the client's own would fail on one broken certificate of the system.
                let secret = url.strip_prefix("rediss://").map(|rest| format!("redis://{rest}"));
                let config = Config::from_url_centralized(secret.as_deref().unwrap_or(url))
                    .map_err(|error| RedisConfigError::Url { detail: error.details().to_owned() })?;
                if !url.starts_with("redis://") && secret.is_none() {
                    return Err(RedisConfigError::Url { detail: "another scheme".to_owned() });
                }
                (config, secret.is_some())
            }
            None => {
                let server = ServerConfig::new_centralized(self.host.clone(), self.port);
                (Config { server, ..Config::default() }, self.tls)
            }
        };
        // A server that is not there yet is a server that is gone: try again, do not give up.
        config.fail_fast = false;
        config.username = config.username.or_else(|| self.username.clone()).filter(|name| !name.is_empty());
        config.password = config.password.or_else(|| self.password.clone()).filter(|word| !word.is_empty());
        if tls {
            config.tls = Some(TlsConnector::from(self.tls()?).into());
        }
        Ok(config)
    }

    fn tls(&self) -> Result<ClientConfig, RedisConfigError> {
        let mut roots = RootCertStore::empty();
        // A broken file among the system's must not take the others away.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = &self.tls_ca_file {
            let fault = |found: String| RedisConfigError::CaFile { path: path.clone(), found };
            let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect)
                .map_err(|error| fault(error.to_string()))?;
            if certificates.is_empty() {
                return Err(fault("none".to_owned()));
            }
            for certificate in certificates {
                roots.add(certificate).map_err(|error| fault(error.to_string()))?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| RedisConfigError::Tls { detail: error.to_string() })?;
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

impl std::fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisConfig")
            .field("url", &self.url.as_ref().map(|_| "[REDACTED]"))
            .field("host", &self.host)
            .field("port", &self.port)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "[REDACTED]"))
            .field("tls", &self.tls)
            .field("queue", &self.queue)
            .field("replay", &self.replay)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> RedisConfig {
        RedisConfig::new("cache", 6379, |_, _, _| bytes::Bytes::new())
    }

    #[test]
    fn neither_debug_nor_an_error_shows_a_password() {
        let url = Some("http://user:hunter2@cache:6379".to_owned());
        let config = RedisConfig { url, password: Some("hunter2".to_owned()), ..config() };
        let error = config.client().unwrap_err();
        assert!(!format!("{config:?} {error} {error:?}").contains("hunter2"), "{config:?} {error:?}");
    }

    #[test]
    fn a_ca_file_that_is_none_is_named() {
        let file = Some(PathBuf::from("/does/not/exist.pem"));
        let error = RedisConfig { tls: true, tls_ca_file: file, ..config() }.client().unwrap_err();
        assert!(error.to_string().starts_with("the Redis CA file `/does/not/exist.pem`"), "{error}");
    }

    #[test]
    fn an_empty_password_means_no_auth() {
        let config = RedisConfig { password: Some(String::new()), ..config() };
        assert_eq!(config.server().unwrap().password, None);
    }

    #[test]
    fn a_url_brings_its_own_user_password_and_tls() {
        let url = Some("rediss://anna:word@cache:7000".to_owned());
        let server = RedisConfig { url, password: Some("other".to_owned()), ..config() }.server().unwrap();
        assert_eq!(server.username.as_deref(), Some("anna"));
        assert_eq!(server.password.as_deref(), Some("word"));
        assert!(server.uses_tls());
    }
}
