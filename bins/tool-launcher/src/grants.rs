//! New processes and threads that were allowed and may not be seen in `/proc` yet.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// After this a granted process counts as seen, whatever has become of it.
const APPEARS: Duration = Duration::from_millis(100);

#[derive(Debug)]
struct Grant {
    asker: u32,
    thread: bool,
    at: Instant,
}

/// A grant is open until its process is seen, its asker asks again (then the call before has ended), or time is up.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    open: Vec<Grant>,
    seen: BTreeSet<i32>,
}

impl Grants {
    /// Who is there now, and who asks.
    pub(crate) fn look(&mut self, asker: u32, pids: &[i32], now: Instant) {
        self.open.retain(|grant| grant.asker != asker && now.duration_since(grant.at) < APPEARS);
        let pids: BTreeSet<i32> = pids.iter().copied().collect();
        for _ in pids.difference(&self.seen) {
            if let Some(oldest) = self.open.iter().position(|grant| !grant.thread) {
                self.open.remove(oldest);
            }
        }
        self.seen = pids;
    }

    /// How many are open, of this kind.
    pub(crate) fn open(&self, thread: bool) -> usize {
        self.open.iter().filter(|grant| grant.thread == thread).count()
    }

    pub(crate) fn grant(&mut self, asker: u32, thread: bool, now: Instant) {
        self.open.push(Grant { asker, thread, at: now });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_open_until_its_process_is_seen_or_its_asker_asks_again() {
        let now = Instant::now();
        let mut grants = Grants::default();
        grants.look(1, &[1], now);
        grants.grant(1, false, now);
        grants.look(2, &[1], now);
        grants.grant(2, false, now);
        grants.look(3, &[1], now);
        assert_eq!(grants.open(false), 2, "neither child is seen");
        grants.look(3, &[1, 10], now);
        assert_eq!(grants.open(false), 1, "one is seen");
        grants.grant(3, true, now);
        grants.look(2, &[1, 10], now);
        assert_eq!((grants.open(false), grants.open(true)), (0, 1), "its call has ended: it asks again");
        grants.look(2, &[1, 10], now + APPEARS);
        assert_eq!(grants.open(true), 0, "time is up");
    }
}
