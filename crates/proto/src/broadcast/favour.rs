//! Favours: handing a body to a peer on behalf of another, who cannot have a link to it.
//!
//! A part of the circle can be out of reach although its members live: they have no room for a link to us, or no address family
//! in common with us. Somebody else has a link to one of them. It is asked by a task without a body that names the wanted peer as
//! its route; it hands its own copy of the body to that peer, or on the tree to another of the same cell.

use super::{ALL_COPIES, Answer, Broadcaster, Timer, hand::usable, recent::Part};
use crate::{
    context::Context,
    links::{Link, LinkId},
    overlay::Overlay,
    route::{LEAST_PATIENCE, MOST_PATIENCE},
    seen::MessageKey,
    time::Instant,
};
use bytes::Bytes;
use cicada_wire::{Frame, Hash, Offset, Reach, Refusal, Ticket, U256};
use std::collections::BTreeSet;

/// A favour that was asked of somebody and is not acknowledged.
#[derive(Debug)]
pub(super) struct Favour {
    pub(super) key: MessageKey,
    by: Hash,
    pub(super) link: LinkId,
    due: Instant,
    wish: Wish,
}

/// What a favour is about.
#[derive(Debug)]
struct Wish {
    wanted: Hash,
    reach: Reach,
    /// Only those nearer to the wanted peer are asked, so that passing on ends.
    within: Offset,
    tried: BTreeSet<Hash>,
}

impl Broadcaster {
    // --- Asking

    /// Has `wanted` handed the body by somebody with a link to it.
    pub(super) fn ask_favour(&mut self, cx: &mut Context<'_>, overlay: &Overlay, key: MessageKey, wanted: Hash, reach: Reach) {
        let wish = Wish { wanted, reach, within: Offset(U256::MAX), tried: BTreeSet::new() };
        self.ask(cx, overlay, key, wish);
    }

    /// Whether there was somebody to ask.
    fn ask(&mut self, cx: &mut Context<'_>, overlay: &Overlay, key: MessageKey, mut wish: Wish) -> bool {
        let geometry = overlay.geometry();
        let Some(recent) = self.recent.get_mut(&key).filter(|_| wish.tried.len() < MAX_ASKED) else { return false };
        // Those next behind it are the likeliest to have a link to it.
        let distance = |peer: Hash| geometry.offset(wish.wanted, peer);
        let able = |peer: &Hash| {
            let free = *peer != wish.wanted && !recent.is_out(*peer) && !wish.tried.contains(peer);
            free && distance(*peer) < wish.within && geometry.admissible(wish.wanted, *peer) >= wish.reach
        };
        let Some(by) = cx.links.members().map(Link::peer).filter(able).min_by_key(|peer| distance(*peer)) else { return false };
        let Some(id) = cx.links.to_peer(by).map(|link| link.id) else { return false };
        let slowness = cx.slowness;
        let Some(link) = cx.links.link_mut(id) else { return false };
        link.used = cx.now;
        let due = cx.now + slowness + link.round_trip.timeout(LEAST_PATIENCE, MOST_PATIENCE);
        let ticket = cx.ticket_on_link();
        let mut task = recent.task(ticket, wish.reach, None, true);
        task.header.hop.route = vec![wish.wanted];
        recent.favours += 1;
        wish.tried.insert(by);
        self.timers.insert((due, Timer::Favour(ticket)));
        self.favours.insert(ticket, Favour { key, by, link: id, due, wish });
        cx.out.frame(id, Frame::Task(task, Bytes::new()));
        true
    }

    /// An answer to a favour; `false` when the ticket is for none.
    pub(super) fn on_favour_verdict(&mut self, cx: &mut Context<'_>, overlay: &Overlay, from: Hash, ticket: Ticket, taken: bool) -> bool {
        if self.favours.get(&ticket).is_none_or(|favour| favour.by != from) {
            return false;
        }
        self.end_favour(cx, overlay, ticket, taken);
        true
    }

    pub(super) fn on_favour_link_down(&mut self, cx: &mut Context<'_>, overlay: &Overlay, down: LinkId) {
        let lost = self.favours.iter().filter(|(_, favour)| favour.link == down);
        let lost: Vec<Ticket> = lost.map(|(ticket, _)| *ticket).collect();
        for ticket in lost {
            self.end_favour(cx, overlay, ticket, false);
        }
    }

    /// A favour was done, or is asked of another.
    pub(super) fn end_favour(&mut self, cx: &mut Context<'_>, overlay: &Overlay, ticket: Ticket, done: bool) {
        let Some(favour) = self.favours.remove(&ticket) else { return };
        self.timers.remove(&(favour.due, Timer::Favour(ticket)));
        let Some(recent) = self.recent.get_mut(&favour.key) else { return };
        recent.favours -= 1;
        if !done {
            self.ask(cx, overlay, favour.key, favour.wish);
        }
        self.tell_if_settled(cx, favour.key);
    }

    pub(super) fn forget_favours(&mut self, key: MessageKey) {
        let timers = &mut self.timers;
        self.favours.retain(|ticket, favour| {
            if favour.key == key {
                timers.remove(&(favour.due, Timer::Favour(*ticket)));
            }
            favour.key != key
        });
    }

    // --- Doing

    /// Hands our copy of the body to `wanted`, or on the tree to another member of its cell; or asks somebody nearer to it.
    pub(super) fn do_favour(
        &mut self,
        cx: &mut Context<'_>,
        overlay: &Overlay,
        key: MessageKey,
        wanted: Hash,
        reach: Reach,
    ) -> Result<Answer, Refusal> {
        let Some(recent) = self.recent.get_mut(&key) else { return Err(Refusal::OverBudget) };
        let candidates = recent.candidates(cx, overlay);
        let to = overlay.geometry().stand_in(cx.me.id(), wanted, &candidates, cx.rng).filter(|to| usable(cx, *to));
        let Some(to) = to else {
            let within = overlay.geometry().offset(wanted, cx.me.id());
            let passed_on = self.ask(cx, overlay, key, Wish { wanted, reach, within, tried: BTreeSet::new() });
            return if passed_on { Ok(Answer::Taken) } else { Err(Refusal::NoRoute) };
        };
        if recent.copies >= ALL_COPIES {
            return Err(Refusal::OverBudget);
        }
        if recent.handed_to(to).is_none() {
            self.hand_out(cx, overlay, key, Part::Favour(to, reach));
        }
        Ok(Answer::Taken)
    }
}

/// How many peers are asked for one favour.
const MAX_ASKED: usize = 4; // guess
