//! Handing parts of a broadcast to delegates, and replacing those that fail.
//!
//! A delegate that did not acknowledge a body in time is handed no other until it says something of any task, or for
//! [`SPARED`]: its parts go to others at once, so that nobody waits for it again with each broadcast. It is offered afterwards
//! what it missed, and fetches it when it can.

use super::{
    ALL_COPIES, Broadcaster, Timer, families,
    recent::{Fate, Fault, Handed, Part, Recent},
};
use crate::{
    body::Body,
    context::Context,
    geometry::{Heir, Region, Share},
    links::{DialStart, Link, LinkId},
    overlay::Overlay,
    route::{AHEAD_BYTES, LEAST_PATIENCE, MOST_PATIENCE, at_slowest},
    seen::MessageKey,
    step::Step,
    time::Instant,
};
use bytes::Bytes;
use cicada_wire::{Address, Frame, Hash, Reach, Refusal, Role, Task, TaskVerdict, Ticket};
use std::time::Duration;

/// A task that is not acknowledged.
#[derive(Debug)]
pub(super) struct Errand {
    pub(super) key: MessageKey,
    to: Hash,
    stage: Stage,
    pub(super) due: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// A link is being made.
    Dialling(Address),
    /// On its way.
    Sent { link: LinkId, since: Instant, content: Content },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Content {
    /// The answer tells the link's round trip.
    SmallBody,
    LargeBody,
    /// An extend, which is answered only once its body is there.
    None,
}

impl Errand {
    /// Whether it went over this link.
    pub(super) fn is_over(&self, over: LinkId) -> bool {
        matches!(self.stage, Stage::Sent { link, .. } if link == over)
    }
}

impl Broadcaster {
    // --- Handing over

    /// Hands a part to its delegate, over a link that may have to be made first.
    pub(super) fn hand_out(&mut self, cx: &mut Context<'_>, overlay: &Overlay, key: MessageKey, part: Part) {
        let to = part.delegate();
        let behind = self.is_behind(cx, to);
        let Some(recent) = self.recent.get_mut(&key) else { return };
        recent.handed.push(Handed { part, open: 1, fate: Fate::Pending });
        if behind {
            return self.fail(cx, overlay, key, to, Fault::Dead);
        }
        recent.copies += 1;
        let ticket = cx.ticket_on_link();
        if usable(cx, to) {
            return self.send_body(cx, key, ticket, to);
        }
        let dialled = overlay.member(to).and_then(|member| {
            let address = cx.address(member.record())?;
            Some((address, cx.dial_for_message(address, Some(member.record().key()))))
        });
        match dialled {
            Some((address, DialStart::Dialling(_) | DialStart::Linked(_))) => {
                let errand = Errand { key, to, stage: Stage::Dialling(address), due: cx.now + MOST_PATIENCE + cx.slowness };
                self.open(ticket, errand);
            }
            Some((_, DialStart::Refused(_))) | None => self.fail(cx, overlay, key, to, Fault::Unavailable),
        }
    }

    /// Whether `peer` owes an acknowledgement for too long to be handed more.
    pub(super) fn is_behind(&self, cx: &Context<'_>, peer: Hash) -> bool {
        cx.links.to_peer(peer).and_then(|link| self.behind.get(&link.id)).is_some_and(|until| cx.now < *until)
    }

    fn send_body(&mut self, cx: &mut Context<'_>, key: MessageKey, ticket: Ticket, to: Hash) {
        let (geometry, me) = (crate::geometry::Geometry::from(cx.config.overlay), cx.me.id());
        let Some(recent) = self.recent.get_mut(&key) else { return };
        let Some(part) = recent.handed_to(to).map(|handed| handed.part) else { return };
        let (reach, besides) = match &part {
            Part::Region(share) => (geometry.reach_of(share), leaves_out_sender(share).then_some(me)),
            // It would hand ours back to us.
            Part::Entry(_) => (Reach::ALL, (cx.me.record.record().role == Role::Member).then_some(me)),
            Part::Client(_) => (Reach::ME, None),
            Part::Favour(_, reach) => (*reach, None),
        };
        let task = recent.task(ticket, reach, besides, false);
        let payload = recent.payload.clone();
        self.dispatch(cx, key, to, task, &payload);
    }

    fn dispatch(&mut self, cx: &mut Context<'_>, key: MessageKey, to: Hash, task: Task, payload: &Body) {
        let Some(id) = cx.links.to_peer(to).map(|link| link.id) else { return };
        let slowness = cx.slowness;
        let Some(link) = cx.links.link_mut(id) else { return };
        link.used = cx.now;
        let (length, content) = match payload.len() {
            _ if task.extend => (0, Content::None),
            length if length > SMALL_BYTES => (length.min(AHEAD_BYTES), Content::LargeBody),
            _ => (0, Content::SmallBody),
        };
        let patience = slowness + link.round_trip.timeout(LEAST_PATIENCE, MOST_PATIENCE) + at_slowest(length);
        let stage = Stage::Sent { link: id, since: cx.now, content };
        self.open(task.ticket, Errand { key, to, stage, due: cx.now + patience });
        let stream = cx.hand(id, Frame::Task(task, Bytes::new()), payload);
        self.streams.extend(stream.map(|stream| (stream, (key, to))));
    }

