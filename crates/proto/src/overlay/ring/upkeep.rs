//! Stabilise and rectify, and telling of changes before one is asked.

use super::{Ring, at, is_linked, shape::Shape};
use crate::{
    config::Families,
    context::Context,
    geometry::Geometry,
    peer::Proven,
    step::{Asker, Finder, Step},
    time::Instant,
};
use cicada_wire::{Churn, Frame, Hash, IdPrefix, IdPrefixes, Introduction, MAX_NEIGHBOURS, MAX_RECORDS, Neighbours, Query, SignedRecord};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What is known of the successor's neighbourhood, and when it is asked again.
#[derive(Debug, Default)]
pub(super) struct Stabilise {
    pub(super) successor: Option<Hash>,
    /// Whether the successor has answered since it is our successor.
    greeted: bool,
    /// Whether we have our place before one, and have had a successor ever since.
    joined: bool,
    /// Whether a lookup has found our place. Until then the successor may be whoever let us in, wherever it stands.
    placed: bool,
    asking: Option<Hash>,
    /// The successor's list, as it last told us.
    pub(super) heard: IdPrefixes,
    /// Until then the records of those in it may be on their way.
    records_due: Instant,
    /// Members that the successor's list lacks, and when that is looked into again.
    pub(super) lacking: BTreeMap<Hash, Instant>,
    /// When records that were missing may be asked for again.
    complete_after: Instant,
    due: Option<Instant>,
    interval: Duration,
    /// When our list is compared anew with what was heard.
    review: Option<Instant>,
}

impl Stabilise {
    pub(super) fn is_joined(&self) -> bool {
        self.joined
    }

    /// Those whom the successor has just named.
    pub(super) fn named_lately(&self, now: Instant) -> &[IdPrefix] {
        if now < self.records_due { &self.heard.0 } else { &[] }
    }

    /// Whether the successor has told us its list since it is our successor.
    pub(super) fn is_greeted(&self) -> bool {
        self.greeted
    }

    /// A lookup has found our place. Whoever is our successor then is asked soon.
    pub(super) fn on_placed(&mut self, now: Instant) {
        self.placed = true;
        if !self.joined {
            self.hasten(now, GREETING);
        }
    }

    /// A member told us its neighbours in answer to a question.
    pub(super) fn answered(&mut self, from: Hash) {
        self.unanswered(from);
        self.greeted |= self.successor == Some(from);
    }

    /// The successor told us its neighbours, us as its predecessor or not. Returns whether that completes a join.
    fn completes(&mut self, is_behind_us: bool) -> bool {
        let has_place = is_behind_us || (self.placed && self.greeted);
        has_place && !std::mem::replace(&mut self.joined, true)
    }

    pub(super) fn unanswered(&mut self, from: Hash) {
        if self.asking == Some(from) {
            self.asking = None;
        }
    }

    fn follow(&mut self, successor: Option<Hash>, old_is_dead: bool) {
        // Whom a dead successor had in its list, the next one should have too; a new one may still be learning.
        let heard = if old_is_dead { std::mem::take(&mut self.heard) } else { IdPrefixes::default() };
        let (joined, placed) = (self.joined && successor.is_some(), self.placed && successor.is_some());
        *self = Self { successor, heard, joined, placed, due: self.due, interval: self.interval, ..Self::default() };
    }

    fn hasten(&mut self, now: Instant, pause: Duration) {
        self.due = Some(self.due.map_or(now + pause, |due| due.min(now + pause)));
        self.interval = Duration::ZERO;
    }

    /// The list is compared then at the latest.
    pub(super) fn review_at(&mut self, at: Instant) {
        self.review = Some(self.review.map_or(at, |review| review.min(at)));
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.due.into_iter().chain(self.review).min()
    }
}

/// What the predecessor was told last.
#[derive(Debug, Default)]
pub(super) struct Telling {
    due: Option<Instant>,
    to: Option<Hash>,
    list: Vec<Hash>,
    /// Whose records it has, or would have asked for.
    records: BTreeSet<Hash>,
}

impl Telling {
    pub(super) fn hasten(&mut self, at: Instant) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Somebody else is told now, who has the records of those who are `known`.
    fn begin(&mut self, known: &[Hash]) {
        self.records = known.iter().copied().collect();
    }

    fn told(&mut self, to: Hash, list: Vec<Hash>) {
        self.to = Some(to);
        self.records.extend(list.iter().copied());
        // What has left the list long ago may have left the other's memory too.
        self.records.retain(|id| list.contains(id));
        self.list = list;
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.due
    }
}

