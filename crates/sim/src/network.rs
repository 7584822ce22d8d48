//! What lies between peers: latency, jitter, loss, reordering, duplication, and how much their access lines carry.
//!
//! Each part is off until it is set, and each goes with every other. What befalls a packet is decided in `passage`.

use crate::{distribution::Distribution, matrix::Matrix, queue::mix};
use std::{sync::Arc, time::Duration};

/// How long a packet travels, one way.
#[derive(Clone, Debug, PartialEq)]
pub enum Latency {
    /// Always as long.
    Fixed(Duration),
    /// Drawn anew for each packet, evenly between the two.
    Uniform(Duration, Duration),
    /// Drawn once for each pair of peers, the same both ways.
    Pairs(Distribution),
    /// As measured between places; peers are put on places by the seed, or by [`crate::World::set_place`].
    Matrix(Arc<Matrix>),
}

/// What is bad about the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// How long a packet travels.
    pub latency: Latency,
    /// How much longer each packet travels, drawn anew. Datagrams overtake each other for it; what a link carries waits in order.
    pub jitter: Option<Distribution>,
    /// How many packets of a million are lost, each for itself. Datagrams are gone then; links send again and arrive late.
    pub lost_per_million: u32,
    /// Loss in bursts, in addition.
    pub bursts: Option<Bursts>,
    /// Packets that are held back.
    pub reordering: Option<Reordering>,
    /// How many datagrams of a million arrive twice. Links hide it.
    pub duplicated_per_million: u32,
    /// What each peer can send.
    pub uplink: Option<Line>,
    /// What each peer can receive.
    pub downlink: Option<Line>,
}

impl Default for Network {
    /// 20 ms each way, nothing else.
    fn default() -> Self {
        Self {
            latency: Latency::Fixed(Duration::from_millis(20)),
            jitter: None,
            lost_per_million: 0,
            bursts: None,
            reordering: None,
            duplicated_per_million: 0,
            uplink: None,
            downlink: None,
        }
    }
}

/// Loss in bursts (Gilbert 1960, Elliott 1963), in continuous time: the access line of each peer is good or bad for spans without
/// memory, and loses packets of either direction as often as its state says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    /// How long a line stays good, in the mean.
    pub good: Duration,
    /// How long it stays bad.
    pub bad: Duration,
    /// How many packets of a million are lost while it is good.
    pub lost_when_good_per_million: u32,
    /// And while it is bad.
    pub lost_when_bad_per_million: u32,
}

/// Packets that are held back, so that later ones overtake them. Datagrams arrive out of order; on a link those behind wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reordering {
    /// How many packets of a million.
    pub per_million: u32,
    /// For how long.
    pub by: Distribution,
}

/// How much one direction of a peer's access line carries: a queue that is served in order.
///
/// What it carries is the bytes of a frame or datagram and of the headers around it; acknowledgements and handshakes are not counted.
/// A datagram for which the queue has no room is dropped. What a link sends is held back instead: it waits its turn however long
/// the queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its rate.
    pub bytes_per_s: u64,
    /// How many bytes may wait before datagrams are dropped.
    pub buffer_bytes: u64,
}

impl Network {
    /// Whether this can be.
    ///
    /// # Errors
    /// Says what cannot.
    pub fn check(&self) -> Result<(), String> {
        match &self.latency {
            Latency::Uniform(least, most) => Distribution::Uniform(*least, *most).check(),
            Latency::Pairs(distribution) => distribution.check(),
            Latency::Fixed(_) | Latency::Matrix(_) => Ok(()),
        }?;
        self.jitter.iter().chain(self.reordering.as_ref().map(|reordering| &reordering.by)).try_for_each(Distribution::check)?;
        let mut rates = vec![("lost", self.lost_per_million), ("duplicated", self.duplicated_per_million)];
        if let Some(bursts) = self.bursts {
            rates.push(("lost when good", bursts.lost_when_good_per_million));
            rates.push(("lost when bad", bursts.lost_when_bad_per_million));
            if bursts.good.is_zero() || bursts.bad.is_zero() {
                return Err("a line is good for some time and bad for some time, neither for none".to_owned());
            }
        }
        rates.extend(self.reordering.map(|reordering| ("reordered", reordering.per_million)));
        if let Some((what, rate)) = rates.into_iter().find(|(_, rate)| *rate > MILLION) {
            return Err(format!("{rate} of a million {what} is more than all"));
        }
        match [self.uplink, self.downlink].into_iter().flatten().find(|line| line.bytes_per_s == 0) {
            Some(_) => Err("a line that carries 0 bytes/s carries nothing".to_owned()),
            None => Ok(()),
        }
    }
}

/// Where the two ends of a packet's way are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trip {
    /// Numbers of the two peers.
    pub(crate) ends: [usize; 2],
    /// What their places are drawn from.
    pub(crate) places: [u64; 2],
}

impl Trip {
    /// A number between 0 and 1, the same for the same two peers in either direction.
    pub(crate) fn share(self, seed: u64) -> f64 {
        let [a, b] = self.ends;
        let drawn = mix(mix(seed ^ a.min(b) as u64) ^ a.max(b) as u64);
        // The high 53 bits are what a double holds.
        (drawn >> 11) as f64 / (1_u64 << 53) as f64
    }
}

pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) const MILLION: u32 = 1_000_000;
