//! What every part of the machine works with while it handles one input.

use super::{
    api::{Event, Figures, Identity, Job, JobId, Outbox, Transmit},
    settings::Settings,
};
use crate::{fec::Task, refusals::Refusals, scope::Scope, time::Instant};
use cicada_wire::{
    Refusal,
    kadcast::{Body, Header, Message},
};
use rand_chacha::ChaCha8Rng;
use std::net::{IpAddr, SocketAddr};

/// Lent for the time of one input.
pub(super) struct Context<'a> {
    pub(super) now: Instant,
    pub(super) settings: &'a Settings,
    pub(super) me: Identity,
    pub(super) header: Header,
    pub(super) rng: &'a mut ChaCha8Rng,
    pub(super) refusals: &'a mut Refusals,
    pub(super) figures: &'a mut Figures,
    pub(super) jobs: &'a mut u64,
    pub(super) out: &'a mut Outbox,
}

impl Context<'_> {
    /// Sends one datagram. What the dialect cannot say is not sent: nobody we know has such an address.
    pub(super) fn say(&mut self, to: SocketAddr, body: Body) {
        if let Ok(bytes) = (Message { header: self.header, body }).encode() {
            self.figures.datagrams_out += 1;
            self.figures.bytes_out += bytes.len() as u64;
            self.out.transmits.push_back(Transmit::Datagram { to, bytes });
        }
    }

    pub(super) fn refuse(&mut self, from: SocketAddr, reason: Refusal) {
        self.refusals.count(reason);
        self.event(Event::Refused { from, reason });
    }

    pub(super) fn event(&mut self, event: Event) {
        self.out.events.push_back(event);
    }

    pub(super) fn code(&mut self, task: Task) -> JobId {
        self.job(Job::Code(task))
    }

    pub(super) fn job(&mut self, job: Job) -> JobId {
        *self.jobs += 1;
        let id = JobId(*self.jobs);
        self.out.jobs.push_back((id, job));
        id
    }
}

/// Who shares a budget: an IP address, or, where many peers share one by nature, each peer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Purse {
    /// Everybody at this address.
    Ip(IpAddr),
    /// One peer of this machine or this private network.
    Local(SocketAddr),
}

impl Purse {
    pub(super) fn of(address: SocketAddr) -> Self {
        match Scope::of(address.ip()) {
            Scope::Public => Self::Ip(address.ip()),
            Scope::Loopback | Scope::Private => Self::Local(address),
        }
    }
}
