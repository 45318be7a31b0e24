//! What keeps a provider that is down from being asked over and over: a circuit breaker, and a budget of retries.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent_executor_core::ModelErrorKind;
use tokio::time::Instant;

use crate::config::BreakerPolicy;

/// A provider that nobody asked for so long is not in use.
const IN_USE: Duration = Duration::from_secs(600);
/// A probe that gave no answer for so long is forgotten: its caller may be gone.
const PROBE: Duration = Duration::from_secs(120);

/// Whether a request may be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Permit {
    Go,
    /// The circuit is open: ask again after this time.
    Wait(Duration),
}

#[derive(Debug)]
struct State {
    /// Requests in a row that met a provider that is down.
    failures: u32,
    open_until: Option<Instant>,
    /// When the one request was sent that finds out whether the provider is back.
    probing: Option<Instant>,
    asked: Option<Instant>,
    /// Retries that may be made before answers must come.
    budget: f64,
}

/// One provider's breaker.
#[derive(Debug)]
pub(super) struct Breaker {
    policy: BreakerPolicy,
    state: Mutex<State>,
}

/// What a request said of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turned {
    /// The circuit has just opened.
    Opened,
    /// The circuit has just closed.
    Closed,
    Nothing,
}

impl Breaker {
    pub(super) fn new(policy: BreakerPolicy) -> Self {
        let budget = f64::from(policy.retry_budget);
        let state = State { failures: 0, open_until: None, probing: None, asked: None, budget };
        Self { policy, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for leave to send a request. With the circuit open, one at a time finds out whether it can close.
    pub(super) fn permit(&self) -> Permit {
        let now = Instant::now();
        let mut state = self.lock();
        state.asked = Some(now);
        let Some(until) = state.open_until else { return Permit::Go };
        if now < until {
            return Permit::Wait(until - now);
        }
        match state.probing {
            Some(since) if now < since + PROBE => {
                Permit::Wait(self.policy.open_for.min(Duration::from_secs(1)))
            }
            Some(_) | None => {
                state.probing = Some(now);
                Permit::Go
            }
        }
    }

    /// Notes how a request ended. `None`: it was answered. A refusal or a rate limit says that the provider is there.
    pub(super) fn ended(&self, failure: Option<ModelErrorKind>) -> Turned {
        let mut state = self.lock();
        state.probing = None;
        if failure.is_none() {
            let full = f64::from(self.policy.retry_budget);
            state.budget = (state.budget + self.policy.earned).min(full);
        }
        if failure != Some(ModelErrorKind::Unavailable) {
            state.failures = 0;
            return if state.open_until.take().is_some() { Turned::Closed } else { Turned::Nothing };
        }
        state.failures = state.failures.saturating_add(1);
        if self.policy.failures == 0 || state.failures < self.policy.failures {
            return Turned::Nothing;
        }
        let was_open = state.open_until.replace(Instant::now() + self.policy.open_for).is_some();
        if was_open { Turned::Nothing } else { Turned::Opened }
    }

    /// A request was dropped before it ended.
    pub(super) fn dropped(&self) {
        self.lock().probing = None;
    }

    /// Takes one retry out of the budget; `false`: it is spent.
    pub(super) fn spend(&self) -> bool {
        let mut state = self.lock();
        let left = state.budget >= 1.0;
        if left {
            state.budget -= 1.0;
        }
        left
    }

    /// `None`: nobody has asked this provider lately. Else whether asking makes sense now.
    pub(super) fn usable(&self) -> Option<bool> {
        let now = Instant::now();
        let state = self.lock();
        state.asked.filter(|asked| now < *asked + IN_USE)?;
        Some(state.open_until.is_none_or(|until| now >= until))
    }
}

/// Tells the breaker of a request that is dropped half-way.
pub(super) struct Guard<'a>(Option<&'a Breaker>);

impl<'a> Guard<'a> {
    pub(super) const fn new(breaker: &'a Breaker) -> Self {
        Self(Some(breaker))
    }

    pub(super) fn ended(mut self, failure: Option<ModelErrorKind>) -> Turned {
        self.0.take().map_or(Turned::Nothing, |breaker| breaker.ended(failure))
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if let Some(breaker) = self.0 {
            breaker.dropped();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOWN: Option<ModelErrorKind> = Some(ModelErrorKind::Unavailable);

    fn breaker() -> Breaker {
        let open_for = Duration::from_secs(15);
        Breaker::new(BreakerPolicy { failures: 3, open_for, retry_budget: 2, earned: 0.5 })
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_failures_in_a_row_and_one_probe_closes_it() {
        let breaker = breaker();
        assert_eq!((breaker.ended(DOWN), breaker.ended(DOWN)), (Turned::Nothing, Turned::Nothing));
        assert_eq!(breaker.ended(None), Turned::Nothing, "an answer begins the count again");
        assert_eq!([0; 3].map(|_| breaker.ended(DOWN)), [Turned::Nothing, Turned::Nothing, Turned::Opened]);

        assert_eq!(breaker.permit(), Permit::Wait(Duration::from_secs(15)));
        assert_eq!(breaker.usable(), Some(false));
        tokio::time::advance(Duration::from_secs(15)).await;
        assert_eq!(breaker.permit(), Permit::Go, "the probe");
        assert!(matches!(breaker.permit(), Permit::Wait(_)), "the others wait for it");
        assert_eq!(breaker.ended(DOWN), Turned::Nothing);
        assert!(matches!(breaker.permit(), Permit::Wait(_)), "open once more");

        tokio::time::advance(Duration::from_secs(15)).await;
        assert_eq!(breaker.permit(), Permit::Go);
        assert_eq!(breaker.ended(Some(ModelErrorKind::RateLimited)), Turned::Closed, "it is there");
        assert_eq!((breaker.permit(), breaker.usable()), (Permit::Go, Some(true)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_whose_caller_is_gone_lets_the_next_one_probe() {
        let breaker = breaker();
        for _ in 0..3 {
            breaker.ended(DOWN);
        }
        tokio::time::advance(Duration::from_secs(15)).await;
        assert_eq!(breaker.permit(), Permit::Go);
        drop(Guard::new(&breaker));
        assert_eq!(breaker.permit(), Permit::Go);
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_is_spent_by_retries_and_earned_by_answers() {
        let breaker = breaker();
        assert_eq!([0; 3].map(|_| breaker.spend()), [true, true, false]);
        breaker.ended(None);
        assert!(!breaker.spend(), "half a retry");
        breaker.ended(None);
        assert!(breaker.spend());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_asks_nobody_knows() {
        let breaker = breaker();
        assert_eq!(breaker.usable(), None);
        breaker.permit();
        assert_eq!(breaker.usable(), Some(true));
        tokio::time::advance(IN_USE).await;
        assert_eq!(breaker.usable(), None);
    }
}
