//! The tree: Kademlia's k-buckets (Maymounkov and Mazieres, "Kademlia", 2002).
//!
//! A cell is a bucket. Only proven members are in it, least recently seen first; one that is alive is never put out for a
//! newcomer, unless the newcomer is among the members nearest to this peer: those are always known, since who answers for a key
//! must know who else is near. Candidates are proven when there is a place for them, and otherwise remembered in case a place
//! becomes free.
//!
//! Read first: [`table`] (the buckets), then the inputs below; [`linking`] (which links), [`upkeep`] (when to look around),
//! [`merge`] (two trees become one).

mod linking;
mod merge;
mod table;
#[cfg(test)]
mod tests;
mod upkeep;

use crate::{
    config::{Config, Families},
    context::Context,
    event::{Event, Lookup, LookupError, Place as EntryPlace, Table, TableEntry},
    geometry::{CELLS, Geometry},
    overlay::{ENOUGH_LINKS, Rank, lost::Lost, unrest::Unrest},
    peer::Proven,
    step::{Finder, Step, Tries},
    time::Instant,
};
use cicada_wire::{Churn, Find, Found, Frame, Goodbye, Hash, MAX_RECORDS, Neighbours, Query, Refusal, Reply, Role, SignedRecord};
use merge::Merge;
use rand::seq::IndexedRandom;
use std::{collections::BTreeMap, time::Duration};
use table::{Bucket, Buckets, Place};
use upkeep::{Look, Schedule};

/// The tree.
#[derive(Debug)]
pub struct Tree {
    me: SignedRecord,
    buckets: Buckets,
    /// Candidates that are being proven, and whether each has told us of itself and so knows us.
    proving: BTreeMap<Hash, bool>,
    /// The nearest members as last told to the application.
    nearest: Vec<Hash>,
    schedule: Schedule,
    merge: Option<Merge>,
    lost: Lost,
    unrest: Unrest,
    /// Many members come and go: when that is looked at again.
    flux: Option<Instant>,
    /// Nobody was linked, and nobody has been met since: who has come meanwhile could not tell us.
    cut_off: bool,
}

impl Tree {
    pub(crate) fn new(me: SignedRecord) -> Self {
        Self {
            buckets: Buckets::new(me.id()),
            me,
            proving: BTreeMap::new(),
            nearest: Vec::new(),
            schedule: Schedule::default(),
            merge: None,
            lost: Lost::default(),
            unrest: Unrest::default(),
            flux: None,
            cut_off: false,
        }
    }

    fn id(&self) -> Hash {
        self.me.id()
    }

    // --- Questions

    pub(crate) fn is_joined(&self) -> bool {
        self.buckets.iter().next().is_some()
    }

    pub(crate) fn member(&self, id: Hash) -> Option<&Proven> {
        self.buckets.member(id)
    }

    pub(crate) fn lacks(&self, config: &Config, id: Hash) -> bool {
        self.buckets.lacks(config, id)
    }

    pub(crate) fn members_that(&self, keep: impl Fn(&Proven) -> bool) -> Vec<Proven> {
        let mut members: Vec<Proven> = self.buckets.iter().filter(|member| keep(member)).cloned().collect();
        members.sort_by_key(Proven::id);
        members
    }

    pub(crate) fn closer(&self, target: Hash, limit: usize) -> Vec<Proven> {
        let mine = Geometry::Tree.offset(self.id(), target);
        let nearest = self.buckets.nearest(target, limit).into_iter();
        nearest.take_while(|member| Geometry::Tree.offset(member.id(), target) < mine).cloned().collect()
    }

    pub(crate) fn responsible(&self, key: Hash, limit: usize) -> Vec<SignedRecord> {
        let mut nearest: Vec<SignedRecord> = self.buckets.nearest(key, limit).into_iter().map(|member| member.record().clone()).collect();
        if self.me.record().role == Role::Member {
            let mine = Geometry::Tree.offset(self.id(), key);
            let at = nearest.partition_point(|record| Geometry::Tree.offset(record.id(), key) < mine);
            nearest.insert(at, self.me.clone());
        }
        nearest.truncate(limit);
        nearest
    }

