//! A server that speaks the Redis protocol, and the little of that protocol that tests need.

use std::ops::Deref;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::process::Launch;
use crate::programs;
use crate::server::{Probe, Server, data_folder};

/// Dragonfly, Valkey or Redis; faults through [`Server`].
#[derive(Debug)]
pub struct Redis {
    server: Server,
    url: String,
}

impl Redis {
    /// The server of `TEST_REDIS_URL`, else one of our own.
    ///
    /// # Errors
    /// When the named server does not answer, or none can be started.
    pub async fn from_env_or_start() -> anyhow::Result<Self> {
        match std::env::var("TEST_REDIS_URL") {
            Ok(url) => {
                let rest = url.trim_start_matches("redis://");
                let address =
                    rest.split('/').next().unwrap_or_default().rsplit('@').next().unwrap_or_default();
                let probe = Probe::Redis(address.to_owned());
                ensure!(probe.answers().await, "TEST_REDIS_URL is set, but the server does not answer");
                Ok(Self { server: Server::outside(address.to_owned(), probe), url })
            }
            Err(_) => Self::start_own().await,
        }
    }

    /// A server of this test alone; keeps nothing on disk.
    ///
    /// # Errors
    /// When there is neither a local server nor a container engine, or it does not start.
    pub async fn start_own() -> anyhow::Result<Self> {
        if programs::redis_server().is_none() {
            return crate::container::redis().await;
        }
        Self::start_local().await
    }

    pub(crate) async fn start_local() -> anyhow::Result<Self> {
        let program = programs::redis_server().context("no local Redis-protocol server")?;
        let dragonfly = program.ends_with("dragonfly");
        let server = Server::local(
            data_folder("redis")?,
            |address| Probe::Redis(address.to_owned()),
            |folder, port| {
                let port = port.to_string();
                let data = folder.as_os_str().to_owned();
                let mut args = vec!["--port".into(), port.into(), "--bind".into(), "127.0.0.1".into()];
                args.extend(["--dir".into(), data]);
                if dragonfly {
                    args.extend(
                        ["--dbfilename=", "--proactor_threads=2", "--maxmemory=512mb"].map(Into::into),
                    );
                } else {
                    args.extend(["--save", "", "--appendonly", "no"].map(Into::into));
                }
                let log = folder.join("log");
                Launch { program: program.clone(), args, account: None, log, death_signal: "KILL" }
            },
        );
        Ok(Self::new(server.await?))
    }

    pub(crate) fn new(server: Server) -> Self {
        Self { url: format!("redis://{}", server.address()), server }
    }

    pub(crate) fn into_server(self) -> Server {
        self.server
    }

    /// `redis://host:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Follows a channel; messages published after this returns are seen.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn subscribe(&self, channel: &str) -> anyhow::Result<Subscription> {
        Subscription::open(self.address(), channel).await
    }
}

impl Deref for Redis {
    type Target = Server;
    fn deref(&self) -> &Server {
        &self.server
    }
}

/// A pub/sub subscription over a connection of its own. A channel with `*` is a pattern.
#[derive(Debug)]
pub struct Subscription {
    stream: BufReader<TcpStream>,
}

impl Subscription {
    /// Subscribes on the server at `address` (`host:port`, no password); returns when the server confirmed it.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub async fn open(address: &str, channel: &str) -> anyhow::Result<Self> {
        let mut stream =
            BufReader::new(TcpStream::connect(address).await.context("connect to the Redis server")?);
        let command = if channel.contains('*') { "PSUBSCRIBE" } else { "SUBSCRIBE" };
        let request = format!("*2\r\n${}\r\n{command}\r\n${}\r\n{channel}\r\n", command.len(), channel.len());
        stream.write_all(request.as_bytes()).await?;
        let mut subscription = Self { stream };
        subscription.reply().await?;
        Ok(subscription)
    }

    /// The next message: its channel and payload; `None` when none comes within `limit`.
    ///
    /// # Errors
    /// When the connection breaks.
    ///
    /// # Cancel safety
    /// Not cancel safe: a dropped call may leave half a message read.
    pub async fn next(&mut self, limit: Duration) -> anyhow::Result<Option<(String, Vec<u8>)>> {
        let Ok(reply) = tokio::time::timeout(limit, self.reply()).await else { return Ok(None) };
        let mut parts = reply?;
        let payload = parts.pop().context("an empty push")?;
        let channel = parts.pop().context("a push without channel")?;
        Ok(Some((String::from_utf8_lossy(&channel).into_owned(), payload)))
    }

    /// One array reply; numbers are given as their digits.
    async fn reply(&mut self) -> anyhow::Result<Vec<Vec<u8>>> {
        let head = self.line().await?;
        let Some(count) = head.strip_prefix('*') else { bail!("expected an array, found `{head}`") };
        let mut parts = Vec::new();
        for _ in 0..count.parse::<usize>()? {
            let head = self.line().await?;
            match head.strip_prefix('$') {
                Some(length) => {
                    let mut part = vec![0; length.parse::<usize>()? + 2];
                    self.stream.read_exact(&mut part).await?;
                    part.truncate(part.len() - 2);
                    parts.push(part);
                }
                None => parts.push(head.trim_start_matches(':').as_bytes().to_vec()),
            }
        }
        Ok(parts)
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        ensure!(self.stream.read_line(&mut line).await? > 0, "the Redis server closed the connection");
        Ok(line.trim_end().to_owned())
    }
}
