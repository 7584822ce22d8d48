//! Whether this peer itself is slow: how late its own wake-ups come.
//!
//! A machine short of CPU, or a process that was stopped for a moment, handles everything late: answers that came in time look
//! late to it, and so its peers look dead. Lifeguard (Dadgar, Phillips and Currey 2018, "local health awareness") draws the
//! consequence that who is slow should doubt itself first. A wake-up that comes later than it was asked for tells so without any
//! guess. Then two things follow: what is waiting to be read is read before anybody's time is over, and for a while every
//! patience is longer by twice as much as the wake-up was late: our questions leave late, and the answers are read late.

use crate::time::Instant;
use std::time::Duration;

/// What the wake-ups have told.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    behind: Duration,
    measured: Instant,
    /// Until then what came in meanwhile is read, and nothing else is done.
    reading: Option<Instant>,
}

impl Pace {
    /// A wake-up came that was asked for at `due`. Whether it shall be acted on now.
    pub(crate) fn on_wake(&mut self, now: Instant, due: Option<Instant>) -> bool {
        if self.reading.is_some_and(|until| now < until) {
            return false;
        }
        let asked = self.reading.take();
        let late = asked.or(due).map_or(Duration::ZERO, |asked| now.since(asked));
        if late < NOTICED {
            return true;
        }
        self.behind = late.max(self.slowness(now) / TWICE).min(MOST);
        self.measured = now;
        // Once: whoever is late each time has to go on nevertheless.
        if asked.is_none() {
            self.reading = Some(now + READING);
        }
        asked.is_some()
    }

    /// By how much every patience is longer now.
    pub(crate) fn slowness(&self, now: Instant) -> Duration {
        TWICE * self.behind.saturating_sub(now.since(self.measured) / FADING)
    }

    /// When to wake up instead, while what came in is read.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.reading
    }
}

/// Timers of an idle machine are a few milliseconds late.
const NOTICED: Duration = Duration::from_millis(50); // guess: a tenth of the shortest patience that is not measured

/// How long what came in is read before anything is taken for overdue.
const READING: Duration = Duration::from_millis(20); // guess: some thousand inputs

/// Leaving late and being read late.
const TWICE: u32 = 2;

/// After a stop of an hour nobody need be waited for an hour.
const MOST: Duration = Duration::from_secs(1); // guess

/// One second too late is forgotten after eight.
const FADING: u32 = 8; // guess

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn who_wakes_in_time_is_not_slow() {
        let mut pace = Pace::default();
        for at in 0..10 {
            let due = Instant(at * 1_000_000);
            assert!(pace.on_wake(due + ms(5), Some(due)));
            assert_eq!((pace.slowness(due + ms(5)), pace.next_timeout()), (Duration::ZERO, None));
        }
    }

    #[test]
    fn who_wakes_late_reads_first_and_is_patient_for_a_while() {
        let mut pace = Pace::default();
        let now = Instant(1_000_000) + ms(400);
        assert!(!pace.on_wake(now, Some(Instant(1_000_000))), "first it reads");
        assert_eq!((pace.slowness(now), pace.next_timeout()), (ms(800), Some(now + READING)));
        assert!(!pace.on_wake(now + ms(1), Some(Instant(1_000_000))));
        assert!(pace.on_wake(now + READING, Some(Instant(1_000_000))), "then it acts");
        assert_eq!(pace.slowness(now + ms(800)), ms(600));
        assert_eq!(pace.slowness(now + ms(3200)), Duration::ZERO);
    }

    #[test]
    fn who_is_late_each_time_acts_every_second_time_and_is_patient_within_bounds() {
        let mut pace = Pace::default();
        let mut now = Instant(1_000_000);
        for _ in 0..5 {
            let due = now;
            now = now + ms(900);
            assert!(!pace.on_wake(now, Some(due)));
            now = now + ms(900);
            assert!(pace.on_wake(now, Some(due)));
            assert!(pace.slowness(now) >= ms(2 * 880));
        }
        assert!(!pace.on_wake(now + Duration::from_secs(3600), Some(now)));
        assert_eq!(pace.slowness(now + Duration::from_secs(3600)), TWICE * MOST);
    }
}
