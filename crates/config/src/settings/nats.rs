//! How to reach NATS, and the names of what lies there.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;

use crate::{Address, Problem, env, reader::Reader};

/// How to reach NATS.
#[derive(Debug, Clone)]
pub struct NatsSettings {
    /// Addresses, comma-separated.
    pub url: Address,
    /// Stream that holds the jobs.
    pub stream: String,
    /// Durable consumer.
    pub consumer: String,
    /// File with JWT and seed. At most one of file, user and token is set.
    pub creds_file: Option<PathBuf>,
    /// User.
    pub user: Option<String>,
    /// Password of the user.
    pub password: Option<SecretString>,
    /// Token.
    pub token: Option<SecretString>,
    /// Authorities to trust.
    pub tls_ca_file: Option<PathBuf>,
    /// How long a message stays away from other workers without a sign of life.
    pub ack_wait: Duration,
    /// Refuse a job whose subject token differs from its job_id.
    pub subject_must_match: bool,
    /// Stream that holds the results.
    pub status_stream: String,
    /// Age at which messages leave the streams.
    pub max_age: Duration,
    /// Size of each stream, in bytes.
    pub max_bytes: u64,
    /// Copies of each stream.
    pub replicas: usize,
    /// Most workers that run at once.
    pub max_workers: u64,
}

impl NatsSettings {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        let settings = Self {
            url: reader.get(&env::NATS_URL),
            stream: reader.get(&env::NATS_STREAM_NAME),
            consumer: reader.get(&env::NATS_CONSUMER_GROUP),
            creds_file: reader.find(&env::NATS_CREDS_FILE),
            user: reader.find(&env::NATS_USER),
            password: reader.find(&env::NATS_PASSWORD),
            token: reader.find(&env::NATS_TOKEN),
            tls_ca_file: reader.find(&env::NATS_TLS_CA_FILE),
            ack_wait: reader.get(&env::NATS_ACK_WAIT_SECONDS),
            subject_must_match: reader.get(&env::NATS_SUBJECT_MUST_MATCH),
            status_stream: reader.get(&env::NATS_STATUS_STREAM_NAME),
            max_age: Duration::from_secs(3600 * reader.get::<u64>(&env::NATS_STREAM_MAX_AGE_HOURS)),
            max_bytes: reader.get(&env::NATS_STREAM_MAX_BYTES),
            replicas: reader.get(&env::NATS_STREAM_REPLICAS),
            max_workers: reader.get(&env::NATS_MAX_WORKERS),
        };
        let ways = [
            (settings.creds_file.is_some(), env::NATS_CREDS_FILE.name),
            (settings.user.is_some(), env::NATS_USER.name),
            (settings.token.is_some(), env::NATS_TOKEN.name),
        ];
        let mut set = ways.iter().filter(|(set, _)| *set).map(|(_, name)| (*name).to_owned());
        if let (Some(first), Some(second)) = (set.next(), set.next()) {
            let advice = "a connection has one kind of credentials; keep one of them";
            reader.problems.push(Problem::Conflict { first, second, advice });
        }
        if settings.user.is_some() && settings.password.is_none() && !reader.has(&env::NATS_PASSWORD) {
            reader.missing("the password of `NATS_USER`", &[&env::NATS_PASSWORD]);
        }
        settings
    }
}
