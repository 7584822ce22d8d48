//! What a node does not do for everybody: its lists, and its budgets for others.

use super::Machines;
use crate::{
    context::Context,
    linkage,
    links::LinkId,
    lists::{Ban, Who},
    step::{Asker, Step, Tries},
    time::Instant,
};
use cicada_wire::{Address, Frame, Hash, HopVerdict, Kind, Query, Refusal, Reply, SignedRecord, TaskVerdict};
use std::{net::SocketAddr, time::Duration};

impl Machines {
    // --- Lists

    /// Bans, and ends what there is with those it names.
    pub(super) fn ban(&mut self, cx: &mut Context<'_>, who: Who, span: Option<Duration>) {
        self.lists.ban(cx.now, who, span, cx.config.limits.bans);
        let denied: Vec<LinkId> =
            cx.links.iter().filter(|link| link.is_open() && self.is_denied(cx, link.remote, &link.record)).map(|link| link.id).collect();
        let members = self.overlay.members().into_iter().filter(|member| self.lists.check(cx.now, member.record()).is_err());
        let gone: Vec<Hash> = members.map(|member| member.id()).collect();
        let linked: Vec<Hash> = denied.iter().filter_map(|link| cx.links.link(*link)).map(crate::links::Link::peer).collect();
        for link in denied {
            linkage::close(cx, link, Refusal::Denied);
        }
        for peer in gone.into_iter().chain(linked) {
            // As if it had said goodbye: nobody goes and looks for it.
            cx.step(Step::Gone { peer, politely: true });
        }
    }

    /// The bans in force.
    pub(super) fn banned(&self, now: Instant) -> Vec<Ban> {
        self.lists.banned(now)
    }

    pub(super) fn unban(&mut self, cx: &Context<'_>, who: &Who) {
        self.lists.unban(cx.now, who);
    }

    /// Whether to have to do with who stands at the other end of a new link.
    pub(super) fn is_denied(&self, cx: &Context<'_>, remote: SocketAddr, record: &SignedRecord) -> bool {
        let of_remote = self.lists.is_empty() || self.lists.admits(cx.now, Some(remote.ip()), record.key());
        !of_remote || self.lists.check(cx.now, record).is_err()
    }

    /// Whether datagrams from there are looked at.
    pub(super) fn may_speak(&self, cx: &Context<'_>, from: SocketAddr) -> bool {
        self.lists.is_empty() || self.lists.may_knock(cx.now, from.ip())
    }

    // --- Budgets

    /// Whether a frame is within its sender's and its origin's budgets; if not, the sender is told.
    pub(super) fn afford(&mut self, cx: &mut Context<'_>, link: LinkId, from: Hash, frame: &Frame, length: usize) -> bool {
        let Err(refusal) = self.budgets.frame(cx, from, frame, length) else { return true };
        cx.refuse(Some(from), refusal);
        refuse_frame(cx, link, frame, refusal);
        false
    }

    /// Whether a record that `informer` tells of may be looked at.
    pub(super) fn may_hear(&mut self, cx: &Context<'_>, informer: Hash, record: &SignedRecord) -> bool {
        let known = self.overlay.member(record.id()).is_some() || record.id() == cx.me.id() || record.id() == informer;
        self.budgets.record(cx, informer, record, known)
    }

    /// The member that a datagram comes from, as far as its source address says.
    pub(super) fn member_at(&self, cx: &Context<'_>, from: SocketAddr, name: Option<&SignedRecord>) -> Option<Hash> {
        let from = Address::new(from).ok()?;
        let id = name.map_or_else(|| from.id(), SignedRecord::id);
        self.overlay.member(id).filter(|member| cx.address(member.record()) == Some(from)).map(crate::peer::Proven::id)
    }

    /// Proves a candidate if lists and budgets allow.
    pub(super) fn prove(&mut self, cx: &mut Context<'_>, record: &SignedRecord, tries: Tries) {
        let known = self.overlay.member(record.id()).is_some() || !self.prover.would_challenge(cx, record.id());
        let refusal = match self.lists.check(cx.now, record) {
            Err(denied) => denied,
            Ok(()) if known || self.budgets.probe(cx, record) => return self.prover.prove(cx, record, tries),
            Ok(()) => Refusal::OverBudget,
        };
        cx.refuse(None, refusal);
        cx.step(Step::Unproven(record.id(), refusal));
    }

    /// Asks if lists and budgets allow.
    pub(super) fn ask(&mut self, cx: &mut Context<'_>, to: SignedRecord, query: Query, asker: Asker) {
        let known = cx.links.to_peer(to.id()).is_some() || self.overlay.member(to.id()).is_some();
        let refusal = match self.lists.check(cx.now, &to) {
            Err(denied) => denied,
            Ok(()) if known || self.budgets.probe(cx, &to) => {
                let tries = self.tries(cx, asker);
                return self.questions.ask(cx, to, query, asker, tries);
            }
            Ok(()) => Refusal::OverBudget,
        };
        cx.refuse(None, refusal);
        cx.step(Step::Unanswered { from: to, asker });
    }

    /// How often somebody is asked.
    fn tries(&self, cx: &Context<'_>, asker: Asker) -> Tries {
        let is_upkeep = match asker {
            Asker::Lookup(number) => self.lookups.is_upkeep(number),
            Asker::Overlay => true,
            Asker::Liveness | Asker::Attach | Asker::Notary(_) => false,
        };
        if is_upkeep { Tries::where_members_go(self.overlay.churn_expected(cx.now)) } else { Tries::AsUsual }
    }
}

/// Tells the sender of a frame that nothing came of it, where frames of its kind are answered.
pub(super) fn refuse_frame(cx: &mut Context<'_>, link: LinkId, frame: &Frame, refusal: Refusal) {
    let answer = match frame {
        Frame::Query(ticket, _) => Frame::Reply(*ticket, Reply::Refused(refusal)),
        Frame::Data(header, _) => Frame::HopVerdict(HopVerdict {
            origin: header.fixed.origin.id(),
            message: header.fixed.message(),
            copy: header.hop.copy,
            receipt: header.fixed.kind == Kind::Receipt,
            refusal: Some(refusal),
        }),
        Frame::Pull(pull) => Frame::TaskVerdict(TaskVerdict { ticket: pull.ticket, refusal: Some(refusal) }),
        Frame::Task(task, _) => Frame::TaskVerdict(TaskVerdict { ticket: task.ticket, refusal: Some(refusal) }),
        Frame::Reply(..)
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
        | Frame::Opaque(_)
        | Frame::Digest(_) => return,
    };
    cx.out.frame(link, answer);
}

#[cfg(test)]
mod tests;
