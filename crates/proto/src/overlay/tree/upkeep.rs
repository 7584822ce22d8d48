//! When a peer looks its neighbourhood and its cells up: soon after a change, ever more rarely while all is quiet.

use crate::time::Instant;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::{collections::BTreeMap, time::Duration};

/// What is due when.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    own: Option<Own>,
    cells: BTreeMap<u32, Instant>,
}

#[derive(Debug)]
struct Own {
    next: Instant,
    pause: Duration,
    /// How many more lookups of our own id ask the whole neighbourhood, which so learns of us.
    thorough: u32,
}

/// How to look around.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Look {
    /// Ask all of the nearest.
    Thorough,
    /// Ask a few of them.
    Brief,
}

impl Schedule {
    /// The first member is known: this peer has come into a swarm.
    pub(super) fn joined(&mut self, now: Instant) {
        self.own = Some(Own { next: now + SETTLE, pause: SETTLE, thorough: THOROUGH });
    }

    /// Nobody is known any more.
    pub(super) fn alone(&mut self) {
        *self = Self::default();
    }

    /// The neighbourhood changed.
    pub(super) fn changed(&mut self, now: Instant) {
        if let Some(own) = &mut self.own {
            own.pause = SETTLE;
            own.next = own.next.min(now + SETTLE);
        }
    }

    /// Whether our own id should be looked up now; the next time is set.
    pub(super) fn own_due(&mut self, now: Instant, rng: &mut ChaCha8Rng, longest: Duration) -> Option<Look> {
        let own = self.own.as_mut().filter(|own| own.next <= now)?;
        own.next = now + jittered(rng, own.pause, 4);
        own.pause = (own.pause * 2).min(longest);
        let thorough = own.thorough > 0;
        own.thorough = own.thorough.saturating_sub(1);
        Some(if thorough { Look::Thorough } else { Look::Brief })
    }

    /// Cells from `lowest` on are looked up in turn; those not known so far at once.
    pub(super) fn watch_from(&mut self, now: Instant, lowest: u32, highest: u32) {
        self.cells.retain(|cell, _| *cell >= lowest);
        for cell in lowest..=highest {
            self.cells.entry(cell).or_insert(now);
        }
    }

    /// A cell has become empty.
    pub(super) fn emptied(&mut self, now: Instant, cell: u32) {
        if let Some(next) = self.cells.get_mut(&cell) {
            *next = now;
        }
    }

    /// The cells to be looked up now; the next time is set, up to twice `pause` from now.
    pub(super) fn cells_due(&mut self, now: Instant, rng: &mut ChaCha8Rng, pause: Duration) -> Vec<u32> {
        let mut due = Vec::new();
        for (cell, next) in self.cells.iter_mut().filter(|(_, next)| **next <= now) {
            *next = now + jittered(rng, pause, 1);
            due.push(*cell);
        }
        due
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.cells.values().copied().chain(self.own.as_ref().map(|own| own.next)).min()
    }
}

/// Longer by up to a `part` of it, so that peers that started together do not stay in step.
fn jittered(rng: &mut ChaCha8Rng, pause: Duration, part: u32) -> Duration {
    let most = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX) / u64::from(part);
    pause + Duration::from_micros(rng.next_u64() % most.max(1))
}

/// From a change to the next look: what comes at the same time is found by one.
const SETTLE: Duration = Duration::from_millis(250); // guess: a lookup's time on the internet
const THOROUGH: u32 = 3; // guess: who joined at the same moment has joined by the third
