//! Chord's ring, with the maintenance that Zave proved right ("Reasoning about identifier spaces: how to make Chord correct",
//! TSE 2017; below: Zave).
//!
//! A member holds a set of others that it has proven itself and that are known to stand on the ring. Everything else follows
//! from that set (see [`shape`]): the successor list is the first r of them clockwise, the predecessor the last. So Zave's
//! operations come down to how the set grows and shrinks:
//! - *join*: what the lookup of our own id found is proven and enters;
//! - *stabilise*: the successor's neighbours are heard, proven, and enter; whom it has dropped is checked ([`upkeep`]);
//! - *rectify*: whoever takes us for its successor enters, or else our predecessor is checked;
//! - *fail*: whoever is dead leaves.
//!
//! A peer that is proven but not known to stand on the ring is a [`Stranger`](strangers::Stranger): were a joiner taken for a
//! neighbour before it knows its own, the ring would lead through it to nowhere.
//!
//! Not here: which links stand (linkage), who is alive (liveness), lookups.

mod candidates;
mod doubts;
mod merge;
mod proving;
mod refresh;
mod shape;
mod strangers;
mod upkeep;

#[cfg(test)]
mod tests;

use crate::{
    config::Families,
    context::Context,
    event::{Event, Lookup, LookupError, Place, Table, TableEntry},
    geometry::Geometry,
    overlay::{Rank, lost::Lost, unrest::Unrest},
    peer::Proven,
    step::{Step, Tries},
    time::Instant,
};
use candidates::Candidates;
use cicada_wire::{Churn, Find, Found, Frame, Goodbye, Hash, IdPrefix, MAX_RECORDS, Neighbours, Query, Refusal, Reply, SignedRecord};
use doubts::Doubts;
use merge::Merge;
use refresh::Refresh;
use shape::Shape;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    ops::Bound,
};
use strangers::Strangers;
use upkeep::{Stabilise, Telling};

/// The ring.
#[derive(Debug)]
pub struct Ring {
    me: SignedRecord,
    draws: Vec<Hash>,
    /// Proven, and on the ring.
    known: BTreeMap<Hash, Known>,
    /// All that any of them sees, or one that was known before.
    seen: Families,
    /// What follows from `known`.
    shape: Shape,
    /// Whether a record has changed since, which may say otherwise where its peer is.
    stale: bool,
    /// And from that: whom links should stand to.
    wanted: Vec<Hash>,
    strangers: Strangers,
    candidates: Candidates,
    doubts: Doubts,
    stabilise: Stabilise,
    telling: Telling,
    refresh: Refresh,
    merge: Merge,
    lost: Lost,
    unrest: Unrest,
    /// How fast members come and go, as of the last wake-up or departure, or since we were told.
    churn: Churn,
}

/// A member of the ring that this peer has proven.
#[derive(Debug)]
struct Known {
    peer: Proven,
    /// When it last proved that it lives.
    heard: Instant,
}

impl Ring {
    pub(crate) fn new(me: SignedRecord) -> Self {
        Self {
            draws: shape::draws(me.id()),
            me,
            known: BTreeMap::new(),
            seen: Families::NONE,
            shape: Shape::default(),
            stale: false,
            wanted: Vec::new(),
            strangers: Strangers::default(),
            candidates: Candidates::default(),
            doubts: Doubts::default(),
            stabilise: Stabilise::default(),
            telling: Telling::default(),
            refresh: Refresh::default(),
            merge: Merge::default(),
            lost: Lost::default(),
            unrest: Unrest::default(),
            churn: Churn::Calm,
        }
    }

    fn id(&self) -> Hash {
        self.me.id()
    }

    // --- Questions

    /// A place is taken once the successor says that we are before it, or says anything after a lookup has found our place.
    pub(crate) fn is_joined(&self) -> bool {
        self.stabilise.is_joined()
    }

    pub(crate) fn member(&self, id: Hash) -> Option<&Proven> {
        self.known.get(&id).map(|known| &known.peer)
    }