impl Ring {
    /// The list or the predecessor changed: `old` is what was.
    pub(super) fn on_neighbours_changed(&mut self, cx: &mut Context<'_>, old: &Shape) {
        if old.predecessor != self.shape.predecessor {
            self.hint(cx, old.predecessor);
        }
        let successor = self.shape.successors.first().copied();
        if self.stabilise.successor != successor {
            let old_is_dead = self.stabilise.successor.is_some_and(|old| !self.known.contains_key(&old));
            self.stabilise.follow(successor, old_is_dead);
        }
        match successor {
            Some(successor) => {
                self.greet(cx, successor);
                let pause = cx.config.upkeep.stabilise_after_change;
                if !self.stabilise.greeted {
                    self.stabilise.hasten(cx.now, pause.min(self.greeting()));
                } else if !self.is_in_flux() {
                    self.stabilise.hasten(cx.now, pause);
                } else {
                    // Where many go the list changes all the time, and the successor has told already what it knows of that.
                    self.stabilise.review_at(cx.now + pause);
                }
            }
            None => self.stabilise.due = None,
        }
        self.telling.hasten(cx.now + cx.config.upkeep.batch);
    }

    /// From a new successor to the first doubt that a link with it will stand. Where many members go it is often dead itself, which is found
    /// out sooner than who comes after it.
    fn greeting(&self) -> Duration {
        if self.is_in_flux() { GREETING * 4 } else { GREETING }
    }

    /// Tells the old predecessor that somebody stands between us now.
    fn hint(&mut self, cx: &mut Context<'_>, old: Option<Hash>) {
        let (Some(old), Some(new)) = (old, self.shape.predecessor) else { return };
        let Some(record) = self.member(new).map(|new| new.record().clone()) else { return };
        if self.known.contains_key(&old) {
            send(cx, old, Frame::Hint(record));
        }
    }

    /// Something that was waiting for a link to `peer` may be said now.
    pub(super) fn greet(&mut self, cx: &mut Context<'_>, peer: Hash) {
        if !is_linked(cx, peer) {
            return;
        }
        if self.stabilise.successor == Some(peer) && !self.stabilise.greeted {
            self.ask_successor(cx);
        }
        if self.shape.predecessor == Some(peer) && self.telling.to != Some(peer) {
            self.telling.hasten(cx.now + cx.config.upkeep.batch);
        }
        self.on_merge_link(cx, peer);
    }

    fn ask_successor(&mut self, cx: &mut Context<'_>) {
        let Some(successor) = self.stabilise.successor else { return };
        if self.stabilise.asking == Some(successor) || !is_linked(cx, successor) {
            return;
        }
        let Some(to) = self.record(successor).cloned() else { return };
        self.stabilise.asking = Some(successor);
        cx.step(Step::Ask { to, query: Query::Neighbours, asker: Asker::Overlay });
    }

    /// A successor of one address family names none of the other: of those the next one is asked.
    fn ask_other_successor(&mut self, cx: &mut Context<'_>) {
        let other = self.shape.other_successor().filter(|other| is_linked(cx, *other));
        if let Some(to) = other.and_then(|other| self.record(other).cloned()) {
            cx.step(Step::Ask { to, query: Query::Neighbours, asker: Asker::Overlay });
        }
    }

    /// Whom the successor has named, or has not, may matter only since our own list has changed.
    fn review_if_due(&mut self, cx: &mut Context<'_>) {
        let is_due = self.stabilise.review.take_if(|review| *review <= cx.now).is_some();
        let successor = self.stabilise.successor.filter(|_| is_due && !self.stabilise.heard.0.is_empty());
        if let Some(successor) = successor.and_then(|successor| self.record(successor).cloned()) {
            let heard = self.stabilise.heard.clone();
            self.ask_for_missing(cx, &successor, heard.0.iter());
            self.compare_lists(cx, &heard);
        }
    }

    pub(super) fn stabilise_if_due(&mut self, cx: &mut Context<'_>) {
        self.review_if_due(cx);
        if self.stabilise.due.is_none_or(|due| due > cx.now) {
            return;
        }
        self.ask_successor(cx);
        self.ask_other_successor(cx);
        if !self.stabilise.greeted && self.stabilise.asking.is_none() {
            self.check_others(cx);
            // It is dead, or has no room for a link with us: then there are nearer members before it, and a lookup finds them. Where many go it
            // is dead mostly, and who comes next is known.
            let is_patient = self.is_in_flux() && self.stabilise.interval.is_zero();
            if !is_patient {
                cx.step(Step::Find { target: self.id(), seeds: Vec::new(), finder: Finder::Overlay });
            }
        }
        let upkeep = &cx.config.upkeep;
        // Changes are told of at once, so asking only finds what was lost on the way: less and less often while all is quiet.
        let pause = if self.stabilise.greeted {
            (self.stabilise.interval * 2).clamp(upkeep.stabilise, upkeep.stabilise * QUIET_STABILISE)
        } else {
            (self.stabilise.interval * 2).clamp(self.greeting(), upkeep.stabilise.max(self.greeting()))
        };
        self.stabilise.interval = pause;
        self.stabilise.due = Some(cx.now + pause);
    }

