//! Makes the streams and the consumer that workers need, or brings them to what is needed; says what it did.

use std::fmt;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::consumer::{self, AckPolicy, DeliverPolicy};
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{ErrorCode, context::ConsumerInfoErrorKind};

use crate::connection::Nats;
use crate::inspect::{self, Difference};

/// Subjects of results.
const RESULTS: &str = "agent.status.*";
/// A result that is published again within this time is dropped by the server.
const RESULT_DUPLICATES: Duration = Duration::from_secs(3600);
const JOB_DUPLICATES: Duration = Duration::from_secs(120);

/// What there must be.
#[derive(Debug, Clone)]
pub struct Streams {
    /// Name of the stream of results.
    pub status_stream: String,
    /// Age at which messages leave both streams.
    pub max_age: Duration,
    /// Size of each stream in bytes.
    pub max_bytes: i64,
    /// Copies in a cluster.
    pub replicas: usize,
    /// Jobs that may be in work over all workers, see [`max_ack_pending`].
    pub max_ack_pending: i64,
}

/// Messages that the consumer lets out at once: twice what all workers can run, so that a hand-over never waits, and
/// never less than the server's own default. Too few freeze delivery while the lag stays high.
pub fn max_ack_pending(concurrency: usize, workers: u64) -> i64 {
    let jobs = u64::try_from(concurrency).unwrap_or(u64::MAX).saturating_mul(workers).saturating_mul(2);
    i64::try_from(jobs).unwrap_or(i64::MAX).max(1000)
}

/// What was done about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It was missing.
    Created {
        /// Which.
        what: String,
    },
    /// It was there, and differed.
    Changed {
        /// Which.
        what: String,
        /// In what.
        differences: Vec<Difference>,
    },
    /// It was there, as wanted.
    Kept {
        /// Which.
        what: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created { what } => write!(f, "{what}: created"),
            Self::Kept { what } => write!(f, "{what}: as wanted"),
            Self::Changed { what, differences } => {
                let told: Vec<String> = differences.iter().map(ToString::to_string).collect();
                write!(f, "{what}: changed ({})", told.join("; "))
            }
        }
    }
}

/// Why it could not be done. Each has a stable code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProvisionError {
    /// No server within the time given.
    #[error("NATS at `{url}` was not reached within {} s", waited.as_secs())]
    NotReached {
        /// Address without credentials.
        url: String,
        /// How long.
        waited: Duration,
    },
    /// The server, or this account of it, has no JetStream.
    #[error("JetStream cannot be used: {reason}")]
    NoJetStream {
        /// The server's words.
        reason: String,
    },
    /// Something is there that cannot become what is needed.
    #[error(
        "{what} cannot be changed in place: {}; remove or rename it, or choose another name",
        told(differences)
    )]
    CannotChange {
        /// Which.
        what: String,
        /// In what it differs.
        differences: Vec<Difference>,
    },
    /// The server refused.
    #[error("{what}: {reason}")]
    Refused {
        /// Which.
        what: String,
        /// The server's words.
        reason: String,
    },
}

impl ProvisionError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotReached { .. } => "nats.not_reached",
            Self::NoJetStream { .. } => "nats.no_jetstream",
            Self::CannotChange { .. } => "nats.cannot_change",
            Self::Refused { .. } => "nats.refused",
        }
    }
}

