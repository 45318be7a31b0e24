//! Ports for servers: below the ephemeral range, so that no outgoing connection can take one while its server
//! is down for a restart.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

const LOWEST: u16 = 20_000;
/// Linux begins its ephemeral range at 32768 unless an administrator moved it.
const HIGHEST: u16 = 32_000;

/// A port of 127.0.0.1 that nobody listens on now. Another process may still take it before the caller does:
/// whoever starts a server on it must be ready to ask for the next one.
///
/// # Errors
/// When every port of the range is taken.
pub fn free_port() -> anyhow::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let (low, high) = range();
    let span = high - low;
    // Test processes run side by side: each begins at a place of its own.
    let start = u16::try_from(std::process::id().wrapping_mul(37) % u32::from(span))?;
    for _ in 0..span {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed) % span;
        let port = low + (start + offset) % span;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no free port on 127.0.0.1 between {low} and {high}")
}

fn range() -> (u16, u16) {
    let ephemeral = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let begin =
        ephemeral.split_whitespace().next().and_then(|low| low.parse::<u16>().ok()).unwrap_or(HIGHEST);
    if begin > LOWEST + 1_000 { (LOWEST, begin.min(HIGHEST)) } else { (LOWEST, HIGHEST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ports_in_a_row_differ_and_lie_below_the_ephemeral_range() {
        let (first, second) = (free_port().unwrap(), free_port().unwrap());
        assert_ne!(first, second);
        assert!((LOWEST..HIGHEST).contains(&first) && (LOWEST..HIGHEST).contains(&second));
    }
}
