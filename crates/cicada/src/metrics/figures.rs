//! The registry of one peer: names, units and help of its figures, and their text.

use super::{Direction, Levels, Metrics, PeerTraffic, Traffic};
use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use std::{collections::BTreeMap, time::Duration};

type ByKind = Family<[(&'static str, &'static str); 2], Counter>;
type ByText<const N: usize> = Family<[(&'static str, String); N], Counter>;
type Level = fn(&Levels) -> usize;

pub(crate) struct Figures {
    registry: Registry,
    messages: ByKind,
    bytes: ByKind,
    payload_bytes: ByKind,
    peer_bytes: ByText<2>,
    refusals: ByText<1>,
    copies: Family<[(&'static str, &'static str); 1], Counter>,
    missed: Counter,
    levels: Vec<(Gauge, Level)>,
    round_trips: Histogram,
    lookups: Histogram,
    hops: Histogram,
    hop_times: Histogram,
}

impl Default for Figures {
    fn default() -> Self {
        // 0.1 ms to 13 s, each twice the one before.
        let times = || Histogram::new(exponential_buckets(0.0001, 2.0, 18));
        let mut figures = Self {
            registry: Registry::with_prefix("cicada"),
            messages: Family::default(),
            bytes: Family::default(),
            payload_bytes: Family::default(),
            peer_bytes: Family::default(),
            refusals: Family::default(),
            copies: Family::default(),
            missed: Counter::default(),
            levels: Vec::new(),
            round_trips: times(),
            lookups: times(),
            hops: Histogram::new([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, 16.0]),
            hop_times: times(),
        };
        figures.register();
        figures
    }
}

impl Figures {
    fn register(&mut self) {
        let to = &mut self.registry;
        let bytes = Unit::Bytes;
        to.register("messages", "Frames and datagrams, by kind and direction", self.messages.clone());
        to.register_with_unit("traffic", "The same in bytes before encryption", bytes.clone(), self.bytes.clone());
        to.register_with_unit(
            "payload",
            "Applications' bytes among those, relayed ones included",
            bytes.clone(),
            self.payload_bytes.clone(),
        );
        to.register_with_unit("peer_traffic", "Bytes over the links that stand, by peer and direction", bytes, self.peer_bytes.clone());
        to.register("refusals", "What was refused, by reason", self.refusals.clone());
        to.register(
            "broadcast_copies",
            "Copies of broadcasts sent and received, and how many of those were new or duplicates",
            self.copies.clone(),
        );
        to.register("missed", "Messages lost because the application did not take them in time", self.missed.clone());
        let seconds = || Unit::Seconds;
        to.register_with_unit("send_round_trip", "From sending a unicast to its receipt", seconds(), self.round_trips.clone());
        to.register_with_unit("lookup", "Duration of successful lookups", seconds(), self.lookups.clone());
        to.register_with_unit("hop", "From handing a message to the next hop to its acknowledgement", seconds(), self.hop_times.clone());
        to.register("hops", "Links travelled by acknowledged unicasts", self.hops.clone());
        let levels: [(&str, &str, Level); 9] = [
            ("member_links", "Links to proven members", |levels| levels.member_links),
            ("other_links", "Links to clients, leaves and members not proven yet", |levels| levels.other_links),
            ("dials", "Dials under way", |levels| levels.dials),
            ("half_open", "Handshakes of others under way", |levels| levels.half_open),
            ("table_members", "Members in the tables", |levels| levels.members),
            ("attached", "Clients and leaves attached", |levels| levels.attached),
            ("undelivered", "Messages that the application has not taken", |levels| levels.undelivered),
            ("undelivered_bytes", "Bytes of those", |levels| levels.undelivered_bytes),
            ("operations", "Operations of the application under way", |levels| levels.operations),
        ];
        for (name, help, level) in levels {
            let gauge = Gauge::default();
            to.register(name, help, gauge.clone());
            self.levels.push((gauge, level));
        }
    }

    pub(super) fn round_trip(&self, took: Duration) {
        self.round_trips.observe(took.as_secs_f64());
    }

    pub(super) fn lookup(&self, took: Duration) {
        self.lookups.observe(took.as_secs_f64());
    }

    pub(super) fn hop(&self, took: Duration) {
        self.hop_times.observe(took.as_secs_f64());
    }

    pub(super) fn hops(&self, links: usize) {
        // Far below 2^52.
        self.hops.observe(links as f64);
    }

    /// The text of everything, brought up to date. `linked`: the peers that links stand to, whose number the limits bound.
    pub(super) fn text<'a>(
        &self,
        kinds: &BTreeMap<(Direction, &'static str), Traffic>,
        linked: impl Iterator<Item = &'a PeerTraffic>,
        metrics: &Metrics,
    ) -> String {
        for ((direction, kind), traffic) in kinds {
            let labels = [("direction", direction.name()), ("kind", *kind)];
            raise(&self.messages.get_or_create(&labels), traffic.messages);
            raise(&self.bytes.get_or_create(&labels), traffic.bytes);
            raise(&self.payload_bytes.get_or_create(&labels), traffic.payload_bytes);
        }
        self.peer_bytes.clear();
        for PeerTraffic { peer, sent, received, .. } in linked {
            for (direction, traffic) in [(Direction::Sent, sent), (Direction::Received, received)] {
                let labels = [("direction", direction.name().to_owned()), ("peer", peer.to_string())];
                raise(&self.peer_bytes.get_or_create(&labels), traffic.bytes);
            }
        }
        for (reason, count) in metrics.refusals.iter() {
            raise(&self.refusals.get_or_create(&[("reason", reason.to_string())]), count);
        }
        let broadcasts = metrics.broadcasts;
        for (what, count) in [("sent", broadcasts.copies_sent), ("new", broadcasts.delivered), ("duplicate", broadcasts.duplicates())] {
            raise(&self.copies.get_or_create(&[("copy", what)]), count);
        }
        raise(&self.missed, metrics.missed);
        for (gauge, level) in &self.levels {
            gauge.set(i64::try_from(level(&metrics.levels)).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        match encode(&mut text, &self.registry) {
            Ok(()) => text,
            // Writing to a string does not fail.
            Err(std::fmt::Error) => String::new(),
        }
    }
}

impl Direction {
    fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
        }
    }
}

/// Counters only grow.
fn raise(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}