fn told(differences: &[Difference]) -> String {
    differences.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Both streams and the consumer. Running it again changes nothing.
///
/// # Errors
/// [`ProvisionError`]: then nothing that comes after it was done.
pub async fn provision(
    nats: &Nats,
    wanted: &Streams,
    patience: Duration,
) -> Result<Vec<Change>, ProvisionError> {
    ready(nats, patience).await?;
    Ok(vec![
        stream(nats, jobs(nats, wanted)).await?,
        stream(nats, results(wanted)).await?,
        consumer(nats, wanted).await?,
    ])
}

/// Waits for the connection, which comes up in the background, and asks for JetStream.
pub(crate) async fn ready(nats: &Nats, patience: Duration) -> Result<(), ProvisionError> {
    let connected = async {
        while nats.client.connection_state() != State::Connected {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(patience, connected).await.map_err(|_| ProvisionError::NotReached {
        url: crate::connection::without_credentials(&nats.settings.url),
        waited: patience,
    })?;
    let account = nats.jetstream.query_account().await;
    account.map(drop).map_err(|error| ProvisionError::NoJetStream { reason: error.to_string() })
}

pub(crate) fn jobs(nats: &Nats, wanted: &Streams) -> stream::Config {
    stream::Config {
        name: nats.settings.stream.clone(),
        subjects: vec![nats.settings.subject.clone()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        // A full stream refuses the newest job loudly; the other way it would lose the oldest silently.
        discard: DiscardPolicy::New,
        max_age: wanted.max_age,
        max_bytes: wanted.max_bytes,
        num_replicas: wanted.replicas,
        duplicate_window: JOB_DUPLICATES.min(wanted.max_age),
        ..Default::default()
    }
}

pub(crate) fn results(wanted: &Streams) -> stream::Config {
    stream::Config {
        name: wanted.status_stream.clone(),
        subjects: vec![RESULTS.to_owned()],
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        // Results stand in PostgreSQL; here the newest count.
        discard: DiscardPolicy::Old,
        max_age: wanted.max_age,
        max_bytes: wanted.max_bytes,
        num_replicas: wanted.replicas,
        duplicate_window: RESULT_DUPLICATES.min(wanted.max_age),
        ..Default::default()
    }
}

async fn stream(nats: &Nats, wanted: stream::Config) -> Result<Change, ProvisionError> {
    let what = format!("stream {}", wanted.name);
    let refused = |reason: String| ProvisionError::Refused { what: what.clone(), reason };
    let found = match nats.jetstream.get_stream(&wanted.name).await {
        Ok(found) => found.cached_info().config.clone(),
        Err(error) if is_missing(&error.kind()) => {
            nats.jetstream.create_stream(wanted).await.map_err(|error| refused(error.to_string()))?;
            return Ok(Change::Created { what });
        }
        Err(error) => return Err(refused(error.to_string())),
    };
    let (fixed, differences) = inspect::stream(&found, &wanted);
    if !fixed.is_empty() {
        return Err(ProvisionError::CannotChange { what, differences: fixed });
    }
    if differences.is_empty() {
        return Ok(Change::Kept { what });
    }
    // What we have no opinion about stays.
    let changed = stream::Config {
        subjects: wanted.subjects,
        discard: wanted.discard,
        max_age: wanted.max_age,
        max_bytes: wanted.max_bytes,
        num_replicas: wanted.num_replicas,
        duplicate_window: wanted.duplicate_window,
        ..found
    };
    nats.jetstream.update_stream(changed).await.map_err(|error| refused(error.to_string()))?;
    Ok(Change::Changed { what, differences })
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

fn is_absent(kind: &ConsumerInfoErrorKind) -> bool {
    let answer = matches!(kind, ConsumerInfoErrorKind::JetStream(error) if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND);
    answer || matches!(kind, ConsumerInfoErrorKind::NotFound)
}

async fn consumer(nats: &Nats, streams: &Streams) -> Result<Change, ProvisionError> {
    let settings = &nats.settings;
    let what = format!("consumer {} of {}", settings.consumer, settings.stream);
    let refused = |reason: String| ProvisionError::Refused { what: what.clone(), reason };
    let wanted = consumer::pull::Config {
        durable_name: Some(settings.consumer.clone()),
        filter_subject: settings.subject.clone(),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: settings.ack_wait,
        max_deliver: -1,
        max_ack_pending: streams.max_ack_pending,
        ..Default::default()
    };
    let stream = nats.jetstream.get_stream(&settings.stream).await;
    let stream = stream.map_err(|error| refused(error.to_string()))?;
    let found = match stream.consumer_info(&settings.consumer).await {
        Ok(found) => found.config,
        Err(error) if is_absent(&error.kind()) => {
            stream.create_consumer(wanted).await.map_err(|error| refused(error.to_string()))?;
            return Ok(Change::Created { what });
        }
        Err(error) => return Err(refused(error.to_string())),
    };
    let (fixed, differences) =
        inspect::consumer(&found, &settings.subject, settings.ack_wait, streams.max_ack_pending);
    if !fixed.is_empty() {
        return Err(ProvisionError::CannotChange { what, differences: fixed });
    }
    if differences.is_empty() {
        return Ok(Change::Kept { what });
    }
    let changed = consumer::pull::Config {
        deliver_policy: found.deliver_policy,
        replay_policy: found.replay_policy,
        description: found.description,
        ..wanted
    };
    stream.create_consumer(changed).await.map_err(|error| refused(error.to_string()))?;
    Ok(Change::Changed { what, differences })
}