    fn open(&mut self, ticket: Ticket, errand: Errand) {
        self.close(ticket);
        self.timers.insert((errand.due, Timer::Errand(ticket)));
        self.errands.insert(ticket, errand);
    }

    fn close(&mut self, ticket: Ticket) -> Option<Errand> {
        let errand = self.errands.remove(&ticket)?;
        self.timers.remove(&(errand.due, Timer::Errand(ticket)));
        Some(errand)
    }

    // --- Inputs

    /// A delegate took a task over, or refused it.
    pub(crate) fn on_verdict(&mut self, cx: &mut Context<'_>, overlay: &Overlay, link: LinkId, verdict: &TaskVerdict) {
        let Some(from) = cx.links.link(link).map(Link::peer) else { return };
        self.behind.remove(&link);
        // A verdict that comes too late is nobody's fault: it cannot be told from one for an open task of another peer.
        if self.repair.on_verdict(cx, from, verdict.ticket) {
            return;
        }
        if self.on_favour_verdict(cx, overlay, from, verdict.ticket, verdict.refusal.is_none()) {
            return;
        }
        let Some(errand) = self.errands.get(&verdict.ticket).filter(|errand| errand.to == from) else { return };
        let (key, stage) = (errand.key, errand.stage);
        if verdict.refusal.is_some() {
            return self.fail(cx, overlay, key, from, Fault::Unavailable);
        }
        self.close(verdict.ticket);
        if let Stage::Sent { link, since, content: Content::SmallBody } = stage
            && let Some(link) = cx.links.link_mut(link)
        {
            link.round_trip.measured(cx.now.since(since));
        }
        if let Some(handed) = self.recent.get_mut(&key).and_then(|recent| recent.handed_to(from)) {
            handed.open = handed.open.saturating_sub(1);
            handed.fate = Fate::Standing;
        }
        self.tell_if_settled(cx, key);
    }

    /// A link is up, or its other end was proven: a task may have waited for it.
    pub(crate) fn on_link_up(&mut self, cx: &mut Context<'_>, _overlay: &Overlay, link: LinkId) {
        self.repair.on_link_up(cx, link);
        let Some(peer) = cx.links.link(link).map(Link::peer).filter(|peer| usable(cx, *peer)) else { return };
        let waiting = self.errands.iter().filter(|(_, errand)| errand.to == peer && matches!(errand.stage, Stage::Dialling(_)));
        let waiting: Vec<(Ticket, MessageKey)> = waiting.map(|(ticket, errand)| (*ticket, errand.key)).collect();
        for (ticket, key) in waiting {
            self.send_body(cx, key, ticket, peer);
        }
    }

    /// A link is down: what it was handed goes to others.
    pub(crate) fn on_link_down(&mut self, cx: &mut Context<'_>, overlay: &Overlay, down: LinkId, peer: Hash, reason: Refusal) {
        self.behind.remove(&down);
        self.on_favour_link_down(cx, overlay, down);
        self.repair.on_link_down(cx, down, peer);
        if cx.links.to_peer(peer).is_none() {
            self.fail_where(cx, overlay, Fault::Unavailable, |errand| errand.to == peer && matches!(errand.stage, Stage::Dialling(_)));
        }
        let fault = match reason {
            Refusal::TooManyLinks | Refusal::MadeRoom | Refusal::Idle | Refusal::DuplicateLink => Fault::Unavailable,
            _ => Fault::Dead,
        };
        self.fail_where(cx, overlay, fault, |errand| errand.is_over(down));
    }

    /// A dial failed.
    pub(crate) fn on_dial_failed(&mut self, cx: &mut Context<'_>, overlay: &Overlay, to: Address) {
        self.fail_where(cx, overlay, Fault::Unavailable, |errand| errand.stage == Stage::Dialling(to));
    }

    fn fail_where(&mut self, cx: &mut Context<'_>, overlay: &Overlay, fault: Fault, which: impl Fn(&Errand) -> bool) {
        let failed: Vec<(MessageKey, Hash)> =
            self.errands.values().filter(|errand| which(errand)).map(|errand| (errand.key, errand.to)).collect();
        for (key, to) in failed {
            self.fail(cx, overlay, key, to, fault);
        }
    }

