//! A TCP proxy in front of a server that breaks connections in the ways networks do.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ports::free_port;

/// What the proxy does to connections, old and new, from the moment it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: bytes pass.
    Pass,
    /// Nobody listens: new connections are refused, open ones are reset.
    Refuse,
    /// Connections open and stay open; no byte passes in either direction.
    Blackhole,
    /// Open connections are reset, new ones right after they were accepted.
    Reset,
    /// Every piece waits so long in each direction.
    Delay(Duration),
    /// A connection is closed once so many bytes of answers have passed on it since this was set.
    CutAfter(u64),
    /// Requests reach the server, answers do not come back: the outcome is unknown to the client.
    HalfOpen,
}

/// A proxy on 127.0.0.1; ends when dropped, and its connections with it.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    accepted: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl FaultProxy {
    /// Listens on a free port and forwards to `backend` (`host:port`).
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(backend: &str) -> anyhow::Result<Self> {
        let listener = bind_any().await?;
        let address = listener.local_addr()?;
        let (fault, seen) = watch::channel(Fault::Pass);
        let accepted = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(accept(listener, address, backend.to_owned(), seen, Arc::clone(&accepted)));
        Ok(Self { address, fault, accepted, task })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `url` with its host and port replaced by the proxy's.
    ///
    /// # Errors
    /// When `url` is none.
    pub fn in_front_of(&self, url: &str) -> anyhow::Result<String> {
        let mut url = url::Url::parse(url)?;
        url.set_host(Some("127.0.0.1"))?;
        url.set_port(Some(self.address.port()))
            .map_err(|()| anyhow::anyhow!("`{url}` cannot have a port"))?;
        Ok(url.into())
    }

    /// Changes what happens, at once, on open connections too.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// How many connections were accepted so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn bind_any() -> anyhow::Result<TcpListener> {
    let mut last = None;
    for _ in 0..20 {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, free_port()?)).await {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(error),
        }
    }
    anyhow::bail!("no port for a proxy: {last:?}")
}

/// Owns all connections: they end with this task.
async fn accept(
    listener: TcpListener,
    address: SocketAddr,
    backend: String,
    mut fault: watch::Receiver<Fault>,
    accepted: Arc<AtomicU64>,
) {
    let mut connections = JoinSet::new();
    let mut listener = Some(listener);
    loop {
        if *fault.borrow_and_update() == Fault::Refuse {
            listener = None;
        } else if listener.is_none() {
            // The port lies below the ephemeral range; only a lingering socket can hold it, and not for long.
            listener = TcpListener::bind(address).await.ok();
        }
        tokio::select! {
            changed = fault.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(Duration::from_millis(20)), if listener.is_none() => {}
            Some(_) = connections.join_next() => {}
            Some(Ok((client, _))) = next_client(listener.as_ref()) => {
                accepted.fetch_add(1, Ordering::Relaxed);
                connections.spawn(serve(client, backend.clone(), fault.clone()));
            }
        }
    }
}

async fn next_client(listener: Option<&TcpListener>) -> Option<std::io::Result<(TcpStream, SocketAddr)>> {
    match listener {
        Some(listener) => Some(listener.accept().await),
        None => std::future::pending().await,
    }
}

async fn serve(client: TcpStream, backend: String, mut fault: watch::Receiver<Fault>) {
    if matches!(*fault.borrow(), Fault::Reset | Fault::Refuse) {
        return reset(&client);
    }
    // In a black hole the backend is not even asked; a passing fault lets the connection live on.
    if fault.wait_for(|fault| *fault != Fault::Blackhole).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(&backend).await else { return reset(&client) };
    client.set_nodelay(true).ok();
    server.set_nodelay(true).ok();
    let (mut client, mut server) = (client, server);
    let orderly = {
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        tokio::select! {
            () = broken(fault.clone()) => false,
            _ = async {
                tokio::try_join!(
                    copy(&mut from_client, &mut to_server, fault.clone(), Direction::Request),
                    copy(&mut from_server, &mut to_client, fault.clone(), Direction::Answer),
                )
            } => true,
        }
    };
    if !orderly {
        reset(&client);
        reset(&server);
    }
}

/// Ends when open connections are to be reset.
async fn broken(mut fault: watch::Receiver<Fault>) {
    // The sender's end is the proxy's end, which resets as well.
    fault.wait_for(|fault| matches!(fault, Fault::Reset | Fault::Refuse)).await.ok();
}

/// With zero linger the close that follows is a reset.
fn reset(stream: &TcpStream) {
    stream.set_zero_linger().ok();
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Answer,
}

/// The whole connection is to be closed.
struct Cut;

/// Copies until either side ends, then closes the writing side; the other direction may go on.
async fn copy(
    from: &mut ReadHalf<'_>,
    to: &mut WriteHalf<'_>,
    mut fault: watch::Receiver<Fault>,
    direction: Direction,
) -> Result<(), Cut> {
    let mut piece = vec![0; 16 * 1024];
    let mut budget: Option<(Fault, u64)> = None;
    while let Ok(length) = from.read(&mut piece).await {
        let Some(bytes) = piece.get(..length).filter(|bytes| !bytes.is_empty()) else { break };
        if fault.wait_for(|fault| *fault != Fault::Blackhole).await.is_err() {
            return Ok(());
        }
        let now = *fault.borrow();
        let mut pass = bytes;
        match now {
            Fault::Delay(time) => tokio::time::sleep(time).await,
            Fault::HalfOpen if direction == Direction::Answer => continue,
            Fault::CutAfter(limit) if direction == Direction::Answer => {
                let left = budget.filter(|(set, _)| *set == now).map_or(limit, |(_, left)| left);
                pass = bytes.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(bytes);
                let passed = u64::try_from(pass.len()).unwrap_or(u64::MAX);
                budget = Some((now, left.saturating_sub(passed)));
            }
            Fault::Pass
            | Fault::Refuse
            | Fault::Blackhole
            | Fault::Reset
            | Fault::HalfOpen
            | Fault::CutAfter(_) => {}
        }
        if to.write_all(pass).await.is_err() {
            return Ok(());
        }
        if budget == Some((now, 0)) {
            return Err(Cut);
        }
    }
    // The other side may be gone already.
    to.shutdown().await.ok();
    Ok(())
}
