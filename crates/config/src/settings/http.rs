//! The HTTP interface.

use std::{collections::BTreeSet, path::PathBuf};

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
            ready_requires: reader.get(&env::READY_REQUIRES),
        };
        if serves && settings.require_auth && !reader.has(&env::API_TOKENS) && settings.tokens_file.is_none()
        {
            reader.missing(
                "a token, which `HTTP_REQUIRE_AUTH` asks for,",
                &[&env::API_TOKENS, &env::API_TOKENS_FILE],
            );
        }
        if settings.metrics_port == Some(settings.port) {
            let (first, second) = (env::PORT.name.to_owned(), env::METRICS_PORT.name.to_owned());
            let advice = "to the same port; unset the second to have metrics on the first";
            reader.problems.push(Problem::Conflict { first, second, advice });
        }
        settings
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
