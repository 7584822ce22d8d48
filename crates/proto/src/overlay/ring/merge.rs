//! Two rings become one (Shafaat, Ghodsi and Haridi, "Dealing with network partitions in structured overlay networks", PPNA 2009).
//!
//! Where two rings meet, each is given a member of the other as a *seeker*: its place in the ring is looked for greedily over
//! links. Who finds that a seeker belongs beside it proves it and takes it for a neighbour; from there the upkeep zips the two
//! rings together. So that this starts at many places at once, the introduction carries two far members of the ring it comes
//! from, and these are the next seekers in the other ring (the paper's fan-out; bounded by [`SEEKERS`] a peer).

use super::{Ring, is_linked, shape::is_within, upkeep::send};
use crate::{context::Context, geometry::Geometry, peer::Proven, step::Step, time::Instant};
use cicada_wire::{Frame, Hash, Refusal, SignedRecord, Unify};
use rand::Rng;
use std::{collections::BTreeMap, time::Duration};

/// What this peer has to do with a merge.
#[derive(Debug, Default)]
pub(super) struct Merge {
    /// Peers of another ring that were met.
    met: BTreeMap<Hash, Meeting>,
    /// Seekers that belong beside us and are told of our neighbourhood once they are proven and linked.
    introductions: BTreeMap<Hash, Instant>,
    /// How many seekers were sent on their way since when.
    sent: (Instant, usize),
}

#[derive(Debug)]
struct Meeting {
    until: Instant,
    /// Whether our side has been told to the peer.
    told: bool,
}

impl Merge {
    pub(super) fn forget(&mut self, now: Instant) {
        self.met.retain(|_, meeting| meeting.until > now);
        self.introductions.retain(|_, until| *until > now);
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let met = self.met.values().map(|meeting| meeting.until);
        met.chain(self.introductions.values().copied()).min()
    }

    fn may_send(&mut self, now: Instant) -> bool {
        if now.since(self.sent.0) >= EPOCH {
            self.sent = (now, 0);
        }
        self.sent.1 += 1;
        self.sent.1 <= SEEKERS
    }
}

impl Ring {
    pub(crate) fn on_met(&mut self, cx: &mut Context<'_>, peer: &Proven) {
        if self.merge.met.contains_key(&peer.id()) || self.merge.met.len() >= MAX_MEETINGS {
            return;
        }
        self.meet(cx, peer);
        self.place(cx, None, peer.record().clone(), MAX_UNIFY_HOPS);
        if is_linked(cx, peer.id()) {
            self.on_merge_link(cx, peer.id());
        } else if let Some(address) = cx.address(peer.record()) {
            cx.dial(address, Some(peer.record().key()));
        }
    }

    fn meet(&mut self, cx: &Context<'_>, peer: &Proven) {
        self.merge.met.insert(peer.id(), Meeting { until: cx.now + EPOCH, told: false });
        self.candidates.try_anew(cx.now);
        if !self.known.contains_key(&peer.id()) {
            self.strangers.is_foreign(cx.now, peer);
        }
    }

    /// A link to `peer` stands: what a merge has to tell it is told.
    pub(super) fn on_merge_link(&mut self, cx: &mut Context<'_>, peer: Hash) {
        if let Some(meeting) = self.merge.met.get_mut(&peer).filter(|meeting| !meeting.told) {
            meeting.told = true;
            let mut seekers = vec![self.me.clone()];
            seekers.extend(self.far_members(cx, peer, FIRST_SEEKERS));
            for seeker in seekers {
                send(cx, peer, Frame::Unify(Unify { seeker, hop_limit: MAX_UNIFY_HOPS }));
            }
        }
        if self.known.contains_key(&peer) && self.merge.introductions.remove(&peer).is_some() {
            let near = self.shape.predecessor.into_iter().chain(self.shape.successors.iter().copied().take(3));
            let mut records: Vec<SignedRecord> = near.filter(|id| *id != peer).filter_map(|id| self.record(id).cloned()).collect();
            records.extend(self.far_members(cx, peer, NEXT_SEEKERS));
            self.introduce(cx, peer, records);
        }
    }

    pub(super) fn on_unify(&mut self, cx: &mut Context<'_>, from: &Proven, unify: Unify) {
        let stranger = !self.known.contains_key(&from.id());
        if stranger && unify.seeker.id() == from.id() {
            // Another ring has met ours here: it gets our seekers as we get its own.
            let met = self.merge.met.len() < MAX_MEETINGS && !self.merge.met.contains_key(&from.id());
            if met {
                self.meet(cx, from);
                self.on_merge_link(cx, from.id());
            }
        }
        self.place(cx, Some(from.id()), unify.seeker, unify.hop_limit);
    }

