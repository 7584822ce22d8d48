//! The overlay: which members are known, which are near, who is responsible; and its upkeep.
//!
//! A closed enum: both definitions stand behind one list of methods, and no other module asks which of the two it is.

mod anchors;
mod caps;
mod lost;
mod ring;
mod tree;
mod unrest;

use crate::{
    config::{Config, Families},
    context::Context,
    event::{Lookup, LookupError, Table},
    geometry::Geometry,
    peer::Proven,
    time::Instant,
};
use cicada_wire::{Churn, Find, Found, Frame, Hash, OverlayKind, Query, Reply, SignedRecord};
pub use ring::Ring;
use std::time::Duration;
pub use tree::Tree;

/// How much a link is worth to us; larger is worth more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rank {
    /// Nothing that others do not give as well; the finer value orders such links among themselves.
    Spare(u8),
    /// A finger, or a first link into a bucket; the finer value orders them (see each overlay).
    Useful(u16),
    /// Never evicted: neighbours on the ring, the last link of a non-empty bucket.
    Essential,
}

/// Either overlay with its maintenance.
#[derive(Debug)]
pub enum Overlay {
    /// Chord, corrected (Zave 2017).
    Ring(Ring),
    /// Kademlia.
    Tree(Tree),
}

macro_rules! both {
    ($self:expr, $overlay:ident => $call:expr) => {
        match $self {
            Overlay::Ring($overlay) => $call,
            Overlay::Tree($overlay) => $call,
        }
    };
}

impl Overlay {
    pub(crate) fn new(kind: OverlayKind, me: &SignedRecord) -> Self {
        match kind {
            OverlayKind::Ring => Self::Ring(Ring::new(me.clone())),
            OverlayKind::Tree => Self::Tree(Tree::new(me.clone())),
        }
    }

