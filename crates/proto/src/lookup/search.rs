//! One lookup: its shortlist, and what to do next.

use super::dead::Dead;
use crate::{
    context::Context,
    event::{Lookup, LookupError},
    geometry::Geometry,
    overlay::Overlay,
    step::Finder,
    time::Instant,
};
use cicada_wire::{Churn, Found, Hash, MAX_RECORDS, Offset, Role, SignedRecord, U256};
use std::{collections::BTreeMap, ops::Bound, time::Duration};

/// A lookup under way.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) target: Hash,
    pub(super) finder: Finder,
    /// How many records an answer should hold (Kademlia's k).
    pub(super) width: usize,
    geometry: Geometry,
    me: Hash,
    /// How many of the nearest must have answered.
    witnesses: usize,
    /// Whether the first answer is all that is wanted.
    is_glance: bool,
    alpha: usize,
    paths: usize,
    contacts: BTreeMap<Hash, Contact>,
    asked: usize,
    deadline: Instant,
    /// After a claimant disowned the key: when it is asked again, and how often it was.
    again: Option<Instant>,
    pub(super) repeats: u32,
    /// The last whom anybody listed as responsible when it was asked who comes after those.
    beyond: Option<Hash>,
    /// When [`Self::decide`] may decide otherwise without an answer.
    next: Instant,
}

#[derive(Debug)]
pub(super) struct Contact {
    record: SignedRecord,
    /// Which of the disjoint paths it belongs to: the one that heard of it first.
    path: usize,
    /// Whether somebody named it as the owner.
    named: bool,
    /// Whether somebody named it as the owner, should those before it be dead.
    listed: bool,
    /// How often it was asked again because its neighbour names it.
    chances: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Fresh,
    Asked { since: Instant },
    Answered { responsible: Vec<SignedRecord>, attached: Option<SignedRecord> },
    Dead,
}

/// What this peer itself is to the key.
#[derive(Debug)]
pub(super) struct OwnClaim {
    /// Set if this peer takes itself for the owner: the responsible members, itself first.
    owns: Option<Vec<SignedRecord>>,
    /// Set if this peer has its place in the overlay and knows a better owner than itself.
    disowns: bool,
    record: SignedRecord,
}

impl OwnClaim {
    pub(super) fn of(cx: &Context<'_>, overlay: &Overlay, target: Hash, finder: Finder) -> Self {
        let may = cx.me.record.record().role == Role::Member && overlay.is_joined() && !is_about_us(cx.me.id(), target, finder);
        let owns = (may && overlay.owns(target)).then(|| overlay.responsible(target, MAX_RECORDS));
        Self { disowns: may && owns.is_none(), owns, record: cx.me.record.clone() }
    }
}

/// Upkeep that looks its own id up wants to know its neighbours; that it owns its id is no news.
fn is_about_us(me: Hash, target: Hash, finder: Finder) -> bool {
    match finder {
        Finder::Join(_) | Finder::Overlay | Finder::Attach => me == target,
        Finder::Application(_) | Finder::Route | Finder::Notary(_) => false,
    }
}

/// Now, and by how much this peer's own slowness makes answers look late.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    now: Instant,
    slowness: Duration,
}

impl Moment {
    pub(super) fn of(cx: &Context<'_>) -> Self {
        Self { now: cx.now, slowness: cx.slowness }
    }
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Ask these (perhaps nobody, then wait).
    Ask(Vec<SignedRecord>),
    /// Ask this one who is responsible for another point: all whom it named for ours are silent.
    AskBeyond(SignedRecord, Hash),
    /// It has ended.
    Done(Result<Lookup, LookupError>),
}

impl Search {
    pub(super) fn new(cx: &Context<'_>, overlay: &Overlay, target: Hash, finder: Finder) -> Self {
        let upkeep = &cx.config.upkeep;
        let (fewest_paths, deadline) = match finder {
            Finder::Notary(_) => (NOTARY_PATHS, cx.now + NOTARY_DEADLINE),
            Finder::Application(_) | Finder::Join(_) | Finder::Overlay | Finder::Route | Finder::Attach => (1, cx.now + DEADLINE),
        };
        Self {
            target,
            finder,
            width: upkeep.bucket.min(MAX_RECORDS),
            geometry: overlay.geometry(),
            me: cx.me.id(),
            witnesses: overlay.witnesses(upkeep.bucket.min(MAX_RECORDS)),
            alpha: upkeep.alpha,
            is_glance: false,
            paths: upkeep.disjoint_paths.max(fewest_paths),
            contacts: BTreeMap::new(),
            asked: 0,
            deadline,
            again: None,
            repeats: 0,
            beyond: None,
            next: deadline,
        }
    }

