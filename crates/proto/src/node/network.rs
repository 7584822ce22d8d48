//! What the network brings: links, frames, datagrams.

use super::{
    Machines, Phase,
    commands::{is_for_purpose, sender_id},
};
use crate::{
    body::Body,
    broadcast::Giver,
    config::Families,
    context::Context,
    event::Event,
    input::{DialError, LinkUp},
    linkage,
    links::{DialId, LinkId},
    outbox::Transmit,
    peer::Proven,
    route::Map,
    scope,
    step::{Step, Tries},
    time::Instant,
};
use cicada_wire::{
    Address, Datagram, DatagramKey, Find, Found, Frame, IdKind, Introduction, MAX_DATAGRAM_BYTES, Query, Refusal, Reply, Role,
    SignedRecord, Ticket,
};
use std::net::SocketAddr;

impl Machines {
    pub(super) fn on_link_up(&mut self, cx: &mut Context<'_>, up: LinkUp) {
        let (id, record, remote, dial) = (up.link, up.record.clone(), up.remote, up.dial);
        let dialled = dial.and_then(|dial| cx.links.dial_ended(dial)).map(|dial| dial.to);
        let refusal = if record.key() == cx.me.key() || record.id() == cx.me.id() {
            Some(Refusal::SelfDial)
        } else if self.is_denied(cx, remote, &record) {
            Some(Refusal::Denied)
        } else if cx.config.pins.get(&record.id()).is_some_and(|pinned| *pinned != record.key()) {
            Some(Refusal::PinnedKey)
        } else if self.phase != Phase::Running {
            Some(Refusal::Closing)
        } else {
            None
        };
        if let Some(reason) = refusal {
            cx.refuse(Some(record.id()), reason);
            if let Some(to) = dialled {
                self.joins.on_dial_failed(cx, to, DialError::Refused(reason));
            }
            // Not in the list of links: nothing else hears of it.
            return cx.out.transmits.push_back(Transmit::Close { link: id, reason });
        }
        let loser = cx.links.insert(cx.now, up, cx.me);
        if let Some(loser) = loser {
            linkage::give_up(cx, loser, Refusal::DuplicateLink);
        }
        let known = self.overlay.member(record.id()).is_some();
        self.joins.on_link_up(cx, &record, dial, known);
        if loser == Some(id) {
            return;
        }
        self.linkage.forgive(record.id());
        cx.out.event(Event::LinkUp { peer: record.clone() });
        if record.record().role == Role::Member {
            if cx.address(&record).is_some_and(|address| Address::new(remote) == Ok(address)) {
                self.prover.admit(cx, Proven::by_contact(record));
            } else {
                cx.step(Step::Prove(record, Tries::AsUsual));
            }
        } else {
            self.attachments.on_link(cx, &record, true);
        }
        self.linkage.on_link_up(cx, &self.overlay, id);
        let map = Map { overlay: &self.overlay, attachments: &self.attachments, sessions: &self.sessions };
        self.router.on_link_up(cx, &map, id);
        self.broadcaster.on_link_up(cx, &self.overlay, id);
    }

    pub(super) fn on_link_down(&mut self, cx: &mut Context<'_>, id: LinkId, reason: Refusal) {
        cx.unhurried.on_link_down(id);
        self.drains.on_link_down(id);
        let Some(link) = cx.links.remove(id) else { return };
        let peer = link.peer();
        self.questions.on_link_down(cx, id);
        let map = Map { overlay: &self.overlay, attachments: &self.attachments, sessions: &self.sessions };
        self.router.on_link_down(cx, &map, id, peer);
        self.broadcaster.on_link_down(cx, &self.overlay, id, peer, reason);
        if cx.links.to_peer(peer).is_none() {
            self.liveness.on_link_down(peer);
            self.attachments.on_link(cx, &link.record, false);
            cx.out.event(Event::LinkDown { peer, reason });
            self.look_into_loss(cx, &link.record, reason);
        }
        if cx.links.members().next().is_none() {
            self.overlay.on_cut_off();
        }
        cx.step(Step::TablesChanged);
        self.go_on_leaving(cx);
    }

