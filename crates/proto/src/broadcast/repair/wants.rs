//! What others have and this peer lacks: whom to ask for it, and whom next.
//!
//! Each offerer may have named so many messages that are still wanted, and no more are asked of it at once: one that names what
//! does not exist takes up its own places only, and costs a question and a short wait for each.

use crate::{
    context::Context,
    links::{Link, LinkId},
    time::Instant,
};
use cicada_wire::{Hash, ShortId, Ticket};
use rand::Rng;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Messages that this peer lacks.
#[derive(Debug, Default)]
pub(super) struct Wants {
    wanted: BTreeMap<ShortId, Wanted>,
    offerers: BTreeMap<Hash, Offerer>,
    tickets: BTreeMap<Ticket, ShortId>,
    /// Those of which the beginning is here, up to this byte.
    begun: BTreeMap<ShortId, usize>,
    timers: BTreeSet<(Instant, ShortId)>,
}

/// A message that this peer lacks.
#[derive(Debug, Default)]
struct Wanted {
    /// Who has it and was not asked.
    offerers: BTreeSet<Hash>,
    asked: Option<Asked>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    of: Hash,
    ticket: Ticket,
    since: Instant,
    due: Instant,
}

/// What one peer has that this one lacks.
#[derive(Debug, Default)]
struct Offerer {
    waiting: BTreeSet<ShortId>,
    asked: BTreeSet<ShortId>,
}

/// A pull to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Question {
    pub(super) link: LinkId,
    pub(super) ticket: Ticket,
    pub(super) id: ShortId,
    /// From which byte on.
    pub(super) offset: u64,
}

impl Wants {
    /// Of a message that we lack the first bytes are here.
    pub(super) fn begun(&mut self, id: ShortId, arrived: usize) {
        self.begun.insert(id, arrived);
    }

    /// They are not any more, or nothing is lacking.
    pub(super) fn begins_anew(&mut self, id: ShortId) {
        self.begun.remove(&id);
    }

    /// `from` has a message that we lack; `false` if it has named too many.
    pub(super) fn offered(&mut self, id: ShortId, from: Hash) -> bool {
        let offerer = self.offerers.entry(from).or_default();
        if offerer.asked.contains(&id) || offerer.waiting.contains(&id) {
            return true;
        }
        if offerer.waiting.len() + offerer.asked.len() >= MOST_WANTED {
            return false;
        }
        offerer.waiting.insert(id);
        self.wanted.entry(id).or_default().offerers.insert(from);
        true
    }

    /// What to ask of this peer now.
    pub(super) fn next_of(&mut self, cx: &mut Context<'_>, peer: Hash) -> Vec<Question> {
        let Some(offerer) = self.offerers.get(&peer) else { return Vec::new() };
        let free = AT_ONCE.saturating_sub(offerer.asked.len());
        let is_open = |id: &&ShortId| self.wanted.get(id).is_some_and(|wanted| wanted.asked.is_none());
        let ids: Vec<ShortId> = offerer.waiting.iter().filter(is_open).take(free).copied().collect();
        ids.into_iter().filter_map(|id| self.ask(cx, id, peer)).collect()
    }

    /// Asks another of those that have a message.
    fn next_for(&mut self, cx: &mut Context<'_>, id: ShortId) -> Option<Question> {
        let wanted = self.wanted.get(&id)?;
        if wanted.offerers.is_empty() {
            self.wanted.remove(&id);
            return None;
        }
        let has_room = |peer: &&Hash| self.offerers.get(peer).is_some_and(|offerer| offerer.asked.len() < AT_ONCE);
        let able: Vec<Hash> = wanted.offerers.iter().filter(has_room).copied().collect();
        // By chance, so that those who are quick to name what they do not have are not always first.
        let peer = (!able.is_empty()).then(|| able[cx.rng.next_u32() as usize % able.len()])?;
        self.ask(cx, id, peer)
    }

    fn ask(&mut self, cx: &mut Context<'_>, id: ShortId, peer: Hash) -> Option<Question> {
        let link = cx.links.to_peer(peer).filter(|link| link.is_open()).map(|link| link.id)?;
        let due = cx.now + patience(cx, peer);
        let ticket = cx.ticket_on_link();
        let wanted = self.wanted.get_mut(&id)?;
        wanted.offerers.remove(&peer);
        wanted.asked = Some(Asked { of: peer, ticket, since: cx.now, due });
        let offerer = self.offerers.entry(peer).or_default();
        offerer.waiting.remove(&id);
        offerer.asked.insert(id);
        self.tickets.insert(ticket, id);
        self.timers.insert((due, id));
        let offset = self.begun.get(&id).map_or(0, |arrived| *arrived as u64);
        Some(Question { link, ticket, id, offset })
    }

