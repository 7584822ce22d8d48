//! What a peer has done, counted: for its application, and as text for Prometheus.
//!
//! The task that owns the node counts as it goes, in plain numbers; a registry of the peer's own turns them into text when
//! somebody asks.

mod figures;
mod kinds;
mod serve;

use crate::node::RemoteNode;
use cicada_proto::{Event, LinkId, Operation, Receipt, Refusals};
use cicada_wire::{Datagram, Frame, Hash, HopVerdict, MessageId, Ticket};
pub(crate) use figures::Figures;
pub use serve::MetricsServer;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant as Clock;

/// What went one way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Traffic {
    /// Frames and datagrams.
    pub messages: u64,
    /// Their bytes before encryption, payloads included.
    pub bytes: u64,
    /// Bytes of applications' payloads among them.
    pub payload_bytes: u64,
}

impl Traffic {
    fn count(&mut self, bytes: usize, payload: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
        self.payload_bytes += payload as u64;
    }

    /// More of a payload whose message is counted.
    fn count_more(&mut self, payload: usize) {
        self.bytes += payload as u64;
        self.payload_bytes += payload as u64;
    }

    fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.payload_bytes += other.payload_bytes;
    }
}

/// What went over links between this peer and another. Datagrams beside the links are not counted here: they have no sender that
/// is certain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PeerTraffic {
    /// The other.
    pub peer: RemoteNode,
    /// Whether a link stands.
    pub linked: bool,
    /// To it.
    pub sent: Traffic,
    /// From it.
    pub received: Traffic,
}

/// What a peer has done so far, and how it stands.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// All of it as text for Prometheus (OpenMetrics 1.0).
    pub text: String,
    /// What was sent.
    pub sent: Traffic,
    /// What was received.
    pub received: Traffic,
    /// What was refused, by reason.
    pub refusals: Refusals,
    /// How broadcasts fared.
    pub broadcasts: BroadcastCounts,
    /// Now.
    pub levels: Levels,
    /// Messages for the application that were lost because its queue was full.
    pub missed: u64,
}

/// Broadcasts, as one peer sees them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct BroadcastCounts {
    /// Copies with a body handed to others.
    pub copies_sent: u64,
    /// Copies with a body received.
    pub copies_received: u64,
    /// Broadcasts delivered to the application.
    pub delivered: u64,
}

impl BroadcastCounts {
    /// Copies received of broadcasts that were here already, or that the application's full queue lost.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.copies_received.saturating_sub(self.delivered)
    }
}

/// How a peer stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Levels {
    /// Links to proven members.
    pub member_links: usize,
    /// Other links: clients, leaves, members not proven yet.
    pub other_links: usize,
    /// Dials under way.
    pub dials: usize,
    /// Handshakes of others under way.
    pub half_open: usize,
    /// Members in the tables.
    pub members: usize,
    /// Clients and leaves attached.
    pub attached: usize,
    /// Messages that the application has not taken.
    pub undelivered: usize,
    /// Their bytes.
    pub undelivered_bytes: usize,
    /// Operations that have not ended.
    pub operations: usize,
}

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Direction {
    Sent,
    Received,
}

/// The name of a frame's kind.
pub(crate) fn kind_of(frame: &Frame) -> &'static str {
    kinds::of_frame(frame).0
}

/// What is counted, by the task that owns the node.
#[derive(Default)]
pub(crate) struct Meters {
    kinds: BTreeMap<(Direction, &'static str), Traffic>,
    peers: BTreeMap<Hash, Meter>,
    links: BTreeMap<LinkId, Hash>,
    /// Frames that a hop has not acknowledged, and since when.
    handed: BTreeMap<LinkId, BTreeMap<Handed, Clock>>,
    lookups: BTreeMap<Operation, Clock>,
    broadcasts: BroadcastCounts,
    missed: u64,
    /// Refused here, before anything reached the node.
    refusals: Refusals,
    figures: Figures,
}

struct Meter {
    traffic: PeerTraffic,
    used: Clock,
    links: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Handed {
    Message { origin: Hash, message: MessageId, copy: u8, receipt: bool },
    Task(Ticket),
}

impl Meters {
    // --- Links