    pub(crate) fn owns(&self, key: Hash) -> bool {
        self.me.record().role == Role::Member && self.closer(key, 1).is_empty()
    }

    /// All of the nearest are among the responsible; naming the nearer ones twice would only make the answer longer.
    pub(crate) fn find(&self, find: &Find, view: Families) -> Found {
        let limit = usize::from(find.count).min(MAX_RECORDS);
        let all = self.responsible(find.target, if view.are_both() { limit } else { usize::MAX });
        let responsible = all.into_iter().filter(|record| view.reach(record)).take(limit).collect();
        Found { responsible, ..Found::default() }
    }

    /// Those to `linked` stand; those to `avoided` should not be tried now.
    pub(crate) fn wanted_links(&self, now: Instant, linked: &[Hash], avoided: &[Hash]) -> Vec<&SignedRecord> {
        self.buckets.wanted_links(linked, avoided, self.id(), self.churn_expected(now) != Churn::Calm)
    }

    pub(crate) fn rank(&self, peer: Hash, others: impl IntoIterator<Item = Hash>) -> Rank {
        self.buckets.rank(peer, others)
    }

    /// Where members come and go those over there who need several of us see to that themselves; where many do, links do not last, and
    /// what a message lacks is dialled for it.
    pub(crate) fn is_needed(&self, now: Instant, peer: Hash, others: &[Hash]) -> bool {
        let is_first = || others.iter().all(|other| self.buckets.cell(*other) != self.buckets.cell(peer));
        self.rank(peer, others.iter().copied()) == Rank::Essential
            && match self.churn_expected(now) {
                Churn::Calm => true,
                Churn::Some => is_first(),
                Churn::Heavy => others.len() < ENOUGH_LINKS && is_first(),
            }
    }

    /// How fast members come and go, as far as this peer has seen itself.
    pub(crate) fn churn_seen(&self, now: Instant) -> Churn {
        let seen = self.unrest.seen(now, self.buckets.below(CELLS) / FEW_NOTICED);
        if seen == Churn::Heavy && self.buckets.likely_size(NEAR) <= KNOW_ALL { Churn::Some } else { seen }
    }

    pub(crate) fn churn_expected(&self, now: Instant) -> Churn {
        self.churn_seen(now).max(self.unrest.heard(now))
    }

    pub(crate) fn table(&self) -> Table {
        let entry = |cell, member: &Proven| TableEntry { record: member.record().clone(), cell, place: EntryPlace::Bucket, linked: false };
        let entries = self.buckets.filled().flat_map(|(cell, bucket)| bucket.members().iter().map(move |member| entry(cell, member)));
        Table { entries: entries.collect(), attached: Vec::new() }
    }

    /// Who takes our place at the other end are those nearest to us, if anybody has to.
    pub(crate) fn goodbye(&self, to: Hash) -> Frame {
        let heirs = self.buckets.nearest(self.id(), HEIRS);
        let lost = if heirs.iter().take(EXECUTORS).any(|heir| heir.id() == to) { self.lost.legacy() } else { Vec::new() };
        let records = heirs.into_iter().map(|member| member.record().clone()).collect();
        Frame::Goodbye(Goodbye { neighbours: Neighbours { records, ..Neighbours::default() }, lost })
    }

    // --- Inputs

    pub(crate) fn renew(&mut self, me: &SignedRecord) {
        self.me = me.clone();
    }

    /// Whoever let us in has been here longer.
    pub(crate) fn hear_of_churn(&mut self, now: Instant, churn: Churn) {
        self.unrest.hear(now, churn);
    }

    pub(crate) fn on_cut_off(&mut self) {
        self.cut_off = true;
    }

    pub(crate) fn on_proven(&mut self, cx: &mut Context<'_>, peer: &Proven) {
        let id = peer.id();
        if std::mem::take(&mut self.cut_off) {
            self.schedule.joined(cx.now);
        }
        let knows_us = self.proving.remove(&id).unwrap_or_default() || cx.links.to_peer(id).is_some();
        match self.buckets.place(cx.config, peer.record()) {
            Place::Nowhere => return,
            Place::Known => self.seen(id, Some(peer)),
            Place::Free => self.insert(cx, peer, knows_us),
            Place::Of(other) => {
                self.displace(cx, other);
                self.insert(cx, peer, knows_us);
            }
            Place::Full => self.keep_spare(cx, peer.record()),
        }
        if self.lost.found(id) {
            // Those who lost each other look for each other: nobody needs to be told.
            self.merge(cx, peer.record(), 0);
        }
    }

