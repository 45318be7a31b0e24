//! The HTTP interface.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use secrecy::SecretString;

use super::text_of;
use crate::{
    Problem, env,
    kind::{FromText, choice},
    reader::Reader,
};

choice! {
    /// A server that readiness may depend on.
    Dependency {
        /// PostgreSQL.
        #[default]
        Postgres = "postgres",
        /// NATS.
        Nats = "nats",
        /// Dragonfly.
        Dragonfly = "dragonfly",
    }
}

impl FromText for BTreeSet<Dependency> {
    fn from_text(text: &str, kind: crate::Kind) -> Option<Self> {
        if text.trim() == "none" {
            return Some(Self::new());
        }
        text.split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(|word| Dependency::from_text(word, kind))
            .collect()
    }
}

/// A token and the name of who uses it.
#[derive(Debug, Clone)]
pub struct ApiToken {
    /// For logs.
    pub name: String,
    /// What is sent.
    pub token: SecretString,
}

/// Files of the interface's TLS.
#[derive(Debug, Clone, Default)]
pub struct HttpTls {
    /// Certificate chain.
    pub cert: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// Authorities of clients.
    pub client_ca: Option<PathBuf>,
}

/// The HTTP interface.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Address to listen on.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Port of `/metrics` alone.
    pub metrics_port: Option<u16>,
    /// Tokens from the environment.
    pub tokens: Vec<ApiToken>,
    /// File with further tokens, to be read again when it changes.
    pub tokens_file: Option<PathBuf>,
    /// Refuse to start without tokens.
    pub require_auth: bool,
    /// Largest body.
    pub body_bytes: usize,
    /// Longest wait for a head, and for a body.
    pub read: Duration,
    /// Longest time in which a client takes nothing.
    pub write: Duration,
    /// Largest head.
    pub header_bytes: usize,
    /// Most connections.
    pub connections: usize,
    /// Most connections from one address.
    pub connections_per_peer: usize,
    /// Origins of pages that may open a WebSocket.
    pub allowed_origins: Vec<String>,
    /// Certificate chain, key and clients' authorities.
    pub tls: HttpTls,
    /// What `/ready` needs.
    pub ready_requires: BTreeSet<Dependency>,
}

impl HttpSettings {
    pub(crate) fn read(reader: &mut Reader<'_>, serves: bool) -> Self {
        let settings = Self {
            port: reader.get(&env::PORT),
            host: reader.get(&env::HTTP_HOST),
            metrics_port: reader.find(&env::METRICS_PORT),
            tokens: tokens(reader),
            tokens_file: reader.find(&env::API_TOKENS_FILE),
            require_auth: reader.get(&env::HTTP_REQUIRE_AUTH),
            body_bytes: reader.get(&env::HTTP_BODY_BYTES),
            read: reader.get(&env::HTTP_READ_SECONDS),
            write: reader.get(&env::HTTP_WRITE_SECONDS),
            header_bytes: reader.get(&env::HTTP_HEADER_BYTES),
            connections: reader.get(&env::HTTP_CONNECTIONS),
            connections_per_peer: reader.get(&env::HTTP_CONNECTIONS_PER_PEER),
            allowed_origins: reader.get(&env::HTTP_ALLOWED_ORIGINS),
            tls: HttpTls {
                cert: reader.find(&env::HTTP_TLS_CERT_FILE),
                key: reader.find(&env::HTTP_TLS_KEY_FILE),
                client_ca: reader.find(&env::HTTP_TLS_CLIENT_CA_FILE),
            },
            ready_requires: reader.get(&env::READY_REQUIRES),
        };
        let anything = reader.has(&env::API_TOKENS)
            || settings.tokens_file.is_some()
            || settings.tls.client_ca.is_some();
        if serves && settings.require_auth && !anything {
            reader.missing(
                "a token, which `HTTP_REQUIRE_AUTH` asks for,",
                &[&env::API_TOKENS, &env::API_TOKENS_FILE, &env::HTTP_TLS_CLIENT_CA_FILE],
            );
        }
        settings.check_tls(reader);
        if settings.metrics_port == Some(settings.port) {
            let (first, second) = (env::PORT.name.to_owned(), env::METRICS_PORT.name.to_owned());
            let advice = "to the same port; unset the second to have metrics on the first";
            reader.problems.push(Problem::Conflict { first, second, advice });
        }
        settings
    }
}

impl HttpSettings {
    /// Certificate and key come together, and clients' certificates with them.
    fn check_tls(&self, reader: &mut Reader<'_>) {
        let HttpTls { cert, key, client_ca } = &self.tls;
        let wanted = cert.is_some() || key.is_some() || client_ca.is_some();
        if wanted && cert.is_none() {
            reader.missing("the certificate of the TLS that is asked for", &[&env::HTTP_TLS_CERT_FILE]);
        }
        if wanted && key.is_none() {
            reader.missing("the key of the TLS that is asked for", &[&env::HTTP_TLS_KEY_FILE]);
        }
    }
}

fn tokens(reader: &mut Reader<'_>) -> Vec<ApiToken> {
    let Some(text) = reader.find::<SecretString>(&env::API_TOKENS) else { return Vec::new() };
    let text = text_of(&text);
    let pair = |pair: &str| {
        let (name, token) = pair.trim().split_once('=')?;
        let (name, token) = (name.trim(), token.trim());
        let whole = !name.is_empty() && !token.is_empty();
        whole.then(|| ApiToken { name: name.to_owned(), token: SecretString::from(token.to_owned()) })
    };
    let tokens: Option<Vec<ApiToken>> =
        text.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect();
    tokens.unwrap_or_else(|| {
        reader.invalid(env::API_TOKENS.name, env::API_TOKENS.kind, Err(text.chars().count()));
        Vec::new()
    })
}