    pub(crate) fn lacks(&self, id: Hash) -> bool {
        self.shape.would_take(self.id(), id, &self.known)
    }

    pub(crate) fn members_that(&self, keep: impl Fn(&Proven) -> bool) -> Vec<Proven> {
        self.known.values().map(|known| &known.peer).filter(|member| keep(member)).cloned().collect()
    }

    pub(crate) fn seen(&self) -> Families {
        self.seen
    }

    pub(crate) fn closer(&self, target: Hash, limit: usize) -> Vec<Proven> {
        self.closer_members(target).take(limit).cloned().collect()
    }

    fn closer_members(&self, target: Hash) -> impl Iterator<Item = &Proven> {
        // From the target backwards to this peer: these are the members between the two, the nearest to the target first.
        let beyond = (Bound::Excluded(target), Bound::Unbounded);
        let before = self.known.range(..=target).rev().chain(self.known.range(beyond).rev());
        let mine = Geometry::Ring.offset(self.id(), target);
        before.take_while(move |(id, _)| Geometry::Ring.offset(**id, target) < mine).map(|(_, known)| &known.peer)
    }

    pub(crate) fn responsible(&self, key: Hash, limit: usize) -> Vec<SignedRecord> {
        let mut ids = self.shape.responsible(self.id(), key, &self.known);
        ids.truncate(limit);
        ids.into_iter().filter_map(|id| self.record(id).cloned()).collect()
    }

    pub(crate) fn owns(&self, key: Hash) -> bool {
        self.shape.owns(self.id(), key)
    }

    pub(crate) fn find(&self, find: &Find, view: Families) -> Found {
        let count = usize::from(find.count).min(MAX_RECORDS);
        let most = if view.are_both() { count } else { usize::MAX };
        let closer = self.closer_members(find.target).take(most).filter(|peer| view.meet(peer.places().families));
        let closer = closer.take(count).map(|peer| peer.record().clone()).collect();
        let mut responsible = self.shape.responsible_of_kin(self.id(), find.target, view);
        if responsible.is_empty() {
            responsible = self.shape.responsible(self.id(), find.target, &self.known);
            responsible.truncate(most);
        }
        let seen = responsible.into_iter().filter(|id| self.families(*id).is_some_and(|families| view.meet(families)));
        let responsible = seen.take(count).filter_map(|id| self.record(id).cloned()).collect();
        Found { closer, responsible, ..Found::default() }
    }

    pub(crate) fn wanted_links(
        &self,
        now: Instant,
        linked: impl FnOnce() -> Vec<Hash>,
        standing: impl Fn(Hash) -> bool,
    ) -> Vec<&SignedRecord> {
        let me = self.id();
        let mut wanted = self.wanted.iter().filter(|id| !standing(**id)).peekable();
        if wanted.peek().is_none() {
            return Vec::new();
        }
        let hopeful: Vec<Hash> = self.candidates.hopeful(now).collect();
        let wanted = wanted.filter(|id| !self.shape.may_be_supplanted(me, **id, &hopeful));
        let linked = if self.is_restless() { linked() } else { Vec::new() };
        let wanted = wanted.filter(|id| !self.is_restless() || !self.shape.is_dispensable(me, **id, &linked, self.churn));
        let mut wanted: Vec<Hash> = wanted.copied().collect();
        if self.is_in_flux() {
            // Few are made: those that shorten routes, of each member others.
            let is_neighbour = |id: Hash| self.shape.rank(me, id, true) == Rank::Essential;
            wanted.retain(|id| !is_neighbour(*id) || self.is_needed(now, *id));
            let near = wanted.iter().take_while(|id| is_neighbour(**id)).count();
            let far = &mut wanted[near..];
            far.rotate_left(usize::from(me.to_bytes()[31]) % far.len().max(1));
        }
        wanted.into_iter().filter_map(|id| self.record(id)).collect()
    }