    fn insert(&mut self, cx: &mut Context<'_>, peer: &Proven, knows_us: bool) {
        if !self.is_joined() {
            self.schedule.joined(cx.now);
        }
        let Some(bucket) = self.buckets.bucket_mut(peer.id()) else { return };
        bucket.insert(peer.clone());
        cx.out.event(Event::PeerJoined(peer.clone()));
        if !knows_us && self.should_know_us(cx, peer.id()) {
            merge::introduce(cx, peer.record(), std::slice::from_ref(&self.me));
        }
        self.tell_nearest(cx);
    }

    /// Whom we are near should know us as well, and where all fit into a bucket everybody should. Who asks all of its
    /// neighbourhood tells them by asking.
    fn should_know_us(&self, cx: &Context<'_>, peer: Hash) -> bool {
        let all = self.buckets.below(CELLS);
        let nearer = || self.closer(peer, NEAR + 1).len();
        all <= cx.config.upkeep.bucket || ((!self.schedule.is_thorough() || self.is_in_flux(cx)) && nearer() <= NEAR)
    }

    /// Whether many others hear of who comes, and will name it.
    fn is_large(&self, cx: &Context<'_>) -> bool {
        self.buckets.below(CELLS) > cx.config.upkeep.bucket
    }

    /// Whether members come and go, and so many others are told of it that we need not look at once.
    fn is_restless(&self, cx: &Context<'_>) -> bool {
        self.churn_expected(cx.now) != Churn::Calm && self.is_large(cx)
    }

    /// Whether so many do that what is known is not worth much.
    fn is_in_flux(&self, cx: &Context<'_>) -> bool {
        self.churn_expected(cx.now) == Churn::Heavy
    }

    /// Whether somebody goes now as others have gone for a while.
    fn is_usual(&self, cx: &Context<'_>) -> bool {
        self.unrest.is_usual(cx.now)
    }

    fn displace(&mut self, cx: &mut Context<'_>, id: Hash) {
        let Some(member) = self.buckets.remove(id) else { return };
        let size = cx.config.upkeep.bucket;
        if let Some(bucket) = self.buckets.bucket_mut(id) {
            bucket.spare(member.record().clone(), size);
        }
        cx.out.event(Event::PeerLeft { peer: id, politely: false });
    }

    /// The tables changed. Tells so, and whether that concerned the nearest.
    fn tell_nearest(&mut self, cx: &mut Context<'_>) {
        cx.step(Step::TablesChanged);
        let nearest: Vec<Hash> = self.buckets.nearest(self.id(), cx.config.upkeep.successors).into_iter().map(Proven::id).collect();
        if nearest != self.nearest {
            // Where members come and go it takes a change next to us.
            let restless = self.is_restless(cx);
            if !restless || nearest.iter().take(NEAR).ne(self.nearest.iter().take(NEAR)) {
                self.schedule.changed(cx.now, restless);
            }
            self.nearest.clone_from(&nearest);
            cx.out.event(Event::NeighboursChanged { predecessor: None, nearest });
        }
    }

    fn seen(&mut self, id: Hash, record: Option<&Proven>) {
        if self.buckets.member(id).is_some()
            && let Some(bucket) = self.buckets.bucket_mut(id)
        {
            bucket.seen(id, |member| {
                let newer = |newer: &&Proven| newer.record().record().sequence >= member.record().record().sequence;
                if let Some(newer) = record.filter(newer) {
                    *member = newer.clone();
                }
            });
        }
    }

    /// The bucket is full: whom we have not seen for longest is checked, and gives way only if it is dead.
    fn keep_spare(&mut self, cx: &mut Context<'_>, record: &SignedRecord) {
        let (now, size) = (cx.now, cx.config.upkeep.bucket);
        let Some(bucket) = self.buckets.bucket_mut(record.id()) else { return };
        bucket.spare(record.clone(), size);
        if bucket.members().len() < size || bucket.suspected.is_some_and(|suspected| now.since(suspected) < BETWEEN_SUSPICIONS) {
            return;
        }
        bucket.suspected = Some(now);
        if let Some(cell) = self.buckets.cell(record.id()) {
            self.suspect_oldest(cx, cell);
        }
    }

