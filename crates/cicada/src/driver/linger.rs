//! Waiting awake for a moment before sleeping.
//!
//! When two peers talk to and fro, each waits some ten microseconds for the other. A core that falls asleep meanwhile costs more
//! than that to wake: twice, since whoever wakes it pays as well. So a driver that has just exchanged something with its
//! application looks for more for a moment, and lets every other task of its runtime go first each time. Where that was in vain
//! it is tried ever more rarely, so that somebody whose messages come now and then does not pay for it.

use std::time::{Duration, Instant};

/// Decides when to stay awake.
#[derive(Debug)]
pub(crate) struct Linger {
    span: Duration,
    /// Something was exchanged with the application since the last wait.
    lively: bool,
    /// How often in a row it was in vain.
    in_vain: u32,
    /// That many waits are spent asleep.
    skipped: u32,
}

impl Linger {
    pub(crate) fn new(span: Duration) -> Self {
        Self { span, lively: false, in_vain: 0, skipped: 0 }
    }

    /// Something was exchanged with the application.
    pub(super) fn note(&mut self) {
        self.lively = true;
    }

    /// Until when to stay awake before this wait; `None` for not at all.
    pub(super) fn begin(&mut self, now: Instant) -> Option<Instant> {
        if !std::mem::take(&mut self.lively) || self.span.is_zero() {
            return None;
        }
        if self.skipped > 0 {
            self.skipped -= 1;
            return None;
        }
        Some(now + self.span)
    }

    /// It is over; `paid` if something came.
    pub(super) fn end(&mut self, paid: bool) {
        self.in_vain = if paid { 0 } else { (self.in_vain + 1).min(MOST_IN_VAIN) };
        self.skipped = (1 << self.in_vain) - 1;
    }
}

/// From then on one wait of 1024 is tried, which costs each of them less than waking up does by a hundredth.
const MOST_IN_VAIN: u32 = 10; // guess

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_micros(100);

    fn tries(linger: &mut Linger, waits: usize, paid: bool) -> usize {
        let now = Instant::now();
        (0..waits)
            .filter(|_| {
                linger.note();
                let tried = linger.begin(now).is_some();
                if tried {
                    linger.end(paid);
                }
                tried
            })
            .count()
    }

    #[test]
    fn whoever_is_answered_at_once_stays_awake_each_time() {
        assert_eq!(tries(&mut Linger::new(SPAN), 1000, true), 1000);
    }

    #[test]
    fn whoever_waits_in_vain_sleeps_more_and_more() {
        let mut linger = Linger::new(SPAN);
        assert_eq!(tries(&mut linger, 1023, false), 10);
        assert_eq!(tries(&mut linger, 10 * 1024, false), 10);
        // Until it pays again.
        tries(&mut linger, 1024, true);
        assert_eq!(tries(&mut linger, 100, true), 100);
    }

    #[test]
    fn nobody_stays_awake_without_an_application_that_talks() {
        let now = Instant::now();
        let mut linger = Linger::new(SPAN);
        assert_eq!(linger.begin(now), None);
        linger.note();
        assert_eq!(linger.begin(now), Some(now + SPAN));
        assert_eq!(linger.begin(now), None);
    }

    #[test]
    fn it_can_be_switched_off() {
        assert_eq!(tries(&mut Linger::new(Duration::ZERO), 1000, true), 0);
    }
}
