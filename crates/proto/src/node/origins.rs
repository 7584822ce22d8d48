//! Messages and their origins: who may be believed, and what waits until that is known.

use super::{Machines, limits::refuse_frame};
use crate::{
    body::Body,
    broadcast::{Attested, Giver},
    config::Families,
    context::Context,
    notary::{Judgement, Lack, Released, Testimony, Waiting},
    outbox::Transmit,
    scope,
    sessions::Mind,
    step::Step,
};
use bytes::Bytes;
use cicada_wire::{Address, Frame, Hash, Refusal, Reply, Task, TaskVerdict};
use std::net::SocketAddr;

impl Machines {
    /// A share of a broadcast: nothing becomes of it before its origin is known.
    pub(super) fn on_task(&mut self, cx: &mut Context<'_>, mut giver: Giver, task: Task, body: Body) {
        let room = self.notary.has_room(giver.link, &body);
        match self.notary.judge(cx, &self.overlay, &task.header.fixed, giver.remote, room) {
            // What is in its name, and what is repeated, costs an origin nothing.
            Judgement::Good(level) if self.broadcaster.knows(cx, &task) || self.budgets.broadcast(cx, &task, body.len()) => {
                let attested = Attested { giver, task, level };
                self.broadcaster.on_task(cx, &self.overlay, &mut self.deliveries, attested, body);
            }
            Judgement::Good(_) => self.refuse_task(cx, &giver, task, Refusal::OverBudget),
            Judgement::Wait(lack) => {
                // It is held: whoever handed it over need not look for somebody else meanwhile.
                if lack == Lack::Key && !task.extend && !giver.relies_on_us {
                    giver.relies_on_us = true;
                    self.broadcaster.set_aside(cx, &task.header.fixed);
                    cx.out.frame(giver.link, Frame::TaskVerdict(TaskVerdict { ticket: task.ticket, refusal: None }));
                }
                self.notary.hold(cx, giver, task, body);
            }
            Judgement::Bad(refusal) => self.refuse_task(cx, &giver, task, refusal),
        }
    }

    fn refuse_task(&mut self, cx: &mut Context<'_>, giver: &Giver, task: Task, refusal: Refusal) {
        let link = giver.link;
        cx.refuse(Some(giver.peer), refusal);
        if cx.links.link(link).is_none() {
            return;
        }
        refuse_frame(cx, link, &Frame::Task(task, Bytes::new()), refusal);
        if refusal == Refusal::BadSignature {
            // Whoever hands a message on has checked it: nobody else can have forged this one.
            cx.out.transmits.push_back(Transmit::Close { link, reason: refusal });
        }
    }

    /// More is known of what has waited.
    pub(super) fn take_released(&mut self, cx: &mut Context<'_>, released: Released) {
        for Waiting { giver, task, body, .. } in released.tasks {
            let arriving = body.arriving();
            match released.refusal {
                Some(refusal) => self.refuse_task(cx, &giver, task, refusal),
                // Otherwise it has been given to somebody else.
                None if giver.relies_on_us || cx.links.link(giver.link).is_some() => self.on_task(cx, giver, task, body),
                None => {}
            }
            if let Some(body) = arriving.filter(|body| !self.holds_body(*body)) {
                cx.out.transmits.push_back(Transmit::Discard { body });
            }
        }
    }

    /// The same, and perhaps whose key is which: then openers of sessions may be known, too.
    pub(super) fn take_known(&mut self, cx: &mut Context<'_>, released: Released) {
        self.take_released(cx, released);
        let mut mind = Mind { overlay: &self.overlay, notary: &mut self.notary };
        self.sessions.review(cx, &mut mind);
    }

    /// Challenges who is at an address, if lists and budgets allow, and if it is one that may be contacted from here.
    pub(super) fn prove_origin(&mut self, cx: &mut Context<'_>, address: Address, informer: SocketAddr) {
        let peer = address.id();
        let refusal = if !cx.config.families.meet(Families::of_ip(address.ip())) {
            Refusal::OtherFamily
        } else if !scope::may_dial(address, informer) {
            Refusal::ForbiddenAddress
        } else if !self.lists.is_empty() && !self.lists.may_knock(cx.now, address.ip()) {
            Refusal::Denied
        } else if self.prover.would_challenge(cx, peer) && !self.budgets.probe_at(cx, peer, address.ip()) {
            Refusal::OverBudget
        } else {
            return self.prover.prove_at(cx, address);
        };
        cx.step(Step::Unproven(peer, refusal));
    }

    /// Somebody asks whose key was met at an address.
    pub(super) fn bear_witness(&mut self, cx: &mut Context<'_>, about: Address, asker: SocketAddr) -> Reply {
        let id = about.id();
        let met = if id == cx.me.id() { Some(cx.me.key()) } else { self.notary.met(cx, &self.overlay, id) };
        if met.is_none() && !(self.notary.may_be_asked() && self.notary.prove(cx, about, asker)) {
            return Reply::Refused(Refusal::OverBudget);
        }
        Reply::Witnessed(met)
    }

    pub(super) fn on_testimony(&mut self, cx: &mut Context<'_>, from: Hash, about: Address, reply: Option<&Reply>) {
        let testimony = match reply {
            Some(Reply::Witnessed(Some(key))) => Testimony::Met(*key),
            Some(Reply::Witnessed(None)) => Testimony::Nobody,
            Some(Reply::Refused(_)) | None => Testimony::Silence,
            Some(Reply::Pong | Reply::WhoAreYou | Reply::Found(_) | Reply::Neighbours(_) | Reply::Records(_) | Reply::Attached(_)) => {
                cx.refuse(Some(from), Refusal::Unexpected);
                Testimony::Silence
            }
        };
        let released = self.notary.on_testimony(cx, from, about, testimony);
        self.take_known(cx, released);
    }
}
