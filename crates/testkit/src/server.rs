//! One server, wherever it runs, and what a fault test may do to it.

use std::net::TcpStream as StdTcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;
use testcontainers::{ContainerAsync, GenericImage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use crate::ports::free_port;
use crate::process::{Launch, Process};

/// A cold PostgreSQL on a busy two-core machine needed 4 s; ten times that is a failure.
const READY_LIMIT: Duration = Duration::from_secs(40);
const ASK_LIMIT: Duration = Duration::from_secs(2);

/// How to find out that a server answers.
#[derive(Debug, Clone)]
pub enum Probe {
    /// Logs in with this DSN and asks `select 1`.
    Postgres(String),
    /// Reads the `INFO` line.
    Nats(String),
    /// Sends `PING`.
    Redis(String),
}

#[derive(Debug)]
enum Home {
    /// Somebody else's; we only use it.
    Outside,
    Local {
        launch: Launch,
        running: Option<Process>,
        _folder: TempDir,
    },
    Container(Box<ContainerAsync<GenericImage>>),
}

/// A server of a test: stopped, killed, frozen and started again on the same port. Ends when dropped.
#[derive(Debug)]
pub struct Server {
    address: String,
    probe: Probe,
    home: Mutex<Home>,
}

impl Server {
    pub(crate) fn outside(address: String, probe: Probe) -> Self {
        Self { address, probe, home: Mutex::new(Home::Outside) }
    }

    /// Starts a local program; `launch` says how for a folder and a port. Another port is tried where one is taken.
    pub(crate) async fn local(
        folder: TempDir,
        probe: impl Fn(&str) -> Probe,
        launch: impl Fn(&Path, u16) -> Launch,
    ) -> anyhow::Result<Self> {
        let mut refused = String::new();
        for _ in 0..5 {
            let port = free_port()?;
            let address = format!("127.0.0.1:{port}");
            let (launch, probe) = (launch(folder.path(), port), probe(&address));
            let mut process = launch.spawn()?;
            match ready(&probe, Some(&mut process)).await {
                Ok(()) => {
                    let home = Home::Local { launch, running: Some(process), _folder: folder };
                    return Ok(Self { address, probe, home: Mutex::new(home) });
                }
                Err(error) => refused = format!("{error:#}; its log ends:\n{}", launch.log_tail()),
            }
        }
        bail!("a local server did not start: {refused}")
    }

    pub(crate) async fn container(
        address: String,
        probe: Probe,
        container: ContainerAsync<GenericImage>,
    ) -> anyhow::Result<Self> {
        ready(&probe, None).await.context("the container started, its server does not answer")?;
        Ok(Self { address, probe, home: Mutex::new(Home::Container(Box::new(container))) })
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends the server at once, unflushed, as a crash would (`kill -9`).
    ///
    /// # Errors
    /// When the server is not ours, or the engine refuses.
    pub async fn kill(&self) -> anyhow::Result<()> {
        match &mut *self.home.lock().await {
            Home::Outside => not_ours("killed"),
            Home::Local { running, .. } => {
                running.take().context("the server is not running")?.kill();
                Ok(())
            }
            Home::Container(container) => Ok(container.stop_with_timeout(Some(0)).await?),
        }
    }

    /// Ends the server politely; returns when it is gone.
    ///
    /// # Errors
    /// As [`Server::kill`].
    pub async fn stop(&self) -> anyhow::Result<()> {
        match &mut *self.home.lock().await {
            Home::Outside => not_ours("stopped"),
            Home::Local { launch, running, .. } => {
                let mut process = running.take().context("the server is not running")?;
                // PostgreSQL: INT ends sessions and shuts down cleanly, TERM would wait for clients.
                let postgres = launch.death_signal == "QUIT";
                process.signal(if postgres { Signal::INT } else { Signal::TERM });
                process.end_within(Duration::from_secs(20));
                Ok(())
            }
            Home::Container(container) => Ok(container.stop_with_timeout(Some(20)).await?),
        }
    }

    /// The server hangs: connections stay open, nothing answers (`SIGSTOP`, or a paused container).
    ///
    /// # Errors
    /// As [`Server::kill`].
    pub async fn freeze(&self) -> anyhow::Result<()> {
        match &mut *self.home.lock().await {
            Home::Outside => not_ours("frozen"),
            Home::Local { running, .. } => {
                running.as_ref().context("the server is not running")?.signal_all(Signal::STOP);
                Ok(())
            }
            Home::Container(container) => Ok(container.pause().await?),
        }
    }

    /// Ends a freeze.
    ///
    /// # Errors
    /// As [`Server::kill`].
    pub async fn thaw(&self) -> anyhow::Result<()> {
        match &mut *self.home.lock().await {
            Home::Outside => not_ours("thawed"),
            Home::Local { running, .. } => {
                running.as_ref().context("the server is not running")?.signal_all(Signal::CONT);
                Ok(())
            }
            Home::Container(container) => Ok(container.unpause().await?),
        }
    }

    /// Starts a killed or stopped server again, same port, same data; returns when it answers.
    ///
    /// # Errors
    /// When the server is not ours, or does not answer within 40 s.
    pub async fn restart(&self) -> anyhow::Result<()> {
        match &mut *self.home.lock().await {
            Home::Outside => not_ours("restarted"),
            Home::Local { launch, running, .. } => {
                drop(running.take());
                let mut process = launch.spawn()?;
                let answer = ready(&self.probe, Some(&mut process)).await;
                answer.with_context(|| format!("the log ends:\n{}", launch.log_tail()))?;
                *running = Some(process);
                Ok(())
            }
            Home::Container(container) => {
                container.start().await?;
                ready(&self.probe, None).await
            }
        }
    }

    /// Removes a container now and waits for it; dropping does the same in the background.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn remove(self) -> anyhow::Result<()> {
        match self.home.into_inner() {
            Home::Outside | Home::Local { .. } => Ok(()),
            Home::Container(container) => Ok(container.rm().await?),
        }
    }
}

fn not_ours(wish: &str) -> anyhow::Result<()> {
    bail!("a server given by the environment cannot be {wish}: use `start_own()` in tests that break servers")
}

async fn ready(probe: &Probe, mut process: Option<&mut Process>) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let answered = probe.answers().await;
        // Asked last: where the port was somebody else's, their server answers and ours has ended.
        if let Some(status) = process.as_mut().and_then(|process| process.exited()) {
            bail!("the server ended at once with {status}");
        }
        if answered {
            return Ok(());
        }
        ensure!(begun.elapsed() < READY_LIMIT, "the server does not answer within {READY_LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Probe {
    /// One question, bounded to two seconds.
    pub async fn answers(&self) -> bool {
        let asked = async {
            match self {
                Self::Postgres(dsn) => {
                    let client = crate::postgres::connect(dsn).await?;
                    client.simple_query("select 1").await?;
                }
                Self::Nats(address) => {
                    let mut head = [0; 5];
                    TcpStream::connect(address).await?.read_exact(&mut head).await?;
                    anyhow::ensure!(&head == b"INFO ", "not a NATS server");
                }
                Self::Redis(address) => {
                    let mut stream = TcpStream::connect(address).await?;
                    stream.write_all(b"PING\r\n").await?;
                    let mut head = [0; 5];
                    stream.read_exact(&mut head).await?;
                    anyhow::ensure!(&head == b"+PONG", "not a Redis server");
                }
            }
            anyhow::Ok(())
        };
        matches!(tokio::time::timeout(ASK_LIMIT, asked).await, Ok(Ok(())))
    }

    /// Whether anything listens there; for callers without a runtime.
    pub fn listens(address: &str) -> bool {
        address
            .parse()
            .is_ok_and(|address| StdTcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok())
    }
}

/// A folder for one server's data. What earlier test processes left behind when they were killed goes first.
pub(crate) fn data_folder(what: &str) -> anyhow::Result<TempDir> {
    const PREFIX: &str = "agent-executor-test-";
    for entry in std::fs::read_dir(std::env::temp_dir())?.flatten() {
        let name = entry.file_name();
        let owner =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|rest| rest.split('-').next());
        let Some(owner) = owner.and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        if Path::new("/proc/self").exists() && !Path::new(&format!("/proc/{owner}")).exists() {
            // Another process may be sweeping the same folder.
            std::fs::remove_dir_all(entry.path()).ok();
        }
    }
    let prefix = format!("{PREFIX}{}-{what}-", std::process::id());
    Ok(tempfile::Builder::new().prefix(&prefix).tempdir()?)
}
