//! NATS with JetStream.

use std::ops::Deref;

use anyhow::{Context, ensure};

use crate::process::Launch;
use crate::programs;
use crate::server::{Probe, Server, data_folder};

/// A NATS server with JetStream; faults through [`Server`].
#[derive(Debug)]
pub struct Nats {
    server: Server,
    url: String,
}

impl Nats {
    /// The server of `TEST_NATS_URL`, else one of our own. Streams' subjects are fixed (`agent.execute.*`), so a
    /// test that makes them needs [`Nats::start_own`].
    ///
    /// # Errors
    /// When the named server does not answer, or none can be started.
    pub async fn from_env_or_start() -> anyhow::Result<Self> {
        match std::env::var("TEST_NATS_URL") {
            Ok(url) => {
                let address =
                    url.trim_start_matches("nats://").rsplit('@').next().unwrap_or_default().to_owned();
                let probe = Probe::Nats(address.clone());
                ensure!(probe.answers().await, "TEST_NATS_URL is set, but the server does not answer");
                Ok(Self { server: Server::outside(address, probe), url })
            }
            Err(_) => Self::start_own().await,
        }
    }

    /// A server of this test alone; starts in some ten milliseconds.
    ///
    /// # Errors
    /// When there is neither `nats-server` nor a container engine, or it does not start.
    pub async fn start_own() -> anyhow::Result<Self> {
        Self::start_with(&[]).await
    }

    /// As [`Nats::start_own`], with more arguments, for example `["--user", "a", "--pass", "b"]`.
    ///
    /// # Errors
    /// As [`Nats::start_own`].
    pub async fn start_with(arguments: &[&str]) -> anyhow::Result<Self> {
        if programs::nats_server().is_none() {
            return crate::container::nats(arguments).await;
        }
        Self::start_local(arguments).await
    }

    pub(crate) async fn start_local(arguments: &[&str]) -> anyhow::Result<Self> {
        let program = programs::nats_server().context("no local nats-server")?;
        let folder = data_folder("nats")?;
        let server = Server::local(
            folder,
            |address| Probe::Nats(address.to_owned()),
            |folder, port| {
                let mut args = vec!["-a".into(), "127.0.0.1".into(), "-p".into(), port.to_string().into()];
                args.extend(["-js".into(), "-sd".into(), folder.join("data").into_os_string()]);
                args.extend(arguments.iter().map(Into::into));
                let log = folder.join("log");
                Launch { program: program.clone(), args, account: None, log, death_signal: "KILL" }
            },
        );
        Ok(Self::new(server.await?))
    }

    pub(crate) fn new(server: Server) -> Self {
        Self { url: format!("nats://{}", server.address()), server }
    }

    pub(crate) fn into_server(self) -> Server {
        self.server
    }

    /// `nats://host:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connected client.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn client(&self) -> anyhow::Result<async_nats::Client> {
        Ok(async_nats::connect(&self.url).await?)
    }
}

impl Deref for Nats {
    type Target = Server;
    fn deref(&self) -> &Server {
        &self.server
    }
}