    pub(super) fn on_introduction(&mut self, cx: &mut Context<'_>, from: &Proven, records: Vec<SignedRecord>) {
        let far: Vec<SignedRecord> = records.iter().filter(|record| self.is_far(record.id())).take(NEXT_SEEKERS).cloned().collect();
        cx.step(Step::Candidates { from: from.id(), records });
        for seeker in far {
            if self.merge.may_send(cx.now) {
                self.place(cx, Some(from.id()), seeker, MAX_UNIFY_HOPS);
            }
        }
    }

    /// Neither in the list nor beyond the predecessor.
    fn is_far(&self, id: Hash) -> bool {
        let me = self.id();
        let in_list = self.shape.successors.last().is_some_and(|last| is_within(me, id, *last));
        let before = self.shape.predecessor.is_some_and(|predecessor| is_within(predecessor, id, me));
        id != me && !self.shape.is_whole_ring() && !in_list && !before && !self.known.contains_key(&id)
    }

    /// Looks for the place of `seeker` on our ring: beside us, or nearer to somebody we have a link with.
    fn place(&mut self, cx: &mut Context<'_>, from: Option<Hash>, seeker: SignedRecord, hop_limit: u8) {
        let (me, id) = (self.id(), seeker.id());
        let is_neighbour = self.shape.predecessor == Some(id) || self.shape.successors.contains(&id);
        if id == me || is_neighbour {
            return;
        }
        let successor = self.shape.successors.first().copied();
        let here = successor.is_none_or(|successor| is_within(me, id, successor))
            || self.shape.predecessor.is_some_and(|predecessor| is_within(predecessor, id, me));
        let next = self.next_hop(cx, from, id).filter(|_| !here);
        match next {
            Some(_) if hop_limit == 0 => cx.refuse(from, Refusal::HopLimit),
            Some(next) => send(cx, next, Frame::Unify(Unify { seeker, hop_limit: hop_limit - 1 })),
            None => self.settle_seeker(cx, &seeker),
        }
    }

    fn next_hop(&self, cx: &Context<'_>, from: Option<Hash>, seeker: Hash) -> Option<Hash> {
        let left = |peer: Hash| Geometry::Ring.offset(peer, seeker);
        let ours =
            cx.links.members().filter(|link| link.is_open()).map(crate::links::Link::peer).filter(|peer| self.known.contains_key(peer));
        ours.filter(|peer| *peer != seeker && Some(*peer) != from && left(*peer) < left(self.id())).min_by_key(|peer| left(*peer))
    }

    /// A seeker belongs beside us: once proven it is a neighbour, and is told of the others.
    fn settle_seeker(&mut self, cx: &mut Context<'_>, seeker: &SignedRecord) {
        let id = seeker.id();
        if self.merge.introductions.len() < MAX_MEETINGS {
            self.merge.introductions.insert(id, cx.now + EPOCH);
        }
        match self.strangers.take(id) {
            Some(stranger) => self.enter(cx, &stranger.peer),
            None if self.known.contains_key(&id) => {}
            None => cx.step(Step::Candidates { from: self.id(), records: vec![seeker.clone()] }),
        }
        self.greet(cx, id);
    }

    /// Random members far from us, for the other ring to place.
    fn far_members(&self, cx: &mut Context<'_>, not: Hash, count: usize) -> Vec<SignedRecord> {
        let fingers = self.shape.fingers.values().rev().take(FAR_CELLS).chain(&self.shape.long);
        let mut far: Vec<Hash> = fingers.copied().filter(|id| *id != not && !self.shape.successors.contains(id)).collect();
        let mut drawn = Vec::new();
        while drawn.len() < count && !far.is_empty() {
            let place = cx.rng.next_u32() as usize % far.len();
            let id = far.swap_remove(place);
            far.retain(|other| *other != id);
            drawn.extend(self.record(id).cloned());
        }
        drawn
    }
}

/// A merge is over after this long, or begins anew.
const EPOCH: Duration = Duration::from_secs(5); // guess

/// Seekers that a peer sends on their way within an epoch.
const SEEKERS: usize = 8; // guess

/// Far members that each side gives the other when two rings meet.
const FIRST_SEEKERS: usize = 4; // guess

/// Far members that go with an introduction: two, so that the places at which the rings are zipped double.
const NEXT_SEEKERS: usize = 2;

const FAR_CELLS: usize = 5; // guess: the far side of the ring

const MAX_UNIFY_HOPS: u8 = 32; // guess: twice the longest greedy route of 65 000 members

const MAX_MEETINGS: usize = 64; // guess