    /// Nothing more is awaited of who was asked for this message.
    fn give_up(&mut self, id: ShortId) -> Option<Hash> {
        let asked = self.wanted.get_mut(&id)?.asked.take()?;
        self.tickets.remove(&asked.ticket);
        self.timers.remove(&(asked.due, id));
        if let Some(offerer) = self.offerers.get_mut(&asked.of) {
            offerer.asked.remove(&id);
        }
        self.drop_if_idle(asked.of);
        Some(asked.of)
    }

    fn drop_if_idle(&mut self, peer: Hash) {
        if self.offerers.get(&peer).is_some_and(|offerer| offerer.waiting.is_empty() && offerer.asked.is_empty()) {
            self.offerers.remove(&peer);
        }
    }

    /// The message is asked of another, and who did not give it is asked for something else.
    fn ask_elsewhere(&mut self, cx: &mut Context<'_>, id: ShortId) -> Vec<Question> {
        let of = self.give_up(id);
        let mut questions: Vec<Question> = self.next_for(cx, id).into_iter().collect();
        if let Some(of) = of {
            questions.extend(self.next_of(cx, of));
        }
        questions
    }

    /// The message is here. Whether it was wanted, and what to ask next of who was asked for it.
    pub(super) fn got(&mut self, cx: &mut Context<'_>, id: ShortId) -> (bool, Vec<Question>) {
        let of = self.give_up(id);
        self.begun.remove(&id);
        let Some(wanted) = self.wanted.remove(&id) else { return (false, Vec::new()) };
        for peer in wanted.offerers {
            if let Some(offerer) = self.offerers.get_mut(&peer) {
                offerer.waiting.remove(&id);
            }
            self.drop_if_idle(peer);
        }
        (true, of.map(|of| self.next_of(cx, of)).unwrap_or_default())
    }

    /// Something came of this peer: what else was asked of it may take as long again.
    pub(super) fn is_at_it(&mut self, cx: &Context<'_>, peer: Hash) {
        let Some(offerer) = self.offerers.get(&peer) else { return };
        let soon = cx.now + patience(cx, peer);
        for id in &offerer.asked {
            let Some(asked) = self.wanted.get_mut(id).and_then(|wanted| wanted.asked.as_mut()) else { continue };
            self.timers.remove(&(asked.due, *id));
            // A peer that hands over all but this one does not keep others from being asked.
            asked.due = soon.min(asked.since + LONGEST).max(asked.due);
            self.timers.insert((asked.due, *id));
        }
    }

    /// A pull with this ticket was refused; `None` if there is none.
    pub(super) fn refused(&mut self, cx: &mut Context<'_>, from: Hash, ticket: Ticket) -> Option<Vec<Question>> {
        let id = *self.tickets.get(&ticket)?;
        let asked = self.wanted.get(&id).and_then(|wanted| wanted.asked)?;
        (asked.of == from).then(|| self.ask_elsewhere(cx, id))
    }

    /// The last link to a peer is down.
    pub(super) fn lost(&mut self, cx: &mut Context<'_>, peer: Hash) -> Vec<Question> {
        let Some(offerer) = self.offerers.remove(&peer) else { return Vec::new() };
        for id in &offerer.waiting {
            if let Some(wanted) = self.wanted.get_mut(id) {
                wanted.offerers.remove(&peer);
                if wanted.offerers.is_empty() && wanted.asked.is_none() {
                    self.wanted.remove(id);
                }
            }
        }
        offerer.asked.into_iter().flat_map(|id| self.ask_elsewhere(cx, id)).collect()
    }

    pub(super) fn on_wake(&mut self, cx: &mut Context<'_>) -> Vec<Question> {
        let mut questions = Vec::new();
        while let Some((_, id)) = self.timers.first().copied().filter(|(due, _)| *due <= cx.now) {
            questions.extend(self.ask_elsewhere(cx, id));
        }
        questions
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _)| *due)
    }
}

/// How long a peer has to begin with what was asked of it.
fn patience(cx: &Context<'_>, peer: Hash) -> Duration {
    let round_trip = cx.links.to_peer(peer).map(|link: &Link| link.round_trip);
    let measured = round_trip.filter(|round_trip| round_trip.smoothed().is_some());
    cx.slowness + measured.map_or(LEAST_PATIENCE, |round_trip| round_trip.timeout(LEAST_PATIENCE, MOST_PATIENCE))
}

const LEAST_PATIENCE: Duration = Duration::from_millis(300); // architecture

/// For links whose round trip is long.
const MOST_PATIENCE: Duration = Duration::from_secs(1); // architecture: as for tasks

/// The same for one of many that come of one peer, one after another.
const LONGEST: Duration = Duration::from_secs(3); // guess

/// Messages that are wanted because this peer named them.
const MOST_WANTED: usize = 512; // guess: what one round names; 100 KiB

/// Pulls under way at one peer.
const AT_ONCE: usize = 16; // guess; in bytes what they bring is bounded by `in_flight_bytes`
