//! One thread's events for somebody outside of a worker: the list that was kept, then what comes.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use fred::{
    clients::SubscriberClient,
    error::Error,
    interfaces::{ClientLike, EventInterface, ListInterface, PubsubInterface},
    prelude::Builder,
    types::Message,
};
use tokio::{sync::broadcast, task::AbortHandle};

use super::{RedisConfig, channel_of, list_of};
use crate::RedisConfigError;

/// Why nothing can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TailError {
    /// The settings cannot work.
    #[error(transparent)]
    Config(#[from] RedisConfigError),
    /// The server did not answer, or refused.
    #[error("the cache: {0}")]
    Server(String),
}

/// An event, and whether it was kept from before or comes now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its JSON.
    pub payload: Bytes,
    /// It was in the list already, and more of the list follows.
    pub past: bool,
}

/// Reads one thread.
pub struct RedisTail {
    _subscriber: SubscriberClient,
    messages: broadcast::Receiver<Message>,
    kept: VecDeque<Bytes>,
    /// What was kept comes a second time where it arrived between the subscription and the look at the list.
    seen: BTreeSet<Bytes>,
    tasks: [AbortHandle; 2],
}

impl Drop for RedisTail {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl RedisTail {
    /// Subscribes, then reads the list, so that nothing falls between.
    ///
    /// # Errors
    /// [`TailError`] where the server does not answer within `patience`.
    pub async fn open(config: &RedisConfig, thread: &str, patience: Duration) -> Result<Self, TailError> {
        // A reader is told at once what a worker would wait for.
        let mut config = config.client()?.client_config();
        config.fail_fast = true;
        let builder = Builder::from_config(config);
        let unusable = |error: Error| TailError::Server(error.details().to_owned());
        let client = builder.build().map_err(unusable)?;
        let subscriber = builder.build_subscriber_client().map_err(unusable)?;
        let messages = subscriber.message_rx();
        let opened = async {
            let tasks = [client.init().await?.abort_handle(), subscriber.init().await?.abort_handle()];
            subscriber.subscribe(channel_of(thread)).await?;
            Ok::<_, Error>((tasks, client.lrange::<Vec<Bytes>, _>(list_of(thread), 0, -1).await?))
        };
        let (tasks, kept) = match tokio::time::timeout(patience, opened).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return Err(TailError::Server(error.details().to_owned())),
            Err(_) => return Err(TailError::Server(format!("no answer within {} s", patience.as_secs()))),
        };
        Ok(Self {
            _subscriber: subscriber,
            messages,
            seen: kept.iter().cloned().collect(),
            kept: kept.into(),
            tasks,
        })
    }

    /// The next event; `None` when the connection is gone for good.
    pub async fn next(&mut self) -> Option<Told> {
        if let Some(payload) = self.kept.pop_front() {
            return Some(Told { payload, past: !self.kept.is_empty() });
        }
        loop {
            match self.messages.recv().await {
                Ok(message) => {
                    let Ok(payload) = message.value.convert::<Bytes>() else { continue };
                    if !self.seen.remove(&payload) {
                        return Some(Told { payload, past: false });
                    }
                }
                // This reader was slow; what it missed shows as a gap in the numbers.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