    /// Upkeep that refreshes a cell, or looks into another tree, wants to hear of somebody there; it need not hear all. The notary wants some
    /// members of each path.
    pub(super) fn be_content(&mut self, cx: &Context<'_>, overlay: &Overlay, seeded: bool) {
        if let Finder::Notary(_) = self.finder {
            self.witnesses = NEAR;
            self.width = self.width.min(FEW);
        }
        let is_in_flux = overlay.churn_expected(cx.now) == Churn::Heavy;
        if is_in_flux && matches!(self.finder, Finder::Join(_) | Finder::Overlay) {
            self.be_brief();
        }
        if self.finder == Finder::Overlay && (seeded || self.target != cx.me.id()) {
            self.is_glance = !seeded && overlay.is_glance_enough(cx.now);
            self.witnesses = self.witnesses.min(if is_in_flux { 1 } else { WITNESSES });
            self.width = self.width.min(FEW.max(overlay.neighbours_near(self.target)));
            if self.witnesses == 1 {
                // One member is looked for, and nobody waits for it: one hop after the other.
                self.alpha = 1;
                self.width = self.width.min(FEWEST);
            }
        }
    }

    /// Many members come and go: those around us will be others soon.
    fn be_brief(&mut self) {
        let few = match self.geometry {
            Geometry::Ring => NEXT_IN_FLUX,
            Geometry::Tree => NEAREST_IN_FLUX,
        };
        self.witnesses = self.witnesses.min(few);
        self.width = self.width.min(few);
    }

    /// Takes in who is known at the start: spread over the paths, so that each begins near the key.
    pub(super) fn begin(&mut self, cx: &Context<'_>, dead: &Dead, known: impl Iterator<Item = SignedRecord>, responsible: &[SignedRecord]) {
        let mut seeds: Vec<SignedRecord> = known.chain(responsible.iter().cloned()).collect();
        seeds.sort_by_cached_key(|record| self.approach(record.id()));
        seeds.dedup_by_key(|record| record.id());
        for (at, record) in seeds.iter().enumerate() {
            self.learn(cx, dead, record, at % self.paths);
        }
        if let Some(owner) = responsible.first() {
            self.name(owner.id());
        }
    }

    /// How far `peer` still is from the key: by this it is decided whom to ask.
    pub(super) fn approach(&self, peer: Hash) -> Offset {
        self.geometry.offset(peer, self.target)
    }

    /// How far the key is from `peer`: the owner is the live member with the smallest.
    pub(super) fn claim(&self, peer: Hash) -> Offset {
        self.geometry.offset(self.target, peer)
    }

    #[cfg(test)]
    pub(super) fn shortlist(&self) -> usize {
        self.contacts.len()
    }

    /// Of whom it has heard.
    pub(super) fn records(&self) -> impl Iterator<Item = &SignedRecord> {
        self.contacts.values().map(|contact| &contact.record)
    }

