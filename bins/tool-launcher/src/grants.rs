//! New processes and threads that were allowed and may not be seen in `/proc` yet.
//!
//! A process that was allowed but is not there yet must count, or a fork bomb gets more than its due; one that is there
//! must not count twice. Which child belongs to which grant cannot be seen, only whose child it is, so each process has
//! an account: its open grants, less its children that were seen meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// After this a granted process counts as seen, whatever has become of it. Long, since on a busy machine whoever asks
/// may wait for its turn; short, since a process that has come and gone between two looks keeps its place so long.
const APPEARS: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Grant {
    /// The thread that asked, and its process.
    asker: u32,
    process: i32,
    thread: bool,
    at: Instant,
}

/// What a process has beside its open grants.
#[derive(Debug, Default)]
struct Account {
    /// Children that were seen while grants were open.
    seen: usize,
    /// Grants whose call has ended: their child shows at the next look, if it still lives.
    ended: usize,
}

/// A grant is open until its asker asks again (then the call before has ended) or is gone, or time is up.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    open: Vec<Grant>,
    accounts: BTreeMap<i32, Account>,
    there: BTreeSet<i32>,
}

impl Grants {
    /// Who is there now, as pairs of process and parent.
    pub(crate) fn look(&mut self, there: &[(i32, i32)], now: Instant, lives: impl Fn(u32) -> bool) {
        for (pid, parent) in there {
            let Some(account) = self.accounts.get_mut(parent).filter(|_| !self.there.contains(pid)) else {
                continue;
            };
            let open = self.open.iter().filter(|grant| !grant.thread && grant.process == *parent).count();
            if account.ended > 0 {
                account.ended -= 1;
            } else if account.seen < open {
                account.seen += 1;
            }
        }
        self.there = there.iter().map(|(pid, _)| *pid).collect();
        for account in self.accounts.values_mut() {
            account.ended = 0;
        }
        self.close(|grant| now.duration_since(grant.at) >= APPEARS || !lives(grant.asker));
        let open: BTreeSet<i32> = self.open.iter().map(|grant| grant.process).collect();
        self.accounts.retain(|process, _| open.contains(process));
    }

    /// Who asks has ended the call before. Told before the look that decides.
    pub(crate) fn asks(&mut self, asker: u32) {
        self.close(|grant| grant.asker == asker);
    }

    fn close(&mut self, which: impl Fn(&Grant) -> bool) {
        for grant in self.open.extract_if(.., |grant| which(grant)) {
            if grant.thread {
                continue;
            }
            let account = self.accounts.entry(grant.process).or_default();
            match account.seen.checked_sub(1) {
                Some(rest) => account.seen = rest,
                None => account.ended += 1,
            }
        }
    }

    /// How many of this kind are allowed and not seen.
    pub(crate) fn unseen(&self, thread: bool) -> usize {
        let open = self.open.iter().filter(|grant| grant.thread == thread).count();
        let seen: usize = self.accounts.values().map(|account| account.seen).sum();
        if thread { open } else { open.saturating_sub(seen) }
    }

    pub(crate) fn grant(&mut self, asker: u32, process: i32, thread: bool, now: Instant) {
        self.open.push(Grant { asker, process, thread, at: now });
        self.accounts.entry(process).or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Processes 1 and 2; 2 has a second thread, 22.
    fn three_grants(now: Instant) -> Grants {
        let mut grants = Grants::default();
        grants.look(&[(1, 0), (2, 1)], now, |_| true);
        grants.grant(1, 1, false, now);
        grants.grant(2, 2, false, now);
        grants.grant(22, 2, false, now);
        grants
    }

    #[test]
    fn a_grant_counts_until_a_child_of_its_process_is_seen() {
        let now = Instant::now();
        let mut grants = three_grants(now);
        grants.look(&[(1, 0), (2, 1)], now, |_| true);
        assert_eq!(grants.unseen(false), 3);
        grants.look(&[(1, 0), (2, 1), (10, 2)], now, |_| true);
        assert_eq!(grants.unseen(false), 2);
        grants.look(&[(1, 0), (2, 1), (10, 2), (11, 1)], now, |_| true);
        assert_eq!(grants.unseen(false), 1);
    }

    #[test]
    fn a_child_that_is_seen_early_is_not_taken_off_twice() {
        let now = Instant::now();
        let mut grants = three_grants(now);
        grants.look(&[(1, 0), (2, 1), (10, 2)], now, |_| true);
        // Whether 10 was made by thread 2 or by 22: one of both is still on its way.
        grants.asks(22);
        assert_eq!(grants.unseen(false), 2);
        grants.look(&[(1, 0), (2, 1), (10, 2)], now, |_| true);
        assert_eq!(grants.unseen(false), 2);
        grants.look(&[(1, 0), (2, 1), (10, 2), (12, 2)], now, |_| true);
        assert_eq!(grants.unseen(false), 1);
    }

    #[test]
    fn a_call_that_has_ended_shows_its_child_at_the_next_look_or_never() {
        let now = Instant::now();
        let mut grants = three_grants(now);
        grants.asks(2);
        grants.look(&[(1, 0), (2, 1), (10, 2)], now, |_| true);
        assert_eq!(grants.unseen(false), 2, "10 is the child of the ended call, not of thread 22");
        grants.asks(1);
        grants.look(&[(1, 0), (2, 1), (10, 2)], now, |_| true);
        assert_eq!(grants.unseen(false), 1, "the child of 1 has come and gone");
    }

    #[test]
    fn a_grant_ends_with_its_asker_and_with_time() {
        let now = Instant::now();
        let mut grants = three_grants(now);
        grants.grant(3, 3, true, now);
        grants.look(&[(1, 0), (2, 1)], now, |asker| asker != 1);
        assert_eq!((grants.unseen(false), grants.unseen(true)), (2, 1));
        grants.look(&[(1, 0), (2, 1)], now + APPEARS, |_| true);
        assert_eq!((grants.unseen(false), grants.unseen(true)), (0, 0));
    }
}
