//! What lies between peers: latency, loss, partitions, and rules of a test's own.

use crate::peer::PeerIndex;
use cicada_proto::Instant;
use cicada_wire::{Datagram, Frame};
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use std::{fmt, time::Duration};

/// How long a packet travels, one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// Always as long.
    Fixed(Duration),
    /// Drawn anew for each packet, evenly between the two.
    Uniform(Duration, Duration),
}

/// What is bad about the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Network {
    /// How long a packet travels.
    pub latency: Latency,
    /// How many packets of a million are lost. Datagrams are gone then; links send again and arrive late.
    pub lost_per_million: u32,
}

impl Default for Network {
    /// 20 ms each way, nothing lost.
    fn default() -> Self {
        Self { latency: Latency::Fixed(Duration::from_millis(20)), lost_per_million: 0 }
    }
}

impl Network {
    /// The time of one packet on its way.
    pub(crate) fn delay(&self, rng: &mut ChaCha8Rng) -> Duration {
        match self.latency {
            Latency::Fixed(delay) => delay,
            Latency::Uniform(least, most) => Duration::from_micros(rng.random_range(micros(least)..=micros(most.max(least)))),
        }
    }

    pub(crate) fn loses(&self, rng: &mut ChaCha8Rng) -> bool {
        self.lost_per_million > 0 && rng.next_u32() % 1_000_000 < self.lost_per_million
    }

    /// The time until a packet arrives that is sent again until it does, with the timeout of RFC 9002, section 6.2: about
    /// the round trip and its variation, doubled at each further loss.
    pub(crate) fn reliable_delay(&self, rng: &mut ChaCha8Rng) -> Duration {
        let mut delay = self.delay(rng);
        let mut timeout = delay * 3 + MAX_ACK_DELAY;
        while self.loses(rng) && delay < GIVE_UP {
            delay += timeout;
            timeout *= 2;
        }
        delay
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// A packet under way, as a rule sees it.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// Now.
    pub now: Instant,
    /// Who sent it.
    pub from: PeerIndex,
    /// For whom.
    pub to: PeerIndex,
    /// What it is.
    pub packet: Packet<'a>,
}

/// What is under way.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    /// A frame on a link.
    Frame(&'a Frame),
    /// A datagram.
    Datagram(&'a Datagram),
    /// The first packet of a dial.
    Dial,
}

/// What a rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing against it; the next rule is asked.
    Pass,
    /// It vanishes, also from a link: as if the receiver had taken it and done nothing.
    Vanish,
    /// It vanishes, and its sender is told that it was taken over: the receiver acknowledges and drops. What is not acknowledged
    /// vanishes only.
    Swallow,
    /// It is this much later.
    Delay(Duration),
}

/// What all rules together decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It travels, this much later.
    Travels(Duration),
    Vanishes,
    IsSwallowed,
}

/// The rules of a test, asked in order for each packet when it is sent.
#[derive(Default)]
pub(crate) struct Rules(Vec<Rule>);

pub(crate) type Rule = Box<dyn FnMut(&Passing<'_>) -> Verdict>;

impl Rules {
    pub(crate) fn add(&mut self, rule: Rule) {
        self.0.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn judge(&mut self, passing: &Passing<'_>) -> Fate {
        let mut late = Duration::ZERO;
        for rule in &mut self.0 {
            match rule(passing) {
                Verdict::Pass => {}
                Verdict::Vanish => return Fate::Vanishes,
                Verdict::Swallow => return Fate::IsSwallowed,
                Verdict::Delay(more) => late += more,
            }
        }
        Fate::Travels(late)
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rules", self.0.len())
    }
}

const MAX_ACK_DELAY: Duration = Duration::from_millis(25); // RFC 9000, section 18.2
const GIVE_UP: Duration = Duration::from_secs(30); // a world that loses everything must not loop for ever
