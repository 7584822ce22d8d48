//! What members are asked to do in an experiment, and what comes of it.

use super::{
    outcome::{Asked, Verdict},
    plan::{NUMBER_BYTES, Plan, Workload},
};
use crate::{
    cost::Cost,
    peer::PeerIndex,
    world::{Arrived, World},
};
use bytes::Bytes;
use cicada_proto::{Instant, LookupError, Node, Operation, Route, SendError, SendOptions};
use cicada_wire::{Hash, SignedRecord};
use std::{collections::BTreeMap, time::Duration};

/// The work of an experiment, being done.
#[derive(Debug)]
pub(crate) struct Load {
    began: Instant,
    /// What had been sent before.
    before: Cost,
    /// How long everybody lived since, added up, in microseconds.
    lived_us: u64,
    pub(crate) asked: Vec<Asked>,
    open: BTreeMap<usize, Task>,
}

/// Something asked that has not ended.
#[derive(Debug)]
struct Task {
    operation: Operation,
    began: Instant,
    who: PeerIndex,
    about: About,
}

#[derive(Debug)]
enum About {
    /// Who was responsible when it was asked.
    Lookup {
        key: Hash,
        owner: Option<PeerIndex>,
    },
    Message {
        to: PeerIndex,
    },
    /// When each of those it is for received it, over how many links, and how often.
    Broadcast {
        audience: BTreeMap<PeerIndex, Option<Reached>>,
    },
}

#[derive(Clone, Copy, Debug)]
struct Reached {
    after: Duration,
    hops: usize,
    times: usize,
}

impl Load {
    pub(crate) fn begin(world: &mut World) -> Self {
        world.arrivals = Some(Vec::new());
        Self { began: world.now, before: world.cost_in_all(), lived_us: 0, asked: Vec::new(), open: BTreeMap::new() }
    }

    /// What everybody sent since the beginning, how long they lived together, and how long it is ago.
    pub(crate) fn cost(&self, world: &World) -> (Cost, Duration, Duration) {
        let cost = world.cost_in_all().since(&self.before);
        (cost, Duration::from_micros(self.lived_us), world.now.since(self.began))
    }

    pub(crate) fn ended(&self) -> usize {
        self.asked.len() - self.open.len()
    }

    /// Asks what is due, runs the world for a tick, and notes what ended. Says whether everything has.
    pub(crate) fn tick(&mut self, world: &mut World, plan: &Plan) -> bool {
        let end = world.now + TICK;
        while self.asked.len() < plan.count && self.due(plan) <= end {
            let due = self.due(plan);
            self.run_until(world, due);
            self.ask(world, plan);
        }
        self.run_until(world, end);
        for arrived in world.arrivals.replace(Vec::new()).unwrap_or_default() {
            self.note_arrival(&arrived);
        }
        let open = std::mem::take(&mut self.open);
        for (number, task) in open {
            match task.ended(world) {
                None => {
                    self.open.insert(number, task);
                }
                Some(asked) => self.asked[number] = Asked { at: self.asked[number].at, ..asked },
            }
        }
        self.open.is_empty() && self.asked.len() >= plan.count
    }

    /// When the next is due.
    fn due(&self, plan: &Plan) -> Instant {
        self.began + plan.over.mul_f64(self.asked.len() as f64 / plan.count as f64)
    }

    fn run_until(&mut self, world: &mut World, at: Instant) {
        let span = at.since(world.now);
        self.lived_us += world.live().count() as u64 * span.as_micros() as u64;
        world.run_for(span);
    }

    fn ask(&mut self, world: &mut World, plan: &Plan) {
        let number = self.asked.len();
        let at = world.now.since(self.began);
        self.asked.push(Asked { at, verdict: Verdict::Void, ..Asked::open() });
        let members = world.members_in();
        let honest: Vec<_> = members.iter().copied().filter(|who| world.adversary(*who).is_empty()).collect();
        if honest.len() < 2 {
            return;
        }
        let who = world.choose(&honest);
        let began = world.now;
        let (operation, about) = match plan.workload {
            Workload::Lookups => {
                let key = world.random_key();
                let owner = world.owner(&members, key);
                (world.begin_lookup(who, key), About::Lookup { key, owner })
            }
            Workload::Messages => {
                let others: Vec<_> = honest.into_iter().filter(|other| *other != who).collect();
                let to = world.choose(&others);
                let mut options = SendOptions::default();
                (options.route, options.duplicates, options.timeout) = (Route::Overlay, plan.duplicates, DEADLINE);
                (world.begin_send(who, world.id(to), payload(number, plan), options), About::Message { to })
            }
            Workload::Broadcasts => {
                let audience = honest.into_iter().filter(|other| *other != who).map(|other| (other, None)).collect();
                (world.broadcast(who, payload(number, plan)), About::Broadcast { audience })
            }
        };
        self.asked[number].verdict = Verdict::Open;
        self.open.insert(number, Task { operation, began, who, about });
    }

    fn note_arrival(&mut self, arrived: &Arrived) {
        let Some(number) = number_in(&arrived.delivery.payload) else { return };
        let Some(task) = self.open.get_mut(&number) else { return };
        let About::Broadcast { audience } = &mut task.about else { return };
        let Some(reached) = audience.get_mut(&arrived.who) else { return };
        let first = Reached { after: arrived.at.since(task.began), hops: arrived.delivery.hops, times: 0 };
        reached.get_or_insert(first).times += 1;
    }

