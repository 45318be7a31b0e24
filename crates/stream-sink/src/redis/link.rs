//! One connection, and a batch turned into commands on it.

use std::time::Duration;

use bytes::Bytes;
use fred::{
    bytes_utils::Str,
    clients::{Client, Pipeline, WithOptions},
    error::{Error, ErrorKind},
    interfaces::{ClientLike, EventInterface, KeysInterface, ListInterface, PubsubInterface},
    types::{Value, config::Options},
};
use tokio::{sync::broadcast, task::AbortHandle};

use super::config::{RedisConfig, Replay};
use crate::{
    EventKind, GapPayload,
    metric::Counters,
    queue::{Burst, Entry},
};

/// Longest wait for the answer to a health check.
const PING: Duration = Duration::from_secs(1);
/// Events that a reader takes from the list: more than a run leaves without a commit.
const NEWEST: i64 = 600;

/// The channel of a thread.
pub fn channel_of(thread: &str) -> String {
    format!("langgraph:stream:{thread}")
}

/// The list of a thread's newest events.
pub fn list_of(thread: &str) -> String {
    format!("langgraph:events:{thread}")
}

#[derive(Clone)]
pub(super) struct Link {
    client: Client,
    /// Fails at once where there is no connection: what waits, waits in the bounded queue.
    sender: WithOptions<Client>,
    replay: Option<Replay>,
    gap: GapPayload,
}

/// What became of a batch that reached the server.
#[derive(Default)]
pub(super) struct Sent {
    /// Events that the server refused, and its last refusal.
    pub(super) refused: Vec<Burst>,
    pub(super) error: Option<Error>,
}

/// What a reply belongs to.
enum Command {
    Publish { burst: usize, entry: usize },
    Push { burst: usize, count: i64, kept: bool },
    Expire,
}

impl Link {
    pub(super) fn new(client: Client, config: &RedisConfig) -> Self {
        let options = Options { fail_fast: true, max_attempts: Some(1), ..Options::default() };
        let sender = client.with_options(&options);
        Self { client, sender, replay: config.replay, gap: config.gap }
    }

    pub(super) fn connect(&self) -> AbortHandle {
        self.client.connect().abort_handle()
    }

    /// Failures to connect, for the log.
    pub(super) fn errors(&self) -> broadcast::Receiver<(Error, Option<fred::types::config::Server>)> {
        self.client.error_rx()
    }

    /// Waits for a connection, at most `limit` long.
    pub(super) async fn connected(&self, limit: Duration) -> bool {
        // A connection made between its look at the state and its subscription would be missed: look again.
        let waited = tokio::time::timeout(limit, self.client.wait_for_connect()).await;
        matches!(waited, Ok(Ok(()))) || self.client.is_connected()
    }

    pub(super) async fn ping(&self) -> bool {
        let options =
            Options { fail_fast: true, max_attempts: Some(1), timeout: Some(PING), ..Options::default() };
        // The timeout again: the client's does not cover a command that waits for its connection.
        let answer = tokio::time::timeout(PING, self.client.with_options(&options).ping::<Value>(None)).await;
        matches!(answer, Ok(Ok(_)))
    }

    /// Deletes the list of a thread.
    pub(super) async fn forget(&self, thread: &str) -> Result<(), Error> {
        self.sender.del::<Value, _>(list_of(thread)).await.map(drop)
    }

    /// The newest payloads of a thread's list, oldest first; none where the server does not answer within a second.
    pub(super) async fn newest(&self, thread: &str) -> Vec<Bytes> {
        let asked = self.sender.lrange::<Vec<Bytes>, _>(list_of(thread), -NEWEST, -1);
        match tokio::time::timeout(PING, asked).await {
            Ok(Ok(payloads)) => payloads,
            Ok(Err(error)) => {
                tracing::debug!(event = "cached_events_unread", thread_id = thread, %error);
                Vec::new()
            }
            Err(_) => {
                tracing::debug!(
                    event = "cached_events_unread",
                    thread_id = thread,
                    error = "no answer in time"
                );
                Vec::new()
            }
        }
    }