    /// A member tells us its neighbours.
    pub(super) fn hear(&mut self, cx: &mut Context<'_>, from: &Proven, neighbours: &Neighbours) {
        if let Some(known) = self.known.get_mut(&from.id()) {
            known.heard = cx.now;
        }
        for prefix in neighbours.successors.0.iter().chain(&neighbours.predecessor) {
            if let Some(stranger) = self.strangers.take_at(*prefix) {
                self.enter(cx, &stranger.peer);
            }
        }
        let told: BTreeSet<IdPrefix> = neighbours.records.iter().map(|record| IdPrefix::of(record.id())).collect();
        let named = neighbours.successors.0.iter().chain(&neighbours.predecessor).filter(|prefix| !told.contains(prefix));
        self.ask_for_missing(cx, from.record(), named);
        if !neighbours.records.is_empty() {
            cx.step(Step::Candidates { from: from.id(), records: neighbours.records.clone() });
        }
        if self.stabilise.successor == Some(from.id()) {
            if self.stabilise.completes(neighbours.predecessor == Some(IdPrefix::of(self.id()))) {
                cx.step(Step::TablesChanged);
            }
            self.stabilise.records_due = cx.now + RECORDS_COME;
            self.hear_of_churn(cx.now, neighbours.churn);
            if neighbours.churn != Churn::Calm {
                cx.step(Step::Restless);
            }
            self.compare_lists(cx, &neighbours.successors);
        }
    }

