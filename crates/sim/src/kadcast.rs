//! A small world of Kadcast peers: virtual time, latency, lost datagrams, lines of a certain speed.
//!
//! It moves datagrams between machines of [`cicada_proto::kadcast`], one by one, and does their jobs at once. Everything follows from its
//! seed. It has no NATs, no faults but those it is told of, and no adversaries but who sends datagrams by [`World::inject`].

use crate::queue::{Queue, Ties};
use bytes::Bytes;
use cicada_proto::{
    Instant,
    kadcast::{Event, Identity, Input, Job, Machine, Outbox, Settings, SettingsError, Transmit},
};
use cicada_wire::kadcast::RayId;
use rand::{Rng, RngExt};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

/// The network between the peers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Network {
    /// How long a datagram travels at least.
    pub latency: Duration,
    /// How much longer at most, drawn for each.
    pub jitter: Duration,
    /// How many of a million are lost, each for itself.
    pub lost_per_million: u32,
    /// How many bytes a peer sends in a second; what it hands out at once leaves one after the other.
    pub bytes_per_s: u64,
}

impl Default for Network {
    /// 5 to 10 ms, 100 MB/s, nothing is lost.
    fn default() -> Self {
        let latency = Duration::from_millis(5);
        Self { latency, jitter: latency, lost_per_million: 0, bytes_per_s: 100_000_000 }
    }
}

/// A world of Kadcast peers.
#[derive(Debug)]
pub struct World {
    now: Instant,
    network: Network,
    rng: ChaCha8Rng,
    peers: Vec<Peer>,
    places: BTreeMap<SocketAddr, usize>,
    queue: Queue<Happening>,
    outside: Vec<(Instant, SocketAddr, Bytes)>,
    /// Datagrams that were sent, lost ones included.
    pub datagrams: u64,
    /// Bytes of them, with those of the headers of UDP and IPv4.
    pub bytes: u64,
}

#[derive(Debug)]
struct Peer {
    machine: Machine,
    bootstrap: Vec<SocketAddr>,
    /// Silent and deaf.
    down: bool,
    line_free_at: Instant,
    wakes: BTreeSet<Instant>,
    events: Vec<(Instant, Event)>,
}

