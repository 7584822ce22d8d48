//! Keys in the order of their times: side by side in one piece of memory, since nearly all of them come in at its end and leave at its
//! beginning, where a tree would leave half of its room empty.

use crate::time::Instant;
use std::collections::VecDeque;

/// Keys, each at a time; of one time in their own order.
#[derive(Debug)]
pub(crate) struct Order<K>(VecDeque<(Instant, K)>);

impl<K> Default for Order<K> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<K: Ord + Copy> Order<K> {
    /// Puts a key at a time; there once, however often.
    pub(crate) fn insert(&mut self, at: Instant, key: K) {
        if self.0.back().is_none_or(|last| *last < (at, key)) {
            self.0.push_back((at, key));
        } else if let Err(place) = self.0.binary_search(&(at, key)) {
            self.0.insert(place, (at, key));
        }
    }

    /// Takes this key from this time away, if it stands there.
    pub(crate) fn remove(&mut self, at: Instant, key: K) {
        if let Ok(place) = self.0.binary_search(&(at, key)) {
            self.0.remove(place);
        }
    }

    pub(crate) fn first(&self) -> Option<(Instant, K)> {
        self.0.front().copied()
    }

    pub(crate) fn pop_first(&mut self) -> Option<(Instant, K)> {
        let first = self.0.pop_front();
        if self.0.len() < self.0.capacity() / ROOMY {
            self.0.shrink_to(self.0.len() * 2);
        }
        first
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<K: Ord> FromIterator<(Instant, K)> for Order<K> {
    fn from_iter<I: IntoIterator<Item = (Instant, K)>>(all: I) -> Self {
        let mut all: Vec<(Instant, K)> = all.into_iter().collect();
        all.sort_unstable();
        Self(all.into())
    }
}

/// Room that is used for less than one part in so many is given back.
const ROOMY: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_leave_in_the_order_of_times_and_then_of_keys_however_they_came() {
        let mut order = Order::default();
        for (at, key) in [(5, 1), (7, 2), (5, 0), (1, 9), (7, 2), (6, 3)] {
            order.insert(Instant(at), key);
        }
        order.remove(Instant(6), 3);
        order.remove(Instant(6), 4);
        let all: Vec<_> = std::iter::from_fn(|| order.pop_first()).map(|(at, key)| (at.0, key)).collect();
        assert_eq!(all, [(1, 9), (5, 0), (5, 1), (7, 2)]);
    }
}
