//! What is still to happen, in the order of time and, at one time, in the order in which it was arranged.

use cicada_proto::Instant;
use std::{cmp::Reverse, collections::BinaryHeap};

/// A queue of happenings. The heap sorts small tickets; what they stand for lies still in its place.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    order: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    places: Vec<Option<T>>,
    free: Vec<usize>,
    arranged: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { order: BinaryHeap::new(), places: Vec::new(), free: Vec::new(), arranged: 0 }
    }
}

impl<T> Queue<T> {
    pub(crate) fn push(&mut self, at: Instant, what: T) {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.places.push(None);
                self.places.len() - 1
            }
        };
        self.places[place] = Some(what);
        self.order.push(Reverse((at, self.arranged, place)));
        self.arranged += 1;
    }

    /// When the next happening is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.order.peek().map(|Reverse((at, ..))| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Instant, T)> {
        let Reverse((at, _, place)) = self.order.pop()?;
        self.free.push(place);
        let what = self.places[place].take().expect("a ticket is made with its place filled, and popped once");
        Some((at, what))
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_at_one_time_happens_in_the_order_it_was_arranged() {
        let mut queue = Queue::default();
        for (at, name) in [(5, "c"), (1, "a"), (5, "d"), (1, "b")] {
            queue.push(Instant(at), name);
        }
        let names: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, name)| name).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
        queue.push(Instant(9), "again");
        assert_eq!((queue.due(), queue.len(), queue.places.len()), (Some(Instant(9)), 1, 4), "places are used again");
    }
}