    /// Whom we have not seen for longest in a cell is checked. Those linked are watched anyway.
    fn suspect_oldest(&mut self, cx: &mut Context<'_>, cell: u32) {
        let members = self.buckets.bucket(cell).map_or(&[][..], Bucket::members);
        let oldest = members.iter().map(Proven::id).find(|id| cx.links.to_peer(*id).is_none());
        if let Some(oldest) = oldest {
            self.seen(oldest, None);
            cx.step(Step::Suspect(oldest));
        }
    }

    pub(crate) fn on_unproven(&mut self, cx: &mut Context<'_>, peer: Hash) {
        // Others have known it until now: a newcomer, who has seen nobody go, hears that way that members do.
        if self.proving.remove(&peer) == Some(false) {
            self.unrest.on_gone(cx.now, false);
            cx.step(Step::Restless);
        }
        self.lost.failed(cx.now, cx.rng, peer);
        if let Some(bucket) = self.buckets.bucket_mut(peer) {
            bucket.drop_spare(peer);
        }
        self.fill(cx, peer);
    }

    pub(crate) fn on_gone(&mut self, cx: &mut Context<'_>, peer: Hash, politely: bool) {
        let Some(member) = self.buckets.remove(peer) else { return };
        self.unrest.on_gone(cx.now, true);
        if !politely {
            self.lost.remember(cx.now, cx.rng, member.record().clone(), cx.config.limits.lost);
            self.suspect_others(cx, peer);
        }
        cx.out.event(Event::PeerLeft { peer, politely });
        self.tell_nearest(cx);
        if !self.is_joined() {
            self.schedule.alone();
        }
        self.fill(cx, peer);
        match self.buckets.cell(peer) {
            Some(cell) if self.buckets.bucket(cell).is_none() => {
                self.schedule.emptied(cx.now, cell, self.is_usual(cx) && self.is_large(cx));
            }
            Some(cell) if !politely && self.is_thin(cx, cell) => self.schedule.bereaved(cx.now, cell, cx.config.upkeep.refresh),
            Some(_) | None => {}
        }
    }

    /// Of a far cell of which many are known nobody more is needed. Those in the nearest are found when we look around us; those beyond
    /// them tell us of themselves, and where members come and go that has to do.
    fn is_worth_a_look(&self, cx: &Context<'_>, cell: u32) -> bool {
        let below = self.buckets.below(cell);
        let known = self.buckets.bucket(cell).map_or(0, |bucket| bucket.members().len());
        let is_around_us = known > 0 && below + known <= NEAR;
        let is_near = below < cx.config.upkeep.bucket && !self.is_restless(cx);
        !is_around_us && (is_near || self.is_thin(cx, cell))
    }

    /// Whether so few members of a cell are known that one death more matters. Others take the place of one of many.
    fn is_thin(&self, cx: &Context<'_>, cell: u32) -> bool {
        self.buckets.bucket(cell).map_or(0, |bucket| bucket.members().len()) < cx.config.upkeep.bucket / 2
    }

    /// Where one died, others may have: one near the dead, who was silent for longest in its cell and a few anywhere are checked.
    /// If many died, each that is found dead leads to more; if few, it ends there. Where members come and go all the time it is not about
    /// somebody anywhere, and where many do, about nobody else.
    fn suspect_others(&mut self, cx: &mut Context<'_>, dead: Hash) {
        if self.is_in_flux(cx) {
            return;
        }
        let anywhere = if self.is_usual(cx) { 0 } else { SUSPECTS };
        let members: Vec<Hash> = self.buckets.iter().map(Proven::id).collect();
        let near = members.iter().copied().min_by_key(|id| Geometry::Tree.offset(*id, dead));
        let anywhere: Vec<Hash> = (0..anywhere).filter_map(|_| members.choose(cx.rng).copied()).collect();
        for suspect in near.into_iter().chain(anywhere) {
            cx.step(Step::Suspect(suspect));
        }
        if let Some(cell) = self.buckets.cell(dead) {
            self.suspect_oldest(cx, cell);
        }
    }