    /// Sends a batch in one pipeline. An error means that nothing is known about any of it.
    pub(super) async fn send(&self, batch: &[Burst], counters: &Counters) -> Result<Sent, Error> {
        let pipeline = Pipeline::from(self.sender.clone());
        let mut commands = Vec::with_capacity(batch.len() * 4);
        for (at, burst) in batch.iter().enumerate() {
            self.add(&pipeline, &mut commands, at, burst).await?;
        }
        let mut replies = pipeline.try_all::<Value>().await;
        if replies.len() != commands.len() {
            let unknown = Error::new(ErrorKind::Protocol, "as many replies as commands were expected");
            return Err(replies.pop().and_then(Result::err).unwrap_or(unknown));
        }
        let mut sent = Sent::default();
        let tidy = Pipeline::from(self.sender.clone());
        let mut untidy = false;
        for (command, reply) in commands.into_iter().zip(replies) {
            match (command, reply) {
                (Command::Publish { burst, entry }, Ok(_)) => {
                    if let Some(entry) = batch.get(burst).and_then(|burst| burst.entries.get(entry)) {
                        counters.published(kind(entry));
                    }
                }
                (Command::Push { burst, count, kept }, Ok(length)) => {
                    let (Some(replay), Some(burst), Ok(length)) =
                        (self.replay, batch.get(burst), length.convert::<i64>())
                    else {
                        continue;
                    };
                    let list = list_of(&burst.thread);
                    if length > i64::from(replay.events) {
                        untidy = true;
                        let _: Value = tidy.ltrim(list.as_str(), -i64::from(replay.events), -1).await?;
                    }
                    if length == count && !kept {
                        untidy = true;
                        let _: Value = tidy.expire(list.as_str(), seconds(replay), None).await?;
                    }
                }
                (Command::Expire, Ok(_)) => {}
                (Command::Publish { burst, entry }, Err(error)) => {
                    lost_on_the_way(&error)?;
                    sent.refuse(batch, burst, entry);
                    sent.error = Some(error);
                }
                (Command::Push { .. } | Command::Expire, Err(error)) => {
                    lost_on_the_way(&error)?;
                    sent.error = Some(error);
                }
            }
        }
        if untidy && let Some(error) = tidy.try_all::<Value>().await.into_iter().find_map(Result::err) {
            sent.error = Some(error); // the events are out; only a list is longer or stays longer than it should
        }
        Ok(sent)
    }

    async fn add(
        &self,
        pipeline: &Pipeline<WithOptions<Client>>,
        commands: &mut Vec<Command>,
        at: usize,
        burst: &Burst,
    ) -> Result<(), Error> {
        let channel = Str::from(channel_of(&burst.thread));
        let payloads: Vec<Bytes> = burst.entries.iter().map(|entry| self.payload(burst, entry)).collect();
        for (entry, payload) in payloads.iter().enumerate() {
            let _: Value = pipeline.publish(channel.clone(), payload.clone()).await?;
            commands.push(Command::Publish { burst: at, entry });
        }
        let Some(replay) = self.replay else { return Ok(()) };
        // Pieces of text do not keep the list alive: between them there is always a state change, and the command
        // is saved where most events are.
        let kept = burst.entries.iter().any(|entry| kind(entry) != EventKind::LlmStream);
        let list = list_of(&burst.thread);
        let count = i64::try_from(payloads.len()).unwrap_or(i64::MAX);
        let _: Value = pipeline.rpush(list.as_str(), payloads).await?;
        commands.push(Command::Push { burst: at, count, kept });
        if kept {
            let _: Value = pipeline.expire(list.as_str(), seconds(replay), None).await?;
            commands.push(Command::Expire);
        }
        Ok(())
    }

    fn payload(&self, burst: &Burst, entry: &Entry) -> Bytes {
        match entry {
            Entry::Event(event) => event.payload.clone(),
            Entry::Gap { from, to } => (self.gap)(&burst.thread, *from, *to),
        }
    }
}

impl Sent {
    fn refuse(&mut self, batch: &[Burst], burst: usize, entry: usize) {
        let Some(burst) = batch.get(burst) else { return };
        // A marker that is refused is not marked again, or a server that refuses would be asked for ever.
        if let Some(entry @ Entry::Event(_)) = burst.entries.get(entry) {
            let entries = vec![entry.clone()];
            self.refused.push(Burst { thread: burst.thread.clone(), entries });
        }
    }
}

fn seconds(replay: Replay) -> i64 {
    i64::try_from(replay.keep.as_secs().max(1)).unwrap_or(i64::MAX)
}

fn kind(entry: &Entry) -> EventKind {
    match entry {
        Entry::Event(event) => event.kind,
        Entry::Gap { .. } => EventKind::Gap,
    }
}

/// An error of the connection says nothing about whether the command was done; one of the server does.
fn lost_on_the_way(error: &Error) -> Result<(), Error> {
    let of_the_connection = matches!(
        error.kind(),
        ErrorKind::IO | ErrorKind::Timeout | ErrorKind::Canceled | ErrorKind::Backpressure
    );
    if of_the_connection { Err(error.clone()) } else { Ok(()) }
}