    /// A link was lost: is the peer lost with it?
    fn look_into_loss(&mut self, cx: &mut Context<'_>, record: &SignedRecord, reason: Refusal) {
        let peer = record.id();
        match reason {
            // It lives, but wants no link now.
            Refusal::TooManyLinks | Refusal::MadeRoom => self.linkage.on_no_room(cx, peer),
            Refusal::Idle | Refusal::NotAdmitted | Refusal::OverBudget | Refusal::Denied => self.linkage.pause(cx, peer),
            _ if self.overlay.member(peer).is_some() => cx.step(Step::Suspect(peer)),
            _ => {}
        }
    }

    pub(super) fn on_dial_failed(&mut self, cx: &mut Context<'_>, dial: DialId, error: DialError) {
        let Some(dial) = cx.links.dial_ended(dial) else { return };
        self.joins.on_dial_failed(cx, dial.to, error);
        let map = Map { overlay: &self.overlay, attachments: &self.attachments, sessions: &self.sessions };
        self.router.on_dial_failed(cx, &map, dial.to, error);
        self.broadcaster.on_dial_failed(cx, &self.overlay, dial.to);
        let known = self.overlay.members_that(|member| member.places().may_hold(dial.to) && cx.address(member.record()) == Some(dial.to));
        if let Some(member) = known.first() {
            self.linkage.pause(cx, member.id());
            cx.step(Step::Suspect(member.id()));
        }
    }

    pub(super) fn on_whole_frame(&mut self, cx: &mut Context<'_>, id: LinkId, frame: Frame) {
        let body = frame.payload().cloned().unwrap_or_default();
        self.on_frame(cx, id, frame, Body::Whole(body));
    }

    /// `body` is the payload, if the frame is of a kind that carries one.
    pub(super) fn on_frame(&mut self, cx: &mut Context<'_>, id: LinkId, mut frame: Frame, body: Body) {
        let now = cx.now;
        let Some(link) = cx.links.link_mut(id) else { return };
        link.heard = now;
        let (record, remote) = (link.record.clone(), link.remote);
        let proven = cx.links.proven_at(id).cloned();
        if !is_for_purpose(&frame, cx.config.purpose) {
            return cx.refuse(Some(record.id()), Refusal::Unexpected);
        }
        for _ in 0..scope::scrub_frame(&mut frame, cx.config.families, remote) {
            cx.refuse(Some(record.id()), Refusal::ForbiddenAddress);
        }
        if !scope::is_allowed(&frame, cx.config.families, remote) {
            return cx.refuse(Some(record.id()), Refusal::ForbiddenAddress);
        }
        if !self.afford(cx, id, record.id(), &frame, body.len()) {
            return;
        }
        for _ in 0..scope::retain_frame(&mut frame, &mut |told| self.may_hear(cx, record.id(), told)) {
            cx.refuse(Some(record.id()), Refusal::OverBudget);
        }
        if !is_genuine(&frame, &body) {
            cx.refuse(Some(record.id()), Refusal::Altered);
            // Whoever hands a message on has checked it: nobody else can have altered this one.
            return cx.out.transmits.push_back(Transmit::Close { link: id, reason: Refusal::Altered });
        }
        match frame {
            Frame::Query(ticket, query) => {
                let reply = self.answer(cx, &record, remote, proven.as_ref(), &query);
                cx.out.frame(id, Frame::Reply(ticket, reply));
            }
            Frame::Reply(ticket, reply) => self.questions.on_reply(cx, id, ticket, reply),
            Frame::Changed(_) | Frame::Hint(_) | Frame::Introduce(_) | Frame::Unify(_) | Frame::Goodbye(_) => match proven {
                Some(member) => self.on_overlay_frame(cx, &member, frame),
                None => cx.refuse(Some(record.id()), Refusal::Unexpected),
            },
            Frame::Alarm if proven.is_some() => self.liveness.on_alarm(cx),
            Frame::Alarm => cx.refuse(Some(record.id()), Refusal::Unexpected),
            Frame::Data(header, _) => {
                self.mark_used(cx, id);
                let map = Map { overlay: &self.overlay, attachments: &self.attachments, sessions: &self.sessions };
                self.router.on_data(cx, &map, &mut self.deliveries, id, header, body);
            }
            Frame::HopVerdict(verdict) => {
                let map = Map { overlay: &self.overlay, attachments: &self.attachments, sessions: &self.sessions };
                self.router.on_verdict(cx, &map, id, &verdict);
            }
            Frame::Task(task, _) => {
                self.mark_used(cx, id);
                if let Some(giver) = cx.links.link(id).map(Giver::of) {
                    self.on_task(cx, giver, task, body);
                }
            }
            Frame::TaskVerdict(verdict) => self.broadcaster.on_verdict(cx, &self.overlay, id, &verdict),
            Frame::Digest(digest) => self.broadcaster.on_digest(cx, id, &digest),
            Frame::Pull(pull) => self.broadcaster.on_pull(cx, id, &pull),
            Frame::Drain(reason) => self.drains.on_drain(cx, id, reason),
            Frame::Drained => self.drains.on_drained(cx, id),
            Frame::Opaque(payload) => {
                self.mark_used(cx, id);
                cx.out.event(Event::Opaque { from: record, payload });
            }
        }
        self.go_on_leaving(cx);
    }

