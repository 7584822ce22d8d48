//! One broadcast while its body is kept.

use crate::{
    body::{Body, BodyId},
    config::KeyLevel,
    context::Context,
    geometry::{Candidates, Share},
    input::Operation,
    links::Link,
    overlay::Overlay,
    time::Instant,
};
use cicada_wire::{Hash, Header, Immutable, MAX_EXCLUDED, MAX_HOPS, Mutable, Reach, Task, Ticket};
use std::collections::{BTreeMap, BTreeSet};

/// A broadcast with its body, and whom it was shared among.
#[derive(Debug)]
pub(super) struct Recent {
    pub(super) fixed: Immutable,
    /// How well its origin's key is known.
    pub(super) level: KeyLevel,
    hop: Mutable,
    pub(super) payload: Body,
    /// How it comes, until it is whole.
    pub(super) flow: Option<Flow>,
    /// Who is not to have it.
    pub(super) excluded: BTreeSet<Hash>,
    /// Who need not be handed it: whoever handed it to us says so.
    avoided: BTreeSet<Hash>,
    /// Delegates that failed here, and which of them others are told to keep away from.
    failed: BTreeMap<Hash, Fault>,
    pub(super) handed: Vec<Handed>,
    /// Bodies sent or about to be.
    pub(super) copies: usize,
    /// Favours that were asked and not answered.
    pub(super) favours: usize,
    /// Whose it is, until it is told.
    pub(super) operation: Option<Operation>,
    pub(super) forget_at: Instant,
}

/// How a body comes that is not whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    /// From this peer, which began at the byte `since`.
    Comes { from: Hash, since: usize, tail: Option<BodyId> },
    /// No more: so much of it is here.
    Stopped { arrived: usize },
}

/// What a delegate answers for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// A part of the circle.
    Region(Share),
    /// All of it: this member is where a client's broadcast enters.
    Entry(Hash),
    /// Only itself: a client or leaf that is attached here.
    Client(Hash),
    /// What another peer asked us to hand over in its stead.
    Favour(Hash, Reach),
}

impl Part {
    pub(super) fn delegate(&self) -> Hash {
        match self {
            Self::Region(share) => share.delegate,
            Self::Entry(peer) | Self::Client(peer) | Self::Favour(peer, _) => *peer,
        }
    }
}

/// A part that was handed out.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) part: Part,
    /// Tasks for it that are not acknowledged.
    pub(super) open: usize,
    pub(super) fate: Fate,
}

/// How a delegate does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Not heard of yet.
    Pending,
    /// It took its part over.
    Standing,
    /// Its part was given to others.
    Failed,
}

/// Why a delegate is none any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// It refused, or no link can be made: others may well reach it.
    Unavailable,
    /// It does not answer: others need not try.
    Dead,
}

impl Recent {
    pub(super) fn new(fixed: Immutable, level: KeyLevel, mut hop: Mutable, payload: Body, excluded: BTreeSet<Hash>) -> Self {
        // Routes are for favours only, and those end here.
        hop.route.clear();
        Self {
            fixed,
            level,
            hop,
            payload,
            flow: None,
            excluded,
            avoided: BTreeSet::new(),
            failed: BTreeMap::new(),
            handed: Vec::new(),
            copies: 0,
            favours: 0,
            operation: None,
            forget_at: Instant::default(),
        }
    }

    /// The links that it travelled, as its relays say.
    pub(super) fn hops(&self) -> usize {
        usize::from(MAX_HOPS.saturating_sub(self.hop.hop_limit))
    }

    /// A later task leaves out others than the first.
    pub(super) fn exclude(&mut self, task: &Task) {
        for (all, new) in [(&mut self.excluded, &task.excluded), (&mut self.avoided, &task.avoided)] {
            let room = MOST_EXCLUDED.saturating_sub(all.len());
            all.extend(new.iter().take(room));
        }
    }

    /// How much is here of a body that comes no longer.
    pub(super) fn stopped_at(&self) -> Option<usize> {
        match self.flow? {
            Flow::Stopped { arrived } => Some(arrived),
            Flow::Comes { .. } => None,
        }
    }

