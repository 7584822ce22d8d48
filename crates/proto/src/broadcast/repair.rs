//! Repair: peers tell each other which broadcasts they have, and whoever lacks one fetches it.
//!
//! A delegate that acknowledges a task and drops it takes its whole part of the circle with it, and a peer that was cut off for a
//! while misses what went round meanwhile. So each member names what it has to some of its neighbours, again and again to others
//! for as long as the body is kept (`offers`); who lacks one asks for it at once and asks others if it does not come (`wants`).
//! The answer is a task for the asker alone, which goes the way of every task. Nothing is sent when nothing is recent.
//!
//! Clients and leaves are offered what goes round by all members that they are linked to, since the one that owns their id may
//! have failed; they pull, but offer only broadcasts of their own, which the member where those entered may have dropped.
//!
//! Of a long body that broke off, what is lacking is wanted, from the first byte that is not here.
//!
//! What is bounded: names and pulls that a link may bring, by budgets; pulls of one message served by one peer, [`PULLS`], and one of
//! them for each link, or [`PULLS_OF_ONE`] if each goes on where the one before broke off; messages wanted, by how many each offerer may have named; pulls at one peer at once.

mod offers;
mod wants;

use super::{Broadcaster, bodies::LEAST_PROGRESS, hand::usable, recent::Recent};
use crate::{
    context::Context,
    links::{Link, LinkId},
    notary::SET_ASIDE,
    seen::{MessageKey, Window, remember_until},
    time::Instant,
};
use bytes::Bytes;
use cicada_wire::{Digest, Frame, Hash, Immutable, MAX_DIGEST, Pull, Reach, Refusal, Role, ShortId, TaskVerdict, Ticket};
use offers::{Held, Offers, Served};
use rand::Rng;
use std::collections::BTreeSet;
use wants::{Question, Wants};

/// What this peer has told others, and what it was told.
#[derive(Debug, Default)]
pub(super) struct Repair {
    /// Broadcasts that were held at some time, as long as they are remembered.
    known: Window<ShortId, ()>,
    offers: Offers,
    wants: Wants,
}

/// A broadcast's name in digests.
fn short(key: MessageKey) -> ShortId {
    ShortId::of(key.message)
}

impl Repair {
    /// A body is held from now on.
    pub(super) fn keep(&mut self, cx: &mut Context<'_>, key: MessageKey, recent: &Recent) {
        let id = short(key);
        self.known.insert(cx.now, id, (), remember_until(cx, recent.fixed.made_at), cx.config.limits.seen);
        let (was_wanted, questions) = self.wants.got(cx, id);
        ask(cx, questions);
        let offers = cx.config.upkeep.repair && (is_member(cx) || key.origin == cx.me.id());
        if offers {
            self.offers.keep(id, Held::new(cx.now, key, was_wanted));
            if recent.payload.arriving().is_none() {
                self.offers.arrived(cx.now, id);
            }
        }
    }

    /// A body is here, but waits until it is known whose it is. Meanwhile it is not asked for.
    fn set_aside(&mut self, cx: &mut Context<'_>, key: MessageKey) {
        let id = short(key);
        self.known.insert(cx.now, id, (), cx.now + SET_ASIDE, cx.config.limits.seen);
        let (_, questions) = self.wants.got(cx, id);
        ask(cx, questions);
    }

    /// All of a body that was arriving is here.
    pub(super) fn arrived(&mut self, cx: &Context<'_>, key: MessageKey) {
        self.offers.arrived(cx.now, short(key));
    }

    /// Who is known to have the message.
    pub(super) fn offerers_of(&self, key: MessageKey) -> BTreeSet<Hash> {
        self.offers.held.get(&short(key)).map(|held| held.know.clone()).unwrap_or_default()
    }

