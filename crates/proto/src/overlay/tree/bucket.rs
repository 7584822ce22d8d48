//! A bucket: the known members of one cell, least recently seen first, and who would take their places.

use crate::{peer::Proven, time::Instant};
use cicada_wire::{Hash, SignedRecord};
use std::collections::VecDeque;

/// The members of one cell.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Least recently seen first.
    members: Vec<Proven>,
    /// Candidates that found no room, the last heard of last.
    spares: VecDeque<SignedRecord>,
    /// When the least recently seen member was last suspected to make room.
    pub(super) suspected: Option<Instant>,
}

impl Bucket {
    pub(super) fn new() -> Self {
        Self { members: Vec::new(), spares: VecDeque::new(), suspected: None }
    }

    pub(super) fn members(&self) -> &[Proven] {
        &self.members
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.spares.is_empty()
    }

    pub(super) fn member(&self, id: Hash) -> Option<&Proven> {
        self.members.iter().find(|member| member.id() == id)
    }

    /// Takes a member in, as the one seen last.
    pub(super) fn insert(&mut self, member: Proven) {
        self.drop_spare(member.id());
        self.members.push(member);
    }

    /// A member was heard from: it is now the one seen last. A newer record replaces its old one.
    pub(super) fn seen(&mut self, id: Hash, record: Option<&Proven>) {
        let Some(at) = self.members.iter().position(|member| member.id() == id) else { return };
        let mut member = self.members.remove(at);
        if let Some(newer) = record.filter(|newer| newer.record().record().sequence >= member.record().record().sequence) {
            member = newer.clone();
        }
        self.members.push(member);
    }

    pub(super) fn remove(&mut self, id: Hash) -> Option<Proven> {
        let at = self.members.iter().position(|member| member.id() == id)?;
        Some(self.members.remove(at))
    }

    /// Remembers a candidate in case a place becomes free. Over `limit` the one heard of longest ago is forgotten.
    pub(super) fn spare(&mut self, record: SignedRecord, limit: usize) {
        self.drop_spare(record.id());
        self.spares.push_back(record);
        while self.spares.len() > limit {
            self.spares.pop_front();
        }
    }

    pub(super) fn drop_spare(&mut self, id: Hash) {
        self.spares.retain(|spare| spare.id() != id);
    }

    /// The candidate heard of last, to be proven: it is the most likely to be alive.
    pub(super) fn take_spare(&mut self) -> Option<SignedRecord> {
        self.spares.pop_back()
    }
}
