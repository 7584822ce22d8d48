//! How an operation is to be done.

use cicada_proto::{Ack, Route};
use cicada_wire::Hash;
use std::time::Duration;

/// How to send a unicast.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SendOptions {
    /// Further copies by other first hops, at most 16. The application at the target gets one.
    pub duplicates: u8,
    /// Which way; the default is the peer's, see [`crate::Builder::route`].
    pub route: Option<Route>,
    /// What to wait for.
    pub ack: Ack,
    /// How long to try; 10 s unless told otherwise.
    pub timeout: Option<Duration>,
}

impl SendOptions {
    /// With this many further copies.
    #[must_use]
    pub fn with_duplicates(mut self, duplicates: u8) -> Self {
        self.duplicates = duplicates;
        self
    }

    /// This way.
    #[must_use]
    pub fn with_route(mut self, route: Route) -> Self {
        self.route = Some(route);
        self
    }

    /// Waiting for this.
    #[must_use]
    pub fn with_ack(mut self, ack: Ack) -> Self {
        self.ack = ack;
        self
    }

    /// Trying for this long.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// How to send to everybody.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct BroadcastOptions {
    /// Peers that are not to have it; at most [`crate::MAX_EXCLUDED`].
    pub exclude: Vec<Hash>,
}

impl BroadcastOptions {
    /// Leaving these out.
    #[must_use]
    pub fn with_exclude(mut self, exclude: impl IntoIterator<Item = Hash>) -> Self {
        self.exclude = exclude.into_iter().collect();
        self
    }
}

/// How to join.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// How long to try again and again; 10 s unless told otherwise.
    pub timeout: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self { timeout: DEFAULT_TIMEOUT }
    }
}

impl ConnectOptions {
    /// Trying for this long.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// What the original Cicada documents for joining; the same for a receipt.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The most further copies of a unicast.
pub(crate) const MAX_DUPLICATES: u8 = 16; // architecture: n at most 16
