//! What each peer, origin, informer and address may cost this node: token buckets, so that one that floods is refused with
//! [`Refusal::OverBudget`] while the others keep their share.
//!
//! Nothing here forwards, answers or dials; the node asks before it does. Members, and peers that answered lately, are told
//! apart from mere addresses, so that made-up senders cannot use up what honest ones need.

use crate::{
    broadcast::KEPT,
    config::{Limits, Rate},
    context::Context,
    rate::Buckets,
    seen::Window,
    time::Instant,
};
use cicada_wire::{Frame, Hash, Kind, Refusal, SignedRecord, Task};
use std::{net::IpAddr, time::Duration};

/// All budgets of a node.
#[derive(Debug, Default)]
pub(crate) struct Budgets {
    peers: Share<Hash>,
    /// By who hands over and who is named as the origin: relays cannot know whether it is, so that what is said in another's name on one
    /// link costs nothing on others.
    origins: Share<(Hash, Hash)>,
    /// By origins that are known to be those.
    broadcasts: Share<Hash>,
    offers_of_peers: Buckets<Hash>,
    pulls_of_peers: Buckets<Hash>,
    questions_of_peers: Buckets<Hash>,
    questions_of_members: Buckets<Hash>,
    questions_of_ips: Buckets<IpAddr>,
    questions: Buckets<()>,
    proofs: Buckets<()>,
    proofs_for_hearers: Buckets<()>,
    /// Until then a broadcast of ours is taken to be on its way: as long as its body is kept for whoever missed it.
    spoken: Instant,
    probes: Buckets<()>,
    probes_of_ips: Buckets<IpAddr>,
    records: Buckets<Hash>,
    addresses: Buckets<Hash>,
    /// Addresses heard of lately, which cost nobody anything any more.
    heard: Window<Hash, ()>,
    /// Who answered lately: no mere address.
    answered: Window<Hash, ()>,
}

/// Messages and their bytes, taken together or not at all.
#[derive(Debug)]
struct Share<K> {
    messages: Buckets<K>,
    bytes: Buckets<K>,
}

impl<K> Default for Share<K> {
    fn default() -> Self {
        Self { messages: Buckets::default(), bytes: Buckets::default() }
    }
}

impl<K: Ord + Copy> Share<K> {
    fn holds(&mut self, now: Instant, key: K, (messages, bytes): (Rate, Rate), (count, length): (u64, u64)) -> bool {
        self.bytes.holds(now, key, bytes, length) && self.messages.holds(now, key, messages, count)
    }

    fn take(&mut self, now: Instant, key: K, (messages, bytes): (Rate, Rate), (count, length): (u64, u64)) -> bool {
        // Looked at first, so that what is refused for its length costs no message.
        self.bytes.holds(now, key, bytes, length)
            && self.messages.take(now, key, messages, count)
            && self.bytes.take(now, key, bytes, length)
    }
}

impl Budgets {
    /// Whether what arrived on the link to `from`, with a payload of `length` bytes, is taken.
    ///
    /// # Errors
    /// [`Refusal::OverBudget`] if not.
    pub(crate) fn frame(&mut self, cx: &Context<'_>, from: Hash, frame: &Frame, length: usize) -> Result<(), Refusal> {
        let (now, limits, cost) = (cx.now, &cx.config.limits, (1, length as u64));
        let taken = match frame {
            Frame::Query(..) => self.questions_of_peers.take(now, from, limits.questions_per_peer, 1),
            Frame::Data(header, _) => {
                let is_receipt = header.fixed.kind == Kind::Receipt;
                // Each receipt is the answer to a message that was paid for.
                self.peers.take(now, from, per_peer(limits), cost)
                    && (is_receipt || self.origins.take(now, (from, header.fixed.origin.id()), per_origin(limits), cost))
            }
            Frame::Task(task, _) => {
                self.peers.take(now, from, per_peer(limits), cost)
                    // Looked at only: it costs its origin something once it is known to be that one's.
                    && (task.extend || self.broadcasts.holds(now, task.header.fixed.origin.id(), per_broadcaster(limits), cost))
            }
            Frame::Digest(digest) => self.offers_of_peers.take(now, from, limits.offers_per_peer, digest.ids.len().max(1) as u64),
            Frame::Pull(_) => self.pulls_of_peers.take(now, from, limits.pulls_per_peer, 1),
            Frame::Opaque(_) => self.peers.take(now, from, per_peer(limits), cost),
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
            | Frame::TaskVerdict(_) => true,
        };
        if taken { Ok(()) } else { Err(Refusal::OverBudget) }
    }

