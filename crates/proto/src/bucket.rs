//! A bucket: the known members of one cell, least recently seen first, and who would take their places.
//!
//! What a member is differs between the tree of a swarm (a proven record) and Kadcast (an address that answered).

use crate::{peer::Proven, time::Instant};
use cicada_wire::{Hash, SignedRecord};
use std::collections::VecDeque;

/// Who has a place on the circle.
pub(crate) trait Placed {
    /// Where.
    fn place(&self) -> Hash;
}

impl Placed for Proven {
    fn place(&self) -> Hash {
        self.id()
    }
}

impl Placed for SignedRecord {
    fn place(&self) -> Hash {
        self.id()
    }
}

/// The members of one cell.
#[derive(Debug)]
pub(crate) struct Bucket<Member, Candidate> {
    /// Least recently seen first.
    members: Vec<Member>,
    /// Candidates that found no room, the last heard of last.
    spares: VecDeque<Candidate>,
    /// When the least recently seen member was last suspected to make room.
    pub(crate) suspected: Option<Instant>,
}

impl<Member: Placed, Candidate: Placed> Bucket<Member, Candidate> {
    pub(crate) fn new() -> Self {
        Self { members: Vec::new(), spares: VecDeque::new(), suspected: None }
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.spares.is_empty()
    }

    pub(crate) fn member(&self, id: Hash) -> Option<&Member> {
        self.members.iter().find(|member| member.place() == id)
    }

    /// To change a member without having heard from it.
    pub(crate) fn member_mut(&mut self, id: Hash) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.place() == id)
    }

    /// Takes a member in, as the one seen last.
    pub(crate) fn insert(&mut self, member: Member) {
        self.drop_spare(member.place());
        self.members.push(member);
    }

    /// A member was heard from: it is now the one seen last. What it is may have changed.
    pub(crate) fn seen(&mut self, id: Hash, change: impl FnOnce(&mut Member)) {
        let Some(at) = self.members.iter().position(|member| member.place() == id) else { return };
        let mut member = self.members.remove(at);
        change(&mut member);
        self.members.push(member);
    }

    pub(crate) fn remove(&mut self, id: Hash) -> Option<Member> {
        let at = self.members.iter().position(|member| member.place() == id)?;
        Some(self.members.remove(at))
    }

    /// Remembers a candidate in case a place becomes free. Over `limit` the one heard of longest ago is forgotten.
    pub(crate) fn spare(&mut self, candidate: Candidate, limit: usize) {
        self.drop_spare(candidate.place());
        self.spares.push_back(candidate);
        while self.spares.len() > limit {
            self.spares.pop_front();
        }
    }

    pub(crate) fn drop_spare(&mut self, id: Hash) {
        self.spares.retain(|spare| spare.place() != id);
    }

    /// The candidate heard of last, to be proven: it is the most likely to be alive.
    pub(crate) fn take_spare(&mut self) -> Option<Candidate> {
        self.spares.pop_back()
    }
}
