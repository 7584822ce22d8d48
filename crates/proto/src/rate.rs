//! Token buckets: how much of something one may have at once and how fast it comes back.

use crate::{order::Order, time::Instant};
use std::{collections::BTreeMap, time::Duration};

/// How fast something may happen, and how much of it at once after a rest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// So many a second in the long run.
    pub per_second: u64,
    /// So many at once. What alone is more counts as that many, so that nothing is refused for ever.
    pub burst: u64,
}

impl Rate {
    /// Nothing is refused.
    pub const UNLIMITED: Self = Self { per_second: u64::MAX, burst: u64::MAX };

    /// Whether so long a rest fills an empty bucket.
    fn refills_within(self, rest: Duration) -> bool {
        rest.as_micros().saturating_mul(u128::from(self.per_second)) >= u128::from(self.burst) * u128::from(MILLION)
    }

    /// `per_second`, and `burst` at once.
    #[must_use]
    pub const fn new(per_second: u64, burst: u64) -> Self {
        Self { per_second, burst }
    }
}

/// What is left of a [`Rate`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// In millionths, so that a microsecond's share is not rounded away. What holds more than can be counted so is never empty.
    level: u64,
    at: Instant,
}

impl Bucket {
    pub(crate) fn full(now: Instant, rate: Rate) -> Self {
        Self { level: millionths(rate.burst), at: now }
    }

    fn refill(&mut self, now: Instant, rate: Rate) {
        let gained = now.since(self.at).as_micros().saturating_mul(u128::from(rate.per_second));
        let gained = u64::try_from(gained).unwrap_or(u64::MAX);
        self.level = self.level.saturating_add(gained).min(millionths(rate.burst));
        self.at = now;
    }

    /// Whether there is as much; nothing is taken.
    pub(crate) fn holds(&mut self, now: Instant, rate: Rate, cost: u64) -> bool {
        self.refill(now, rate);
        self.level >= millionths(cost.min(rate.burst))
    }

    fn spend(&mut self, rate: Rate, cost: u64) {
        if millionths(rate.burst) < u64::MAX {
            self.level = self.level.saturating_sub(millionths(cost.min(rate.burst)));
        }
    }

    /// Takes `cost` out if there is as much.
    pub(crate) fn take(&mut self, now: Instant, rate: Rate, cost: u64) -> bool {
        let holds = self.holds(now, rate, cost);
        if holds {
            self.spend(rate, cost);
        }
        holds
    }
}

/// A bucket for each of many keys, all of one rate. A bucket that must be full again is forgotten, since a new one is full too. At
/// [`MAX_KEYS`] the one that was longest untouched goes: it is the likeliest to be full again.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    buckets: BTreeMap<K, Bucket>,
    /// Each key once, no later than it was touched last: nearly all that happens is that a bucket is touched, which so changes only that
    /// bucket, and whoever comes first here although it was touched since is put in its place then.
    order: Order<K>,
}

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self { buckets: BTreeMap::new(), order: Order::default() }
    }
}

impl<K: Ord + Copy> Buckets<K> {
    fn make_room(&mut self, now: Instant, rate: Rate) {
        while let Some((at, oldest)) = self.order.first() {
            if self.buckets.len() < MAX_KEYS && !rate.refills_within(now.since(at)) {
                return;
            }
            self.order.pop_first();
            match self.buckets.get(&oldest).map(|bucket| bucket.at) {
                Some(touched) if touched > at => {
                    self.order.insert(touched, oldest);
                }
                Some(_) | None => {
                    self.buckets.remove(&oldest);
                }
            }
        }
    }

    /// Takes `cost` out of the bucket of `key` if there is as much.
    pub(crate) fn take(&mut self, now: Instant, key: K, rate: Rate, cost: u64) -> bool {
        if let Some(bucket) = self.buckets.get_mut(&key) {
            return bucket.take(now, rate, cost);
        }
        self.make_room(now, rate);
        self.order.insert(now, key);
        self.buckets.entry(key).or_insert(Bucket::full(now, rate)).take(now, rate, cost)
    }

    /// Whether there is as much; nothing is taken, and a key that was never taken for is not remembered for it.
    pub(crate) fn holds(&mut self, now: Instant, key: K, rate: Rate, cost: u64) -> bool {
        self.buckets.get_mut(&key).is_none_or(|bucket| bucket.holds(now, rate, cost))
    }
}

