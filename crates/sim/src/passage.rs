//! How a packet gets from one peer to another: when it arrives, if it does.

use crate::{
    network::{Bursts, Latency, Line, MILLION, Trip, micros},
    peer::PeerIndex,
    world::World,
};
use cicada_proto::Instant;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// What a peer's access line is at, in both directions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Access {
    /// Its own lines, if they are not those of the network.
    pub(crate) own: Option<(Option<Line>, Option<Line>)>,
    up: Backlog,
    down: Backlog,
    weather: Weather,
}

/// What waits on one direction of a line: all of it is through at `free_at`.
#[derive(Clone, Copy, Debug, Default)]
struct Backlog {
    free_at: Instant,
}

impl Backlog {
    /// When a packet that comes now is through; `None` if there is no room for it. What may not be dropped waits however long.
    fn admit(&mut self, line: Line, now: Instant, bytes: usize, may_drop: bool) -> Option<Instant> {
        let rate = u128::from(line.bytes_per_s);
        let bytes = bytes as u128;
        let waiting = u128::from(self.free_at.0.saturating_sub(now.0)) * rate / 1_000_000;
        if may_drop && waiting + bytes > u128::from(line.buffer_bytes) {
            return None;
        }
        let took = (bytes * 1_000_000).div_ceil(rate);
        self.free_at = self.free_at.max(now) + Duration::from_micros(u64::try_from(took).unwrap_or(u64::MAX));
        Some(self.free_at)
    }
}

/// Whether a line is bad, as last seen.
#[derive(Clone, Copy, Debug, Default)]
struct Weather {
    seen: Option<(Instant, bool)>,
}

impl Weather {
    /// Whether the line is bad at `at`: of two states without memory the chance follows from the last one seen and the time since.
    fn is_bad(&mut self, bursts: &Bursts, at: Instant, rng: &mut ChaCha8Rng) -> bool {
        let (good, bad) = (bursts.good.as_secs_f64(), bursts.bad.as_secs_f64());
        let mean = bad / (good + bad);
        let chance = match self.seen {
            None => mean,
            Some((seen, was)) if at <= seen => return was,
            Some((seen, was)) => {
                let decay = (-at.since(seen).as_secs_f64() * (1.0 / good + 1.0 / bad)).exp();
                mean + (f64::from(u8::from(was)) - mean) * decay
            }
        };
        let is = rng.random::<f64>() < chance;
        self.seen = Some((at, is));
        is
    }
}

/// Whether something that befalls this many of a million befalls this one. What never happens costs no draw.
fn befalls(per_million: u32, rng: &mut ChaCha8Rng) -> bool {
    per_million > 0 && rng.next_u32() % MILLION < per_million
}

impl World {
    fn trip(&self, from: PeerIndex, to: PeerIndex) -> Trip {
        Trip { ends: [from.0, to.0], places: [from, to].map(|who| self.spots[who.0].place) }
    }

    /// The time of one packet on its way between the access lines.
    pub(crate) fn travel(&mut self, from: PeerIndex, to: PeerIndex) -> Duration {
        let trip = self.trip(from, to);
        let rng = &mut self.rng;
        let mut span = match &self.network.latency {
            Latency::Fixed(span) => *span,
            Latency::Uniform(least, most) => Duration::from_micros(rng.random_range(micros(*least)..=micros(*most.max(least)))),
            Latency::Pairs(distribution) => distribution.quantile(trip.share(self.seed)),
            Latency::Matrix(matrix) => {
                let [from, to] = matrix.places_of(trip.places);
                matrix.draw(from, to, rng)
            }
        };
        if let Some(jitter) = &self.network.jitter {
            span += jitter.draw(rng);
        }
        if let Some(reordering) = &self.network.reordering
            && befalls(reordering.per_million, rng)
        {
            span += reordering.by.draw(rng);
        }
        span
    }

    /// How long a packet travels from one peer to another in the mean, but for jitter, loss and queues: the yardstick of what a way
    /// over others costs.
    #[must_use]
    pub fn direct_latency(&self, from: PeerIndex, to: PeerIndex) -> Duration {
        let trip = self.trip(from, to);
        match &self.network.latency {
            Latency::Fixed(span) => *span,
            Latency::Uniform(least, most) => (*least + *most) / 2,
            Latency::Pairs(distribution) => distribution.quantile(trip.share(self.seed)),
            Latency::Matrix(matrix) => {
                let [from, to] = matrix.places_of(trip.places);
                matrix.one_way(from, to)
            }
        }
    }