    pub(crate) fn on_link_up(&mut self, link: LinkId, peer: RemoteNode) {
        let now = Clock::now();
        self.links.insert(link, peer.id());
        let traffic = PeerTraffic { peer, linked: true, sent: Traffic::default(), received: Traffic::default() };
        let meter = self.peers.entry(peer.id()).or_insert(Meter { traffic, used: now, links: 0 });
        (meter.traffic.peer, meter.traffic.linked, meter.used) = (peer, true, now);
        meter.links += 1;
        while self.peers.len() > MAX_PEERS {
            let idle = self.peers.iter().filter(|(_, meter)| meter.links == 0);
            let Some(oldest) = idle.min_by_key(|(_, meter)| meter.used).map(|(peer, _)| *peer) else { return };
            self.peers.remove(&oldest);
        }
    }

    pub(crate) fn on_link_down(&mut self, link: LinkId) {
        self.handed.remove(&link);
        let Some(meter) = self.links.remove(&link).and_then(|peer| self.peers.get_mut(&peer)) else { return };
        meter.links = meter.links.saturating_sub(1);
        (meter.traffic.linked, meter.used) = (meter.links > 0, Clock::now());
    }

    pub(crate) fn on_frame(&mut self, direction: Direction, link: LinkId, frame: &Frame) {
        let (kind, payload) = kinds::of_frame(frame);
        let bytes = frame.len_bytes();
        self.kinds.entry((direction, kind)).or_default().count(bytes, payload);
        if let Some(meter) = self.links.get(&link).and_then(|peer| self.peers.get_mut(peer)) {
            match direction {
                Direction::Sent => meter.traffic.sent.count(bytes, payload),
                Direction::Received => meter.traffic.received.count(bytes, payload),
            }
        }
        self.follow(direction, link, frame);
    }

    /// Counts what followed the head of a frame.
    pub(crate) fn on_payload(&mut self, direction: Direction, link: LinkId, kind: &'static str, bytes: usize) {
        self.kinds.entry((direction, kind)).or_default().count_more(bytes);
        if let Some(meter) = self.links.get(&link).and_then(|peer| self.peers.get_mut(peer)) {
            match direction {
                Direction::Sent => meter.traffic.sent.count_more(bytes),
                Direction::Received => meter.traffic.received.count_more(bytes),
            }
        }
    }

    /// Notes what is handed over and what is acknowledged.
    fn follow(&mut self, direction: Direction, link: LinkId, frame: &Frame) {
        let sent = direction == Direction::Sent;
        match frame {
            Frame::Data(header, _) => {
                let (fixed, copy) = (&header.fixed, header.hop.copy);
                let (origin, message, receipt) = (fixed.origin.id(), fixed.message(), fixed.kind == cicada_wire::Kind::Receipt);
                match fixed.target.filter(|_| receipt) {
                    // The receipt for a message is its acknowledgement too; its own arrival nobody acknowledges.
                    Some(origin) if !sent => {
                        let message = fixed.about.unwrap_or(message);
                        self.acknowledged(link, Handed::Message { origin, message, copy, receipt: false });
                    }
                    Some(target) if self.links.get(&link) == Some(&target) => {}
                    // What is acknowledged without hurry says nothing of how long a hop takes.
                    Some(_) | None if sent && !header.hop.patient => self.hand(link, Handed::Message { origin, message, copy, receipt }),
                    Some(_) | None => {}
                }
            }
            Frame::Task(task, _) if sent => {
                self.broadcasts.copies_sent += u64::from(!task.extend && task.offset == 0);
                self.hand(link, Handed::Task(task.ticket));
            }
            Frame::Task(task, _) => self.broadcasts.copies_received += u64::from(!task.extend && task.offset == 0),
            Frame::HopVerdict(verdict) if !sent => {
                let HopVerdict { origin, message, copy, receipt, refusal: _ } = *verdict;
                self.acknowledged(link, Handed::Message { origin, message, copy, receipt });
            }
            Frame::TaskVerdict(verdict) if !sent => self.acknowledged(link, Handed::Task(verdict.ticket)),
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
            | Frame::Opaque(_)
            | Frame::Digest(_)
            | Frame::Pull(_) => {}
        }
    }

