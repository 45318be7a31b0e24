//! All chance of a run.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// One source for everything: the order of draws follows the schedule, and the schedule follows the draws.
#[derive(Debug)]
pub(crate) struct Dice(Mutex<SmallRng>);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(SmallRng::seed_from_u64(seed)))
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut SmallRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// 0 to `end` - 1; 0 where `end` is 0.
    pub(crate) fn below(&self, end: usize) -> usize {
        if end == 0 { 0 } else { self.draw(|rng| rng.random_range(0..end)) }
    }

    /// Whether something happens that does so `rate` times in 10,000.
    pub(crate) fn happens(&self, rate: u32) -> bool {
        rate > 0 && self.draw(|rng| rng.random_range(0..10_000) < rate)
    }

    pub(crate) fn millis(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.draw(|rng| rng.random_range(from..=to)))
    }

    pub(crate) fn bits(&self) -> u128 {
        self.draw(Rng::random)
    }

    pub(crate) fn pick<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}