    /// Whether a packet that travels now is lost.
    pub(crate) fn loses(&mut self, from: PeerIndex, to: PeerIndex) -> bool {
        if self.network.bursts.is_none() {
            return befalls(self.network.lost_per_million, &mut self.rng);
        }
        let mut weather = [from, to].map(|who| self.peers[who.0].access.weather);
        let lost = self.loses_at(self.now, &mut weather);
        for (who, weather) in [from, to].into_iter().zip(weather) {
            self.peers[who.0].access.weather = weather;
        }
        lost
    }

    fn loses_at(&mut self, at: Instant, weather: &mut [Weather; 2]) -> bool {
        let rng = &mut self.rng;
        let mut lost = befalls(self.network.lost_per_million, rng);
        if let Some(bursts) = &self.network.bursts {
            for weather in weather {
                let bad = weather.is_bad(bursts, at, rng);
                lost |= befalls(if bad { bursts.lost_when_bad_per_million } else { bursts.lost_when_good_per_million }, rng);
            }
        }
        lost
    }

    /// Whether a datagram arrives twice.
    pub(crate) fn doubles(&mut self) -> bool {
        befalls(self.network.duplicated_per_million, &mut self.rng)
    }

    /// The time until a packet arrives that is sent again until it does, with the timeout of RFC 9002, section 6.2: about
    /// the round trip and its variation, doubled at each further loss.
    pub(crate) fn travel_reliably(&mut self, from: PeerIndex, to: PeerIndex) -> Duration {
        let mut span = self.travel(from, to);
        let mut timeout = span * 3 + MAX_ACK_DELAY;
        let mut lost = self.loses(from, to);
        if !lost {
            return span;
        }
        let mut weather = [from, to].map(|who| self.peers[who.0].access.weather);
        while lost && span < GIVE_UP {
            span += timeout;
            timeout *= 2;
            lost = self.loses_at(self.now + span, &mut weather);
        }
        span
    }

    /// When what a peer sends now has left its uplink; `None` if there is no room.
    pub(crate) fn leaves_uplink(&mut self, who: PeerIndex, bytes: usize, may_drop: bool) -> Option<Instant> {
        let access = &mut self.peers[who.0].access;
        match access.own.map_or(self.network.uplink, |(up, _)| up) {
            Some(line) => access.up.admit(line, self.now, bytes, may_drop),
            None => Some(self.now),
        }
    }

    /// Whether what arrives at a peer has to pass a line first.
    pub(crate) fn has_downlink(&self, who: PeerIndex) -> bool {
        self.peers[who.0].access.own.map_or(self.network.downlink, |(_, down)| down).is_some()
    }

    /// When what has come to a peer's downlink is through; `None` if there is no room.
    pub(crate) fn leaves_downlink(&mut self, who: PeerIndex, bytes: usize, may_drop: bool) -> Option<Instant> {
        let access = &mut self.peers[who.0].access;
        match access.own.map_or(self.network.downlink, |(_, down)| down) {
            Some(line) => access.down.admit(line, self.now, bytes, may_drop),
            None => Some(self.now),
        }
    }

    /// Gives a peer lines of its own, up and down; `None` is without bound.
    pub fn set_lines(&mut self, who: PeerIndex, uplink: Option<Line>, downlink: Option<Line>) {
        self.peers[who.0].access.own = Some((uplink, downlink));
    }

    /// Puts a peer on a place of the latency matrix. Until then the seed has chosen one.
    pub fn set_place(&mut self, who: PeerIndex, place: usize) {
        self.spots[who.0].place = place as u64;
    }
}

/// The bytes on the wire of a frame of this many, headers included.
pub(crate) fn bytes_on_wire(frame_bytes: usize) -> usize {
    frame_bytes + frame_bytes.div_ceil(PACKET_BYTES).max(1) * HEADER_BYTES
}

const MAX_ACK_DELAY: Duration = Duration::from_millis(25); // RFC 9000, section 18.2
const GIVE_UP: Duration = Duration::from_secs(30); // a world that loses everything must not loop for ever
const PACKET_BYTES: usize = 1200; // RFC 9000, section 14: what every path carries
const HEADER_BYTES: usize = 60; // UDP and IP 28, RFC 9000 section 17.3.1: 1 + 8 + 2, its tag 16, a stream frame's header 5

#[cfg(test)]
mod tests;
