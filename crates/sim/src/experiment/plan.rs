//! What an experiment is to be.

use crate::{
    adversary::Adversary,
    churn::ChurnPlan,
    network::{MILLION, Network},
    trace::TraceLevel,
};
use cicada_wire::OverlayKind;
use std::{fmt, time::Duration};

/// What an experiment is to be; everything goes with everything.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many members join.
    pub peers: usize,
    /// The shape of their swarm.
    pub overlay: OverlayKind,
    /// Everything that happens follows from it.
    pub seed: u64,
    /// What is bad about the network.
    pub network: Network,
    /// How many links to others a member has, at most; by default as many as any peer.
    pub links: Option<usize>,
    /// How many join a second, at most.
    pub joins_per_second: u32,
    /// How members come and go once the swarm has settled.
    pub churn: Option<ChurnPlan>,
    /// How long they come and go before the work begins: until what follows from having joined at once is over.
    pub warm_up: Duration,
    /// How many members of a million vanish in one instant once the swarm has settled: that in which the work begins.
    pub crashed_per_million: u32,
    /// Who means ill once the swarm has settled. Nobody does two things.
    pub adversaries: Vec<Ill>,
    /// What the members are asked to do.
    pub workload: Workload,
    /// How often.
    pub count: usize,
    /// Over which time, evenly.
    pub over: Duration,
    /// How long messages and broadcasts are.
    pub payload_bytes: usize,
    /// How many further copies each message takes over other first hops.
    pub duplicates: u8,
    /// How much is traced.
    pub trace: TraceLevel,
}

impl Default for Plan {
    /// 200 members on a ring, 1000 lookups in 10 s, nothing bad.
    fn default() -> Self {
        Self {
            peers: 200,
            overlay: OverlayKind::Ring,
            seed: 1,
            network: Network::default(),
            links: None,
            joins_per_second: 100,
            churn: None,
            warm_up: Duration::ZERO,
            crashed_per_million: 0,
            adversaries: Vec::new(),
            workload: Workload::Lookups,
            count: 1000,
            over: Duration::from_secs(10),
            payload_bytes: 1024,
            duplicates: 0,
            trace: TraceLevel::Off,
        }
    }
}

impl Plan {
    /// Whether this can be.
    ///
    /// # Errors
    /// Says in one line what cannot.
    pub fn check(&self) -> Result<(), String> {
        self.network.check()?;
        if let Some(churn) = self.churn {
            churn.sessions.check()?;
            if churn.sessions.quantile(0.5) < SHORTEST_SESSION {
                return Err(format!("sessions with a median under {SHORTEST_SESSION:?} are over before their members are in"));
            }
        }
        let wrong = |what: String| Err(what);
        if !(2..=MOST_PEERS).contains(&self.peers) {
            return wrong(format!("{} peers: a swarm has 2 to {MOST_PEERS}", self.peers));
        }
        if self.joins_per_second == 0 || self.count == 0 {
            return wrong("nobody joins, or nothing is asked: wanted is at least 1".to_owned());
        }
        if !(NUMBER_BYTES..=MOST_PAYLOAD_BYTES).contains(&self.payload_bytes) {
            return wrong(format!("a payload of {} bytes: wanted are {NUMBER_BYTES} to {MOST_PAYLOAD_BYTES}", self.payload_bytes));
        }
        if self.duplicates > MOST_DUPLICATES {
            return wrong(format!("{} duplicates: there are at most {MOST_DUPLICATES}", self.duplicates));
        }
        if share_of(self.peers, self.crashed_per_million) > self.peers - 2 {
            return wrong(format!("{} peers of which so many crash: two are to be left", self.peers));
        }
        let ill: u64 = self.adversaries.iter().map(|ill| u64::from(ill.per_million)).sum();
        if ill > u64::from(MILLION) || share_of(self.peers, ill as u32) > self.peers - 2 {
            return wrong(format!("{} peers of which so many mean ill: two honest ones are to be left", self.peers));
        }
        Ok(())
    }
}

/// A share of the members that means ill.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ill {
    /// How many of a million.
    pub per_million: u32,
    /// What each of them does.
    pub does: Adversary,
}

/// What members are asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Workload {
    /// Random members look random keys up. Right is who names the owner among the live members.
    #[default]
    Lookups,
    /// Random members send to random members over the overlay, and want receipts.
    Messages,
    /// Random members send to everybody.
    Broadcasts,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lookups => "lookups",
            Self::Messages => "messages",
            Self::Broadcasts => "broadcasts",
        })
    }
}

/// So many of `whole`, rounded.
pub(crate) fn share_of(whole: usize, per_million: u32) -> usize {
    (whole * per_million as usize + MILLION as usize / 2) / MILLION as usize
}

/// A payload begins with its number.
pub(crate) const NUMBER_BYTES: usize = 8;

const MOST_PEERS: usize = 1_000_000; // addresses of the world end at 2^24, memory before that
const MOST_PAYLOAD_BYTES: usize = 16 << 20; // the default of `Limits::message_bytes`
const MOST_DUPLICATES: u8 = 16; // as `SendOptions::duplicates`
const SHORTEST_SESSION: Duration = Duration::from_secs(1); // a join takes some round trips
