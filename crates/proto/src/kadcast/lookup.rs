//! A search for the peers near an id: who was heard of, who was asked, who answered.

use super::discovery::Entrant;
use crate::geometry::Geometry;
use cicada_wire::{
    Hash, Offset,
    kadcast::{Entry, Id},
};
use std::{collections::BTreeMap, net::SocketAddr};

/// What is searched for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Target {
    /// The peers near this one.
    Me,
    /// Peers of this bucket.
    Bucket(u8),
}

/// One search.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) target: Target,
    pub(super) id: Id,
    candidates: BTreeMap<Offset, Candidate>,
    /// So many of the nearest must have answered.
    width: usize,
    /// Somebody new was heard of.
    pub(super) news: bool,
}

#[derive(Debug)]
struct Candidate {
    entrant: Entrant,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Fresh,
    Asked,
    Answered,
    Silent,
}

impl Lookup {
    pub(super) fn new(target: Target, id: Id, width: usize) -> Self {
        Self { target, id, candidates: BTreeMap::new(), width, news: false }
    }

    fn offset(&self, id: Id) -> Offset {
        let (from, to): (Hash, Hash) = (self.id.hash(), id.hash());
        Geometry::Tree.offset(from, to)
    }

    /// Somebody was heard of.
    pub(super) fn offer(&mut self, entrant: Entrant) {
        if self.candidates.len() < MOST_CANDIDATES {
            let offset = self.offset(entrant.entry.id);
            self.candidates.entry(offset).or_insert(Candidate { entrant, state: State::Fresh });
        }
    }

    /// Whom to ask next, if anybody: of the nearest that are not silent, no more than `parallel` at once.
    pub(super) fn next(&mut self, parallel: usize) -> Option<Entrant> {
        let open = self.candidates.values().filter(|candidate| candidate.state == State::Asked).count();
        if open >= parallel {
            return None;
        }
        let width = self.width;
        let hopeful = self.candidates.values_mut().filter(|candidate| candidate.state != State::Silent).take(width);
        let next = hopeful.into_iter().find(|candidate| candidate.state == State::Fresh)?;
        next.state = State::Asked;
        Some(next.entrant)
    }

    pub(super) fn answered(&mut self, entry: Entry) {
        self.set(entry, State::Answered);
    }

    pub(super) fn silent(&mut self, address: SocketAddr) {
        self.set(Entry::of(address), State::Silent);
    }

    fn set(&mut self, entry: Entry, state: State) {
        let offset = self.offset(entry.id);
        if let Some(candidate) = self.candidates.get_mut(&offset) {
            candidate.state = state;
        }
    }

    /// Whether nothing is open any more. To be asked after [`Self::next`] had nobody.
    pub(super) fn is_over(&self) -> bool {
        self.candidates.values().all(|candidate| candidate.state != State::Asked)
    }
}

/// The nearest of so many are enough.
const MOST_CANDIDATES: usize = 256; // guess