    /// All contacts, the nearest to the key first.
    pub(super) fn by_approach(&self) -> Box<dyn Iterator<Item = (Hash, &Contact)> + '_> {
        match self.geometry {
            // The ids are in this order already, backwards from the key.
            Geometry::Ring => {
                let beyond = (Bound::Excluded(self.target), Bound::Unbounded);
                let backwards = self.contacts.range(..=self.target).rev().chain(self.contacts.range(beyond).rev());
                Box::new(backwards.map(|(id, contact)| (*id, contact)))
            }
            Geometry::Tree => {
                let mut contacts: Vec<_> = self.contacts.iter().map(|(id, contact)| (self.approach(*id), *id, contact)).collect();
                contacts.sort_unstable_by_key(|(offset, ..)| *offset);
                Box::new(contacts.into_iter().map(|(_, id, contact)| (id, contact)))
            }
        }
    }

    /// All contacts, those from which the key is least far first.
    pub(super) fn by_claim(&self) -> Box<dyn Iterator<Item = (Hash, &Contact)> + '_> {
        match self.geometry {
            Geometry::Ring => Box::new(self.clockwise()),
            Geometry::Tree => self.by_approach(),
        }
    }

    fn clockwise(&self) -> impl Iterator<Item = (Hash, &Contact)> {
        let clockwise = self.contacts.range(self.target..).chain(self.contacts.range(..self.target));
        clockwise.map(|(id, contact)| (*id, contact))
    }

    pub(super) fn knows(&self, peer: Hash) -> bool {
        self.contacts.contains_key(&peer)
    }

    /// Returns whether the contact is new.
    fn learn(&mut self, cx: &Context<'_>, dead: &Dead, record: &SignedRecord, path: usize) -> bool {
        let id = record.id();
        let usable = record.record().role == Role::Member && record.is_current(cx.clock);
        // The notary asks about a peer that does not answer us.
        let is_asked_about = id == self.target && matches!(self.finder, Finder::Notary(_));
        if id == self.me || !usable || is_asked_about || self.contacts.contains_key(&id) || !self.make_room(id) {
            return false;
        }
        let is_dead = dead.holds(cx.now, id) && cx.links.to_peer(id).is_none();
        let state = if is_dead { State::Dead } else { State::Fresh };
        self.contacts.insert(id, Contact { record: record.clone(), path, named: false, listed: false, chances: 0, state });
        true
    }

    /// Keeps the shortlist short: the farthest that was not asked yet gives way to someone nearer, or to a better owner (which on
    /// the ring is the farthest of all, since it lies behind the key).
    fn make_room(&mut self, newcomer: Hash) -> bool {
        if self.contacts.len() < CONTACTS {
            return true;
        }
        let claimant = self.claimant().map(|(id, _)| id);
        let owns = claimant.is_none_or(|claimant| self.claim(newcomer) < self.claim(claimant));
        let gives_way = |contact: &Contact| matches!(contact.state, State::Fresh) && !contact.named;
        let fresh = self.contacts.iter().filter(|(id, contact)| gives_way(contact) && (owns || Some(**id) != claimant));
        let farthest = fresh.map(|(id, _)| *id).max_by_key(|id| self.approach(*id));
        let Some(farthest) = farthest.filter(|farthest| owns || self.approach(newcomer) < self.approach(*farthest)) else {
            return false;
        };
        self.contacts.remove(&farthest).is_some()
    }

    fn name(&mut self, owner: Hash) {
        if let Some(contact) = self.contacts.get_mut(&owner) {
            contact.named = true;
        }
    }

    /// A contact answered. Returns the records that are news to this lookup.
    pub(super) fn on_found(&mut self, cx: &Context<'_>, dead: &Dead, from: &SignedRecord, found: Found) -> Vec<SignedRecord> {
        let answerer = from.id();
        let Some(path) = self.contacts.get(&answerer).map(|contact| contact.path) else { return Vec::new() };
        let found = self.restored(cx, found);
        if found.churn == Churn::Heavy && matches!(self.finder, Finder::Join(_)) {
            self.be_brief();
        }
        let mut learned = Vec::new();
        let best_claim = self.claimant().map(|(id, _)| self.claim(id));
        for record in found.closer.iter().take(MAX_RECORDS) {
            let id = record.id();
            // What is neither nearer than the answerer nor a better owner than any known one leads nowhere.
            let nearer = self.approach(id) < self.approach(answerer) || best_claim.is_none_or(|best| self.claim(id) < best);
            if nearer && self.learn(cx, dead, record, path) {
                learned.push(record.clone());
            }
        }
        for record in found.responsible.iter().take(MAX_RECORDS) {
            if self.learn(cx, dead, record, path) {
                learned.push(record.clone());
            }
            if let Some(contact) = self.contacts.get_mut(&record.id()) {
                contact.listed = true;
            }
        }
        if let Some(owner) = found.responsible.iter().find(|record| record.id() != self.me) {
            self.name(owner.id());
        }
        let attached = found.attached.filter(|record| self.is_attachable(cx, record));
        if let Some(contact) = self.contacts.get_mut(&answerer) {
            contact.state = State::Answered { responsible: found.responsible, attached };
        }
        learned
    }

    fn is_attachable(&self, cx: &Context<'_>, record: &SignedRecord) -> bool {
        record.id() == self.target && record.record().role != Role::Member && record.is_current(cx.clock) && record.verify()
    }

    /// A contact did not answer, or not this question.
    pub(super) fn on_silence(&mut self, from: Hash) {
        if let Some(contact) = self.contacts.get_mut(&from) {
            contact.state = State::Dead;
        }
    }

    /// Whether this contact was still to be asked; now it is not.
    pub(super) fn pass_over(&mut self, peer: Hash) -> bool {
        let contact = self.contacts.get_mut(&peer).filter(|contact| matches!(contact.state, State::Fresh));
        contact.map(|contact| contact.state = State::Dead).is_some()
    }

    /// Who has answered, nearest first, each with its path.
    pub(super) fn answered(&self) -> Vec<(usize, SignedRecord)> {
        let answered = self.contacts.values().filter(|contact| matches!(contact.state, State::Answered { .. }));
        let mut answered: Vec<(usize, SignedRecord)> = answered.map(|contact| (contact.path, contact.record.clone())).collect();
        answered.sort_by_key(|(_, record)| self.approach(record.id()));
        answered
    }

    fn live(&self) -> impl Iterator<Item = (Hash, &Contact)> {
        self.contacts.iter().filter(|(_, contact)| contact.is_live()).map(|(id, contact)| (*id, contact))
    }

    /// When [`Self::decide`] should be asked again although nobody answered.
    pub(super) fn next_timeout(&self) -> Instant {
        self.next
    }

    /// Asks the next contacts, or ends the lookup.
    pub(super) fn decide(&mut self, at: Moment, me: &OwnClaim) -> Verdict {
        let now = at.now;
        if now >= self.deadline {
            self.give_up_waiting();
            return Verdict::Done(self.conclude(me).unwrap_or_else(|| Err(self.failure())));
        }
        if self.is_glance && self.contacts.values().any(|contact| matches!(contact.state, State::Answered { .. })) {
            return Verdict::Done(Err(self.failure()));
        }
        self.ask_again(now);
        let mut asking = Vec::new();
        let mut explored = true;
        for path in 0..self.paths {
            explored &= self.explore(at, path, &mut asking);
        }
        if explored && let Finder::Notary(_) = self.finder {
            // Who is responsible is not asked.
            return Verdict::Done(Err(self.failure()));
        }
        if explored && let Some((record, target)) = self.beyond(at) {
            self.next = self.wake_at(at);
            return Verdict::AskBeyond(record, target);
        }
        self.ask_claimants(at, explored, &mut asking);
        if asking.is_empty() && explored {
            asking.extend(self.vouched_for(me));
        }
        if asking.is_empty() && explored {
            match self.conclude(me) {
                Some(result) => return Verdict::Done(result),
                None if self.claimant_is_asked() => {}
                None if self.is_worth_repeating() => {
                    let pause = PAUSE * 2u32.pow(self.repeats.min(REPEATS - 1));
                    self.again.get_or_insert(now + pause);
                }
                None => return Verdict::Done(Err(self.failure())),
            }
        }
        let records = self.mark_asked(now, &asking);
        self.next = self.wake_at(at);
        Verdict::Ask(records)
    }

    /// Chooses whom to ask on one path. Returns whether its nearest contacts have all answered.
    fn explore(&self, at: Moment, path: usize, asking: &mut Vec<Hash>) -> bool {
        // Who is silent has a while to answer all the same, but where somebody waits nothing else is put off until then.
        let counts = |contact: &Contact| contact.is_live() && !(self.is_waited_for() && contact.is_silent(at));
        let on_path = self.by_approach().filter(|(_, contact)| contact.path == path && counts(contact));
        // Farther ones do not matter.
        let near: Vec<(Hash, &Contact)> = on_path.take(self.witnesses.max(self.alpha)).collect();
        let explored = near.iter().take(self.witnesses).all(|(_, contact)| matches!(contact.state, State::Answered { .. }));
        let nearest_answered = matches!(near.first(), Some((_, Contact { state: State::Answered { .. }, .. })));
        // While answers lead nearer, a few questions at a time; once they do not, all the rest at once (Maymounkov and
        // Mazieres 2002, section 2.3).
        let parallel = if nearest_answered { self.witnesses.max(self.alpha) } else { self.parallel(at) };
        let mut waiting = self.contacts.values().filter(|contact| contact.path == path && contact.is_awaited(at)).count();
        let mut passed_answer = false;
        for (at, (id, contact)) in near.iter().enumerate() {
            if at >= self.witnesses && (at >= self.alpha || passed_answer) || waiting >= parallel {
                break;
            }
            match contact.state {
                State::Fresh => {
                    asking.push(*id);
                    waiting += 1;
                }
                State::Answered { .. } => passed_answer = true,
                State::Asked { .. } | State::Dead => {}
            }
        }
        explored
    }

    /// How many may be asked at a time: more where many are silent, since then most of those asked are.
    fn parallel(&self, at: Moment) -> usize {
        if self.alpha == 1 {
            return 1;
        }
        let silent = self.contacts.values().filter(|contact| contact.is_silent(at)).count();
        self.alpha + silent.min(self.width)
    }

    /// Asks whoever would be the owner whether it is. While it is silent, those who would be if it were dead are asked as well.
    fn ask_claimants(&self, at: Moment, explored: bool, asking: &mut Vec<Hash>) {
        let claimants = self.by_claim().filter(|(_, contact)| contact.is_live());
        let mut parallel = if self.contacts.values().any(|contact| contact.listed && contact.is_silent(at)) { self.alpha } else { 1 };
        for (place, (id, contact)) in claimants.enumerate() {
            let may_be = if place == 0 { contact.named || explored } else { contact.listed };
            if !may_be || parallel == 0 {
                return;
            }
            match contact.state {
                State::Fresh => {
                    asking.push(id);
                    parallel -= 1;
                }
                State::Asked { .. } if contact.is_awaited(at) => parallel -= 1,
                State::Asked { .. } => parallel = parallel.max(self.alpha),
                State::Answered { .. } | State::Dead => return,
            }
        }
    }

    /// The nearest to the key have named whom they take for responsible, as many as an answer holds, and all of those are silent:
    /// whom to ask, and about which point, to hear of the next ones.
    fn beyond(&mut self, at: Moment) -> Option<(SignedRecord, Hash)> {
        let listed = || self.contacts.iter().filter(|(_, contact)| contact.listed);
        if listed().any(|(_, contact)| !contact.is_silent(at)) {
            return None;
        }
        let last = listed().map(|(id, _)| *id).max_by_key(|id| self.claim(*id)).filter(|last| self.beyond != Some(*last))?;
        let knows_some = |contact: &Contact| matches!(&contact.state, State::Answered { responsible, .. } if !responsible.is_empty());
        let knowing = self.contacts.iter().filter(|(_, contact)| knows_some(contact)).map(|(id, _)| *id);
        let nearest = knowing.min_by_key(|id| self.approach(*id))?;
        let contact = self.contacts.get_mut(&nearest)?;
        contact.state = State::Asked { since: at.now };
        self.beyond = Some(last);
        self.asked += 1;
        Some((contact.record.clone(), self.geometry.at(last, Offset(U256::ONE))))
    }

    /// Who did not answer, but would be the owner and is named by its neighbour, the claimant or this peer: a packet or
    /// two that are lost should not make another the owner. All such are asked again.
    fn vouched_for(&mut self, me: &OwnClaim) -> Vec<Hash> {
        let mine = me.disowns.then(|| self.claim(self.me));
        let (best, responsible) = match self.claimant() {
            Some((id, Contact { state: State::Answered { responsible, .. }, .. })) => (Some(self.claim(id)), &responsible[..]),
            Some(_) => return Vec::new(),
            None => (None, &[][..]),
        };
        let by_me = |id: Hash| mine.is_some_and(|mine| self.claim(id) < mine && best.is_none_or(|best| mine < best));
        let by_claimant = |id: Hash| best.is_some_and(|best| self.claim(id) < best) && responsible.iter().any(|record| record.id() == id);
        let silent = self.contacts.iter().filter(|(_, contact)| matches!(contact.state, State::Dead) && contact.chances < CHANCES);
        let doubted: Vec<Hash> = silent.map(|(id, _)| *id).filter(|id| by_me(*id) || by_claimant(*id)).collect();
        for id in &doubted {
            let Some(contact) = self.contacts.get_mut(id) else { continue };
            contact.chances += 1;
            contact.state = State::Fresh;
        }
        doubted
    }

    /// The live contact that would be the owner.
    fn claimant(&self) -> Option<(Hash, &Contact)> {
        match self.geometry {
            Geometry::Ring => self.clockwise().find(|(_, contact)| contact.is_live()),
            Geometry::Tree => self.live().min_by_key(|(id, _)| self.claim(*id)),
        }
    }

    /// Whether to ask again although nobody confirms. Where somebody waits for the result there is time until the deadline.
    fn is_worth_repeating(&self) -> bool {
        (self.is_waited_for() && self.claimant().is_some()) || (self.repeats < REPEATS && !self.contacts.is_empty())
    }

    /// Whether the application waits for the result, or a message.
    fn is_waited_for(&self) -> bool {
        match self.finder {
            Finder::Application(_) | Finder::Route => true,
            Finder::Join(_) | Finder::Overlay | Finder::Attach | Finder::Notary(_) => false,
        }
    }

    fn claimant_is_asked(&self) -> bool {
        matches!(self.claimant(), Some((_, Contact { state: State::Asked { .. }, .. })))
    }

    fn mark_asked(&mut self, now: Instant, asking: &[Hash]) -> Vec<SignedRecord> {
        let mut records = Vec::new();
        for id in asking {
            let Some(contact) = self.contacts.get_mut(id) else { continue };
            if matches!(contact.state, State::Fresh) {
                contact.state = State::Asked { since: now };
                records.push(contact.record.clone());
                self.asked += 1;
            }
        }
        records
    }

    /// A claimant that disowned the key is asked once more after a pause, and with it the nearest that have answered: the neighbourhood may
    /// be changing, and right after many have died all that they named may be dead.
    fn ask_again(&mut self, now: Instant) {
        if self.again.is_none_or(|again| now < again) {
            return;
        }
        self.again = None;
        self.repeats += 1;
        let claimant = self.claimant().map(|(id, _)| id);
        let has_answered = |(id, contact): (Hash, &Contact)| matches!(contact.state, State::Answered { .. }).then_some(id);
        let nearest: Vec<Hash> = self.by_approach().filter_map(has_answered).take(self.alpha).collect();
        for id in claimant.into_iter().chain(nearest) {
            if let Some(contact) = self.contacts.get_mut(&id) {
                contact.state = State::Fresh;
            }
        }
    }

    /// The result, if the claimant (or this peer) confirms. Whom it names before itself are in the shortlist: were one of them
    /// alive, the claimant would be that one. So it confirms when it names itself at all.
    fn conclude(&self, me: &OwnClaim) -> Option<Result<Lookup, LookupError>> {
        let claimant = self.claimant();
        let mine = self.claim(self.me);
        if let Some(responsible) = &me.owns
            && claimant.is_none_or(|(id, _)| mine < self.claim(id))
        {
            return Some(Ok(self.result(self.me, responsible, me)));
        }
        let (id, contact) = claimant?;
        if me.disowns && mine < self.claim(id) {
            // The owner is somebody before this peer, so nobody after it can be.
            return None;
        }
        match &contact.state {
            State::Answered { responsible, .. } if responsible.iter().any(|record| record.id() == id) => {
                Some(Ok(self.result(id, responsible, me)))
            }
            State::Answered { .. } | State::Fresh | State::Asked { .. } | State::Dead => None,
        }
    }

    fn result(&self, owner: Hash, responsible: &[SignedRecord], me: &OwnClaim) -> Lookup {
        let alive = |id: Hash| self.contacts.get(&id).is_none_or(|contact| !matches!(contact.state, State::Dead));
        let from_owner = self.claim(owner);
        let mut responsible: Vec<SignedRecord> = responsible
            .iter()
            .filter(|record| record.record().role == Role::Member && alive(record.id()) && self.claim(record.id()) >= from_owner)
            .filter(|record| record.id() != self.me || me.owns.is_some())
            .cloned()
            .collect();
        responsible.sort_by_cached_key(|record| self.claim(record.id()));
        responsible.dedup_by_key(|record| record.id());
        responsible.truncate(self.width);
        let exact = self.exact(&responsible, me);
        Lookup { responsible, exact, asked: self.asked }
    }

    /// The member with exactly this id, or the client that one of the responsible members holds.
    fn exact(&self, responsible: &[SignedRecord], me: &OwnClaim) -> Option<SignedRecord> {
        if self.target == self.me {
            return Some(me.record.clone());
        }
        let mut held = None;
        for record in responsible {
            let Some(contact) = self.contacts.get(&record.id()) else { continue };
            let State::Answered { attached, .. } = &contact.state else { continue };
            if record.id() == self.target {
                return Some(record.clone());
            }
            held = held.or_else(|| attached.clone());
        }
        held
    }

    /// Past the deadline: who has not answered does not count.
    fn give_up_waiting(&mut self) {
        for contact in self.contacts.values_mut() {
            match contact.state {
                State::Fresh | State::Asked { .. } => contact.state = State::Dead,
                State::Answered { .. } | State::Dead => {}
            }
        }
    }

    fn failure(&self) -> LookupError {
        if self.contacts.is_empty() { LookupError::Alone } else { LookupError::Unconfirmed }
    }

    fn wake_at(&self, at: Moment) -> Instant {
        let patience = if self.is_waited_for() { &[PATIENCE, SILENCE][..] } else { &[PATIENCE] };
        let impatient = self.contacts.values().filter_map(|contact| match contact.state {
            State::Asked { since } => patience.iter().map(|patience| since + *patience + at.slowness).find(|due| at.now < *due),
            State::Fresh | State::Answered { .. } | State::Dead => None,
        });
        impatient.chain(self.again).chain([self.deadline]).min().unwrap_or(self.deadline)
    }
}

