//! How fast members come and go: how much it is worth to know and to link far members well.

use crate::time::Instant;
use cicada_wire::Churn;
use std::{collections::VecDeque, time::Duration};

/// What this peer has seen of it, and what its successor says.
#[derive(Debug, Default)]
pub(super) struct Unrest {
    /// Somebody has gone: until then members are taken to come and go.
    seen: Instant,
    /// When neighbours went lately, the last one last; at most [`MOST_GONE`].
    gone: VecDeque<Instant>,
    heard: Churn,
    /// Until when that is believed.
    believed: Instant,
}

impl Unrest {
    /// A known member has gone, one of the neighbours or not.
    pub(super) fn on_gone(&mut self, now: Instant, is_neighbour: bool) {
        self.seen = now + LATELY;
        if is_neighbour {
            if self.gone.len() >= MOST_GONE {
                self.gone.pop_front();
            }
            self.gone.push_back(now);
        }
    }

    /// The successor tells what it has seen.
    pub(super) fn hear(&mut self, now: Instant, churn: Churn) {
        if churn != Churn::Calm {
            (self.heard, self.believed) = (churn, now + LATELY);
        }
    }

    /// What this peer has seen itself, which has so many neighbours. Only that is told to others: hearsay would go round the ring
    /// for ever.
    pub(super) fn seen(&self, now: Instant, neighbours: usize) -> Churn {
        let gone = self.gone.iter().filter(|gone| now.since(**gone) < LATELY).count();
        match () {
            () if now >= self.seen => Churn::Calm,
            () if gone * HEAVY_FROM > neighbours => Churn::Heavy,
            () => Churn::Some,
        }
    }

    /// What to expect.
    pub(super) fn expected(&self, now: Instant, neighbours: usize) -> Churn {
        let heard = if now < self.believed { self.heard } else { Churn::Calm };
        self.seen(now, neighbours).max(heard)
    }
}

/// How long a departure counts.
pub(super) const LATELY: Duration = Duration::from_secs(60); // guess: with sessions of ten minutes one of fifty goes every 17 s

/// Churn is heavy when more than one in so many neighbours has gone lately.
const HEAVY_FROM: usize = 4; // with sessions of ten minutes it is one in fourteen, with sessions of 84 s two in five

/// More are not remembered.
const MOST_GONE: usize = 32; // guess: more than there are neighbours

#[cfg(test)]
mod tests {
    use super::*;

    const NEIGHBOURS: usize = 16;

    fn at(seconds: u64) -> Instant {
        Instant(1_000_000 * (1000 + seconds))
    }

    #[test]
    fn a_minute_after_the_last_departure_all_is_calm() {
        let mut unrest = Unrest::default();
        assert_eq!(unrest.seen(at(0), NEIGHBOURS), Churn::Calm);
        unrest.on_gone(at(0), false);
        assert_eq!((unrest.seen(at(59), NEIGHBOURS), unrest.seen(at(60), NEIGHBOURS)), (Churn::Some, Churn::Calm));
    }

    #[test]
    fn churn_is_heavy_when_more_than_a_quarter_of_the_neighbours_went_in_a_minute() {
        let mut unrest = Unrest::default();
        for second in 0..20 {
            unrest.on_gone(at(second), false);
        }
        assert_eq!(unrest.seen(at(20), NEIGHBOURS), Churn::Some, "those far away say nothing: few of them are watched");
        for second in 0..5 {
            assert_eq!(unrest.seen(at(20 + second), NEIGHBOURS), Churn::Some);
            unrest.on_gone(at(20 + second), true);
        }
        assert_eq!(unrest.seen(at(25), NEIGHBOURS), Churn::Heavy);
        assert_eq!(unrest.seen(at(80), NEIGHBOURS), Churn::Some);
    }

    #[test]
    fn what_was_heard_is_expected_for_a_minute_and_never_told_on() {
        let mut unrest = Unrest::default();
        unrest.hear(at(0), Churn::Heavy);
        unrest.hear(at(1), Churn::Calm);
        assert_eq!(unrest.expected(at(59), NEIGHBOURS), Churn::Heavy);
        assert_eq!(unrest.expected(at(60), NEIGHBOURS), Churn::Calm);
        assert_eq!(unrest.seen(at(0), NEIGHBOURS), Churn::Calm);
    }
}
