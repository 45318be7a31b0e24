//! Sends a job, as any other producer would.

use crate::connection::Nats;
use crate::provision::{self, ProvisionError};

/// Why a job was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishJobError {
    /// No server, or no JetStream.
    #[error(transparent)]
    Server(#[from] ProvisionError),
    /// No stream took it, or the stream is full.
    #[error("`{subject}` was not taken: {reason}")]
    NotTaken {
        /// Where to.
        subject: String,
        /// The server's words.
        reason: String,
    },
}

/// Publishes `body` on the jobs' subject with `token` as its last part; the message's number in the stream.
///
/// # Errors
/// [`PublishJobError`]: then the job is in no stream, or nobody knows.
pub async fn publish_job(
    nats: &Nats,
    token: &str,
    body: Vec<u8>,
    patience: std::time::Duration,
) -> Result<u64, PublishJobError> {
    provision::ready(nats, patience).await?;
    let prefix = nats.settings.subject.trim_end_matches('*');
    let subject = format!("{prefix}{token}");
    let refused = |reason: String| PublishJobError::NotTaken { subject: subject.clone(), reason };
    let acked = nats.jetstream.publish(subject.clone(), body.into()).await;
    let acked = acked.map_err(|error| refused(error.to_string()))?.await;
    Ok(acked.map_err(|error| refused(error.to_string()))?.sequence)
}
