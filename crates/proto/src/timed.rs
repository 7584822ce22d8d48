//! A machine with the time at which it wants to be woken, which is found anew only after it may have changed.
//!
//! A node asks all of its machines for that time after each input, which concerns one or two of them. In a world of many nodes the
//! others need not even be in the processor's cache for it: they lie elsewhere, and what is asked for lies side by side.

use crate::time::Instant;
use std::ops::{Deref, DerefMut};

/// What wants to be woken.
pub(crate) trait Timer {
    /// When; it follows from the machine alone.
    fn next_timeout(&self) -> Option<Instant>;
}

/// A machine in a place of its own. Whoever borrows it to change it makes its time unknown until [`Self::settle`].
#[derive(Debug)]
pub(crate) struct Timed<M> {
    machine: Box<M>,
    due: Option<Instant>,
    changed: bool,
}

impl<M: Timer> Timed<M> {
    pub(crate) fn new(machine: M) -> Self {
        Self { due: machine.next_timeout(), machine: Box::new(machine), changed: false }
    }

    /// Finds out when it is due, if it may have changed.
    pub(crate) fn settle(&mut self) {
        if self.changed {
            self.due = self.machine.next_timeout();
            self.changed = false;
        }
    }

    /// When it is due, as of the last [`Self::settle`].
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether a wake-up concerns it, as far as is known without asking it.
    pub(crate) fn may_be_due(&self, now: Instant) -> bool {
        self.changed || self.due.is_some_and(|due| due <= now)
    }

    /// Whether it waits for any time at all, as far as is known without asking it.
    pub(crate) fn may_wait(&self) -> bool {
        self.changed || self.due.is_some()
    }
}

impl<M> Deref for Timed<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.machine
    }
}

impl<M> DerefMut for Timed<M> {
    fn deref_mut(&mut self) -> &mut M {
        self.changed = true;
        &mut self.machine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Alarm(Option<Instant>);

    impl Timer for Alarm {
        fn next_timeout(&self) -> Option<Instant> {
            self.0
        }
    }

    #[test]
    fn a_change_is_seen_once_it_has_settled_and_concerns_every_wake_until_then() {
        let mut timed = Timed::new(Alarm(Some(Instant(5))));
        assert_eq!((timed.due(), timed.may_be_due(Instant(4)), timed.may_be_due(Instant(5))), (Some(Instant(5)), false, true));
        timed.0 = None;
        assert!(timed.may_be_due(Instant(0)), "it may have become due");
        timed.settle();
        assert_eq!((timed.due(), timed.may_wait()), (None, false));
    }

    #[test]
    fn looking_at_it_changes_nothing() {
        let timed = Timed::new(Alarm(None));
        assert!(timed.0.is_none() && !timed.may_be_due(Instant(9)));
    }
}
