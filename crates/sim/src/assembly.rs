//! A swarm is assembled: many members join at once, each through the protocol.

use crate::{peer::PeerIndex, world::World};
use cicada_proto::{Event, Operation};
use std::{collections::VecDeque, time::Duration};

/// How a swarm was assembled.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Assembly {
    /// Who is in, in the order in which they came.
    pub joined: Vec<PeerIndex>,
    /// Who is not, for all its attempts.
    pub failed: Vec<PeerIndex>,
    /// How many attempts were repeated.
    pub repeated: u64,
    /// How long it took in virtual time.
    pub span: Duration,
}

/// A join under way.
struct Joining {
    who: PeerIndex,
    operation: Operation,
    attempts: u32,
}

impl World {
    /// Joins all of `peers` into one swarm: the first is its first member, the others enter by random members that are in,
    /// many at once: at most `per_second`, and no more at one time than half of those who are in. Who fails tries again by another
    /// member, up to five times. Tables are not settled yet afterwards: see [`World::settle`].
    pub fn join_all(&mut self, peers: &[PeerIndex], per_second: u32) -> Assembly {
        let began = self.now;
        let mut assembly = Assembly { joined: Vec::new(), failed: Vec::new(), repeated: 0, span: Duration::ZERO };
        assembly.joined.extend(peers.first());
        let mut waiting: VecDeque<(PeerIndex, u32)> = peers.iter().skip(1).map(|who| (*who, 0)).collect();
        let mut joining: Vec<Joining> = Vec::new();
        let mut begun = 0;
        while !waiting.is_empty() || !joining.is_empty() {
            let due = u64::from(per_second) * (self.now.since(began) + TICK).as_micros() as u64 / 1_000_000;
            while begun < due.max(1) && joining.len() <= assembly.joined.len() / 2 {
                let Some((who, attempts)) = waiting.pop_front() else { break };
                let entry = self.choose(&assembly.joined);
                joining.push(Joining { who, operation: self.connect(who, entry), attempts: attempts + 1 });
                begun += 1;
            }
            self.run_for(TICK);
            for join in std::mem::take(&mut joining) {
                match self.outcome(join.operation) {
                    None => joining.push(join),
                    Some((_, Event::Connected { .. })) => assembly.joined.push(join.who),
                    Some(_) if join.attempts < ATTEMPTS => {
                        assembly.repeated += 1;
                        waiting.push_back((join.who, join.attempts));
                    }
                    Some(_) => assembly.failed.push(join.who),
                }
            }
        }
        assembly.span = self.now.since(began);
        assembly
    }
}

const TICK: Duration = Duration::from_millis(20); // below the time of a join
const ATTEMPTS: u32 = 5; // guess