    /// Whether a broadcast, known to be its origin's, is within the origin's budget.
    pub(crate) fn broadcast(&mut self, cx: &Context<'_>, task: &Task, length: usize) -> bool {
        let cost = (1, length as u64);
        task.extend || self.broadcasts.take(cx.now, task.header.fixed.origin.id(), per_broadcaster(&cx.config.limits), cost)
    }

    /// Whether a broadcast of our own may be made. It costs a quarter more than others' here, so that nobody else need refuse it.
    pub(crate) fn own_broadcast(&mut self, cx: &Context<'_>, length: usize) -> bool {
        let length = length as u64;
        let quarters = |rate: Rate| Rate::new(rate.per_second.saturating_mul(4), rate.burst.saturating_mul(4));
        let (messages, bytes) = per_broadcaster(&cx.config.limits);
        let taken = self.broadcasts.take(cx.now, cx.me.id(), (quarters(messages), quarters(bytes)), (5, length.saturating_mul(5)));
        if taken {
            self.spoken = cx.now + KEPT;
        }
        taken
    }

    /// Whether a record that `informer` tells of may be looked at. `known`: it is a member's.
    pub(crate) fn record(&mut self, cx: &Context<'_>, informer: Hash, record: &SignedRecord, known: bool) -> bool {
        let (now, limits, id) = (cx.now, &cx.config.limits, record.id());
        if !self.records.take(now, informer, limits.records_per_informer, 1) {
            return false;
        }
        if known || self.heard.contains(now, &id) {
            return true;
        }
        let taken = self.addresses.take(now, informer, limits.addresses_per_informer, 1);
        if taken {
            self.heard.insert(now, id, (), now + REMEMBERED, MAX_REMEMBERED);
        }
        taken
    }

    /// Whether something may be sent towards an address that a record claims.
    pub(crate) fn probe(&mut self, cx: &Context<'_>, record: &SignedRecord) -> bool {
        cx.address(record).is_none_or(|address| self.probe_at(cx, record.id(), address.ip()))
    }

    /// The same, of whom only the address is known.
    pub(crate) fn probe_at(&mut self, cx: &Context<'_>, peer: Hash, ip: IpAddr) -> bool {
        let (now, limits) = (cx.now, &cx.config.limits);
        if self.answered.contains(now, &peer) {
            return true;
        }
        (limits.is_exempt(ip) || self.probes_of_ips.take(now, ip, limits.probes_per_ip, 1)) && self.probes.take(now, (), limits.probes, 1)
    }

    /// A peer answered from there.
    pub(crate) fn answered(&mut self, cx: &Context<'_>, peer: Hash) {
        self.answered.insert(cx.now, peer, (), cx.now + REMEMBERED, MAX_REMEMBERED);
    }

    /// Whether a question by datagram is answered. `member`: it comes from the announced address of this member.
    pub(crate) fn question(&mut self, cx: &Context<'_>, ip: IpAddr, member: Option<Hash>) -> bool {
        let (now, limits) = (cx.now, &cx.config.limits);
        match member {
            Some(member) => self.questions_of_members.take(now, member, limits.questions_per_ip, 1),
            None => self.question_from(cx, ip) && self.questions.take(now, (), limits.questions, 1),
        }
    }

    fn question_from(&mut self, cx: &Context<'_>, ip: IpAddr) -> bool {
        let limits = &cx.config.limits;
        limits.is_exempt(ip) || self.questions_of_ips.take(cx.now, ip, limits.questions_per_ip, 1)
    }

    /// Whether a proof of our address is signed for somebody.
    pub(crate) fn proof(&mut self, cx: &Context<'_>, ip: IpAddr, member: Option<Hash>) -> bool {
        let (now, limits) = (cx.now, &cx.config.limits);
        if member.is_none() && now < self.spoken {
            return self.question_from(cx, ip) && self.proofs_for_hearers.take(now, (), limits.proofs_for_hearers, 1);
        }
        self.question(cx, ip, member) && (member.is_some() || self.proofs.take(now, (), limits.proofs, 1))
    }
}

fn per_peer(limits: &Limits) -> (Rate, Rate) {
    (limits.messages_per_peer, limits.bytes_per_peer)
}

fn per_origin(limits: &Limits) -> (Rate, Rate) {
    (limits.messages_per_origin, limits.bytes_per_origin)
}

fn per_broadcaster(limits: &Limits) -> (Rate, Rate) {
    (limits.broadcasts_per_origin, limits.broadcast_bytes_per_origin)
}

/// How long an address that was heard of, or that answered, costs nothing again.
const REMEMBERED: Duration = Duration::from_secs(600); // guess

const MAX_REMEMBERED: usize = 8192; // guess: 1.5 MiB at most
