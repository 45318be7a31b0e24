//! The listener, and its end.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long open requests may take once the server stops.
const GRACE: Duration = Duration::from_secs(3);

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
}

/// Serves until `stop` is cancelled, then waits a few seconds for open requests. `bound` is told the address.
///
/// # Errors
/// [`ServeError`].
pub async fn serve(
    address: SocketAddr,
    router: Router,
    stop: CancellationToken,
    bound: impl FnOnce(SocketAddr) + Send,
) -> Result<(), ServeError> {
    let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Bind { address, source })?;
    let local = listener.local_addr().map_err(ServeError::Broken)?;
    info!(event = "http_listening", address = %local);
    bound(local);
    let stopping = stop.clone();
    let serving = axum::serve(listener, router)
        .with_graceful_shutdown(async move { stopping.cancelled().await })
        .into_future();
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended.map_err(ServeError::Broken),
        () = stop.cancelled() => {}
    }
    match tokio::time::timeout(GRACE, serving).await {
        Ok(ended) => ended.map_err(ServeError::Broken),
        Err(_) => {
            warn!(event = "http_requests_cut", grace_ms = GRACE.as_millis());
            Ok(())
        }
    }
}