    pub(crate) fn rank(&self, peer: Hash, others: impl IntoIterator<Item = Hash>) -> Rank {
        let rank = self.shape.rank(self.id(), peer, self.known.contains_key(&peer));
        match rank {
            Rank::Spare(_) if self.is_restless() => self.shape.rank_in_place_of_a_finger(self.id(), peer, others).unwrap_or(rank),
            Rank::Spare(_) | Rank::Useful(_) | Rank::Essential => rank,
        }
    }

    /// How fast members come and go, as far as this peer has seen itself.
    pub(crate) fn churn_seen(&self, now: Instant) -> Churn {
        self.unrest.seen(now, self.shape.successors.len())
    }

    pub(crate) fn churn_expected(&self, now: Instant) -> Churn {
        self.churn_seen(now).max(self.unrest.heard(now))
    }

    pub(crate) fn hear_of_churn(&mut self, now: Instant, churn: Churn) {
        self.unrest.hear(now, churn);
        self.foresee(now);
    }

    /// Where many members go only the next one is linked at once: who comes after it will be another soon, and who is before us links us.
    pub(crate) fn is_needed(&self, now: Instant, peer: Hash) -> bool {
        let me = self.id();
        let is_known = self.known.contains_key(&peer);
        self.shape.rank(me, peer, is_known) == Rank::Essential
            && (self.churn_expected(now) != Churn::Heavy
                || self.shape.successors.first() == Some(&peer)
                || self.shape.is_next_of_kin(me, peer, is_known))
    }

    fn foresee(&mut self, now: Instant) {
        self.churn = self.churn_expected(now);
    }

    /// Whether members come and go.
    fn is_restless(&self) -> bool {
        self.churn != Churn::Calm
    }

    /// Whether so many do that what is known is not worth much.
    fn is_in_flux(&self) -> bool {
        self.churn == Churn::Heavy
    }

    pub(crate) fn table(&self) -> Table {
        let me = self.id();
        let mut entries: Vec<TableEntry> = self
            .known
            .iter()
            .map(|(id, known)| TableEntry {
                record: known.peer.record().clone(),
                cell: Geometry::Ring.cell(me, *id).unwrap_or_default(),
                place: Place::Other,
                linked: false,
            })
            .collect();
        entries.sort_by_key(|entry| Geometry::Ring.offset(me, entry.record.id()));
        let mut predecessor = None;
        for entry in &mut entries {
            entry.place = self.shape.place(me, entry.record.id());
            if self.shape.predecessor == Some(entry.record.id()) && entry.place != Place::Predecessor {
                predecessor = Some(TableEntry { place: Place::Predecessor, ..entry.clone() });
            }
        }
        // In a small swarm the predecessor is among the successors as well, and people want to see both.
        entries.extend(predecessor);
        Table { entries, attached: Vec::new() }
    }

    fn record(&self, id: Hash) -> Option<&SignedRecord> {
        if id == self.id() { Some(&self.me) } else { self.known.get(&id).map(|known| known.peer.record()) }
    }

    /// Those that this peer or a known member sees.
    fn families(&self, id: Hash) -> Option<Families> {
        if id == self.id() { Some(Families::of(&self.me)) } else { self.member(id).map(|member| member.places().families) }
    }

    // --- Inputs

    pub(crate) fn renew(&mut self, me: &SignedRecord) {
        self.me = me.clone();
    }

    pub(crate) fn on_proven(&mut self, cx: &mut Context<'_>, peer: &Proven) {
        let id = peer.id();
        if let Some(known) = self.known.get_mut(&id) {
            self.stale |= known.peer != *peer;
            self.seen = self.seen.and(peer.places().families);
            known.peer = peer.clone();
            known.heard = cx.now;
            self.is_alive(cx, id);
            self.greet(cx, id);
            return;
        }
        let on_the_ring = self.candidates.take(id).unwrap_or(false);
        let was_lost = self.lost.found(id);
        if on_the_ring || was_lost {
            self.enter(cx, peer);
        } else {
            self.strangers.insert(cx.now, peer.clone());
        }
        if was_lost {
            cx.step(Step::Met(peer.clone()));
        }
        self.greet(cx, id);
        self.prove_candidates(cx);
    }