    fn acknowledged(&mut self, link: LinkId, what: Handed) {
        if let Some(since) = self.handed.get_mut(&link).and_then(|handed| handed.remove(&what)) {
            self.figures.hop(since.elapsed());
        }
    }

    fn hand(&mut self, link: LinkId, what: Handed) {
        let handed = self.handed.entry(link).or_default();
        if handed.len() < MAX_HANDED {
            handed.insert(what, Clock::now());
        }
    }

    pub(crate) fn on_datagram(&mut self, direction: Direction, datagram: &Datagram) {
        self.kinds.entry((direction, kinds::of_datagram(datagram))).or_default().count(datagram.len_bytes(), 0);
    }

    // --- Operations

    pub(crate) fn on_lookup(&mut self, operation: Operation) {
        self.lookups.insert(operation, Clock::now());
    }

    pub(crate) fn on_event(&mut self, event: &Event) {
        match event {
            Event::Sent { receipt, .. } => self.on_receipt(receipt),
            Event::LookedUp { operation, result } => {
                let since = self.lookups.remove(operation);
                if let (Some(since), Ok(_)) = (since, result) {
                    self.figures.lookup(since.elapsed());
                }
            }
            Event::Delivered(delivery) => self.broadcasts.delivered += u64::from(delivery.broadcast),
            Event::Lagged { dropped } => self.missed += dropped,
            Event::LinkUp { .. }
            | Event::LinkDown { .. }
            | Event::PeerJoined(_)
            | Event::PeerLeft { .. }
            | Event::NeighboursChanged { .. }
            | Event::Opaque { .. }
            | Event::Connected { .. }
            | Event::ConnectFailed { .. }
            | Event::SendFailed { .. }
            | Event::BroadcastSent { .. }
            | Event::BroadcastFailed { .. }
            | Event::Refused { .. }
            | Event::KeyChanged { .. }
            | Event::Left { .. } => {}
        }
    }

    fn on_receipt(&mut self, receipt: &Receipt) {
        if let Some(round_trip) = receipt.round_trip {
            self.figures.round_trip(round_trip);
        }
        if let Some(hops) = receipt.hops() {
            self.figures.hops(hops);
        }
    }

    /// Something was refused before it reached the node.
    pub(crate) fn refuse(&mut self, reason: cicada_wire::Refusal) {
        self.refusals.count(reason);
    }

    // --- Questions

    pub(crate) fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    pub(crate) fn traffic(&self) -> Vec<PeerTraffic> {
        self.peers.values().map(|meter| meter.traffic).collect()
    }

    /// Everything at once. `refusals`: all that were refused, here and elsewhere.
    pub(crate) fn metrics(&mut self, levels: Levels, refusals: Refusals) -> Metrics {
        let total = |wanted: Direction| {
            let mut total = Traffic::default();
            self.kinds.iter().filter(|((direction, _), _)| *direction == wanted).for_each(|(_, traffic)| total.add(*traffic));
            total
        };
        let mut metrics = Metrics {
            text: String::new(),
            sent: total(Direction::Sent),
            received: total(Direction::Received),
            refusals,
            broadcasts: self.broadcasts,
            levels,
            missed: self.missed,
        };
        let linked = self.peers.values().map(|meter| &meter.traffic).filter(|traffic| traffic.linked);
        metrics.text = self.figures.text(&self.kinds, linked, &metrics);
        metrics
    }
}

/// Peers that traffic is kept of: those linked, and the last ones that were.
const MAX_PEERS: usize = 1024; // guess: 0.2 MiB

/// Frames of one link whose acknowledgement is awaited; of more, the time is not measured.
const MAX_HANDED: usize = 512; // guess

/// How long a scrape or a test may wait; shared with the server's tests.
pub(crate) const SCRAPE_TIMEOUT: Duration = Duration::from_secs(5); // guess: Prometheus waits 10 s by default
