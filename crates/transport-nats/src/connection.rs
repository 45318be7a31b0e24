//! One connection per process, which comes back by itself.

use std::sync::Arc;
use std::time::Duration;

use agent_telemetry::metric;
use async_nats::jetstream::{self, consumer};
use async_nats::{Client, ConnectOptions, Event};
use bytes::Bytes;
use secrecy::ExposeSecret;
use tracing::{info, warn};

use crate::settings::{Credentials, NatsSettings};

/// Jobs that may be in work over all workers; above the largest sensible fleet.
const MAX_ACK_PENDING: i64 = 20_000;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The credentials cannot be used.
    #[error("NATS credentials cannot be read: {0}")]
    Credentials(#[source] std::io::Error),
    /// The options are refused by the client.
    #[error("NATS at `{url}` cannot be used: {source}")]
    Refused {
        /// Address without credentials.
        url: String,
        /// The client's words.
        source: async_nats::ConnectError,
    },
}

/// A connection with its settings.
#[derive(Debug, Clone)]
pub struct Nats {
    pub(crate) client: Client,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) settings: Arc<NatsSettings>,
}

/// Connects in the background: the server may come later.
///
/// # Errors
/// [`ConnectError`] for what waiting does not mend.
pub async fn connect(settings: NatsSettings) -> Result<Nats, ConnectError> {
    let options = match &settings.credentials {
        Credentials::None => ConnectOptions::new(),
        Credentials::User { user, password } => {
            ConnectOptions::with_user_and_password(user.clone(), password.expose_secret().to_owned())
        }
        Credentials::Token(token) => ConnectOptions::with_token(token.expose_secret().to_owned()),
        Credentials::File(path) => {
            ConnectOptions::with_credentials_file(path).await.map_err(ConnectError::Credentials)?
        }
    };
    let mut options = options
        .name(&settings.client_name)
        .retry_on_initial_connect()
        .ping_interval(Duration::from_secs(10))
        .request_timeout(Some(Duration::from_secs(5)))
        .reconnect_delay_callback(|attempts| {
            Duration::from_millis(100 * u64::try_from(attempts.min(20)).unwrap_or(20))
        })
        .event_callback(|event| async move { log(&event) });
    if let Some(ca_file) = &settings.ca_file {
        options = options.add_root_certificates(ca_file.clone()).require_tls(true);
    }
    let addresses: Vec<String> = settings.url.split(',').map(|url| url.trim().to_owned()).collect();
    let client = options
        .connect(addresses)
        .await
        .map_err(|source| ConnectError::Refused { url: without_credentials(&settings.url), source })?;
    let jetstream = jetstream::new(client.clone());
    Ok(Nats { client, jetstream, settings: Arc::new(settings) })
}

fn log(event: &Event) {
    match event {
        Event::Connected => info!(event = "nats_connected"),
        // Somebody wants it so: this worker stops, or the server is about to be replaced.
        Event::Draining | Event::Closed | Event::LameDuckMode => info!(event = "nats_event", what = %event),
        Event::Disconnected | Event::SlowConsumer(_) | Event::ServerError(_) | Event::ClientError(_) => {
            warn!(event = "nats_event", what = %event);
            metric::NATS_ERRORS.with(&["connection"]).increment(1);
        }
    }
}

pub(crate) fn without_credentials(url: &str) -> String {
    url.split(',').map(|one| one.rsplit('@').next().unwrap_or(one)).collect::<Vec<_>>().join(",")
}

impl Nats {
    /// Really asks the server for the job stream and its consumer, within two seconds.
    pub async fn healthy(&self) -> bool {
        let asked = async {
            let stream = self.jetstream.get_stream(&self.settings.stream).await.ok()?;
            stream.consumer_info(&self.settings.consumer).await.ok()
        };
        matches!(tokio::time::timeout(Duration::from_secs(2), asked).await, Ok(Some(_)))
    }

    /// Publishes a job and waits until a stream has it; its number there.
    ///
    /// # Errors
    /// The client's: no stream holds the subject, it is full, or the server does not answer.
    pub async fn publish_job(
        &self,
        subject: &str,
        body: Bytes,
    ) -> Result<u64, jetstream::context::PublishError> {
        let sent = self.jetstream.publish(subject.to_owned(), body).await?;
        Ok(sent.await?.sequence)
    }

    /// Whether the server can be reached at all.
    pub fn connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Sends what is buffered.
    pub async fn flush(&self) {
        if let Err(error) = self.client.flush().await {
            warn!(event = "nats_flush_failed", %error);
        }
    }

    /// The durable consumer, made if it is missing and brought to what we need if it is not.
    ///
    /// # Errors
    /// What is missing, for the log: asking again later is right.
    pub(crate) async fn consumer(&self) -> Result<consumer::PullConsumer, String> {
        let settings = &self.settings;
        let stream = self
            .jetstream
            .get_stream(&settings.stream)
            .await
            .map_err(|error| format!("stream `{}`: {error}", settings.stream))?;
        let wanted = consumer::pull::Config {
            durable_name: Some(settings.consumer.clone()),
            filter_subject: settings.subject.clone(),
            ack_policy: consumer::AckPolicy::Explicit,
            ack_wait: settings.ack_wait,
            max_deliver: -1,
            max_ack_pending: MAX_ACK_PENDING,
            ..Default::default()
        };
        let name = format!("consumer `{}` of stream `{}`", settings.consumer, settings.stream);
        let Ok(found) = stream.get_consumer::<consumer::pull::Config>(&settings.consumer).await else {
            let made = stream.create_consumer(wanted).await.map_err(|error| format!("{name}: {error}"))?;
            info!(event = "nats_consumer_created", consumer = settings.consumer);
            return Ok(made);
        };
        let config = &found.cached_info().config;
        // A backoff list stands in the place of ack_wait.
        let fits = config.ack_wait == wanted.ack_wait
            && config.max_deliver == -1
            && config.max_ack_pending >= 1000
            && config.backoff.is_empty();
        if fits {
            return Ok(found);
        }
        let changed = consumer::pull::Config {
            durable_name: config.durable_name.clone(),
            filter_subject: config.filter_subject.clone(),
            deliver_policy: config.deliver_policy,
            replay_policy: config.replay_policy,
            description: config.description.clone(),
            ..wanted
        };
        match stream.create_consumer(changed).await {
            Ok(changed) => {
                warn!(event = "nats_consumer_reconciled", consumer = settings.consumer);
                Ok(changed)
            }
            Err(error) => {
                // Not allowed, perhaps: jobs still come, only later after a crash.
                warn!(event = "nats_consumer_differs", consumer = settings.consumer, %error);
                Ok(found)
            }
        }
    }
}
