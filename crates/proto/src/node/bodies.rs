//! Long payloads that come and go piece by piece.

use super::{Machines, limits::refuse_frame};
use crate::{
    body::{Body, BodyId, StreamId},
    context::Context,
    links::{Link, LinkId},
    outbox::Transmit,
    route::Map,
};
use bytes::Bytes;
use cicada_wire::{Frame, Refusal};

impl Machines {
    /// A long frame begins. What no machine takes over is let go.
    pub(super) fn on_arriving(&mut self, cx: &mut Context<'_>, link: LinkId, head: Frame, body: BodyId, length: usize) {
        if head.is_message() {
            self.on_frame(cx, link, head, Body::Arriving { body, length });
        } else {
            cx.refuse(cx.links.link(link).map(Link::peer), Refusal::Unexpected);
        }
        if !self.holds_body(body) {
            cx.out.transmits.push_back(Transmit::Discard { body });
        }
    }

    /// Whether a body that is arriving is needed.
    pub(super) fn holds_body(&self, body: BodyId) -> bool {
        self.router.holds_body(body) || self.broadcaster.holds_body(body) || self.notary.holds_body(body)
    }

    /// A link announces more than its share: its other end may try somebody else.
    pub(super) fn on_crowded(&mut self, cx: &mut Context<'_>, link: LinkId, head: &Frame) {
        let Some(from) = cx.links.link(link).map(Link::peer) else { return };
        cx.refuse(Some(from), Refusal::OverBudget);
        refuse_frame(cx, link, head, Refusal::OverBudget);
    }

    pub(super) fn on_arrived(&mut self, cx: &mut Context<'_>, body: BodyId, payload: Bytes) {
        if self.broadcaster.holds_body(body) {
            self.broadcaster.on_arrived(cx, &mut self.deliveries, body, payload);
        } else {
            let map = Map { overlay: &self.overlay, attachments: &self.attachments, sessions: &self.sessions };
            self.router.on_arrived(cx, &map, &mut self.deliveries, body, payload);
        }
        self.go_on_leaving(cx);
    }

    pub(super) fn on_broken(&mut self, cx: &mut Context<'_>, body: BodyId, arrived: usize) {
        let broadcast = self.broadcaster.holds_body(body);
        self.notary.on_broken(body);
        self.broadcaster.on_broken(cx, body, arrived);
        // That of a unicast is not gone on with: its origin sends all of it another way.
        if arrived > 0 && !broadcast {
            cx.out.transmits.push_back(Transmit::Discard { body });
        }
        let map = Map { overlay: &self.overlay, attachments: &self.attachments, sessions: &self.sessions };
        self.router.on_broken(cx, &map, body);
        self.go_on_leaving(cx);
    }

    pub(super) fn on_streamed(&mut self, cx: &mut Context<'_>, stream: StreamId, complete: bool) {
        self.broadcaster.on_streamed(stream, complete);
        let map = Map { overlay: &self.overlay, attachments: &self.attachments, sessions: &self.sessions };
        self.router.on_streamed(cx, &map, stream, complete);
        self.go_on_leaving(cx);
    }
}