    /// Asks for the records of those who are named only by their ids, if they would have a place.
    fn ask_for_missing<'a>(&mut self, cx: &mut Context<'_>, from: &SignedRecord, named: impl Iterator<Item = &'a IdPrefix>) {
        let is_missing = |prefix: &&IdPrefix| {
            let is_known = **prefix == IdPrefix::of(self.id()) || at(&self.known, **prefix).is_some();
            !is_known && !self.candidates.have_heard_of(cx.now, **prefix) && self.shape.would_take(self.id(), prefix.first(), &self.known)
        };
        let missing = IdPrefixes(named.filter(is_missing).copied().take(MAX_RECORDS).collect());
        if missing.0.is_empty() {
            return;
        }
        if cx.now < self.stabilise.complete_after {
            return self.stabilise.hasten(cx.now, self.stabilise.complete_after.since(cx.now));
        }
        self.stabilise.complete_after = cx.now + cx.config.upkeep.stabilise_after_change;
        cx.step(Step::Ask { to: from.clone(), query: Query::Records(missing), asker: Asker::Overlay });
    }

    pub(super) fn introduce(&self, cx: &mut Context<'_>, to: Hash, mut records: Vec<SignedRecord>) {
        records.truncate(MAX_RECORDS);
        if !records.is_empty() {
            send(cx, to, Frame::Introduce(Introduction { records }));
        }
    }

    /// The list as it is told to a member that sees these families. Members of one family hold together over us, so each is told
    /// of its own next ones, however many of the others stand between.
    fn told_list(&self, view: Families) -> Vec<Hash> {
        let kin = self.shape.kin.iter().filter(|kin| !view.are_both() && kin.family == view).flat_map(|kin| &kin.successors);
        let beyond = kin.filter(|id| !self.shape.successors.contains(id));
        let all = self.shape.successors.iter().chain(beyond).copied();
        all.filter(|id| !self.doubts.is_hidden(*id) && self.is_seen(*id, view)).take(MAX_NEIGHBOURS).collect()
    }

    fn is_seen(&self, id: Hash, view: Families) -> bool {
        view.are_both() || self.families(id).is_some_and(|families| view.meet(families))
    }

    /// The last member before us that a member with these families sees.
    fn told_predecessor(&self, view: Families) -> Option<Hash> {
        if view.are_both() {
            return self.shape.predecessor;
        }
        let kin = self.shape.kin.iter().find(|kin| kin.family == view);
        kin.map_or(self.shape.predecessor, |kin| kin.predecessor)
    }

    /// Tells the predecessor if the list has changed.
    pub(super) fn tell(&mut self, cx: &mut Context<'_>) {
        if self.telling.due.is_none_or(|due| due > cx.now) {
            return;
        }
        self.telling.due = None;
        let Some(to) = self.shape.predecessor.filter(|to| is_linked(cx, *to)) else { return };
        let view = self.view_of(to);
        let mut list = self.told_list(view);
        // In the predecessor's list we ourselves are the first.
        list.truncate(cx.config.upkeep.successors - 1);
        if self.telling.to != Some(to) {
            self.telling.begin(if self.is_restless() { &list } else { &[] });
        } else if self.telling.list == list {
            return;
        }
        let records = self.records_of(list.iter().filter(|id| !self.telling.records.contains(id) && **id != to));
        let neighbours = Neighbours {
            predecessor: Some(IdPrefix::of(to)),
            successors: IdPrefixes::of(list.iter().copied()),
            records,
            churn: self.churn_seen(cx.now),
        };
        self.telling.told(to, list);
        send(cx, to, Frame::Changed(neighbours));
    }

    /// The answer to "who are your neighbours?", with Zave's rectify.
    pub(super) fn neighbours_for(&mut self, cx: &mut Context<'_>, from: &Proven) -> Neighbours {
        self.speaks(cx, from);
        let asker = from.id();
        let view = self.view_of(asker);
        let told_predecessor = self.told_predecessor(view);
        let is_predecessor = self.shape.predecessor == Some(asker);
        let is_next = told_predecessor == Some(asker);
        if let Some(predecessor) = told_predecessor.filter(|_| !is_next) {
            // Somebody before our predecessor takes us for its successor: is the predecessor still there?
            self.check_unless_fresh(cx, predecessor);
        }
        let list = self.told_list(view);
        if self.telling.to != Some(asker) {
            self.telling.begin(if self.is_restless() { &list } else { &[] });
        }
        let mut ids: BTreeSet<Hash> = list.iter().copied().filter(|id| !self.telling.records.contains(id)).collect();
        if !is_next && !self.is_in_flux() {
            // The asker has not heard of everybody between us. Where many go it has mostly, and found the predecessor dead before us.
            ids.extend(self.between(asker));
            ids.extend(told_predecessor);
        }
        ids.remove(&asker);
        ids.retain(|id| self.is_seen(*id, view));
        let records = self.records_of(ids.iter());
        if is_predecessor {
            let told = list.iter().copied().take(cx.config.upkeep.successors - 1).collect();
            self.telling.told(asker, told);
        }
        Neighbours {
            predecessor: told_predecessor.map(IdPrefix::of),
            successors: IdPrefixes::of(list),
            records,
            churn: self.churn_seen(cx.now),
        }
    }

    /// Those of members that were named to it.
    pub(super) fn records_for(&self, asker: &Proven, named: &IdPrefixes) -> Introduction {
        let view = self.view_of(asker.id());
        let ids = named.0.iter().filter_map(|prefix| at(&self.known, *prefix)).filter(|id| self.is_seen(*id, view));
        Introduction { records: ids.filter_map(|id| self.record(id).cloned()).take(MAX_RECORDS).collect() }
    }

    /// The families that a member sees.
    fn view_of(&self, id: Hash) -> Families {
        self.families(id).unwrap_or_default()
    }

    /// Known members between `from` and us, the nearest to `from` first.
    fn between(&self, from: Hash) -> Vec<Hash> {
        let me = self.id();
        let clockwise = self.known.range(from..).chain(self.known.range(..from)).map(|(id, _)| *id);
        let span = Geometry::Ring.offset(from, me);
        clockwise.skip_while(|id| *id == from).take_while(|id| Geometry::Ring.offset(from, *id) < span).take(BETWEEN).collect()
    }

    fn records_of<'a>(&self, ids: impl Iterator<Item = &'a Hash>) -> Vec<SignedRecord> {
        ids.filter_map(|id| self.record(*id).cloned()).take(MAX_NEIGHBOURS).collect()
    }
}

/// Says something to a linked member; without a link nothing.
pub(super) fn send(cx: &mut Context<'_>, to: Hash, frame: Frame) {
    let link = cx.links.to_peer(to).filter(|link| link.is_open() && link.proven.is_some()).map(|link| link.id);
    if let Some(link) = link {
        cx.out.frame(link, frame);
    }
}

/// Until a link to a new successor stands and it has answered.
const GREETING: Duration = Duration::from_millis(500); // guess: a handshake and a question

/// From a name to the record that was asked for.
const RECORDS_COME: Duration = Duration::from_secs(2); // guess: a pause between two such questions, and a slow answer

/// A quiet ring stabilises this many times more seldom than `upkeep.stabilise` says.
const QUIET_STABILISE: u32 = 4; // guess

/// How many members between itself and us an asker is told of at once.
const BETWEEN: usize = 8; // guess
