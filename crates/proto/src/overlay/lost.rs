//! The memory of peers that were lost without a goodbye: they are tried again, since it may be the network that failed. Two
//! halves of a swarm find each other again through it.

use crate::{context::Context, time::Instant};
use cicada_wire::{Hash, SignedRecord};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::{collections::BTreeMap, time::Duration};

/// Who was lost, and when each is tried again.
#[derive(Debug, Default)]
pub(crate) struct Lost {
    peers: BTreeMap<Hash, Entry>,
    /// Nobody is tried before that: in a swarm where many leave without a word most of the lost are dead.
    paced: Instant,
}

#[derive(Debug)]
struct Entry {
    record: SignedRecord,
    /// We never met it: others say that it was there.
    hearsay: bool,
    tries: u32,
    next: Instant,
}

impl Lost {
    /// This peer is gone without a goodbye. Over `limit` the one that was tried most often is forgotten.
    pub(crate) fn remember(&mut self, now: Instant, rng: &mut ChaCha8Rng, record: SignedRecord, limit: usize) {
        self.insert(now, rng, record, false);
        while self.peers.len() > limit {
            let Some(worn) = self.peers.iter().max_by_key(|(_, entry)| entry.tries).map(|(id, _)| *id) else { return };
            self.peers.remove(&worn);
        }
    }

    /// Others say of this peer, which cannot be reached, that it was there: who came after a split hears of the other half so.
    /// Hearsay takes no more than a part of the room.
    pub(crate) fn hear_of(&mut self, now: Instant, rng: &mut ChaCha8Rng, record: SignedRecord, limit: usize) {
        let heard_of = self.peers.values().filter(|entry| entry.hearsay).count();
        if heard_of < limit / HEARSAY && self.peers.len() < limit && !self.peers.contains_key(&record.id()) {
            self.insert(now, rng, record, true);
        }
    }

    /// Somebody who leaves names members that it had lost; those that we know ourselves are not.
    pub(crate) fn inherit(&mut self, cx: &mut Context<'_>, legacy: Vec<SignedRecord>, is_known: impl Fn(Hash) -> bool) {
        for record in legacy {
            if record.id() != cx.me.id() && !is_known(record.id()) {
                self.hear_of(cx.now, cx.rng, record, cx.config.limits.lost);
            }
        }
    }

    fn insert(&mut self, now: Instant, rng: &mut ChaCha8Rng, record: SignedRecord, hearsay: bool) {
        self.peers.insert(record.id(), Entry { record, hearsay, tries: 0, next: now + pause(rng, 0) });
    }

    /// Those whom another may look for in our place: the ones that were tried least. Hearsay is not handed on, or it would live
    /// for ever.
    pub(crate) fn legacy(&self) -> Vec<SignedRecord> {
        let mut ours: Vec<&Entry> = self.peers.values().filter(|entry| !entry.hearsay).collect();
        ours.sort_by_key(|entry| entry.tries);
        ours.into_iter().take(LEGACY).map(|entry| entry.record.clone()).collect()
    }

    /// It is back. Returns whether it had been lost.
    pub(crate) fn found(&mut self, id: Hash) -> bool {
        self.peers.remove(&id).is_some()
    }

    /// It did not answer (or was never lost).
    pub(crate) fn failed(&mut self, now: Instant, rng: &mut ChaCha8Rng, id: Hash) {
        let Some(entry) = self.peers.get_mut(&id) else { return };
        entry.tries += 1;
        if entry.tries >= MAX_TRIES {
            self.peers.remove(&id);
        } else {
            entry.next = now + pause(rng, entry.tries);
        }
    }

    /// Whom to try now: of those whose time has come the one that was tried least.
    pub(crate) fn due(&mut self, now: Instant) -> Option<SignedRecord> {
        if now < self.paced {
            return None;
        }
        let due = self.peers.values_mut().filter(|entry| entry.next <= now);
        let entry = due.min_by_key(|entry| (entry.tries, entry.next))?;
        // Until the answer, or its absence, is known.
        entry.next = now + LONGEST;
        self.paced = now + PACE;
        Some(entry.record.clone())
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.peers.values().map(|entry| entry.next.max(self.paced)).min()
    }
}

/// Doubles from 1 s to 5 minutes, by up to a quarter more, so that those who lost the same peer do not all try at once.
fn pause(rng: &mut ChaCha8Rng, tries: u32) -> Duration {
    let pause = (FIRST * 2u32.pow(tries.min(16))).min(LONGEST);
    let quarter = u64::try_from(pause.as_micros() / 4).unwrap_or(u64::MAX).max(1);
    pause + Duration::from_micros(rng.next_u64() % quarter)
}

const FIRST: Duration = Duration::from_secs(1); // architecture
const LONGEST: Duration = Duration::from_secs(300); // architecture
/// Between two tries of whomever.
const PACE: Duration = Duration::from_secs(20); // guess: under churn, where it is always somebody's turn, 10 B/s; two halves of 1000 meet at once

/// Hearsay takes one of so many parts of the room.
const HEARSAY: usize = 4; // guess

/// How many who leaves hands on.
const LEGACY: usize = 2; // guess: one of the other half is enough, and a record is 130 B

const MAX_TRIES: u32 = 20; // 8 doublings and 12 times 5 minutes: an hour's outage is survived

#[cfg(test)]
mod tests;
