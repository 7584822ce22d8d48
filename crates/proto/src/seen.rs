//! What was seen already: a memory bounded by time and by size, and the check of a message's time that makes forgetting safe.

use crate::{context::Context, time::Instant};
use cicada_wire::{Hash, Immutable, MessageId, Refusal, UnixTime};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A message of one start of one origin. Its id follows from the other two; they stand here for those who ask whose it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct MessageKey {
    pub(crate) origin: Hash,
    pub(crate) boot: u64,
    pub(crate) message: MessageId,
}

impl MessageKey {
    pub(crate) fn of(fixed: &Immutable) -> Self {
        Self { origin: fixed.origin.id(), boot: fixed.boot, message: fixed.message() }
    }
}

/// Values that are remembered for a while, and no more of them than a limit. At the limit the one that would be forgotten
/// next is forgotten early.
#[derive(Debug)]
pub(crate) struct Window<K, V> {
    entries: BTreeMap<K, (Instant, V)>,
    order: BTreeSet<(Instant, K)>,
}

impl<K, V> Default for Window<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Ord + Copy, V> Window<K, V> {
    /// Remembers `value` until then, instead of an earlier value of the same key.
    pub(crate) fn insert(&mut self, now: Instant, key: K, value: V, until: Instant, limit: usize) {
        self.forget_old(now);
        if let Some((earlier, _)) = self.entries.insert(key, (until, value)) {
            self.order.remove(&(earlier, key));
        }
        while self.entries.len() > limit.max(1) {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.entries.remove(&oldest);
        }
        self.order.insert((until, key));
    }

    pub(crate) fn get(&self, now: Instant, key: &K) -> Option<&V> {
        self.entries.get(key).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }

    /// All that is remembered, in the order in which it is forgotten.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.order.iter().filter_map(|(_, key)| Some((key, &self.entries.get(key)?.1)))
    }

    pub(crate) fn contains(&self, now: Instant, key: &K) -> bool {
        self.get(now, key).is_some()
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let (until, value) = self.entries.remove(key)?;
        self.order.remove(&(until, *key));
        Some(value)
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((until, key)) = self.order.first().copied() {
            if until > now {
                return;
            }
            self.order.pop_first();
            self.entries.remove(&key);
        }
    }
}

/// Refuses a message that was made too long ago, or not yet. A clock that stands before this program was written says nothing,
/// and then nothing is refused.
pub(crate) fn check_time(cx: &Context<'_>, made_at: UnixTime) -> Result<(), Refusal> {
    let off = cx.clock.0.abs_diff(made_at.0);
    if is_plausible(cx.clock) && u128::from(off) > WINDOW.as_millis() { Err(Refusal::WrongTime) } else { Ok(()) }
}

/// Until when a message must be remembered: from then on [`check_time`] refuses its copies.
pub(crate) fn remember_until(cx: &Context<'_>, made_at: UnixTime) -> Instant {
    let window_ms = u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX);
    if !is_plausible(cx.clock) {
        return cx.now + WINDOW;
    }
    let left_ms = made_at.0.saturating_add(window_ms).saturating_sub(cx.clock.0);
    // Both ends are within the window of our clock, so `left_ms` is at most twice the window.
    cx.now + Duration::from_millis(left_ms.min(2 * window_ms)) + CLOCK_STEP
}

fn is_plausible(clock: UnixTime) -> bool {
    clock >= WRITTEN
}

/// How far a message's time may be from ours.
pub(crate) const WINDOW: Duration = Duration::from_secs(120); // architecture: two minutes

/// The wall time is told every few seconds only.
const CLOCK_STEP: Duration = Duration::from_secs(15); // guess: some missed tellings

/// 2024-01-01, before this program was written.
const WRITTEN: UnixTime = UnixTime(1_704_067_200_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_forgotten_at_its_time() {
        let mut window = Window::default();
        window.insert(Instant(0), 1, "one", Instant(10), 8);
        assert_eq!(window.get(Instant(9), &1), Some(&"one"));
        assert_eq!(window.get(Instant(10), &1), None);
    }

    #[test]
    fn at_the_limit_the_next_to_be_forgotten_goes_early() {
        let mut window = Window::default();
        window.insert(Instant(0), 1, (), Instant(30), 2);
        window.insert(Instant(0), 2, (), Instant(20), 2);
        window.insert(Instant(0), 3, (), Instant(40), 2);
        assert!(window.contains(Instant(0), &1));
        assert!(!window.contains(Instant(0), &2));
        assert!(window.contains(Instant(0), &3));
    }

    #[test]
    fn a_later_value_replaces_the_earlier_one() {
        let mut window = Window::default();
        window.insert(Instant(0), 1, "old", Instant(10), 2);
        window.insert(Instant(0), 1, "new", Instant(20), 2);
        assert_eq!(window.get(Instant(15), &1), Some(&"new"));
    }
}