#[derive(Debug)]
enum Happening {
    Arrival { to: usize, from: SocketAddr, bytes: Bytes },
    Wake { who: usize },
}

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(seed: u64, network: Network) -> Self {
        Self {
            now: Instant(0),
            network,
            rng: ChaCha8Rng::seed_from_u64(seed),
            peers: Vec::new(),
            places: BTreeMap::new(),
            queue: Queue::new(Ties::Random, seed),
            outside: Vec::new(),
            datagrams: 0,
            bytes: 0,
        }
    }

    /// Adds a peer and starts it; says its number.
    ///
    /// # Errors
    /// When its settings cannot be.
    pub fn add(&mut self, address: SocketAddr, settings: Settings, bootstrap: &[SocketAddr]) -> Result<usize, SettingsError> {
        let me = Identity::mine_bits(address, cicada_wire::kadcast::REQUIRED_BITS).expect("one of 256 nonces will do");
        let machine = Machine::new(settings, me, self.rng.next_u64())?;
        let who = self.peers.len();
        let (wakes, events) = (BTreeSet::new(), Vec::new());
        self.peers.push(Peer { machine, bootstrap: bootstrap.to_vec(), down: false, line_free_at: self.now, wakes, events });
        self.places.insert(address, who);
        self.give(who, Input::Wake);
        Ok(who)
    }

    /// What time it is.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Changes the network from now on.
    pub fn set_network(&mut self, network: Network) {
        self.network = network;
    }

    /// Makes a peer silent and deaf, or lets it go on.
    pub fn set_down(&mut self, who: usize, down: bool) {
        self.peers[who].down = down;
    }

    /// A peer's machine.
    #[must_use]
    pub fn machine(&self, who: usize) -> &Machine {
        &self.peers[who].machine
    }

    /// What a peer has told so far, with the times.
    #[must_use]
    pub fn events(&self, who: usize) -> &[(Instant, Event)] {
        &self.peers[who].events
    }

    /// Gives a peer an input, at once.
    pub fn give(&mut self, who: usize, input: Input) {
        let mut out = Outbox::default();
        self.peers[who].machine.handle(self.now, input, &mut out);
        while let Some((job, work)) = out.jobs.pop_front() {
            let answer = match work {
                Job::Resolve => Input::Resolved { bootstrap: self.peers[who].bootstrap.clone() },
                Job::Code(task) => Input::Coded { job, outcome: task.run() },
                // Another kind of work is none that this world knows.
                _ => continue,
            };
            self.peers[who].machine.handle(self.now, answer, &mut out);
        }
        let now = self.now;
        self.peers[who].events.extend(out.events.drain(..).map(|event| (now, event)));
        let from = self.peers[who].machine.identity().address();
        for transmit in out.transmits.drain(..) {
            match transmit {
                Transmit::Datagram { to, bytes } => self.send(who, from, to, bytes),
                Transmit::Run(run) => {
                    let mut bytes = Vec::new();
                    run.write(0..run.symbols.len(), &mut bytes);
                    let all = Bytes::from(bytes);
                    let length = run.datagram_bytes();
                    (0..run.symbols.len()).for_each(|at| self.send(who, from, run.to, all.slice(at * length..(at + 1) * length)));
                }
                // Nor another way to send.
                _ => {}
            }
        }
        self.arrange_wake(who);
    }

    fn arrange_wake(&mut self, who: usize) {
        let peer = &mut self.peers[who];
        if let Some((at, _)) = peer.machine.next_timeout() {
            let at = at.max(self.now);
            if peer.wakes.first().is_none_or(|first| at < *first) && peer.wakes.insert(at) {
                self.queue.push(at, who as u64, Happening::Wake { who });
            }
        }
    }

    fn send(&mut self, who: usize, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        if self.peers[who].down {
            return;
        }
        let on_wire = bytes.len() as u64 + HEADER_BYTES;
        self.datagrams += 1;
        self.bytes += on_wire;
        let line = &mut self.peers[who].line_free_at;
        *line = (*line).max(self.now) + Duration::from_nanos(on_wire * 1_000_000_000 / self.network.bytes_per_s.max(1));
        let leaves = *line;
        self.travel(leaves, from, to, bytes);
    }

    fn travel(&mut self, leaves: Instant, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        if self.rng.next_u32() % 1_000_000 < self.network.lost_per_million {
            return;
        }
        let jitter = u64::try_from(self.network.jitter.as_micros()).unwrap_or(u64::MAX);
        let arrives = leaves + self.network.latency + Duration::from_micros(self.rng.random_range(0..=jitter));
        match self.places.get(&to) {
            Some(to) => self.queue.push(arrives, *to as u64, Happening::Arrival { to: *to, from, bytes }),
            None => self.outside.push((arrives, to, bytes)),
        }
    }

    /// Sends a datagram from anywhere, even from where somebody else is.
    pub fn inject(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        self.travel(self.now, from, to, bytes);
    }

    /// What was sent to addresses where no peer is, and when it got there.
    #[must_use]
    pub fn outside(&self) -> &[(Instant, SocketAddr, Bytes)] {
        &self.outside
    }

    /// Lets time pass.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.queue.due().is_some_and(|due| due <= end) {
            let Some((at, what)) = self.queue.pop() else { break };
            self.now = at;
            match what {
                Happening::Arrival { to, .. } if self.peers[to].down => {}
                Happening::Arrival { to, from, bytes } => {
                    let stride = bytes.len();
                    self.give(to, Input::Datagrams { from, bytes, stride });
                }
                Happening::Wake { who } => {
                    self.peers[who].wakes.remove(&at);
                    // Who is down has no timers either; they are due when it goes on.
                    if self.peers[who].down {
                        self.queue.push(at + ASLEEP, who as u64, Happening::Wake { who });
                        self.peers[who].wakes.insert(at + ASLEEP);
                    } else {
                        self.give(who, Input::Wake);
                    }
                }
            }
        }
        self.now = end;
    }

    /// Hands a payload to everybody; says its name.
    pub fn broadcast(&mut self, who: usize, payload: Bytes) -> RayId {
        let ray = RayId::of(&payload);
        self.give(who, Input::Broadcast { operation: 0, payload, height: None });
        ray
    }

    /// How often a message was told to each peer.
    #[must_use]
    pub fn deliveries(&self, ray: RayId) -> Vec<usize> {
        let told = |event: &&(Instant, Event)| matches!(&event.1, Event::Message { ray: other, .. } if *other == ray);
        self.peers.iter().map(|peer| peer.events.iter().filter(told).count()).collect()
    }
}

/// UDP and IPv4.
const HEADER_BYTES: u64 = 28;

/// How long a peer that is down goes without looking whether it still is.
const ASLEEP: Duration = Duration::from_millis(100);
