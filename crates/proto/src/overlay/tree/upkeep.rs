//! When a peer looks its neighbourhood and its cells up: soon after a change, ever more rarely while all is quiet.

use crate::time::Instant;
use cicada_wire::Churn;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

/// What is due when.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    own: Option<Own>,
    cells: BTreeMap<u32, Cell>,
}

#[derive(Debug)]
struct Cell {
    next: Instant,
    /// Set while nobody is known there: it is looked up again after this.
    empty: Option<Duration>,
    /// How often it was looked up since somebody there died.
    quiet: u32,
}

#[derive(Debug)]
struct Own {
    next: Instant,
    pause: Duration,
    /// How many more lookups of our own id ask the whole neighbourhood, which so learns of us.
    thorough: u32,
    /// How many brief looks there have been since quiet was disturbed.
    turn: usize,
}

/// How to look around.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Look {
    /// Ask all of the nearest.
    Thorough,
    /// Ask a few of them, about one of the near cells at a time: which one.
    Brief { turn: usize },
}

impl Schedule {
    /// The first member is known, or the first after we were cut off: this peer has come into a swarm.
    pub(super) fn joined(&mut self, now: Instant) {
        self.own = Some(Own { next: now + SETTLE, pause: SETTLE, thorough: THOROUGH, turn: 0 });
    }

    /// Nobody is known any more.
    pub(super) fn alone(&mut self) {
        *self = Self::default();
    }

    /// Whether our own id is still to be looked up by asking all of the neighbourhood.
    pub(super) fn is_thorough(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.thorough > 0)
    }

    /// The neighbourhood changed. `restless`: it will again, before long.
    pub(super) fn changed(&mut self, now: Instant, restless: bool) {
        if let Some(own) = &mut self.own {
            if own.pause > AFTER_CHANGE * 2 && !restless {
                own.turn = 0;
            }
            own.pause = if restless { AFTER_CHANGE * 4 } else { AFTER_CHANGE };
            own.next = own.next.min(now + if restless { OFTEN_CHANGING } else { CHANGING });
        }
        // Who has come may have come to where nobody was. It says so itself, and that it did not is rare enough to be found out later.
        if restless {
            return;
        }
        for cell in self.cells.values_mut().filter(|cell| cell.empty.is_some_and(|empty| empty > LATE_RETRY)) {
            *cell = Cell { next: now + CHANGING, empty: Some(LATE_RETRY), quiet: 0 };
        }
    }

    /// Whether our own id should be looked up now; the next time is set. Where many members go all of the neighbourhood is asked once that is
    /// over: before, it would have changed again.
    pub(super) fn own_due(&mut self, now: Instant, rng: &mut ChaCha8Rng, longest: Duration, churn: Churn) -> Option<Look> {
        let own = self.own.as_mut().filter(|own| own.next <= now)?;
        own.next = now + jittered(rng, own.pause, 4);
        own.pause = (own.pause * 4).min(longest);
        if own.thorough > 0 && churn != Churn::Heavy {
            // Where members come and go, few have joined at the same moment.
            own.thorough = if churn == Churn::Calm { own.thorough - 1 } else { 0 };
            return Some(Look::Thorough);
        }
        let turn = own.turn;
        own.turn = turn.wrapping_add(1);
        Some(Look::Brief { turn })
    }

    /// These cells are looked up in turn: those not known so far at once, or after a `pause` if they are below `seen` and so have just
    /// been looked at.
    pub(super) fn watch_from(&mut self, now: Instant, cells: RangeInclusive<u32>, seen: u32, pause: Duration) {
        self.cells.retain(|cell, _| cell >= cells.start());
        for cell in cells {
            let (next, empty) = if cell < seen { (now + pause, pause) } else { (now, FIRST_RETRY) };
            self.cells.entry(cell).or_insert(Cell { next, empty: Some(empty), quiet: 0 });
        }
    }

    /// Somebody in this cell has died: others may have, so that it is not left alone for long.
    pub(super) fn bereaved(&mut self, now: Instant, cell: u32, pause: Duration) {
        if let Some(cell) = self.cells.get_mut(&cell) {
            cell.quiet = 0;
            cell.next = cell.next.min(now + pause);
        }
    }

    /// A cell has become empty. Where that is usual (`often`), who comes next will say so itself mostly.
    pub(super) fn emptied(&mut self, now: Instant, cell: u32, often: bool) {
        if let Some(cell) = self.cells.get_mut(&cell) {
            *cell = Cell { next: now, empty: Some(if often { RARE_RETRY } else { FIRST_RETRY }), quiet: 0 };
        }
    }

    /// The cells to be looked up now, and whether each has been before; the next time is set, up to twice `pause` from now, and twice
    /// as long for each time that nobody there had died, up to [`MOST_DOUBLINGS`]. Where nobody is known, which is rarely so because
    /// nobody is there, it is sooner.
    pub(super) fn cells_due(&mut self, now: Instant, rng: &mut ChaCha8Rng, pause: Duration, filled: &[u32]) -> Vec<(u32, bool)> {
        let mut due = Vec::new();
        for (number, cell) in self.cells.iter_mut().filter(|(_, cell)| cell.next <= now) {
            let is_filled = filled.contains(number);
            let retry = cell.empty.filter(|_| !is_filled);
            // Found meanwhile: no need to look.
            if !(is_filled && cell.empty.is_some_and(|empty| empty > FIRST_RETRY)) {
                due.push((*number, cell.empty.is_none()));
            }
            cell.empty = retry.map(|empty| (empty * 2).min(pause));
            cell.next = now + jittered(rng, retry.unwrap_or(pause * 2u32.pow(cell.quiet)), 1);
            cell.quiet = (cell.quiet + 1).min(MOST_DOUBLINGS);
        }
        due
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.cells.values().map(|cell| cell.next).chain(self.own.as_ref().map(|own| own.next)).min()
    }
}

/// Longer by up to a `part` of it, so that peers that started together do not stay in step.
fn jittered(rng: &mut ChaCha8Rng, pause: Duration, part: u32) -> Duration {
    let most = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX) / u64::from(part);
    pause + Duration::from_micros(rng.next_u64() % most.max(1))
}

/// From a change to the next look: what comes at the same time is found by one.
const SETTLE: Duration = Duration::from_millis(250); // guess: a lookup's time on the internet
/// Changes come in swarms: those within this time are followed by one look.
const CHANGING: Duration = Duration::from_secs(1); // guess
/// The same where members come and go.
const OFTEN_CHANGING: Duration = Duration::from_secs(16); // guess: several changes next to us with sessions of a minute
/// From the look after a change to the next; four times as long each time, since what changes is mostly told of, and four times as
/// long from the beginning where members come and go.
const AFTER_CHANGE: Duration = Duration::from_secs(5); // guess
/// A cell where nobody was found is looked up again after this, twice as long each time.
const FIRST_RETRY: Duration = Duration::from_millis(500); // guess
/// After a change even a cell that was empty for long is looked up again soon; the next time so much later, up to twice that.
const LATE_RETRY: Duration = Duration::from_secs(8); // guess: so that one look comes after the last of many changes
/// The same of a cell that has become empty where that is usual.
const RARE_RETRY: Duration = Duration::from_secs(16); // guess
/// Whoever is linked is watched, and whoever answers lookups has just been heard of: a refresh finds little in a quiet swarm.
const MOST_DOUBLINGS: u32 = 3; // measured: lookups are what an idle tree sends most
const THOROUGH: u32 = 3; // guess: who joined at the same moment has joined by the third
