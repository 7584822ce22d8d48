//! Members heard of that would have a place, waiting to be proven.

use super::at;
use crate::time::Instant;
use cicada_wire::{Hash, IdPrefix, SignedRecord};
use std::{collections::BTreeMap, time::Duration};

/// All candidates.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    entries: BTreeMap<Hash, Candidate>,
    /// Who is gone, and until when hearsay of it is not believed.
    banned: BTreeMap<Hash, Instant>,
    /// When [`Self::look`] was asked last: whoever was due then waits for the end of a proof, not for a time.
    asked: Instant,
    /// But for those that were put off until then.
    again: Option<Instant>,
}

#[derive(Debug)]
struct Candidate {
    record: SignedRecord,
    /// Whether somebody else named it as a member of the ring.
    on_the_ring: bool,
    /// Whether a lookup of ours was for whoever stands there.
    sought: bool,
    state: State,
    failures: u32,
}

impl Candidate {
    /// Since when it waits for its turn, if it does.
    fn due_since(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Waiting(from) => Some(from).filter(|from| *from <= now),
            State::Proving => None,
        }
    }
}

/// Whether a candidate would have a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    Now,
    /// Then, or as soon as others that would have it come to nothing.
    Later(Instant),
    Not,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Waiting(Instant),
    Proving,
}

impl Candidates {
    pub(super) fn add(&mut self, now: Instant, record: &SignedRecord, on_the_ring: bool, limit: usize) {
        let id = record.id();
        if let Some(candidate) = self.entries.get_mut(&id) {
            candidate.on_the_ring |= on_the_ring;
            if candidate.record.record().sequence < record.record().sequence {
                candidate.record = record.clone();
            }
        } else if self.entries.len() < limit {
            let from = self.banned.get(&id).copied().unwrap_or(now).max(now);
            let candidate = Candidate { record: record.clone(), on_the_ring, sought: false, state: State::Waiting(from), failures: 0 };
            self.entries.insert(id, candidate);
        }
    }

    /// A lookup for the member at some point has found it: it is proven whether or not it would be next to us.
    pub(super) fn seek(&mut self, now: Instant, record: &SignedRecord, limit: usize) {
        self.add(now, record, true, limit);
        if let Some(candidate) = self.entries.get_mut(&record.id()) {
            candidate.sought = true;
        }
    }

    /// Whether who stands there is a candidate, or hearsay of it is not believed for now.
    pub(super) fn have_heard_of(&self, now: Instant, prefix: IdPrefix) -> bool {
        at(&self.entries, prefix).is_some() || at(&self.banned, prefix).is_some_and(|id| self.banned[&id] > now)
    }

    /// It is proven. Returns whether it is known to stand on the ring; `None` if it was no candidate.
    pub(super) fn take(&mut self, id: Hash) -> Option<bool> {
        self.entries.remove(&id).map(|candidate| candidate.on_the_ring)
    }

    /// It was not proven: once more later, a few times. Returns who is given up, if others had named it as a member.
    pub(super) fn failed(&mut self, now: Instant, id: Hash, is_in_flux: bool) -> Option<SignedRecord> {
        let candidate = self.entries.get_mut(&id)?;
        candidate.failures += 1;
        if candidate.failures < if is_in_flux { MAX_FAILURES_IN_FLUX } else { MAX_FAILURES } {
            candidate.state = State::Waiting(now + FIRST_PAUSE * 4u32.pow(candidate.failures - 1));
            return None;
        }
        self.ban_for(now, id, FIRST_PAUSE * 4u32.pow(MAX_FAILURES));
        self.entries.remove(&id).filter(|candidate| candidate.on_the_ring).map(|candidate| candidate.record)
    }

    /// It is gone. Others will name it for a while.
    pub(super) fn ban(&mut self, now: Instant, id: Hash) {
        self.entries.remove(&id);
        self.ban_for(now, id, GONE_PAUSE);
    }

    fn ban_for(&mut self, now: Instant, id: Hash, pause: Duration) {
        self.banned.retain(|_, until| *until > now);
        if self.banned.len() < MAX_BANNED {
            self.banned.insert(id, now + pause);
        }
    }

    /// A part of the swarm that was cut off is back: who did not answer may have been in it.
    pub(super) fn try_anew(&mut self, now: Instant) {
        self.banned.retain(|_, until| *until <= now + GONE_PAUSE);
        for candidate in self.entries.values_mut() {
            if let State::Waiting(from) = &mut candidate.state {
                *from = now.min(*from);
                candidate.failures = 0;
            }
        }
    }

    /// It speaks to us: it is there.
    pub(super) fn forgive(&mut self, id: Hash) {
        self.banned.remove(&id);
        self.entries.remove(&id);
    }

    /// Whether anybody's time has come, so that [`Self::due`] should be asked.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        (self.asked, self.again) = (now, None);
        self.entries.values().any(|candidate| candidate.due_since(now).is_some())
    }

    /// Whom to prove now, so that at most `room` proofs are under way. Those not [`Wanted`] any more are forgotten. `wanted` is asked of each
    /// whose turn it is since when.
    pub(super) fn due(&mut self, now: Instant, room: usize, wanted: impl Fn(Hash, Instant) -> Wanted) -> Vec<SignedRecord> {
        let proving = self.entries.values().filter(|candidate| candidate.state == State::Proving).count();
        let mut room = room.saturating_sub(proving);
        let mut records = Vec::new();
        self.entries.retain(|id, candidate| {
            let Some(since) = candidate.due_since(now) else { return true };
            let wanted = if candidate.sought { Wanted::Now } else { wanted(*id, since) };
            match wanted {
                Wanted::Now if room > 0 => {
                    room -= 1;
                    candidate.state = State::Proving;
                    records.push(candidate.record.clone());
                }
                Wanted::Later(at) => self.again = Some(self.again.map_or(at, |again| again.min(at))),
                Wanted::Now | Wanted::Not => {}
            }
            wanted != Wanted::Not
        });
        records
    }

    /// Who is being proven or could be now, unless that has failed before.
    pub(super) fn hopeful(&self, now: Instant) -> impl Iterator<Item = Hash> {
        let hopeful = move |candidate: &Candidate| match candidate.state {
            State::Waiting(from) => from <= now && candidate.failures == 0,
            State::Proving => candidate.failures == 0,
        };
        self.entries.iter().filter(move |(_, candidate)| hopeful(candidate)).map(|(id, _)| *id)
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let waiting = |candidate: &Candidate| match candidate.state {
            State::Waiting(from) => Some(from).filter(|from| *from > self.asked),
            State::Proving => None,
        };
        self.entries.values().filter_map(waiting).chain(self.again).min()
    }
}

/// The pause after a failed proof; four times as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1); // guess
const MAX_FAILURES: u32 = 3; // guess
/// The same where many go.
const MAX_FAILURES_IN_FLUX: u32 = 2; // measured: with 3 a thousand members with sessions of 84 s send 20 B/s each more
/// As long as it takes until nobody names a dead member any more: a stabilisation.
const GONE_PAUSE: Duration = Duration::from_secs(2); // guess
const MAX_BANNED: usize = 512; // guess
