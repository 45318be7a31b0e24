//! The listener: bounded connections, bounded heads, slow clients, TLS, and its end.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{debug, info, warn};

use crate::auth::Certified;
use crate::limits;
use crate::patient::Patient;
use crate::tls::{TlsError, TlsFiles};

/// How long open requests may take once the server stops.
const GRACE: Duration = Duration::from_secs(3);
/// Longest wait for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Pause after the system refused a connection, for want of descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Headers of a request.
const HEADERS: usize = 100;

/// Bounds of the listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Connections at once, 1 to 1,000,000. Default 10,000. `HTTP_CONNECTIONS`.
    pub connections: usize,
    /// Connections at once from one address. Default 4,096. `HTTP_CONNECTIONS_PER_PEER`.
    pub per_peer: usize,
    /// Bytes of a request's head, at least 8,192. Default 16,384. `HTTP_HEADER_BYTES`.
    pub header_bytes: usize,
    /// Longest wait for a head. Default 30 s. `HTTP_READ_SECONDS`.
    pub read: Duration,
    /// Longest time in which a client takes nothing of an answer. Default 30 s. `HTTP_WRITE_SECONDS`.
    pub write: Duration,
    /// TLS; `None` speaks plain HTTP.
    pub tls: Option<TlsFiles>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            connections: 10_000,
            per_peer: 4_096,
            header_bytes: 16_384,
            read: Duration::from_secs(30),
            write: Duration::from_secs(30),
            tls: None,
        }
    }
}

/// Why the server does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's words.
        source: std::io::Error,
    },
    /// The listener broke.
    #[error("the HTTP listener broke: {0}")]
    Broken(#[source] std::io::Error),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Serves until `stop` is cancelled, then waits a few seconds for open requests. `bound` is told the address.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    address: SocketAddr,
    router: Router,
    settings: ServerSettings,
    stop: CancellationToken,
    bound: impl FnOnce(SocketAddr) + Send,
) -> Result<(), ServeError> {
    let tls = settings.tls.as_ref().map(TlsFiles::config).transpose()?.map(TlsAcceptor::from);
    let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Bind { address, source })?;
    let local = listener.local_addr().map_err(ServeError::Broken)?;
    info!(event = "http_listening", address = %local, tls = tls.is_some());
    bound(local);
    let server = Arc::new(Server { router, settings, tls, peers: Mutex::default(), stop: stop.clone() });
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                if let Some(seat) = Seat::take(&server, peer.ip()) {
                    connections.spawn(seat.serve(socket));
                } else {
                    limits::refused("connections");
                }
            }
            Err(error) => {
                warn!(event = "http_accept_failed", %error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.close();
    if tokio::time::timeout(GRACE, connections.wait()).await.is_err() {
        warn!(event = "http_requests_cut", grace_ms = GRACE.as_millis());
    }
    Ok(())
}

struct Server {
    router: Router,
    settings: ServerSettings,
    tls: Option<TlsAcceptor>,
    /// Open connections by address.
    peers: Mutex<BTreeMap<IpAddr, usize>>,
    stop: CancellationToken,
}

/// Room for one connection.
struct Seat {
    server: Arc<Server>,
    peer: IpAddr,
}

impl Seat {
    fn take(server: &Arc<Server>, peer: IpAddr) -> Option<Self> {
        let mut peers = server.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = peers.values().sum();
        let own = peers.entry(peer).or_default();
        if all >= server.settings.connections || *own >= server.settings.per_peer {
            if *own == 0 {
                peers.remove(&peer);
            }
            return None;
        }
        *own += 1;
        Some(Self { server: server.clone(), peer })
    }

    async fn serve(self, socket: TcpStream) {
        // Small frames must leave at once.
        if let Err(error) = socket.set_nodelay(true) {
            debug!(event = "http_nodelay_failed", %error);
        }
        let socket = Patient::new(socket, self.server.settings.write);
        match &self.server.tls {
            None => self.speak(socket, false).await,
            Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(socket)).await {
                Ok(Ok(stream)) => {
                    let certified = stream.get_ref().1.peer_certificates().is_some();
                    self.speak(stream, certified).await;
                }
                Ok(Err(error)) => debug!(event = "tls_handshake_failed", %error),
                Err(_) => limits::refused("slow"),
            },
        }
    }

    async fn speak(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, certified: bool) {
        let Server { router, settings, stop, .. } = &*self.server;
        let service = service_fn(|mut request: hyper::Request<Incoming>| {
            if certified {
                request.extensions_mut().insert(Certified);
            }
            router.clone().oneshot(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(settings.read)
            .max_buf_size(settings.header_bytes.max(8_192))
            .max_headers(HEADERS)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            debug!(event = "http_connection_broke", %error);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut peers = self.server.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = peers.get_mut(&self.peer) {
            *own -= 1;
            if *own == 0 {
                peers.remove(&self.peer);
            }
        }
    }
}
