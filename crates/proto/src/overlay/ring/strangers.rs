//! Peers that are proven but not known to stand on the ring: they may still be joining, or belong to another ring.

use super::at;
use crate::{peer::Proven, time::Instant};
use cicada_wire::{Hash, IdPrefix};
use std::{collections::BTreeMap, time::Duration};

/// All strangers.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    peers: BTreeMap<Hash, Stranger>,
    /// When the first has waited long enough: asked for after each input.
    next: Option<Instant>,
}

/// A proven peer that nobody has named as a member of the ring yet.
#[derive(Debug)]
pub(super) struct Stranger {
    pub(super) peer: Proven,
    /// From then on it is taken for a member.
    until: Instant,
}

impl Strangers {
    pub(super) fn insert(&mut self, now: Instant, peer: Proven) {
        if self.peers.len() >= MAX && !self.peers.contains_key(&peer.id()) {
            return;
        }
        // Who proves itself again does not begin to wait again.
        self.peers.entry(peer.id()).or_insert(Stranger { peer, until: now + GRACE });
        self.find_next();
    }

    pub(super) fn take(&mut self, id: Hash) -> Option<Stranger> {
        let taken = self.peers.remove(&id)?;
        self.find_next();
        Some(taken)
    }

    pub(super) fn take_at(&mut self, prefix: IdPrefix) -> Option<Stranger> {
        self.take(at(&self.peers, prefix)?)
    }

    pub(super) fn put_back(&mut self, stranger: Stranger) {
        self.peers.insert(stranger.peer.id(), stranger);
        self.find_next();
    }

    /// Whoever belongs to another ring stays a stranger for longer, so that no message for our ring goes astray in that one.
    pub(super) fn is_foreign(&mut self, now: Instant, peer: &Proven) {
        if self.peers.len() < MAX || self.peers.contains_key(&peer.id()) {
            self.peers.insert(peer.id(), Stranger { peer: peer.clone(), until: now + FOREIGN_GRACE });
            self.find_next();
        }
    }

    /// Those that have waited long enough: by now they have joined, or never will.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Proven> {
        if self.next.is_none_or(|next| next > now) {
            return Vec::new();
        }
        let due = self.peers.extract_if(.., |_, stranger| stranger.until <= now).map(|(_, stranger)| stranger.peer).collect();
        self.find_next();
        due
    }

    fn find_next(&mut self) {
        self.next = self.peers.values().map(|stranger| stranger.until).min();
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.next
    }
}

const MAX: usize = 128; // guess: joiners of one second at one entry point

const GRACE: Duration = Duration::from_secs(1); // guess: several round trips of a join

const FOREIGN_GRACE: Duration = Duration::from_secs(5); // guess: what merging takes
