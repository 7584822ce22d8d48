//! Attachments: how clients and leaves, which are in no table, are found nevertheless.
//!
//! A client holds links to the members responsible for its id and asks each to hold its record for a while; who looks the id
//! up, or routes to it, ends at those members. [`held`] is the member's side, [`own`] the client's.

mod held;
mod own;
#[cfg(test)]
mod tests;

use crate::{context::Context, overlay::Overlay, time::Instant};
use cicada_wire::{Attachment, Hash, Reply, Role, SignedRecord};
use held::Held;
use own::Own;

/// The attachments held here, and, for a client, its own at members.
#[derive(Debug, Default)]
pub(crate) struct Attachments {
    held: Held,
    own: Own,
}

impl Attachments {
    /// The client at the other end of a link asks to be attached.
    pub(crate) fn on_query(&mut self, cx: &mut Context<'_>, from: &SignedRecord, attachment: &Attachment) -> Reply {
        match self.held.attach(cx, from, attachment) {
            Ok(attachment) => Reply::Attached(attachment),
            Err(reason) => {
                cx.refuse(Some(from.id()), reason);
                Reply::Refused(reason)
            }
        }
    }

    /// The client with this id, if it is attached here.
    pub(crate) fn attached(&self, id: Hash) -> Option<&SignedRecord> {
        self.held.attached(id)
    }

    /// All clients attached here.
    pub(crate) fn all(&self) -> Vec<SignedRecord> {
        self.held.all()
    }

    /// As a client: whether enough members hold our attachment.
    pub(crate) fn is_attached(&self) -> bool {
        self.own.is_attached()
    }

    /// As a client: these members are responsible for our id now.
    pub(crate) fn on_found(&mut self, cx: &mut Context<'_>, responsible: &[SignedRecord]) {
        self.own.on_found(cx, responsible);
    }

    /// As a client: a member answered (`Some`) or not.
    pub(crate) fn on_answer(&mut self, cx: &mut Context<'_>, from: &SignedRecord, reply: Option<&Reply>) {
        self.own.on_answer(cx, from, reply);
    }

    /// A link is up (to a member: proven) or down.
    pub(crate) fn on_link(&mut self, cx: &mut Context<'_>, peer: &SignedRecord, up: bool) {
        if !up {
            self.held.drop(peer.id());
        }
        if cx.me.record.record().role != Role::Member && peer.record().role == Role::Member {
            self.own.on_link(cx, peer, up);
        }
    }

    pub(crate) fn on_wake(&mut self, cx: &mut Context<'_>, _overlay: &Overlay) {
        self.held.expire(cx.now);
        self.own.on_wake(cx);
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.held.next_timeout().into_iter().chain(self.own.next_timeout()).min()
    }
}
