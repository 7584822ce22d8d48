//! What is still to happen, in the order of time. What is due at one time happens in an order that the seed draws, or in the order
//! in which it was arranged; of one class always in the order in which it was arranged.

use cicada_proto::Instant;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

/// In which order things happen that are due at the same time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ties {
    /// In one that follows from the seed; what travels over one link, or concerns one peer alone, stays in order.
    #[default]
    Random,
    /// In the order in which they were arranged: for plays that people read.
    Arranged,
}

/// When it is due, its place among what is due then, the number of its arrangement, and where it lies.
type Ticket = Reverse<(Instant, u64, u64, usize)>;

/// A queue of happenings. What is due in the same span of time is sorted when that comes, in a heap that stays in the processor's
/// cache however much is arranged; only small tickets move, what they stand for lies still in its place.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    /// Due up to the end of `span`. Empty only if nothing is arranged at all.
    soon: BinaryHeap<Ticket>,
    span: u64,
    /// Due later, by span.
    later: BTreeMap<u64, Vec<Ticket>>,
    /// Room of spans that are over.
    spare: Vec<Vec<Ticket>>,
    places: Vec<Option<T>>,
    free: Vec<usize>,
    arranged: u64,
    /// Draws the order of what is due at one time; `None`: as arranged.
    seed: Option<u64>,
}

impl<T> Queue<T> {
    pub(crate) fn new(ties: Ties, seed: u64) -> Self {
        let seed = match ties {
            Ties::Random => Some(seed),
            Ties::Arranged => None,
        };
        Self {
            soon: BinaryHeap::new(),
            span: 0,
            later: BTreeMap::new(),
            spare: Vec::new(),
            places: Vec::new(),
            free: Vec::new(),
            arranged: 0,
            seed,
        }
    }

    /// Arranges `what` for `at`. What is of the same `class` does not overtake it.
    pub(crate) fn push(&mut self, at: Instant, class: u64, what: T) {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.places.push(None);
                self.places.len() - 1
            }
        };
        self.places[place] = Some(what);
        let tie = self.seed.map_or(0, |seed| mix(mix(seed ^ at.0) ^ class));
        let ticket = Reverse((at, tie, self.arranged, place));
        self.arranged += 1;
        let span = at.0 >> SPAN_BITS;
        if self.soon.is_empty() {
            self.span = span;
        }
        if span <= self.span {
            self.soon.push(ticket);
        } else {
            self.later.entry(span).or_insert_with(|| self.spare.pop().unwrap_or_default()).push(ticket);
        }
    }

    /// When the next happening is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.soon.peek().map(|Reverse((at, ..))| *at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Instant, T)> {
        let Reverse((at, _, _, place)) = self.soon.pop()?;
        if self.soon.is_empty()
            && let Some((span, tickets)) = self.later.pop_first()
        {
            self.span = span;
            let spare = std::mem::replace(&mut self.soon, tickets.into()).into_vec();
            if self.spare.len() < SPARES {
                self.spare.push(spare);
            }
        }
        self.free.push(place);
        let what = self.places[place].take().expect("a ticket is made with its place filled, and popped once");
        Some((at, what))
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

/// A span is so many bits of microseconds long: a millisecond, in which some hundred things happen in a swarm of 20 000.
const SPAN_BITS: u32 = 10;

/// More room than for so many spans is given back.
const SPARES: usize = 64;

/// Scatters numbers: the finalizer of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub(crate) fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emptied<T>(queue: &mut Queue<T>) -> Vec<T> {
        std::iter::from_fn(|| queue.pop()).map(|(_, what)| what).collect()
    }

    #[test]
    fn what_is_due_at_one_time_happens_in_the_order_it_was_arranged_if_that_is_asked() {
        let mut queue = Queue::new(Ties::Arranged, 0);
        for (class, (at, name)) in [(5, "c"), (1, "a"), (5, "d"), (1, "b")].into_iter().enumerate() {
            queue.push(Instant(at), class as u64, name);
        }
        assert_eq!(emptied(&mut queue), ["a", "b", "c", "d"]);
        queue.push(Instant(9), 0, "again");
        assert_eq!((queue.due(), queue.len(), queue.places.len()), (Some(Instant(9)), 1, 4), "places are used again");
    }

    #[test]
    fn what_is_due_at_one_time_happens_in_an_order_that_the_seed_draws() {
        let order = |seed| {
            let mut queue = Queue::new(Ties::Random, seed);
            (0..20).for_each(|class| queue.push(Instant(5), class, class));
            emptied(&mut queue)
        };
        assert_eq!(order(1), order(1), "the control: the same seed, the same order");
        assert_ne!(order(1), order(2));
        assert_ne!(order(1), (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_due_in_other_spans_happens_in_the_order_of_time_whenever_it_was_arranged() {
        let mut queue = Queue::new(Ties::Random, 4);
        let time = |number: u64| mix(number) % (8 << SPAN_BITS);
        (0..200).for_each(|number| queue.push(Instant(time(number)), 0, number));
        let mut popped = Vec::new();
        for number in 200..300 {
            let (at, _) = queue.pop().expect("there are many");
            popped.push(at);
            queue.push(Instant(at.0 + time(number)), 0, number);
        }
        popped.extend(std::iter::from_fn(|| queue.pop()).map(|(at, _)| at));
        assert!(popped.is_sorted() && popped.len() == 300);
        assert_eq!((queue.due(), queue.len()), (None, 0));
        queue.push(Instant(5), 0, 0);
        assert_eq!(queue.due(), Some(Instant(5)), "also before the last span");
    }

    #[test]
    fn what_is_of_one_class_stays_in_order_and_time_goes_before_ties() {
        let mut queue = Queue::new(Ties::Random, 3);
        (0..50_u64).for_each(|number| queue.push(Instant(number / 25), number % 2, number));
        let order = emptied(&mut queue);
        for class in 0..2 {
            let of_class: Vec<_> = order.iter().filter(|number| *number % 2 == class).collect();
            assert!(of_class.is_sorted(), "{of_class:?}");
        }
        assert!(order[..25].iter().all(|number| *number < 25));
    }
}