    pub(crate) fn on_unproven(&mut self, cx: &mut Context<'_>, peer: Hash) {
        self.lost.failed(cx.now, cx.rng, peer);
        if let Some(given_up) = self.candidates.failed(cx.now, peer, self.is_in_flux()) {
            self.lost.hear_of(cx.now, cx.rng, given_up, cx.config.limits.lost);
        }
        self.prove_candidates(cx);
        // Whom it would have supplanted may be worth a link now.
        cx.step(Step::TablesChanged);
    }

    pub(crate) fn on_gone(&mut self, cx: &mut Context<'_>, peer: Hash, politely: bool) {
        self.strangers.take(peer);
        self.candidates.ban(cx.now, peer);
        self.doubts.clear(peer);
        let Some(known) = self.known.remove(&peer) else { return };
        if !politely {
            self.lost.remember(cx.now, cx.rng, known.peer.record().clone(), cx.config.limits.lost);
        }
        cx.out.event(Event::PeerLeft { peer, politely });
        self.refresh.on_gone(cx, &self.shape, peer);
        let was_near = self.shape.neighbours().contains(&peer);
        self.unrest.on_gone(cx.now, was_near);
        self.foresee(cx.now);
        self.reshape(cx);
        if was_near && !politely {
            self.near_one_died(cx);
        }
    }

    pub(crate) fn on_candidates(&mut self, cx: &mut Context<'_>, from: Hash, records: &[SignedRecord]) {
        for record in records {
            let id = record.id();
            if id == self.id() || self.known.contains_key(&id) {
                continue;
            }
            // What a peer says of itself tells that it is there, not that it has joined.
            let on_the_ring = id != from;
            match self.strangers.take(id) {
                Some(stranger) if on_the_ring => self.enter(cx, &stranger.peer),
                Some(stranger) => self.strangers.put_back(stranger),
                None if self.shape.would_take(self.id(), id, &self.known) => {
                    self.candidates.add(cx.now, record, on_the_ring, cx.config.limits.candidates);
                }
                None if on_the_ring && self.shape.would_be_kin(self.id(), record) => {
                    self.candidates.seek(cx.now, record, cx.config.limits.candidates);
                }
                None => {}
            }
        }
        self.prove_candidates(cx);
    }

    pub(crate) fn on_frame(&mut self, cx: &mut Context<'_>, from: &Proven, frame: Frame) {
        match frame {
            Frame::Changed(neighbours) => {
                self.speaks(cx, from);
                self.hear(cx, from, &neighbours);
            }
            Frame::Hint(record) => {
                self.speaks(cx, from);
                cx.step(Step::Candidates { from: from.id(), records: vec![record] });
            }
            Frame::Introduce(introduction) => {
                self.speaks(cx, from);
                self.on_introduction(cx, from, introduction.records);
            }
            Frame::Unify(unify) => self.on_unify(cx, from, unify),
            Frame::Goodbye(Goodbye { neighbours, lost }) => {
                self.lost.inherit(cx, lost, |id| self.known.contains_key(&id));
                cx.step(Step::Candidates { from: from.id(), records: neighbours.records });
            }
            Frame::Query(..)
            | Frame::Reply(..)
            | Frame::Data(..)
            | Frame::HopVerdict(_)
            | Frame::Task(..)
            | Frame::TaskVerdict(_)
            | Frame::Opaque(_)
            | Frame::Digest(_)
            | Frame::Alarm
            | Frame::Drain(_)
            | Frame::Drained
            | Frame::Pull(_) => cx.refuse(Some(from.id()), Refusal::Unexpected),
        }
    }

    pub(crate) fn on_query(&mut self, cx: &mut Context<'_>, from: &Proven, query: &Query) -> Reply {
        match query {
            Query::Neighbours => Reply::Neighbours(self.neighbours_for(cx, from)),
            Query::Records(prefixes) => Reply::Records(self.records_for(from, prefixes)),
            Query::Ping | Query::Find(_) | Query::Attach(_) | Query::Witness(_) => Reply::Refused(Refusal::Unexpected),
        }
    }