    /// What was asked so far; of broadcasts that are under way, how far they have come.
    pub(crate) fn so_far(&self, world: &World) -> Vec<Asked> {
        let mut asked = self.asked.clone();
        for (number, task) in &self.open {
            if let About::Broadcast { audience } = &task.about {
                let at = asked[*number].at;
                asked[*number] = Asked { at, verdict: Verdict::Open, ..coverage(world, audience) };
            }
        }
        asked
    }
}

impl Asked {
    fn open() -> Self {
        let at = Duration::ZERO;
        Self { at, verdict: Verdict::Open, took: None, direct: None, hops: None, audience: 0, arrivals: Vec::new(), doubled: 0 }
    }
}

impl Task {
    /// What came of it, if that is known.
    fn ended(&self, world: &World) -> Option<Asked> {
        let overdue = world.now.since(self.began) >= DEADLINE;
        let given_up = |gone: bool| {
            let verdict = if gone { Verdict::Void } else { Verdict::Failed };
            (gone || overdue).then(|| Asked { verdict, ..Asked::open() })
        };
        let took = world.outcome(self.operation).map(|(at, _)| at.since(self.began));
        let gone = !world.lives_still(self.who);
        match &self.about {
            About::Lookup { key, owner } => {
                let Some(found) = world.looked_up(self.operation) else { return given_up(gone) };
                let found = match found {
                    Ok(found) => found,
                    Err(LookupError::Closing) => return Some(Asked { verdict: Verdict::Void, ..Asked::open() }),
                    Err(_) => return Some(Asked { verdict: Verdict::Failed, took, ..Asked::open() }),
                };
                let named = found.responsible.first().map(SignedRecord::id);
                let names = |owner: Option<PeerIndex>| owner.is_some_and(|owner| named == Some(world.id(owner)));
                let right = names(*owner) || names(world.owner(&world.members_in(), *key));
                let verdict = if right { Verdict::Right } else { Verdict::Wrong };
                Some(Asked { verdict, took, hops: Some(found.asked), ..Asked::open() })
            }
            About::Message { to } => match world.sent(self.operation) {
                None => given_up(gone),
                Some(Ok(receipt)) => {
                    let direct = Some(world.direct_latency(self.who, *to) + world.direct_latency(*to, self.who));
                    Some(Asked { verdict: Verdict::Right, took, direct, hops: receipt.hops(), ..Asked::open() })
                }
                Some(Err(error)) => {
                    // Whoever leaves waits for its messages for a moment, and no longer.
                    let has_left = *error == SendError::Closing;
                    let verdict = if world.lives_still(*to) && !has_left { Verdict::Failed } else { Verdict::Void };
                    Some(Asked { verdict, took: None, ..Asked::open() })
                }
            },
            About::Broadcast { audience } => {
                let everybody = audience.iter().all(|(who, reached)| reached.is_some() || !world.lives_still(*who));
                (everybody || overdue).then(|| coverage(world, audience))
            }
        }
    }
}

/// How far a broadcast has come among those who live.
fn coverage(world: &World, audience: &BTreeMap<PeerIndex, Option<Reached>>) -> Asked {
    let live: Vec<_> = audience.iter().filter(|(who, _)| world.lives_still(**who)).map(|(_, reached)| reached).collect();
    let reached: Vec<_> = live.iter().copied().flatten().collect();
    let mut arrivals: Vec<_> = reached.iter().map(|reached| (reached.after, reached.hops)).collect();
    arrivals.sort_unstable();
    let verdict = match (live.len(), arrivals.len()) {
        (0, _) => Verdict::Void,
        (all, reached) if all == reached => Verdict::Right,
        (_, _) => Verdict::Wrong,
    };
    let took = arrivals.last().map(|(after, _)| *after);
    let doubled = reached.iter().filter(|reached| reached.times > 1).count();
    Asked { verdict, took, audience: live.len(), arrivals, doubled, ..Asked::open() }
}

fn payload(number: usize, plan: &Plan) -> Bytes {
    let mut payload = vec![0; plan.payload_bytes];
    payload[..NUMBER_BYTES].copy_from_slice(&(number as u64).to_be_bytes());
    payload.into()
}

fn number_in(payload: &[u8]) -> Option<usize> {
    let number = payload.first_chunk::<NUMBER_BYTES>()?;
    usize::try_from(u64::from_be_bytes(*number)).ok()
}

impl World {
    /// The members that live and are in a swarm, whichever.
    fn members_in(&self) -> Vec<PeerIndex> {
        self.live_members().into_iter().filter(|who| self.node(*who).is_some_and(Node::is_joined)).collect()
    }

    /// What everybody has sent, those who have gone too.
    fn cost_in_all(&self) -> Cost {
        let mut sum = Cost::default();
        for peer in &self.peers {
            sum += &peer.cost;
        }
        sum
    }
}

/// After so long nobody waits for an answer, a receipt, or the rest of a broadcast: the default of messages.
const DEADLINE: Duration = Duration::from_secs(10);

const TICK: Duration = Duration::from_millis(20); // how late an answer is looked at; when it came is known exactly