    /// A place in the cell of `id` may be free: whom we remember for it is proven.
    fn fill(&mut self, cx: &mut Context<'_>, id: Hash) {
        let size = cx.config.upkeep.bucket;
        let Some(bucket) = self.buckets.bucket_mut(id) else { return };
        let spare = if bucket.members().len() < size { bucket.take_spare() } else { None };
        self.buckets.tidy();
        if let Some(spare) = spare.filter(|spare| !self.proving.contains_key(&spare.id())) {
            // It may be long dead.
            self.proving.insert(spare.id(), false);
            cx.step(Step::Prove(spare, Tries::One));
        }
    }

    fn prove(&mut self, cx: &mut Context<'_>, record: SignedRecord, knows_us: bool) {
        if let Some(known) = self.proving.get_mut(&record.id()) {
            *known |= knows_us;
            return;
        }
        self.proving.insert(record.id(), knows_us);
        cx.step(Step::Prove(record, Tries::where_members_go(self.churn_expected(cx.now))));
    }

    pub(crate) fn on_candidates(&mut self, cx: &mut Context<'_>, from: Hash, records: &[SignedRecord]) {
        self.seen(from, None);
        for record in records {
            match self.buckets.place(cx.config, record) {
                Place::Free | Place::Of(_) => self.prove(cx, record.clone(), record.id() == from),
                Place::Full => self.keep_spare(cx, record),
                Place::Known | Place::Nowhere => {}
            }
        }
    }

    pub(crate) fn on_met(&mut self, cx: &mut Context<'_>, peer: &Proven) {
        self.merge(cx, peer.record(), CELLS);
    }

