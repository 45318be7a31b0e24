//! Waiting for a condition with a bound: the only way in which tests here let time pass.

use std::time::{Duration, Instant};

/// Asks `ready` every 10 ms until it answers `Some`, for at most `limit`.
///
/// # Errors
/// When the limit passes first; the error names `what`.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut ready: impl AsyncFnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(value) = ready().await {
            return Ok(value);
        }
        anyhow::ensure!(begun.elapsed() < limit, "{what}: not so within {limit:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
