//! What the store has noticed lately of a server that has too much to do.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::{Class, class};
use crate::types::Pressure;

/// A call that waited longer for its connection means that there is more work than connections.
pub(super) const LONG_WAIT: Duration = Duration::from_secs(1);

/// How long an observation counts.
const fn lasts(pressure: Pressure) -> Duration {
    match pressure {
        Pressure::PoolWait => Duration::from_secs(2),
        Pressure::Away => Duration::from_secs(5),
        // Space does not come back by itself, and each try costs the server a failed write.
        Pressure::DiskFull => Duration::from_secs(10),
    }
}

/// The newest observation of each kind would say more, but one is enough to pause.
#[derive(Debug, Default)]
pub(super) struct Strain(Mutex<Option<(Pressure, Instant)>>);

impl Strain {
    pub(super) fn note(&self, pressure: Pressure) {
        let until = Instant::now() + lasts(pressure);
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_none_or(|(_, before)| before < until) {
            *seen = Some((pressure, until));
        }
    }

    /// Notes a wait for a connection, if it was long.
    pub(super) fn waited(&self, wait: Duration) {
        if wait > LONG_WAIT {
            self.note(Pressure::PoolWait);
        }
    }

    /// Notes what a failed statement or connection says of the server.
    pub(super) fn failed(&self, error: &tokio_postgres::Error) {
        match error.code().map(|code| code.code()) {
            Some("53100") => self.note(Pressure::DiskFull),
            Some("53200" | "53300") => self.note(Pressure::PoolWait),
            Some(_) | None if class(error) == Class::Broken => self.note(Pressure::Away),
            Some(_) | None => {}
        }
    }

    pub(super) fn now(&self) -> Option<Pressure> {
        let seen = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.filter(|(_, until)| Instant::now() < *until).map(|(pressure, _)| pressure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_short_wait_is_none_and_a_long_one_is_forgotten_after_a_while() {
        let strain = Strain::default();
        strain.waited(LONG_WAIT);
        assert_eq!(strain.now(), None);
        strain.waited(LONG_WAIT * 2);
        assert_eq!(strain.now(), Some(Pressure::PoolWait));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(strain.now(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_disk_is_not_hidden_by_a_wait_that_counts_for_less() {
        let strain = Strain::default();
        strain.note(Pressure::DiskFull);
        strain.note(Pressure::PoolWait);
        assert_eq!(strain.now(), Some(Pressure::DiskFull));
    }
}