    /// A body broke off: what is lacking after the first `arrived` bytes is asked of those who have it; last of the one that it
    /// came from.
    pub(super) fn lost(&mut self, cx: &mut Context<'_>, key: MessageKey, offerers: &BTreeSet<Hash>, arrived: usize, last: Option<Hash>) {
        let id = short(key);
        self.known.remove(&id);
        if arrived > 0 {
            self.wants.begun(id, arrived);
        }
        let others = offerers.iter().copied().filter(|peer| Some(*peer) != last);
        for from in others.chain(last.filter(|last| offerers.contains(last))) {
            if self.wants.offered(id, from) {
                let questions = self.wants.next_of(cx, from);
                ask(cx, questions);
            }
        }
    }

    /// What a body lacked begins to come.
    pub(super) fn goes_on(&mut self, cx: &mut Context<'_>, key: MessageKey, fixed: &Immutable) {
        let id = short(key);
        self.known.insert(cx.now, id, (), remember_until(cx, fixed.made_at), cx.config.limits.seen);
        let (_, questions) = self.wants.got(cx, id);
        ask(cx, questions);
    }

    /// A peer that said that it has a message does not hand it over.
    pub(super) fn does_not_have(&mut self, key: MessageKey, peer: Hash) {
        if let Some(held) = self.offers.held.get_mut(&short(key)) {
            held.know.remove(&peer);
        }
    }

    /// What a peer was handed did not come to its end.
    pub(super) fn broke_off(&mut self, key: MessageKey, peer: Hash) {
        if let Some(held) = self.offers.held.get_mut(&short(key)) {
            held.told.remove(&peer);
            held.lacks.insert(peer);
        }
    }

    /// A body is not held any more; `whole`: it was.
    pub(super) fn forget(&mut self, key: MessageKey, whole: bool) {
        let id = short(key);
        self.offers.forget(id);
        self.wants.begins_anew(id);
        if !whole {
            self.known.remove(&id);
        }
    }

    /// A peer handed us a task for the message: it has it, and what else was asked of it is on its way.
    pub(super) fn heard(&mut self, cx: &Context<'_>, key: MessageKey, from: Hash) {
        self.offers.knows(short(key), from);
        self.wants.is_at_it(cx, from);
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        [self.offers.next_timeout(), self.wants.next_timeout()].into_iter().flatten().min()
    }

    // --- Fetching

    /// A peer says what it has.
    fn on_digest(&mut self, cx: &mut Context<'_>, from: Hash, digest: &Digest) {
        let mut too_many = false;
        for id in &digest.ids {
            self.offers.knows(*id, from);
            if !self.known.contains(cx.now, id) {
                too_many |= !self.wants.offered(*id, from);
            }
        }
        if too_many {
            cx.refuse(Some(from), Refusal::OverBudget);
        }
        let questions = self.wants.next_of(cx, from);
        ask(cx, questions);
    }

    /// A pull was refused; `false` when the ticket is of none.
    pub(super) fn on_verdict(&mut self, cx: &mut Context<'_>, from: Hash, ticket: Ticket) -> bool {
        let Some(questions) = self.wants.refused(cx, from, ticket) else { return false };
        ask(cx, questions);
        true
    }

    pub(super) fn on_link_down(&mut self, cx: &mut Context<'_>, link: LinkId, peer: Hash) {
        self.offers.link_down(link);
        if cx.links.to_peer(peer).is_none() {
            self.offers.peer_lost(peer);
            let questions = self.wants.lost(cx, peer);
            ask(cx, questions);
        }
    }

    /// A link is up: what its other end missed is named in a while.
    pub(super) fn on_link_up(&mut self, cx: &Context<'_>, link: LinkId) {
        let is_member = cx.links.link(link).is_some_and(Link::is_member);
        if is_member && self::is_member(cx) {
            self.offers.greet(cx.now, link);
        }
    }
}

impl Broadcaster {
    /// A broadcast waits until it is known whose it is; for so long nobody is asked for it.
    pub(crate) fn set_aside(&mut self, cx: &mut Context<'_>, fixed: &Immutable) {
        let key = MessageKey::of(fixed);
        if !self.recent.contains_key(&key) {
            self.repair.set_aside(cx, key);
        }
    }