    pub(crate) fn on_answer(&mut self, cx: &mut Context<'_>, from: &SignedRecord, reply: Option<Reply>) {
        let id = from.id();
        let proven = self.member(id).cloned();
        match reply {
            Some(Reply::Neighbours(neighbours)) => {
                self.stabilise.answered(id);
                if let Some(proven) = proven {
                    self.hear(cx, &proven, &neighbours);
                }
            }
            Some(Reply::Records(introduction)) => cx.step(Step::Candidates { from: id, records: introduction.records }),
            Some(Reply::Pong) => self.is_alive(cx, id),
            Some(Reply::Found(_) | Reply::WhoAreYou | Reply::Attached(_) | Reply::Witnessed(_)) => cx.refuse(Some(id), Refusal::Unexpected),
            Some(Reply::Refused(_)) => self.stabilise.unanswered(id),
            None => {
                self.stabilise.unanswered(id);
                if proven.is_some() && is_linked(cx, id) {
                    cx.step(Step::Suspect(id));
                } else {
                    self.is_dead(cx, id);
                }
            }
        }
    }

    /// A lookup of our own id has found where we stand.
    pub(crate) fn on_placed(&mut self, now: Instant) {
        self.stabilise.on_placed(now);
    }

    pub(crate) fn on_found(&mut self, cx: &mut Context<'_>, target: Hash, result: &Result<Lookup, LookupError>) {
        let responsible = result.as_ref().map(|lookup| &lookup.responsible[..]).unwrap_or_default();
        if target == self.id() {
            return self.on_candidates(cx, target, responsible);
        }
        let news = responsible.first().filter(|owner| owner.id() != self.id() && !self.known.contains_key(&owner.id()));
        if let Some(owner) = news {
            match self.strangers.take(owner.id()) {
                Some(stranger) => self.enter(cx, &stranger.peer),
                None => self.candidates.seek(cx.now, owner, cx.config.limits.candidates),
            }
            self.prove_candidates(cx);
        }
        let owner = responsible.first().map(SignedRecord::id).filter(|owner| *owner != self.id());
        self.refresh.on_found(cx, target, owner, news.is_some());
        self.refresh_if_due(cx);
    }

    /// Those next to us hear whom they stand between then; to others it does not matter.
    pub(crate) fn goodbye(&self, to: Hash) -> Frame {
        if !self.shape.neighbours().contains(&to) && !self.shape.before.contains(&to) {
            return Frame::Goodbye(Goodbye::default());
        }
        let next = self.shape.predecessor.into_iter().chain(self.shape.successors.iter().copied().take(HEIRS));
        let records = next.filter(|id| *id != to).filter_map(|id| self.record(id).cloned()).collect();
        let lost =
            if Some(to) == self.shape.predecessor || self.shape.successors.first() == Some(&to) { self.lost.legacy() } else { Vec::new() };
        Frame::Goodbye(Goodbye { neighbours: Neighbours { records, ..Neighbours::default() }, lost })
    }

    pub(crate) fn on_wake(&mut self, cx: &mut Context<'_>) {
        for stranger in self.strangers.due(cx.now) {
            self.enter(cx, &stranger);
        }
        if let Some(record) = self.lost.due(cx.now) {
            cx.step(Step::Prove(record, Tries::One));
        }
        self.foresee(cx.now);
        self.merge.forget(cx.now);
        self.settle_doubts(cx);
        self.prove_candidates(cx);
        self.tell(cx);
        self.stabilise_if_due(cx);
        self.refresh_if_due(cx);
    }

