//! A swarm is assembled: many members join at once, each through the protocol.

use crate::{peer::PeerIndex, world::World};
use cicada_proto::{Event, Instant, Operation};
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

/// A swarm that is being assembled, tick by tick.
#[derive(Debug)]
pub(crate) struct Assembling {
    per_second: u32,
    began: Instant,
    begun: u64,
    waiting: VecDeque<(PeerIndex, u32)>,
    joining: Vec<Joining>,
    pub(crate) assembly: Assembly,
}

/// A join under way.
#[derive(Debug)]
struct Joining {
    who: PeerIndex,
    operation: Operation,
    attempts: u32,
}

impl Assembling {
    pub(crate) fn new(now: Instant, peers: &[PeerIndex], per_second: u32) -> Self {
        let joined = peers.first().copied().into_iter().collect();
        let assembly = Assembly { joined, failed: Vec::new(), repeated: 0, span: Duration::ZERO };
        let waiting = peers.iter().skip(1).map(|who| (*who, 0)).collect();
        Self { per_second, began: now, begun: 0, waiting, joining: Vec::new(), assembly }
    }

    /// Whether nobody is on the way in any more.
    pub(crate) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.joining.is_empty()
    }

    /// Lets those begin whose turn it is, and runs the world for a tick.
    pub(crate) fn tick(&mut self, world: &mut World) {
        let due = u64::from(self.per_second) * (world.now.since(self.began) + TICK).as_micros() as u64 / 1_000_000;
        while self.begun < due.max(1) && self.joining.len() <= self.assembly.joined.len() / 2 {
            let Some((who, attempts)) = self.waiting.pop_front() else { break };
            let entry = world.choose(&self.assembly.joined);
            self.joining.push(Joining { who, operation: world.connect(who, entry), attempts: attempts + 1 });
            self.begun += 1;
        }
        world.run_for(TICK);
        for join in std::mem::take(&mut self.joining) {
            match world.outcome(join.operation) {
                None => self.joining.push(join),
                Some((_, Event::Connected { .. })) => self.assembly.joined.push(join.who),
                Some(_) if join.attempts < ATTEMPTS => {
                    self.assembly.repeated += 1;
                    self.waiting.push_back((join.who, join.attempts));
                }
                Some(_) => self.assembly.failed.push(join.who),
            }
        }
        self.assembly.span = world.now.since(self.began);
    }
}

impl World {
    /// Joins all of `peers` into one swarm: the first is its first member, the others enter by random members that are in,
    /// many at once: at most `per_second`, and no more at one time than half of those who are in. Who fails tries again by another
    /// member, up to five times. Tables are not settled yet afterwards: see [`World::settle`].
    pub fn join_all(&mut self, peers: &[PeerIndex], per_second: u32) -> Assembly {
        let mut assembling = Assembling::new(self.now, peers, per_second);
        while !assembling.is_done() {
            assembling.tick(self);
        }
        assembling.assembly
    }
}

const TICK: Duration = Duration::from_millis(20); // below the time of a join
const ATTEMPTS: u32 = 5; // guess