    /// A digest arrived on a link.
    pub(crate) fn on_digest(&mut self, cx: &mut Context<'_>, link: LinkId, digest: &Digest) {
        let Some(from) = cx.links.link(link).map(Link::peer) else { return };
        if !may_exchange(cx, from) {
            return cx.refuse(Some(from), Refusal::Unexpected);
        }
        if cx.config.upkeep.repair {
            self.repair.on_digest(cx, from, digest);
        }
    }

    /// A peer asks for a broadcast.
    pub(crate) fn on_pull(&mut self, cx: &mut Context<'_>, link: LinkId, pull: &Pull) {
        let Some(from) = cx.links.link(link).map(Link::peer) else { return };
        if let Err(refusal) = self.serve(cx, link, from, pull) {
            cx.refuse(Some(from), refusal);
            cx.out.frame(link, Frame::TaskVerdict(TaskVerdict { ticket: pull.ticket, refusal: Some(refusal) }));
        }
    }

    fn serve(&mut self, cx: &mut Context<'_>, link: LinkId, from: Hash, pull: &Pull) -> Result<(), Refusal> {
        if !may_exchange(cx, from) {
            return Err(Refusal::Unexpected);
        }
        let held = self.repair.offers.held.get_mut(&pull.id).ok_or(Refusal::NotHeld)?;
        // Whoever is not to have it is not told that it is here either.
        let recent = self.recent.get(&held.key).filter(|recent| !recent.excluded.contains(&from)).ok_or(Refusal::NotHeld)?;
        let offset = usize::try_from(pull.offset).ok().filter(|offset| *offset == 0 || *offset < recent.payload.len());
        let offset = offset.ok_or(Refusal::Unexpected)?;
        if recent.stopped_at().is_some_and(|arrived| arrived <= offset) {
            return Err(Refusal::NotHeld);
        }
        let goes_on = |served: &Served| served.times < PULLS_OF_ONE && offset >= served.offset.saturating_add(LEAST_PROGRESS);
        if held.pulls >= PULLS || !held.served.get(&link).is_none_or(goes_on) {
            return Err(Refusal::OverBudget);
        }
        let key = held.key;
        held.pulls += 1;
        held.told.insert(from);
        held.lacks.remove(&from);
        let served = held.served.entry(link).or_default();
        (served.times, served.offset) = (served.times + 1, offset);
        let mut task = recent.task(pull.ticket, Reach::ME, None, false);
        task.offset = pull.offset;
        if let Some(link) = cx.links.link_mut(link) {
            link.used = cx.now;
        }
        // Nobody waits for its verdict: if the body is lost with the link, its other end asks elsewhere.
        let stream = cx.hand_from(link, Frame::Task(task, Bytes::new()), &recent.payload, offset);
        self.streams.extend(stream.map(|stream| (stream, (key, from))));
        Ok(())
    }

    pub(super) fn repair_on_wake(&mut self, cx: &mut Context<'_>) {
        let questions = self.repair.wants.on_wake(cx);
        ask(cx, questions);
        for link in self.repair.offers.greetings_due(cx.now) {
            self.offer_missed(cx, link);
        }
        if self.repair.offers.is_round_due(cx.now) {
            self.offer_round(cx);
        }
    }

    // --- Offering

    /// Names what a newcomer, or somebody who comes back, may have missed.
    fn offer_missed(&mut self, cx: &mut Context<'_>, link: LinkId) {
        let Some((peer, since)) = cx.links.link(link).filter(|link| link.is_member()).map(|link| (link.peer(), link.since)) else { return };
        let held = self.repair.offers.held.iter().filter(|(_, held)| held.is_ripe(cx.now));
        let missing = held.filter(|(_, held)| {
            // What is older than the link was perhaps handed to an earlier start of the peer, or got lost on an earlier link.
            self.may_lack(held, peer) && (held.since + offers::SPREADS < since || !self.was_handed(held, peer))
        });
        let missing: Vec<ShortId> = missing.map(|(id, _)| *id).collect();
        self.offer(cx, peer, &missing);
    }

