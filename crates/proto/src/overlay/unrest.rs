//! How fast members come and go: how much it is worth to know and to link far members well.

use crate::time::Instant;
use cicada_wire::Churn;
use std::{collections::VecDeque, time::Duration};

/// What this peer has seen of it, and what those say who have been here longer.
#[derive(Debug, Default)]
pub(super) struct Unrest {
    /// Members have come and gone since then.
    since: Instant,
    /// Somebody has gone: until then members are taken to come and go.
    seen: Instant,
    /// When members that count went lately, the last one last; at most [`MOST_GONE`].
    gone: VecDeque<Instant>,
    heard: Churn,
    /// Until when that is believed.
    believed: Instant,
}

impl Unrest {
    /// A member has gone, one of those that count or not.
    pub(super) fn on_gone(&mut self, now: Instant, counts: bool) {
        if self.seen < now {
            self.since = now;
        }
        self.seen = now + LATELY;
        if counts {
            if self.gone.len() >= MOST_GONE {
                self.gone.pop_front();
            }
            self.gone.push_back(now);
        }
    }

    /// Somebody tells what it has seen.
    pub(super) fn hear(&mut self, now: Instant, churn: Churn) {
        if churn != Churn::Calm && churn >= self.heard(now) {
            (self.heard, self.believed) = (churn, now + LATELY);
        }
    }

    /// What this peer has seen itself, which knows so many members that count. Only that is told to others: hearsay would go round for ever.
    pub(super) fn seen(&self, now: Instant, members: usize) -> Churn {
        let gone = self.gone.iter().filter(|gone| now.since(**gone) < LATELY).count();
        match () {
            () if now >= self.seen => Churn::Calm,
            () if gone * HEAVY_FROM > members && self.is_usual(now) => Churn::Heavy,
            () => Churn::Some,
        }
    }

    /// What others have told lately.
    pub(super) fn heard(&self, now: Instant) -> Churn {
        if now < self.believed { self.heard } else { Churn::Calm }
    }

    /// When all is calm, if nobody else goes.
    pub(super) fn calm_from(&self) -> Instant {
        self.seen.max(self.believed)
    }

    /// Whether somebody goes now as others have gone for a while.
    pub(super) fn is_usual(&self, now: Instant) -> bool {
        now.since(self.since) > USUAL
    }
}

/// How long a departure counts.
pub(super) const LATELY: Duration = Duration::from_secs(60); // guess: with sessions of ten minutes one of fifty goes every 17 s

/// After so long of it coming and going is usual.
const USUAL: Duration = Duration::from_secs(30); // guess: what follows the death of many at once is over

/// Churn is heavy when more than one in so many members that count has gone lately.
const HEAVY_FROM: usize = 4; // with sessions of ten minutes it is one in fourteen, with sessions of 84 s two in five

/// More are not remembered.
const MOST_GONE: usize = 64; // guess: more than a quarter of a table

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
        for second in 0..35 {
            unrest.on_gone(at(second), false);
        }
        assert_eq!(unrest.seen(at(35), NEIGHBOURS), Churn::Some, "those far away say nothing: few of them are watched");
        for second in 35..40 {
            assert_eq!(unrest.seen(at(second), NEIGHBOURS), Churn::Some);
            unrest.on_gone(at(second), true);
        }
        assert_eq!(unrest.seen(at(40), NEIGHBOURS), Churn::Heavy);
        assert_eq!(unrest.seen(at(95), NEIGHBOURS), Churn::Some);
    }

    #[test]
    fn that_many_die_at_once_is_not_how_it_usually_is() {
        let mut unrest = Unrest::default();
        for _ in 0..NEIGHBOURS / 2 {
            unrest.on_gone(at(0), true);
        }
        assert_eq!((unrest.seen(at(0), NEIGHBOURS), unrest.seen(at(30), NEIGHBOURS)), (Churn::Some, Churn::Some));
    }

    #[test]
    fn what_was_heard_holds_for_a_minute_and_is_never_told_on() {
        let mut unrest = Unrest::default();
        unrest.hear(at(0), Churn::Heavy);
        unrest.hear(at(1), Churn::Calm);
        unrest.hear(at(2), Churn::Some);
        assert_eq!((unrest.heard(at(59)), unrest.heard(at(60))), (Churn::Heavy, Churn::Calm));
        assert_eq!(unrest.seen(at(0), NEIGHBOURS), Churn::Calm);
    }
}
