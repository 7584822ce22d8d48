//! Time as an input: a monotonic instant, and the reasons to wake up.

use std::{ops::Add, time::Duration};

/// Microseconds since an arbitrary start, monotonic. Not the wall time: that is [`cicada_wire::UnixTime`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(pub u64);

impl Instant {
    /// How long ago `earlier` was; zero if it is still to come.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        // A span of 500 000 years is nobody's: saturate instead of wrapping.
        Self(self.0.saturating_add(u64::try_from(span.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// Why a machine wants to be woken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Wake {
    /// A join is to be tried again or given up.
    Join,
    /// The overlay's upkeep: stabilise, refresh, prove, merge.
    Upkeep,
    /// A liveness check is due or overdue.
    Liveness,
    /// A lookup's question was not answered.
    Lookup,
    /// A message's hop, receipt or timeout.
    Route,
    /// A broadcast's task was not acknowledged.
    Broadcast,
    /// Links are to be opened, or closed for being idle.
    Links,
    /// Leaving has waited long enough for what is on its way.
    Leave,
}
