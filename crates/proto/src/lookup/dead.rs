//! Who did not answer a moment ago: shared by all lookups, so that the next one need not wait for the same timeout.

use crate::time::Instant;
use cicada_wire::Hash;
use std::{collections::BTreeMap, time::Duration};

/// The peers that were silent, each until when that is believed.
#[derive(Debug, Default)]
pub(super) struct Dead {
    until: BTreeMap<Hash, Instant>,
}

impl Dead {
    pub(super) fn silent(&mut self, now: Instant, peer: Hash) {
        self.forget(now);
        if self.until.len() >= REMEMBERED {
            // The oldest is the one forgotten first anyway.
            if let Some(oldest) = self.until.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer) {
                self.until.remove(&oldest);
            }
        }
        self.until.insert(peer, now + BELIEVED);
    }

    pub(super) fn answered(&mut self, peer: Hash) {
        self.until.remove(&peer);
    }

    pub(super) fn holds(&self, now: Instant, peer: Hash) -> bool {
        self.until.get(&peer).is_some_and(|until| now < *until)
    }

    pub(super) fn forget(&mut self, now: Instant) {
        self.until.retain(|_, until| now < *until);
    }
}

/// A peer that comes back at once should not be passed over for long, and losing a question and its repetition does not make
/// a peer dead.
const BELIEVED: Duration = Duration::from_secs(3); // guess: several lookups, less than a restart
const REMEMBERED: usize = 256; // guess: a quarter of a large table
