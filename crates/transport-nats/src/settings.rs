//! How to reach NATS, and the names of what lies there.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// How the client proves who it is.
#[derive(Debug, Clone, Default)]
pub enum Credentials {
    /// Not at all.
    #[default]
    None,
    /// User and password.
    User {
        /// User name.
        user: String,
        /// Password.
        password: SecretString,
    },
    /// A token.
    Token(SecretString),
    /// A `.creds` file with JWT and seed.
    File(PathBuf),
}

/// Settings of the transport.
#[derive(Debug, Clone)]
pub struct NatsSettings {
    /// Server addresses, comma-separated: `nats://host:4222` or `tls://host:4222`. `NATS_URL`.
    pub url: String,
    /// Stream that holds the jobs. `NATS_STREAM_NAME`.
    pub stream: String,
    /// Durable consumer that all workers share. `NATS_CONSUMER_GROUP`.
    pub consumer: String,
    /// Subjects that jobs come on.
    pub subject: String,
    /// Refuse a job whose subject's last token is not its job id. `NATS_SUBJECT_MUST_MATCH`.
    pub subject_must_match: bool,
    /// How the client proves who it is.
    pub credentials: Credentials,
    /// Certificates of the authorities to trust, PEM. `NATS_TLS_CA_FILE`.
    pub ca_file: Option<PathBuf>,
    /// Name under which the server lists this connection.
    pub client_name: String,
    /// How long an unacknowledged job stays away from others. 30 s; a progress ack comes each third of it.
    pub ack_wait: Duration,
    /// How long one pull stays open. 5 s.
    pub pull_expires: Duration,
}

impl NatsSettings {
    /// The defaults of the seed for this server.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            stream: "AGENT_EXECUTION".to_owned(),
            consumer: "agent-executor-workers".to_owned(),
            subject: "agent.execute.*".to_owned(),
            subject_must_match: false,
            credentials: Credentials::None,
            ca_file: None,
            client_name: "agent-executor".to_owned(),
            ack_wait: Duration::from_secs(30),
            pull_expires: Duration::from_secs(5),
        }
    }
}
