//! The driver's part of looking after a peer.

use super::Driver;
use crate::metrics::{Levels, Metrics};
use cicada_proto::{
    Command, Input, Refusals,
    lists::{Ban, Who},
};
use cicada_wire::{Datagram, Refusal};
use std::time::Duration;

impl Driver {
    /// Something was refused before it reached the node.
    pub(super) fn refuse(&mut self, reason: Refusal) {
        // The gate counts those itself.
        if reason != Refusal::Denied {
            self.meters.refuse(reason);
        }
        self.tell(cicada_proto::Event::Refused { from: None, reason });
    }

    /// A datagram's kind and length are counted when it is known to be of this swarm.
    pub(super) fn count_received(&mut self, datagram: &Datagram) {
        self.meters.on_datagram(crate::metrics::Direction::Received, datagram);
    }

    pub(super) fn refusals(&self) -> Refusals {
        let mut all = self.node.refusals().clone();
        all.add(self.meters.refusals());
        all.add(&self.network.entrance.refusals());
        all
    }

    pub(super) fn metrics(&mut self) -> Metrics {
        let links = self.node.links();
        let member_links = links.members().count();
        let (undelivered, undelivered_bytes) = self.node.undelivered();
        let levels = Levels {
            member_links,
            other_links: links.len() - member_links,
            dials: links.dialling(),
            half_open: self.network.entrance.half_open(),
            members: self.known.len(),
            attached: self.node.table().attached.len(),
            undelivered,
            undelivered_bytes,
            operations: self.waiting.len(),
        };
        let refusals = self.refusals();
        self.meters.metrics(levels, refusals)
    }

    pub(super) fn ban(&mut self, who: Who, span: Option<Duration>) {
        tracing::info!(%who, ?span, "banned");
        self.network.entrance.ban(who, span);
        self.handle(Input::Command(Command::Ban { who, span }));
    }

    pub(super) fn unban(&mut self, who: Who) -> bool {
        self.handle(Input::Command(Command::Unban { who }));
        self.network.entrance.unban(&who)
    }

    pub(super) fn banned(&self) -> Vec<Ban> {
        self.network.entrance.banned()
    }
}