    /// Whether a body that is arriving is this one, or what it goes on with.
    pub(super) fn takes(&self, body: BodyId) -> bool {
        self.payload.is(body) || matches!(self.flow, Some(Flow::Comes { tail: Some(tail), .. }) if tail == body)
    }

    /// Whether no delegate's answer is awaited.
    pub(super) fn is_settled(&self) -> bool {
        self.favours == 0 && self.handed.iter().all(|handed| handed.open == 0)
    }

    /// Whether there is room for another delegate in place of one that failed.
    pub(super) fn may_hand_out(&self) -> bool {
        self.copies < super::ALL_COPIES && self.handed.len() < MAX_HANDED
    }

    /// How many took their part over.
    pub(super) fn delegates(&self) -> usize {
        let counts = |handed: &&Handed| handed.fate == Fate::Standing && matches!(handed.part, Part::Region(_) | Part::Entry(_));
        self.handed.iter().filter(counts).count()
    }

    /// Whether `peer` can be no delegate.
    pub(super) fn is_out(&self, peer: Hash) -> bool {
        self.excluded.contains(&peer) || self.avoided.contains(&peer) || self.failed.contains_key(&peer)
    }

    /// Members that can be delegates.
    pub(super) fn candidates(&self, cx: &Context<'_>, overlay: &Overlay) -> Candidates {
        let linked: BTreeSet<Hash> = cx.links.members().map(Link::peer).filter(|peer| !self.is_out(*peer)).collect();
        let members = overlay.members().into_iter().map(|member| member.id()).filter(|peer| !self.is_out(*peer));
        Candidates { known: members.chain(linked.iter().copied()).collect(), linked }
    }

    /// Parts of the circle whose delegates have not failed.
    pub(super) fn standing(&self) -> Vec<Share> {
        let standing = self.handed.iter().filter(|handed| handed.fate != Fate::Failed);
        let shares = standing.filter_map(|handed| match handed.part {
            Part::Region(share) => Some(share),
            Part::Entry(_) | Part::Client(_) | Part::Favour(..) => None,
        });
        shares.collect()
    }

    /// The part that `delegate` answers for.
    pub(super) fn handed_to(&mut self, delegate: Hash) -> Option<&mut Handed> {
        self.handed.iter_mut().find(|handed| handed.part.delegate() == delegate && handed.fate != Fate::Failed)
    }

    /// Whether a task for this message went to `peer`, and it has not failed.
    pub(super) fn was_handed_to(&self, peer: Hash) -> bool {
        self.handed.iter().any(|handed| handed.part.delegate() == peer && handed.fate != Fate::Failed)
    }

    /// A delegate failed: it will be none again.
    pub(super) fn fail(&mut self, delegate: Hash, fault: Fault) -> Option<Part> {
        self.failed.insert(delegate, fault);
        let handed = self.handed_to(delegate)?;
        handed.fate = Fate::Failed;
        handed.open = 0;
        Some(handed.part)
    }

    /// The task that hands over `reach`.
    pub(super) fn task(&self, ticket: Ticket, reach: Reach, besides: Option<Hash>, extend: bool) -> Task {
        let mut hop = self.hop.clone();
        hop.reach = Some(reach);
        // Those whom the origin left out come first: leaving out the dead only saves time.
        let excluded: Vec<Hash> = self.excluded.iter().copied().take(MAX_EXCLUDED).collect();
        let dead = self.failed.iter().filter(|(_, fault)| **fault == Fault::Dead).map(|(peer, _)| *peer);
        let avoided: BTreeSet<Hash> = dead.chain(besides).chain(self.avoided.iter().copied()).collect();
        let besides: Vec<Hash> = besides.into_iter().collect();
        let others = avoided.into_iter().filter(|peer| !self.excluded.contains(peer) && !besides.contains(peer));
        let avoided = besides.iter().copied().chain(others).take(MAX_EXCLUDED - excluded.len()).collect();
        Task { ticket, header: Header { fixed: self.fixed.clone(), hop }, excluded, extend, avoided, offset: 0 }
    }
}

/// Those that the tasks for one message leave out here, together.
const MOST_EXCLUDED: usize = 4 * MAX_EXCLUDED; // guess

/// Parts handed out for one message, with those whose delegates could not be linked.
const MAX_HANDED: usize = 64; // guess