fn millionths(whole: u64) -> u64 {
    whole.saturating_mul(MILLION)
}

const MILLION: u64 = 1_000_000;

/// Keys remembered in one set of buckets.
pub(crate) const MAX_KEYS: usize = 4096; // guess: 0.5 MiB

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Rate = Rate::new(10, 3);

    #[test]
    fn a_burst_is_taken_at_once_and_comes_back_at_its_rate() {
        let mut bucket = Bucket::full(Instant(0), SLOW);
        assert!(bucket.take(Instant(0), SLOW, 3));
        assert!(!bucket.take(Instant(0), SLOW, 1));
        assert!(!bucket.take(Instant(99_999), SLOW, 1));
        assert!(bucket.take(Instant(100_000), SLOW, 1), "a tenth of a second brings one back");
        assert!(!bucket.take(Instant(100_000), SLOW, 1));
    }

    #[test]
    fn a_rest_brings_no_more_than_the_burst() {
        let mut bucket = Bucket::full(Instant(0), SLOW);
        assert!(bucket.take(Instant(0) + Duration::from_secs(60), SLOW, 3));
        assert!(!bucket.take(Instant(0) + Duration::from_secs(60), SLOW, 1));
    }

    #[test]
    fn what_is_more_than_the_burst_passes_a_full_bucket_and_empties_it() {
        let mut bucket = Bucket::full(Instant(0), SLOW);
        assert!(bucket.take(Instant(0), SLOW, 1000));
        assert!(!bucket.take(Instant(0), SLOW, 1));
    }

    #[test]
    fn without_a_limit_nothing_is_refused() {
        let mut bucket = Bucket::full(Instant(0), Rate::UNLIMITED);
        assert!((0..1000).all(|_| bucket.take(Instant(0), Rate::UNLIMITED, 1 << 40)));
    }

    #[test]
    fn one_key_leaves_the_others_their_share() {
        let mut buckets = Buckets::default();
        assert_eq!((0..10).filter(|_| buckets.take(Instant(0), "loud", SLOW, 1)).count(), 3);
        assert!(buckets.take(Instant(0), "quiet", SLOW, 1));
    }

    #[test]
    fn who_has_rested_long_enough_is_forgotten_and_has_no_more_for_it() {
        let mut buckets = Buckets::default();
        assert!(buckets.take(Instant(0), "early", SLOW, 3));
        assert!(buckets.take(Instant(299_999), "late", SLOW, 3));
        assert_eq!(buckets.buckets.len(), 2, "control: three tenths of a second fill it");
        assert!(buckets.take(Instant(300_000), "new", SLOW, 1));
        assert_eq!((buckets.buckets.len(), buckets.order.len()), (2, 2));
        assert_eq!((0..10).filter(|_| buckets.take(Instant(300_000), "early", SLOW, 1)).count(), 3);
        assert!(!buckets.take(Instant(300_000), "late", SLOW, 1));
    }

    #[test]
    fn to_ask_for_a_key_is_not_to_remember_it() {
        let mut buckets = Buckets::default();
        assert!(buckets.take(Instant(0), usize::MAX, SLOW, 3));
        assert!((0..2 * MAX_KEYS).all(|key| buckets.holds(Instant(0), key, SLOW, 3)));
        assert_eq!((buckets.buckets.len(), buckets.order.len()), (1, 1));
        assert!(!buckets.holds(Instant(0), usize::MAX, SLOW, 1), "control: whose bucket is empty is still known");
    }

    #[test]
    fn keys_are_bounded_and_the_longest_untouched_goes() {
        let mut buckets = Buckets::default();
        for key in 0..MAX_KEYS {
            assert!(buckets.take(Instant(key as u64), key, SLOW, 3));
        }
        let later = Instant(MAX_KEYS as u64);
        assert!(!buckets.take(later, 0, SLOW, 3), "control: remembered, and touched anew");
        assert!(buckets.take(later, MAX_KEYS, SLOW, 1));
        assert_eq!((buckets.buckets.len(), buckets.order.len()), (MAX_KEYS, MAX_KEYS));
        assert!(buckets.take(later, 1, SLOW, 3), "forgotten");
        assert!(!buckets.take(later, 0, SLOW, 3));
    }
}