    fn mark_used(&self, cx: &mut Context<'_>, id: LinkId) {
        let now = cx.now;
        if let Some(link) = cx.links.link_mut(id) {
            link.used = now;
        }
    }

    fn on_overlay_frame(&mut self, cx: &mut Context<'_>, from: &Proven, frame: Frame) {
        let leaves = matches!(frame, Frame::Goodbye(_));
        self.overlay.on_frame(cx, from, frame);
        if leaves {
            cx.step(Step::Gone { peer: from.id(), politely: true });
        }
    }

    /// Answers a question that came over a link.
    fn answer(&mut self, cx: &mut Context<'_>, from: &SignedRecord, remote: SocketAddr, proven: Option<&Proven>, query: &Query) -> Reply {
        match (query, proven) {
            (Query::Ping, _) => Reply::Pong,
            (Query::Find(find), _) => Reply::Found(self.find(cx.now, find, view_of(Some(from), remote))),
            (Query::Attach(attachment), _) if from.record().role != Role::Member => self.attachments.on_query(cx, from, attachment),
            (Query::Neighbours | Query::Records(_), Some(member)) => self.overlay.on_query(cx, member, query),
            (Query::Witness(about), _) => self.bear_witness(cx, *about, remote),
            (Query::Neighbours | Query::Records(_), None) | (Query::Attach(_), _) => Reply::Refused(Refusal::Unexpected),
        }
    }

    fn find(&self, now: Instant, find: &Find, view: Families) -> Found {
        let found = self.overlay.find(find, view).abridged(&find.known);
        Found { attached: self.attachments.attached(find.target).cloned(), churn: self.overlay.churn_seen(now), ..found }
    }

    pub(super) fn on_datagram(&mut self, cx: &mut Context<'_>, from: SocketAddr, datagram: Datagram) {
        let length = datagram.len_bytes() + DatagramKey::SEAL_BYTES;
        if !self.may_speak(cx, from) {
            return cx.refuse(None, Refusal::Denied);
        }
        match datagram {
            Datagram::Challenge(challenge, _, name) => {
                let member = self.member_at(cx, from, None);
                if !self.budgets.proof(cx, from.ip(), member) {
                    return cx.refuse(member, Refusal::OverBudget);
                }
                self.prover.on_challenge(cx, from, challenge, name, length);
            }
            Datagram::Answer(answer) => self.prover.on_answer(cx, from, answer),
            Datagram::BriefAnswer(answer) => self.prover.on_brief_answer(cx, from, answer),
            Datagram::Query(ticket, name, query, _) => self.on_datagram_query(cx, from, ticket, name, &query, length),
            Datagram::Reply(ticket, mut reply) => {
                for _ in 0..scope::scrub_reply(&mut reply, cx.config.families, from) {
                    cx.refuse(None, Refusal::ForbiddenAddress);
                }
                let informer = sender_id(from).unwrap_or(cx.me.id());
                for _ in 0..scope::retain_reply(&mut reply, &mut |told| self.may_hear(cx, informer, told)) {
                    cx.refuse(Some(informer), Refusal::OverBudget);
                }
                self.questions.on_datagram(cx, from, ticket, reply);
            }
            Datagram::Introduce(Introduction { mut records }) => {
                if let Some(sender) = sender_id(from) {
                    records.retain(|record| scope::allowed(record, cx.config.families, from) && self.may_hear(cx, sender, record));
                    cx.step(Step::Candidates { from: sender, records });
                }
            }
        }
    }