    fn refresh_if_due(&mut self, cx: &mut Context<'_>) {
        let record = |id| self.known.get(&id).map(|known| known.peer.record());
        self.refresh.on_wake(cx, &self.shape, self.me.id(), self.churn, record);
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        [
            self.strangers.next_timeout(),
            self.lost.next_timeout(),
            self.merge.next_timeout(),
            self.doubts.next_timeout(),
            self.candidates.next_timeout(),
            self.telling.next_timeout(),
            self.stabilise.next_timeout(),
            self.refresh.next_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    // --- The set, and what follows from it

    /// A proven peer is known to stand on the ring.
    fn enter(&mut self, cx: &mut Context<'_>, peer: &Proven) {
        let id = peer.id();
        if id == self.id() {
            return;
        }
        let is_new = self.known.insert(id, Known { peer: peer.clone(), heard: cx.now }).is_none();
        self.seen = self.seen.and(peer.places().families);
        if is_new {
            cx.out.event(Event::PeerJoined(peer.clone()));
        }
        if !is_new || self.stale || self.shape.may_change_with(self.me.id(), id) {
            self.reshape(cx);
        } else {
            self.drop_spares(cx);
        }
    }

    /// The peer says something that only members of the ring say.
    fn speaks(&mut self, cx: &mut Context<'_>, peer: &Proven) {
        self.candidates.forgive(peer.id());
        self.strangers.take(peer.id());
        self.lost.found(peer.id());
        match self.known.get_mut(&peer.id()) {
            Some(known) => known.heard = cx.now,
            None => self.enter(cx, peer),
        }
    }

    /// Draws the consequences of a change of the set.
    fn reshape(&mut self, cx: &mut Context<'_>) {
        self.drop_spares(cx);
        let shape = Shape::of(self.me.id(), &self.draws, &self.known, cx.config);
        self.stale = false;
        if shape == self.shape {
            return;
        }
        let old = std::mem::replace(&mut self.shape, shape);
        self.wanted = self.shape.wanted_links();
        let changed = old.predecessor != self.shape.predecessor || old.successors != self.shape.successors;
        if changed {
            let nearest = self.shape.successors.clone();
            cx.out.event(Event::NeighboursChanged { predecessor: self.shape.predecessor, nearest });
            self.on_neighbours_changed(cx, &old);
        }
        self.refresh.on_reshape(cx, &self.shape, self.me.id());
        cx.step(Step::TablesChanged);
    }

    /// Keeps the set bounded: of those that have no place in the shape the longest silent goes.
    fn drop_spares(&mut self, cx: &mut Context<'_>) {
        if self.known.len() <= SPARES + self.shape.len() {
            return;
        }
        // Both are in the order of the ids.
        let mut places = self.shape.places().into_iter().peekable();
        let mut has_place = |id: Hash| {
            while places.next_if(|place| *place < id).is_some() {}
            places.peek() == Some(&id)
        };
        let spares = self.known.iter().filter(|(id, _)| !has_place(**id));
        let mut oldest: BinaryHeap<Reverse<(Instant, Hash)>> = spares.map(|(id, known)| Reverse((known.heard, *id))).collect();
        while self.known.len() > SPARES + self.shape.len() {
            let Some(Reverse((_, peer))) = oldest.pop() else { return };
            // Asked of few: it costs two searches.
            if !is_linked(cx, peer) {
                self.known.remove(&peer);
                cx.out.event(Event::PeerLeft { peer, politely: false });
            }
        }
    }
}

fn is_linked(cx: &Context<'_>, peer: Hash) -> bool {
    cx.links.to_peer(peer).is_some_and(|link| link.is_open() && link.proven.is_some())
}

/// Whose id begins so.
fn at<V>(among: &BTreeMap<Hash, V>, prefix: IdPrefix) -> Option<Hash> {
    among.range(prefix.first()..).next().map(|(id, _)| *id).filter(|id| IdPrefix::of(*id) == prefix)
}

/// How many members behind it who leaves names: those around it know most of them.
const HEIRS: usize = 4; // guess: of four in a row one lives

/// Members held beyond those with a place: who has linked to us, whom a lookup met. They shorten routes, no more.
const SPARES: usize = 64; // guess