    /// Names what is ripe to some of those that are not known to have it, and to every client.
    fn offer_round(&mut self, cx: &mut Context<'_>) {
        let ripe = self.repair.offers.ripe(cx.now, MOST_NAMED);
        let mut open = BTreeSet::new();
        let (mut members, mut clients) = (Vec::new(), Vec::new());
        for link in cx.links.iter().filter(|link| may_exchange(cx, link.peer()) && link.is_open()) {
            let peer = link.peer();
            let lacks = |id: &&ShortId| {
                let held = self.repair.offers.held.get(id);
                held.is_some_and(|held| self.may_lack(held, peer) && !self.was_handed(held, peer))
            };
            let missing: Vec<ShortId> = ripe.iter().filter(lacks).copied().collect();
            if missing.is_empty() {
                continue;
            }
            open.extend(missing.iter().copied());
            let list = if link.record.record().role == Role::Member { &mut members } else { &mut clients };
            list.push((peer, missing));
        }
        let mut chosen = clients;
        for _ in 0..OFFERED_AT_ONCE.min(members.len()) {
            let which = cx.rng.next_u32() as usize % members.len();
            chosen.push(members.swap_remove(which));
        }
        for (peer, missing) in chosen {
            self.offer(cx, peer, &missing);
            for id in missing {
                open.remove(&id);
            }
        }
        self.repair.offers.round_done(cx.now, ripe.into_iter().filter(|id| !open.contains(id)));
    }

    fn offer(&mut self, cx: &mut Context<'_>, peer: Hash, ids: &[ShortId]) {
        let Some(link) = cx.links.to_peer(peer).map(|link| link.id) else { return };
        for ids in ids.chunks(MAX_DIGEST).take(MOST_NAMED / MAX_DIGEST) {
            for id in ids {
                self.repair.offers.tells(*id, peer);
            }
            cx.out.frame(link, Frame::Digest(Digest { ids: ids.to_vec() }));
        }
    }

    /// Whether a peer that is allowed to have the message is not known to have it or of it.
    fn may_lack(&self, held: &Held, peer: Hash) -> bool {
        let excluded = self.recent.get(&held.key).is_none_or(|recent| recent.excluded.contains(&peer));
        !excluded && held.key.origin != peer && !held.know.contains(&peer) && !held.told.contains(&peer)
    }

    fn was_handed(&self, held: &Held, peer: Hash) -> bool {
        !held.lacks.contains(&peer) && self.recent.get(&held.key).is_some_and(|recent| recent.was_handed_to(peer))
    }
}

/// Sends pulls.
fn ask(cx: &mut Context<'_>, questions: Vec<Question>) {
    for Question { link, ticket, id, offset } in questions {
        cx.out.frame(link, Frame::Pull(Pull { ticket, id, offset }));
    }
}

fn is_member(cx: &Context<'_>) -> bool {
    cx.me.record.record().role == Role::Member
}

/// Between a member and anybody that it is linked to, its address proven if it has one.
fn may_exchange(cx: &Context<'_>, peer: Hash) -> bool {
    let with_member = || cx.links.to_peer(peer).is_some_and(Link::is_member);
    usable(cx, peer) && (is_member(cx) || with_member())
}

/// Members to whom one round offers.
const OFFERED_AT_ONCE: usize = 4; // architecture

/// Messages that one round names to one peer; the others are named in the next.
const MOST_NAMED: usize = 4 * MAX_DIGEST; // guess

/// How often one peer serves one message.
const PULLS: usize = 8; // architecture

/// How often it serves one message over one link: after the first time only to go on where that broke off.
const PULLS_OF_ONE: usize = 4; // guess
