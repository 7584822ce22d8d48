//! A message that is not whole yet: its symbols, sorted by how they are coded, and which of them to put together next.
//!
//! The coding is what a datagram says. A forger may name others than the origin does, so each is tried for itself, and what known peers
//! bring comes first.

use super::{context::Purse, spread::Spread};
use crate::{
    fec::{Assembly, Readiness},
    time::Instant,
};
use bytes::Bytes;
use cicada_wire::kadcast::{Coding, Layout};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// Whose an object is: bounds hold for each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Owner {
    /// Peers that are not proven, all together: they may be anybody.
    Strangers,
    /// The first known peer that brought symbols of it, or all at its address.
    Known(Purse),
}

/// A message that is not whole yet.
#[derive(Debug)]
pub(super) struct Arriving {
    pub(super) begun: Instant,
    pub(super) progress: Instant,
    pub(super) due: Instant,
    pub(super) owner: Owner,
    assemblies: BTreeMap<Coding, Assembly>,
    /// The highest height that it came with.
    pub(super) height: u8,
    pub(super) spread: Spread,
    /// Who brought symbols of it, the last one last.
    pub(super) senders: Vec<SocketAddr>,
    /// A sender of it is known to have a version that we accept.
    pub(super) vouched: bool,
    pub(super) decoding: bool,
    /// Since when the symbols suffice, though source symbols are missing that may still come.
    enough: Option<Instant>,
    /// It is whole, and waits for somebody to vouch for it.
    pub(super) whole: Option<(Bytes, Layout)>,
    /// Pulls sent, and those of them since the last symbol that came.
    pub(super) pulls: u32,
    pub(super) in_vain: u32,
    pub(super) pull_at: Instant,
}

impl Arriving {
    pub(super) fn new(now: Instant, due: Instant, owner: Owner) -> Self {
        Self {
            begun: now,
            progress: now,
            due,
            owner,
            assemblies: BTreeMap::new(),
            height: 0,
            spread: Spread::default(),
            senders: Vec::new(),
            vouched: false,
            decoding: false,
            enough: None,
            whole: None,
            pulls: 0,
            in_vain: 0,
            pull_at: now + FIRST_PULL,
        }
    }

    /// The assembly that is nearest to being whole.
    pub(super) fn best(&self) -> Option<&Assembly> {
        self.assemblies.values().max_by_key(|assembly| assembly.rank())
    }

    pub(super) fn assembly(&self, coding: Coding) -> Option<&Assembly> {
        self.assemblies.get(&coding)
    }

    pub(super) fn assembly_mut(&mut self, coding: Coding) -> Option<&mut Assembly> {
        self.assemblies.get_mut(&coding)
    }

    /// Where a symbol of this layout belongs, unless there are too many layouts already. Those of strangers give way to a known peer's.
    pub(super) fn assembly_for(&mut self, layout: Layout, known: bool) -> Option<&mut Assembly> {
        let coding = layout.coding();
        if !self.assemblies.contains_key(&coding) {
            let most = if known { MOST_CODINGS } else { MOST_CODINGS_OF_STRANGERS };
            if self.assemblies.len() >= most {
                let strangers = self.assemblies.iter().find(|(_, assembly)| known && assembly.is_strangers());
                let coding = *strangers?.0;
                self.assemblies.remove(&coding);
            }
        }
        Some(self.assemblies.entry(coding).or_insert_with(|| Assembly::new(layout)))
    }

    pub(super) fn bytes(&self) -> usize {
        self.assemblies.values().map(Assembly::bytes).sum::<usize>() + OBJECT_OVERHEAD_BYTES
    }

    /// The coding to try now, of at most so many tries each.
    pub(super) fn ready(&mut self, now: Instant, most_tries: u32) -> Option<Coding> {
        if self.enough.is_none() && self.assemblies.values().any(|assembly| assembly.readiness() > Readiness::Missing) {
            self.enough = Some(now);
        }
        let ready = self.assemblies.iter().filter(|(_, assembly)| self.try_at(assembly, most_tries).is_some_and(|at| at <= now));
        ready.max_by_key(|(_, assembly)| assembly.rank()).map(|(coding, _)| *coding)
    }

    /// When there is something to try, if no more symbols come.
    pub(super) fn next_try(&self, most_tries: u32) -> Option<Instant> {
        let idle = !self.decoding && self.whole.is_none();
        self.assemblies.values().filter_map(|assembly| self.try_at(assembly, most_tries)).min().filter(|_| idle)
    }

    fn try_at(&self, assembly: &Assembly, most_tries: u32) -> Option<Instant> {
        if !assembly.may_try(most_tries) {
            return None;
        }
        // What has been coming slowly goes on doing so: the codec's work would only slow it down more.
        let slowly = self.progress.since(self.begun);
        let grace = self.progress + GRACE.max(slowly / GRACE_SHARE);
        let most_grace = MOST_GRACE.max(slowly / MOST_GRACE_SHARE);
        match assembly.readiness() {
            Readiness::Missing => None,
            Readiness::Barely => Some(self.progress + most_grace),
            Readiness::Enough => Some(grace.min(self.enough.map_or(grace, |since| since + most_grace))),
            Readiness::Sources => Some(self.progress),
        }
    }
}

/// Source symbols may still come, and spare the computing: how long to wait after the last symbol.
const GRACE: Duration = Duration::from_millis(4); // guess: decoding 1 MB takes as long

/// And how long at most.
const MOST_GRACE: Duration = Duration::from_millis(20); // guess

/// Of the time since the first symbol at least this part each.
const GRACE_SHARE: u32 = 32; // guess
const MOST_GRACE_SHARE: u32 = 8; // guess

/// The first pull of what is missing: so long after the last symbol that came.
pub(super) const FIRST_PULL: Duration = Duration::from_millis(60); // guess: several times what symbols are apart

/// Codings of one object: the crate's relays may use another than its origin.
const MOST_CODINGS: usize = 4; // guess

/// And those of them that may be named by strangers.
const MOST_CODINGS_OF_STRANGERS: usize = 3; // guess: whoever joins hears from strangers alone

/// What an object costs beside its symbols.
pub(super) const OBJECT_OVERHEAD_BYTES: usize = 1024; // guess
