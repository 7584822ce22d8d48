//! What was seen already: a memory bounded by time and by size, and the check of a message's time that makes forgetting safe.

use crate::{context::Context, order::Order, time::Instant};
use cicada_wire::{Hash, Immutable, MessageId, Refusal, UnixTime};
use std::{collections::BTreeMap, time::Duration};

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
    /// Each key at the time at which it is forgotten, or at an earlier one if that was put off; who comes first here although its time
    /// has not come is put in its place then.
    order: Order<K>,
}

impl<K, V> Default for Window<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), order: Order::default() }
    }
}

impl<K: Ord + Copy, V> Window<K, V> {
    /// Remembers `value` until then, instead of an earlier value of the same key. Returns what was forgotten early for it, and until when
    /// it should have been remembered.
    pub(crate) fn insert(&mut self, now: Instant, key: K, value: V, until: Instant, limit: usize) -> Option<(K, Instant)> {
        self.forget_old(now);
        match self.entries.insert(key, (until, value)) {
            // It is put in order when its earlier time has come.
            Some((earlier, _)) if earlier <= until => return None,
            Some(_) | None => {}
        }
        let mut forgotten = None;
        // One, unless the limit was another before.
        while self.entries.len() > limit.max(1) {
            // The new one is not in order yet: it is not the one that goes.
            let Some(oldest) = self.pop_oldest() else { break };
            forgotten = self.entries.remove(&oldest).map(|(until, _)| (oldest, until));
        }
        self.order.insert(until, key);
        self.tidy();
        forgotten
    }

    pub(crate) fn get(&self, now: Instant, key: &K) -> Option<&V> {
        self.entries.get(key).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }

    /// The keys of what is remembered and is `so`, in the order in which it is forgotten.
    pub(crate) fn keys(&self, so: impl Fn(&V) -> bool) -> Vec<K> {
        let found = self.entries.iter().filter(|(_, (_, value))| so(value)).map(|(key, (until, _))| (*until, *key));
        let mut found: Vec<(Instant, K)> = found.collect();
        found.sort_unstable();
        found.into_iter().map(|(_, key)| key).collect()
    }

    pub(crate) fn contains(&self, now: Instant, key: &K) -> bool {
        self.get(now, key).is_some()
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let (until, value) = self.entries.remove(key)?;
        self.order.remove(until, *key);
        self.tidy();
        Some(value)
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((_, key)) = self.order.first().filter(|(at, _)| *at <= now) {
            self.order.pop_first();
            match self.entries.get(&key).map(|(until, _)| *until) {
                Some(until) if until > now => {
                    self.order.insert(until, key);
                }
                Some(_) | None => {
                    self.entries.remove(&key);
                }
            }
        }
    }

    /// Takes the key off the order that is forgotten next.
    fn pop_oldest(&mut self) -> Option<K> {
        while let Some((at, key)) = self.order.pop_first() {
            match self.entries.get(&key) {
                Some((until, _)) if *until > at => {
                    self.order.insert(*until, key);
                }
                Some(_) => return Some(key),
                None => {}
            }
        }
        None
    }

    /// What was removed after its time had been put off has left a place in the order.
    fn tidy(&mut self) {
        if self.order.len() > 2 * self.entries.len() + LEFT_PLACES {
            self.order = self.entries.iter().map(|(key, (until, _))| (*until, *key)).collect();
        }
    }
}

/// Messages that were delivered. Nothing is delivered twice, however many there are: when one has to be forgotten early, whatever its origin
/// made before it and at the same time is taken for delivered. Other origins lose nothing by it.
#[derive(Debug)]
pub(crate) struct Seen<V> {
    messages: Window<MessageKey, V>,
    /// By origin, until when the last one of those forgotten early should have been remembered.
    forgotten: Window<Hash, Instant>,
}

impl<V> Default for Seen<V> {
    fn default() -> Self {
        Self { messages: Window::default(), forgotten: Window::default() }
    }
}

impl<V> Seen<V> {
    pub(crate) fn insert(&mut self, cx: &Context<'_>, key: MessageKey, value: V, made_at: UnixTime) {
        let limit = cx.config.limits.seen;
        let Some((early, until)) = self.messages.insert(cx.now, key, value, remember_until(cx, made_at), limit) else { return };
        let last = self.forgotten.get(cx.now, &early.origin).map_or(until, |last| until.max(*last));
        self.forgotten.insert(cx.now, early.origin, last, last, limit);
    }

    pub(crate) fn get(&self, now: Instant, key: &MessageKey) -> Option<&V> {
        self.messages.get(now, key)
    }

    pub(crate) fn contains(&self, now: Instant, key: &MessageKey) -> bool {
        self.messages.contains(now, key)
    }

    pub(crate) fn remove(&mut self, key: &MessageKey) -> Option<V> {
        self.messages.remove(key)
    }

    /// Refuses what may have been delivered and forgotten, because of its time or of how many there were. For what is not remembered.
    pub(crate) fn check_time(&self, cx: &Context<'_>, key: &MessageKey, made_at: UnixTime) -> Result<(), Refusal> {
        check_time(cx, made_at)?;
        let forgotten = self.forgotten.get(cx.now, &key.origin);
        if forgotten.is_some_and(|last| remember_until(cx, made_at) <= *last) { Err(Refusal::WrongTime) } else { Ok(()) }
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

/// Places in the order that nobody stands at, beyond as many as there are entries.
const LEFT_PLACES: usize = 16; // guess

/// How far a message's time may be from ours.
pub(crate) const WINDOW: Duration = Duration::from_secs(120); // architecture: two minutes

/// By how much the wall time may be wrong between two tellings.
const CLOCK_STEP: Duration = Duration::from_secs(15); // guess: a sleep, and some missed tellings

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

    #[test]
    fn what_was_put_off_is_forgotten_in_the_order_of_its_last_times() {
        let mut window = Window::default();
        window.insert(Instant(0), 1, (), Instant(10), 3);
        window.insert(Instant(0), 2, (), Instant(20), 3);
        window.insert(Instant(0), 1, (), Instant(30), 3);
        window.insert(Instant(0), 3, (), Instant(25), 3);
        assert_eq!(window.keys(|()| true), [2, 3, 1]);
        window.insert(Instant(0), 4, (), Instant(40), 3);
        assert!(window.contains(Instant(0), &1) && !window.contains(Instant(0), &2), "the second goes at the limit");
        window.insert(Instant(26), 5, (), Instant(50), 9);
        assert_eq!(window.keys(|()| true), [1, 4, 5]);
    }

    #[test]
    fn what_comes_and_goes_leaves_no_more_behind_than_a_few_places() {
        let mut window = Window::default();
        for number in 0..1000 {
            window.insert(Instant(0), number, (), Instant(10), 8);
            window.insert(Instant(0), number, (), Instant(20), 8);
            window.remove(&number);
        }
        assert!(window.entries.is_empty() && window.order.len() <= LEFT_PLACES);
    }
}