    fn on_datagram_query(
        &mut self,
        cx: &mut Context<'_>,
        from: SocketAddr,
        ticket: Ticket,
        name: Option<SignedRecord>,
        query: &Query,
        length: usize,
    ) {
        let Ok(to) = Address::new(from) else { return cx.refuse(None, Refusal::ForbiddenAddress) };
        if cx.me.record.record().role != Role::Member || self.phase != Phase::Running {
            return cx.refuse(None, Refusal::Unexpected);
        }
        if name.as_ref().is_some_and(|record| self.lists.check(cx.now, record).is_err()) {
            return cx.refuse(name.map(|record| record.id()), Refusal::Denied);
        }
        let member = self.member_at(cx, from, name.as_ref());
        if !self.budgets.question(cx, from.ip(), member) {
            return cx.refuse(member, Refusal::OverBudget);
        }
        let reply = match query {
            Query::Ping => {
                // Whoever forges this address spares the peer there a check, until QUIC has heard nothing of it for too long.
                let is_linked = cx.links.heard_from(cx.now, from);
                let is_nobody = name.is_none() && !is_linked && cx.config.member_ids == IdKind::Address;
                if is_nobody && self.overlay.lacks(cx.config, to.id()) { Reply::WhoAreYou } else { Reply::Pong }
            }
            Query::Find(find) => Reply::Found(self.find(cx.now, find, view_of(name.as_ref(), from))),
            Query::Witness(about) => self.bear_witness(cx, *about, from),
            Query::Neighbours | Query::Records(_) | Query::Attach(_) => Reply::Refused(Refusal::Unexpected),
        };
        let room = if name.is_some() && member.is_some() { MAX_DATAGRAM_BYTES } else { MAX_DATAGRAM_BYTES.min(3 * length) }
            - DatagramKey::SEAL_BYTES;
        cx.out.datagram(to, cut_to(Datagram::Reply(ticket, reply), room));
        // The asker becomes a candidate, as in Kademlia; only at the address that it asks from.
        let families = cx.config.families;
        if let Some(record) = name.filter(|record| cx.address(record) == Some(to) && scope::allowed(record, families, from)) {
            cx.step(Step::Candidates { from: record.id(), records: vec![record] });
        }
    }
}

/// Whether a message's payload is the one that its origin speaks of, as far as it is here.
fn is_genuine(frame: &Frame, body: &Body) -> bool {
    let Body::Whole(payload) = body else { return true };
    match frame {
        Frame::Data(header, _) => header.fixed.fits(payload),
        Frame::Task(task, _) => task.extend || task.offset > 0 || task.header.fixed.fits(payload),
        Frame::Query(..)
        | Frame::Reply(..)
        | Frame::Changed(_)
        | Frame::Hint(_)
        | Frame::Introduce(_)
        | Frame::Unify(_)
        | Frame::Alarm
        | Frame::Drain(_)
        | Frame::Drained
        | Frame::Goodbye(_)
        | Frame::HopVerdict(_)
        | Frame::TaskVerdict(_)
        | Frame::Digest(_)
        | Frame::Pull(_)
        | Frame::Opaque(_) => true,
    }
}

/// Which members somebody can ask on: of one that tells no addresses, those of the family that it asks in.
fn view_of(record: Option<&SignedRecord>, remote: SocketAddr) -> Families {
    let told = record.map_or(Families::NONE, Families::of);
    if told == Families::NONE { Families::of_ip(remote.ip()) } else { told }
}

/// Takes records off the end of an answer until it fits; the nearest stay.
fn cut_to(mut datagram: Datagram, room: usize) -> Datagram {
    while datagram.len_bytes() > room {
        let Datagram::Reply(_, Reply::Found(found)) = &mut datagram else { break };
        let Found { closer, responsible, attached, .. } = found;
        // The owner itself is what a lookup wants to hear of most: it goes last.
        if closer.len() >= responsible.len() && !closer.is_empty() {
            closer.pop();
        } else if responsible.pop().is_none() && attached.take().is_none() {
            break;
        }
    }
    datagram
}
