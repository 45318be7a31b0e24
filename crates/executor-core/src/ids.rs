//! Time and randomness, handed in with every event.

use xxhash_rust::xxh3::xxh3_128_with_seed;

/// What the outside world adds to an event: when it happened, and fresh randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Nanoseconds since the Unix epoch.
    pub now_ns: u64,
    /// 128 random bits, never handed in twice.
    pub seed: u128,
}

/// Draws ids from one stamp. The same stamp gives the same ids.
#[derive(Debug)]
pub(crate) struct Ids {
    stamp: Stamp,
    drawn: u64,
}

impl Ids {
    pub(crate) const fn new(stamp: Stamp) -> Self {
        Self { stamp, drawn: 0 }
    }

    pub(crate) const fn now_ns(&self) -> u64 {
        self.stamp.now_ns
    }

    fn next(&mut self) -> u128 {
        self.drawn += 1;
        xxh3_128_with_seed(&self.stamp.seed.to_be_bytes(), self.drawn)
    }

    /// A UUID version 4 in its usual form.
    pub(crate) fn uuid(&mut self) -> String {
        let bits = self.next();
        let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let hex = format!("{bits:032x}");
        let (a, rest) = hex.split_at(8);
        let (b, rest) = rest.split_at(4);
        let (c, rest) = rest.split_at(4);
        let (d, e) = rest.split_at(4);
        format!("{a}-{b}-{c}-{d}-{e}")
    }

    /// A number in [0, 1) with 53 random bits.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    pub(crate) fn fraction(&mut self) -> f64 {
        let bits = (self.next() >> 75) as u64;
        bits as f64 / (1u64 << 53) as f64
    }

    /// 64 random bits.
    #[expect(clippy::cast_possible_truncation, reason = "the low half is wanted")]
    pub(crate) fn bits(&mut self) -> u64 {
        self.next() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stamp_gives_the_same_ids_and_never_one_twice() {
        let stamp = Stamp { now_ns: 1, seed: 42 };
        let (mut a, mut b) = (Ids::new(stamp), Ids::new(stamp));
        let first = a.uuid();
        assert_eq!(first, b.uuid());
        assert_ne!(first, a.uuid());
        assert_eq!(first.as_bytes()[14], b'4', "{first}");
        assert!(matches!(first.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{first}");
    }

    #[test]
    fn fractions_lie_in_the_unit_interval() {
        let mut ids = Ids::new(Stamp { now_ns: 0, seed: 7 });
        for _ in 0..1000 {
            let fraction = ids.fraction();
            assert!((0.0..1.0).contains(&fraction), "{fraction}");
        }
    }
}