    /// Which geometry.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        match self {
            Self::Ring(_) => Geometry::Ring,
            Self::Tree(_) => Geometry::Tree,
        }
    }

    // --- Questions

    /// How many of the members nearest to a key must have answered before a lookup with answers of `width` records may end. On the
    /// ring the owner knows its predecessor and so confirms alone; on the tree it is the nearest only if nobody knows a nearer one.
    #[must_use]
    pub fn witnesses(&self, width: usize) -> usize {
        match self {
            Self::Ring(_) => 1,
            Self::Tree(_) => width,
        }
    }

    /// How many of those nearest to `target` are next to this member, and so should not be missed by a look there.
    pub(crate) fn neighbours_near(&self, target: Hash) -> usize {
        match self {
            // Neighbours tell each other.
            Self::Ring(_) => 0,
            Self::Tree(tree) => tree.neighbours_near(target),
        }
    }

    /// Whether this member is part of a swarm of more than itself.
    #[must_use]
    pub fn is_joined(&self) -> bool {
        both!(self, overlay => overlay.is_joined())
    }

    /// The known member with this id.
    #[must_use]
    pub fn member(&self, id: Hash) -> Option<&Proven> {
        both!(self, overlay => overlay.member(id))
    }

    /// Whether nobody of this id is known, and there would be a place for it.
    pub(crate) fn lacks(&self, config: &Config, id: Hash) -> bool {
        match self {
            Self::Ring(ring) => ring.lacks(id),
            Self::Tree(tree) => tree.lacks(config, id),
        }
    }

    /// Every known member, in the order of the ids.
    #[must_use]
    pub fn members(&self) -> Vec<Proven> {
        self.members_that(|_| true)
    }

    /// The known members for which `keep` holds, in the order of the ids.
    pub(crate) fn members_that(&self, keep: impl Fn(&Proven) -> bool) -> Vec<Proven> {
        both!(self, overlay => overlay.members_that(keep))
    }

    /// The families that known members see, and perhaps others.
    pub(crate) fn seen(&self) -> Families {
        match self {
            Self::Ring(ring) => ring.seen(),
            Self::Tree(_) => Families::default(),
        }
    }

    /// Known members with a strictly smaller offset to `target` than this peer's, nearest first.
    #[must_use]
    pub fn closer(&self, target: Hash, limit: usize) -> Vec<Proven> {
        both!(self, overlay => overlay.closer(target, limit))
    }

    /// The members responsible for `key` as far as this peer knows, the owner first, at most `limit`; itself by its own record.
    #[must_use]
    pub fn responsible(&self, key: Hash, limit: usize) -> Vec<SignedRecord> {
        both!(self, overlay => overlay.responsible(key, limit))
    }

    /// Whether this peer takes itself for the owner of `key`.
    #[must_use]
    pub fn owns(&self, key: Hash) -> bool {
        both!(self, overlay => overlay.owns(key))
    }

    /// What the answer to [`Find`] is, attachments aside: the overlay as it is for an asker that sees these families.
    #[must_use]
    pub fn find(&self, find: &Find, view: Families) -> Found {
        both!(self, overlay => overlay.find(find, view))
    }

    /// Members that a link should stand to, the most wanted first. Links to those in `linked` stand or are being made; those in
    /// `avoided` should be left alone for now. Of those that are `standing` nobody need be told.
    #[must_use]
    pub fn wanted_links(
        &self,
        now: Instant,
        linked: impl FnOnce() -> Vec<Hash>,
        avoided: &[Hash],
        standing: impl Fn(Hash) -> bool,
    ) -> Vec<&SignedRecord> {
        match self {
            // The ring wants certain members, and others in their place only where members come and go.
            Self::Ring(ring) => ring.wanted_links(now, linked, standing),
            Self::Tree(tree) => tree.wanted_links(now, &linked(), avoided),
        }
    }

    /// What a link to `peer` is worth when links to `others` stand as well.
    #[must_use]
    pub fn rank(&self, peer: Hash, others: impl IntoIterator<Item = Hash>) -> Rank {
        match self {
            Self::Ring(ring) => ring.rank(peer, others),
            Self::Tree(tree) => tree.rank(peer, others),
        }
    }

    /// Whether routes cannot do without a link to `peer` when links to `others` stand: it is made at once, whatever it costs.
    #[must_use]
    pub fn is_needed(&self, now: Instant, peer: Hash, others: &[Hash]) -> bool {
        match self {
            Self::Ring(ring) => ring.is_needed(now, peer),
            Self::Tree(tree) => tree.is_needed(now, peer, others),
        }
    }

    /// Whether so many links will do: where many members go they do not last, and what a message lacks is dialled for it.
    pub(crate) fn are_enough(&self, now: Instant, links: usize) -> bool {
        links >= ENOUGH_LINKS && self.churn_expected(now) == Churn::Heavy
    }

    /// Whether a look at a far place may end with the first who is named there: others will be there before long.
    pub(crate) fn is_glance_enough(&self, now: Instant) -> bool {
        match self {
            Self::Ring(ring) => ring.churn_expected(now) == Churn::Heavy,
            // Its answers hold the nearest only.
            Self::Tree(_) => false,
        }
    }

    /// How fast members come and go, as far as this peer has seen itself.
    pub(crate) fn churn_seen(&self, now: Instant) -> Churn {
        both!(self, overlay => overlay.churn_seen(now))
    }

    /// How fast they do most likely.
    pub(crate) fn churn_expected(&self, now: Instant) -> Churn {
        both!(self, overlay => overlay.churn_expected(now))
    }

    /// A lookup of our own id has found where we stand. On the tree every place is as good as any other.
    pub(crate) fn on_placed(&mut self, now: Instant) {
        match self {
            Self::Ring(ring) => ring.on_placed(now),
            Self::Tree(_) => {}
        }
    }

    /// Whoever has been here longer says how fast members come and go.
    pub(crate) fn hear_of_churn(&mut self, now: Instant, churn: Churn) {
        both!(self, overlay => overlay.hear_of_churn(now, churn));
    }

    /// From one dial of a link that routes can do without to the next.
    pub(crate) fn pace(&self) -> Duration {
        match self {
            Self::Ring(ring) if ring.is_joined() => BETWEEN_FINGERS,
            Self::Ring(_) | Self::Tree(_) => BETWEEN_DIALS,
        }
    }

    /// The tables for people to look at. The links are the caller's to mark.
    #[must_use]
    pub fn table(&self) -> Table {
        both!(self, overlay => overlay.table())
    }

    // --- Inputs

    /// This peer has a new record.
    pub(crate) fn renew(&mut self, me: &SignedRecord) {
        both!(self, overlay => overlay.renew(me));
    }

    /// A member is proven and admitted: it may enter the tables.
    pub(crate) fn on_proven(&mut self, cx: &mut Context<'_>, peer: &Proven) {
        both!(self, overlay => overlay.on_proven(cx, peer));
    }

    /// A candidate was not proven.
    pub(crate) fn on_unproven(&mut self, cx: &mut Context<'_>, peer: Hash) {
        both!(self, overlay => overlay.on_unproven(cx, peer));
    }

    /// A member is dead or has left.
    pub(crate) fn on_gone(&mut self, cx: &mut Context<'_>, peer: Hash, politely: bool) {
        both!(self, overlay => overlay.on_gone(cx, peer, politely));
    }

    /// There is no link to any member any more.
    pub(crate) fn on_cut_off(&mut self) {
        match self {
            // Whoever comes next hears of its neighbours by asking for their lists.
            Self::Ring(_) => {}
            Self::Tree(tree) => tree.on_cut_off(),
        }
    }

    /// These were heard of.
    pub(crate) fn on_candidates(&mut self, cx: &mut Context<'_>, from: Hash, records: &[SignedRecord]) {
        both!(self, overlay => overlay.on_candidates(cx, from, records));
    }

    /// Two swarms have met at `peer`.
    pub(crate) fn on_met(&mut self, cx: &mut Context<'_>, peer: &Proven) {
        both!(self, overlay => overlay.on_met(cx, peer));
    }

    /// The member at the other end of a link said something that concerns the overlay:
    /// `Changed`, `Hint`, `Introduce`, `Unify` or `Goodbye`.
    pub(crate) fn on_frame(&mut self, cx: &mut Context<'_>, from: &Proven, frame: Frame) {
        both!(self, overlay => overlay.on_frame(cx, from, frame));
    }

    /// The member at the other end of a link asks for our neighbours. Other questions are answered elsewhere.
    pub(crate) fn on_query(&mut self, cx: &mut Context<'_>, from: &Proven, query: &Query) -> Reply {
        both!(self, overlay => overlay.on_query(cx, from, query))
    }

    /// A question of ours was answered (`Some`) or not.
    pub(crate) fn on_answer(&mut self, cx: &mut Context<'_>, from: &SignedRecord, reply: Option<Reply>) {
        match self {
            Self::Ring(ring) => ring.on_answer(cx, from, reply),
            Self::Tree(tree) => tree.on_answer(cx, from, reply.as_ref()),
        }
    }

    /// A lookup of ours ended.
    pub(crate) fn on_found(&mut self, cx: &mut Context<'_>, target: Hash, result: &Result<Lookup, LookupError>) {
        both!(self, overlay => overlay.on_found(cx, target, result));
    }

    /// This peer leaves: what to tell the peer at the other end of a link before it is closed.
    pub(crate) fn goodbye(&self, to: Hash) -> Frame {
        both!(self, overlay => overlay.goodbye(to))
    }

    /// The time named by [`Self::next_timeout`] has come.
    pub(crate) fn on_wake(&mut self, cx: &mut Context<'_>) {
        both!(self, overlay => overlay.on_wake(cx));
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        both!(self, overlay => overlay.next_timeout())
    }
}

/// Whether members come and go shows in some seconds, and then fewer links are made.
const BETWEEN_DIALS: Duration = Duration::from_millis(800); // guess

/// On a ring routes are long without long links.
const BETWEEN_FINGERS: Duration = Duration::from_millis(200); // measured: of 64 that have just joined 2.6 hops instead of 3

/// Where many members go: so many links are made at once, which others will be soon; a message needs one to begin with.
const ENOUGH_LINKS: usize = 8; // measured: with 4 a thousand members with sessions of 84 s send 35 B/s less each, and messages on the ring take a quarter more hops