impl Contact {
    pub(super) fn record(&self) -> &SignedRecord {
        &self.record
    }

    fn is_live(&self) -> bool {
        !matches!(self.state, State::Dead)
    }

    /// Whether its answer is worth waiting for before another is asked.
    fn is_awaited(&self, at: Moment) -> bool {
        match self.state {
            State::Asked { since } => at.now < since + PATIENCE + at.slowness,
            State::Fresh | State::Answered { .. } | State::Dead => false,
        }
    }

    /// Whether it should have answered by now.
    fn is_silent(&self, at: Moment) -> bool {
        match self.state {
            State::Asked { since } => at.now >= since + SILENCE + at.slowness,
            State::Dead => true,
            State::Fresh | State::Answered { .. } => false,
        }
    }
}

/// No lookup takes longer.
const DEADLINE: Duration = Duration::from_secs(10); // as the application's default timeout for a join
/// What the notary does not know by then it does without.
const NOTARY_DEADLINE: Duration = Duration::from_secs(2); // guess: five steps of a round trip each, a silent contact among them
/// Over how many disjoint paths the notary looks: two are honest where a third of the members lie, more often than not.
const NOTARY_PATHS: usize = 3; // guess
/// How many of the nearest members of each path it wants.
const NEAR: usize = 2; // as many as it asks of each
/// A slow contact does not hold the others up for longer.
const PATIENCE: Duration = Duration::from_millis(250); // guess: most round trips of the internet
/// Who has not answered after this long most likely will not.
pub(super) const SILENCE: Duration = Duration::from_millis(500); // guess: the longest round trips of the internet
/// Before a claimant that disowned the key is asked again; twice as long each time.
const PAUSE: Duration = Duration::from_millis(100); // guess: two batches of list changes
const REPEATS: u32 = 5; // guess: 3 s in all, and as long a pause as the last from then on
/// How often a silent contact is asked again while its neighbour names it.
const CHANCES: u32 = 2; // guess: 1.5 s in all, about the time in which its neighbour would notice its death
/// How many records an answer holds that need not be complete.
const FEW: usize = 6; // guess: most of what a datagram holds
/// How many of the nearest must have answered one that is content with less.
const WITNESSES: usize = 2; // guess: one may be wrong
/// Of so many a member of a ring wants to hear where many come and go: its successor tells the rest.
const NEXT_IN_FLUX: usize = 4; // measured: with 8 a thousand members with sessions of 84 s send 45 B/s each more
/// Of so many a member of a tree wants to hear then.
const NEAREST_IN_FLUX: usize = 8; // measured: with 20 they send 150 B/s each more
const FEWEST: usize = 2; // the next hop, and another should it be dead; of owners as many
/// The longest shortlist.
const CONTACTS: usize = 128; // guess: six answers full of news