    pub(crate) fn on_frame(&mut self, cx: &mut Context<'_>, from: &Proven, frame: Frame) {
        match frame {
            Frame::Introduce(introduction) => self.on_candidates(cx, from.id(), &introduction.records),
            Frame::Goodbye(Goodbye { neighbours, lost }) => {
                self.lost.inherit(cx, lost, |id| self.buckets.member(id).is_some());
                self.on_candidates(cx, from.id(), &neighbours.records);
            }
            Frame::Unify(unify) if unify.seeker.id() != self.id() && unify.seeker.record().role == Role::Member => {
                self.merge(cx, &unify.seeker, u32::from(unify.hop_limit));
            }
            Frame::Unify(_)
            | Frame::Query(..)
            | Frame::Reply(..)
            | Frame::Changed(_)
            | Frame::Hint(_)
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

    pub(crate) fn on_query(&mut self, _cx: &mut Context<'_>, _from: &Proven, _query: &Query) -> Reply {
        // A tree has no order in which a peer has neighbours.
        Reply::Refused(Refusal::Unexpected)
    }

    pub(crate) fn on_answer(&mut self, _cx: &mut Context<'_>, from: &SignedRecord, reply: Option<&Reply>) {
        // The tree asks by lookups only.
        if reply.is_some() {
            self.seen(from.id(), None);
        }
    }

    pub(crate) fn on_found(&mut self, cx: &mut Context<'_>, target: Hash, result: &Result<Lookup, LookupError>) {
        if target != self.id() {
            return;
        }
        let found = result.as_ref().map_or(&[][..], |found| &found.responsible);
        self.found_strangers(cx, found);
        let lowest = self.buckets.filled().next().map(|(cell, _)| cell);
        if let Some(lowest) = lowest {
            self.schedule.watch_from(cx.now, lowest..=CELLS - 1, self.all_known_below(cx, found), cx.config.upkeep.refresh);
        }
    }

    /// Below this cell there is nobody who is not among those `found` by a lookup of our own id, if that asked for all of the nearest:
    /// the dead are left out of what it found.
    fn all_known_below(&self, cx: &Context<'_>, found: &[SignedRecord]) -> u32 {
        let farthest = found.iter().filter_map(|record| self.buckets.cell(record.id())).max();
        farthest.filter(|_| found.len() >= cx.config.upkeep.bucket.min(MAX_RECORDS) / 2).unwrap_or(0)
    }

    /// How fast members come and go, as far as it matters when we look around us. Once many do, it is not over before nobody does; then those
    /// whom we have not met meanwhile are looked for.
    fn churn_lately(&mut self, cx: &Context<'_>) -> Churn {
        let churn = self.churn_expected(cx.now);
        if churn == Churn::Heavy || self.flux.is_some_and(|until| until <= cx.now) {
            self.flux = Some(self.unrest.calm_from()).filter(|_| churn != Churn::Calm);
            if churn == Churn::Calm {
                self.schedule.changed(cx.now, false);
            }
        }
        match churn {
            _ if self.flux.is_some() => Churn::Heavy,
            _ if self.is_large(cx) => churn,
            _ => Churn::Calm,
        }
    }

    pub(crate) fn on_wake(&mut self, cx: &mut Context<'_>) {
        if let Some(record) = self.lost.due(cx.now) {
            cx.step(Step::Prove(record, Tries::One));
        }
        let refresh = cx.config.upkeep.refresh;
        let churn = self.churn_lately(cx);
        let own = self.schedule.own_due(cx.now, cx.rng, refresh, churn);
        // In a small swarm everybody should know everybody, on the other side as well.
        let around_us = if self.is_large(cx) { NEAR } else { cx.config.upkeep.bucket };
        let own = own.map(|look| match look {
            Look::Thorough => self.id(),
            Look::Brief { turn } => self.near_point(turn, around_us),
        });
        let cells = self.schedule.cells_due(cx.now, cx.rng, refresh, &self.buckets.filled_cells());
        for (cell, _) in &cells {
            self.suspect_oldest(cx, *cell);
        }
        let cells = cells.into_iter().filter(|(cell, is_known)| !is_known || self.is_worth_a_look(cx, *cell));
        let cells: Vec<Hash> = cells.map(|(cell, _)| Geometry::Tree.cell_start(self.id(), cell)).collect();
        for target in own.into_iter().chain(cells) {
            cx.step(Step::Find { target, seeds: Vec::new(), finder: Finder::Overlay });
        }
    }

    /// How many of those nearest to `target` are among the [`NEAR`] nearest to us: all of these but those in nearer cells.
    pub(crate) fn neighbours_near(&self, target: Hash) -> usize {
        let nearer = self.buckets.cell(target).map_or(0, |cell| self.buckets.below(cell));
        NEAR.saturating_sub(nearer)
    }

    /// The points around us that are looked up in turn: what is near to one of them is near to us, and an answer that holds only
    /// a few holds others for each.
    fn near_point(&self, turn: usize, around_us: usize) -> Hash {
        let near = self.buckets.filled().map(|(cell, _)| cell).take_while(|cell| self.buckets.below(*cell) < around_us);
        // The nearest point of all stands for ourselves; the farthest comes first, since there is most to find.
        let cells: Vec<u32> = std::iter::once(0).chain(near).collect();
        let cell = cells.iter().rev().nth(turn % cells.len()).copied().unwrap_or(0);
        Geometry::Tree.cell_start(self.id(), cell)
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.schedule.next_timeout().into_iter().chain(self.lost.next_timeout()).chain(self.flux).min()
    }
}

/// Who answers for a key must know about as many around it.
const NEAR: usize = 8; // guess

/// How many of them go on looking for those whom it had lost.
const EXECUTORS: usize = 2; // guess: one may go itself

/// How many members who leaves names in its place.
const HEIRS: usize = 4; // guess: who is near knows most of the others

/// Members anywhere that are checked when one died: with the two others more than one of them is dead once a third is.
const SUSPECTS: usize = 2; // guess

/// Of those that are not linked few are watched: of five members that go one is noticed within a minute.
const FEW_NOTICED: usize = 5; // measured: 5 to 9 of a hundred with sessions of 84 s, 1 with ten minutes

/// In a swarm of no more than these everybody should know everybody, which matters even where many members go.
const KNOW_ALL: usize = 64; // guess: three buckets

/// A bucket that is full is not a reason to keep checking its members.
const BETWEEN_SUSPICIONS: Duration = Duration::from_secs(30); // guess