    pub(super) fn on_overdue(&mut self, cx: &mut Context<'_>, overlay: &Overlay, ticket: Ticket) {
        let Some(errand) = self.errands.get(&ticket) else { return };
        let (key, to) = (errand.key, errand.to);
        let fault = match errand.stage {
            // Perhaps it has no room for a link to us, or lacks the body still.
            Stage::Dialling(_) | Stage::Sent { content: Content::None, .. } => Fault::Unavailable,
            Stage::Sent { content: Content::SmallBody | Content::LargeBody, link, .. } => {
                self.behind.insert(link, cx.now + SPARED);
                Fault::Dead
            }
        };
        if fault == Fault::Dead && overlay.member(to).is_some() {
            cx.step(Step::Suspect(to));
        }
        self.fail(cx, overlay, key, to, fault);
    }

    // --- Replacing

    /// A delegate does not do its part: others get it.
    fn fail(&mut self, cx: &mut Context<'_>, overlay: &Overlay, key: MessageKey, delegate: Hash, fault: Fault) {
        let open = self.errands.iter().filter(|(_, errand)| errand.key == key && errand.to == delegate);
        let open: Vec<Ticket> = open.map(|(ticket, _)| *ticket).collect();
        let mut unsent = 0;
        for ticket in open {
            let errand = self.close(ticket);
            unsent += usize::from(errand.is_some_and(|errand| matches!(errand.stage, Stage::Dialling(_))));
        }
        let Some(recent) = self.recent.get_mut(&key) else { return };
        recent.copies = recent.copies.saturating_sub(unsent);
        match recent.fail(delegate, fault) {
            Some(Part::Region(share)) => {
                let (standing, candidates) = (recent.standing(), recent.candidates(cx, overlay));
                let heirs = families::heirs(cx, overlay, &share, &standing, candidates);
                let missing = heirs.first().and_then(|heir| overlay.geometry().missing(&share, heir, fault == Fault::Dead));
                for heir in heirs {
                    self.replace(cx, overlay, key, heir);
                }
                if let Some(reach) = missing {
                    self.ask_favour(cx, overlay, key, delegate, reach);
                }
            }
            Some(Part::Entry(_)) if recent.copies < ALL_COPIES => self.enter(cx, overlay, key),
            Some(Part::Entry(_) | Part::Client(_) | Part::Favour(..)) | None => {}
        }
        self.tell_if_settled(cx, key);
    }

    /// Gives a part to whoever takes over.
    pub(super) fn replace(&mut self, cx: &mut Context<'_>, overlay: &Overlay, key: MessageKey, heir: Heir) {
        match heir {
            Heir::Shares(shares) => {
                for share in shares {
                    if self.recent.get(&key).is_some_and(Recent::may_hand_out) {
                        self.hand_out(cx, overlay, key, Part::Region(share));
                    }
                }
            }
            Heir::Extend { delegate, start, end } => self.extend(cx, overlay, key, Share { region: Region::Arc { start, end }, delegate }),
            Heir::Nobody => {}
        }
    }

    /// Tells a delegate that has the body, or will have it, that its part is larger now.
    fn extend(&mut self, cx: &mut Context<'_>, overlay: &Overlay, key: MessageKey, share: Share) {
        let (geometry, to) = (overlay.geometry(), share.delegate);
        let Some(recent) = self.recent.get_mut(&key) else { return };
        let waiting =
            self.errands.values().any(|errand| errand.key == key && errand.to == to && matches!(errand.stage, Stage::Dialling(_)));
        match recent.handed_to(to) {
            Some(handed) => handed.part = Part::Region(share),
            None => recent.handed.push(Handed { part: Part::Region(share), open: 0, fate: Fate::Pending }),
        }
        if waiting {
            // Its body has not left yet and will say so itself.
            return;
        }
        if let Some(handed) = recent.handed_to(to) {
            handed.open += 1;
        }
        if !usable(cx, to) {
            return self.fail(cx, overlay, key, to, Fault::Unavailable);
        }
        let ticket = cx.ticket_on_link();
        let task = recent.task(ticket, geometry.reach_of(&share), None, true);
        self.dispatch(cx, key, to, task, &Body::Whole(Bytes::new()));
    }
}

/// On the tree a delegate that covers both sides of its cell would hand it back to us.
fn leaves_out_sender(share: &Share) -> bool {
    matches!(share.region, Region::Cell { below: true, .. })
}

/// Whether tasks may go over the link to `peer`.
pub(super) fn usable(cx: &Context<'_>, peer: Hash) -> bool {
    cx.links.to_peer(peer).is_some_and(|link| link.is_member() || (link.is_open() && link.record.record().role != Role::Member))
}

/// Larger payloads say nothing of a link's round trip.
const SMALL_BYTES: usize = 4096;

/// As long as a body on its way may rest before both ends give it up: then there may be room for another.
const SPARED: Duration = Duration::from_secs(10); // guess
