//! The world: virtual time, the peers in it, and what is still to happen to them.

use crate::{
    adversary::Fabrications,
    churn::{Churn, Turnover},
    cost::Cost,
    links::Links,
    network::Network,
    passage::Access,
    peer::{self, PeerIndex, PeerOptions, SimPeer, Spot, Swarm},
    queue::{Queue, Ties, mix},
    rules::{Passing, Rules, Verdict},
    trace::{Trace, TraceLevel},
    transport::Arrival,
};
use cicada_proto::{Config, Event, Input, Instant, Node, Operation, Outbox, config::Families, event::Delivery, links::LinkId};
use cicada_wire::{Address, Datagram, Frame, Hash, SignedRecord, UnixTime};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// How a world is made.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// Everything follows from it.
    pub seed: u64,
    /// What is bad about the network, until [`World::set_network`] says otherwise.
    pub network: Network,
    /// How much is traced.
    pub trace: TraceLevel,
    /// In which order things happen that are due at the same time.
    pub ties: Ties,
    /// How peers behave unless their own options say otherwise.
    pub config: Config,
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self { seed: 0, network: Network::default(), trace: TraceLevel::Off, ties: Ties::default(), config: Config::default() }
    }
}

/// What is to happen.
#[derive(Debug)]
pub(crate) enum Happening {
    /// Something arrives over a link.
    Arrival(Arrival),
    /// A datagram arrives, at the receiver's access line if it `queues` there with this many bytes.
    Datagram { from: PeerIndex, to: Address, queues: Option<usize>, datagram: Datagram },
    /// A peer is told of something by its own shell.
    Told { who: PeerIndex, start: u32, input: Box<Input> },
    /// A peer's machine has time for what waited.
    Turn { who: PeerIndex, start: u32 },
    /// An adversary hands on what it has held back.
    Held { who: PeerIndex, start: u32, link: LinkId, frame: Box<Frame> },
    /// A peer that remembers members looks whether it should come back by them.
    Rejoin { who: PeerIndex, start: u32 },
    /// A peer comes or goes.
    Turnover(Turnover),
    /// A peer wanted to be woken.
    Wake { who: PeerIndex, start: u32 },
    /// A peer's shell tells it the wall time.
    Clock { who: PeerIndex, start: u32 },
}

/// A delivery, and when it came.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) at: Instant,
    pub(crate) who: PeerIndex,
    pub(crate) delivery: Delivery,
}

type Check = Box<dyn FnMut(&World) -> Result<(), String>>;

/// Virtual time, peers, and the network between them.
pub struct World {
    pub(crate) now: Instant,
    pub(crate) seed: u64,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) queue: Queue<Happening>,
    pub(crate) peers: Vec<SimPeer>,
    /// One for each of them.
    pub(crate) spots: Vec<Spot>,
    swarms: Vec<Swarm>,
    pub(crate) by_address: BTreeMap<SocketAddr, PeerIndex>,
    pub(crate) links: Links,
    pub(crate) network: Network,
    pub(crate) rules: Rules,
    pub(crate) trace: Trace,
    pub(crate) outcomes: BTreeMap<Operation, (Instant, Event)>,
    pub(crate) operations: u64,
    pub(crate) churn: Churn,
    /// What was delivered and not taken yet, if it is to be told with its time instead of kept by its peers.
    pub(crate) arrivals: Option<Vec<Arrived>>,
    pub(crate) fabrications: Fabrications,
    pub(crate) by_id: BTreeMap<Hash, PeerIndex>,
    config: Arc<Config>,
    pub(crate) outbox: Outbox,
    check: Option<Check>,
    happened: u64,
}

impl World {
    /// A world without peers.
    #[must_use]
    pub fn new(config: WorldConfig) -> Self {
        Self {
            now: Instant(0),
            seed: config.seed,
            rng: ChaCha8Rng::seed_from_u64(config.seed),
            queue: Queue::new(config.ties, config.seed),
            peers: Vec::new(),
            spots: Vec::new(),
            swarms: Vec::new(),
            by_address: BTreeMap::new(),
            links: Links::default(),
            network: config.network,
            rules: Rules::default(),
            trace: Trace::new(config.trace),
            outcomes: BTreeMap::new(),
            operations: 0,
            churn: Churn::default(),
            arrivals: None,
            fabrications: Fabrications::default(),
            by_id: BTreeMap::new(),
            config: Arc::new(config.config),
            outbox: Outbox::default(),
            check: None,
            happened: 0,
        }
    }

    /// Adds members as the world's configuration makes them.
    pub fn add_peers(&mut self, count: usize) -> Vec<PeerIndex> {
        (0..count).map(|_| self.add(PeerOptions::default())).collect()
    }

    /// Adds a member with this name.
    pub fn add_named(&mut self, name: &str) -> PeerIndex {
        self.add(PeerOptions::named(name))
    }

    /// Adds a peer and starts it.
    ///
    /// # Panics
    /// When the options contradict themselves, or the address is taken.
    pub fn add(&mut self, options: PeerOptions) -> PeerIndex {
        let who = PeerIndex(self.peers.len());
        let name = options.name.clone().unwrap_or_else(|| format!("p{}", who.0));
        let socket = options.socket.unwrap_or_else(|| private_address(who.0));
        let sockets = [Some(socket), options.other].into_iter().flatten();
        let families = sockets.clone().fold(Families::NONE, |families, socket| families.and(Families::of_ip(socket.ip())));
        let config = self.config_for(options.config.as_ref(), families);
        let record = peer::record_of(&options, &name, socket, &config, self.clock());
        for socket in sockets {
            assert!(self.by_address.insert(socket, who).is_none(), "{socket} is taken");
        }
        self.by_id.entry(record.id()).or_insert(who);
        self.trace.name(record.id(), &name);
        if let Some(address) = record.announced() {
            self.trace.name(address.id(), &name);
        }
        self.settle_at(who, socket, &options);
        self.peers.push(SimPeer {
            key_name: name.clone(),
            name,
            swarm: options.swarm,
            config,
            record,
            start: 0,
            node: None,
            wake: None,
            due: None,
            spins: 0,
            stall: None,
            paused: None,
            waiting: VecDeque::new(),
            links: Vec::new(),
            access: Access::default(),
            adversary: Vec::new(),
            remembered: None,
            reads: true,
            admits: true,
            deliveries: Vec::new(),
            lagged: 0,
            refused: BTreeMap::new(),
            cost: Cost::default(),
        });
        self.start(who);
        who
    }

    fn settle_at(&mut self, who: PeerIndex, socket: SocketAddr, options: &PeerOptions) {
        let swarm = self.swarms.iter().position(|swarm| *swarm == options.swarm).unwrap_or_else(|| {
            self.swarms.push(options.swarm.clone());
            self.swarms.len() - 1
        });
        self.spots.push(Spot { socket, other: options.other, place: mix(self.seed ^ mix(who.0 as u64)), island: 0, swarm });
    }

    /// Who has this socket. Most have the one that is made of their number, which costs no search among all.
    pub(crate) fn at_socket(&self, socket: SocketAddr) -> Option<PeerIndex> {
        let guess = numbered_at(socket).filter(|who| self.spots.get(who.0).is_some_and(|spot| spot.socket == socket));
        guess.or_else(|| self.by_address.get(&socket).copied())
    }

    /// Peers that are configured alike share what they are configured as.
    fn config_for(&mut self, own: Option<&Config>, families: Families) -> Arc<Config> {
        let config = own.unwrap_or(&self.config);
        if own.is_none() && config.families == families {
            return Arc::clone(&self.config);
        }
        let mut config = config.clone();
        config.families = families;
        let config = Arc::new(config);
        if own.is_none() {
            self.config = Arc::clone(&config);
        }
        config
    }

    pub(crate) fn start(&mut self, who: PeerIndex) {
        let (clock, seed) = (self.clock(), self.seed);
        let peer = &mut self.peers[who.0];
        peer.start += 1;
        (peer.wake, peer.due) = (None, None);
        let start = peer.start;
        let node = Node::new(peer.me(seed), Arc::clone(&peer.config), peer.node_seed(seed), clock);
        peer.node = Some(node.expect("the test's configuration agrees with itself"));
        self.tell_trace(who, "starts");
        self.queue.push(self.now, who.class(), Happening::Clock { who, start });
    }

    /// Changes what is bad about the network.
    pub fn set_network(&mut self, network: Network) {
        self.network = network;
    }

    /// Adds a rule, asked for each packet when it is sent.
    pub fn add_rule(&mut self, rule: impl FnMut(&Passing<'_>) -> Verdict + 'static) {
        self.rules.add(Box::new(rule));
    }

    /// Drops all rules.
    pub fn clear_rules(&mut self) {
        self.rules.clear();
    }

    /// Checks this after everything that happens; a failure ends the run with a panic that shows the trace's end.
    pub fn check_always(&mut self, check: impl FnMut(&Self) -> Result<(), String> + 'static) {
        self.check = Some(Box::new(check));
    }

    /// Whether a peer's application takes deliveries at once (it does unless told otherwise).
    pub fn set_reads(&mut self, who: PeerIndex, reads: bool) {
        self.peers[who.0].reads = reads;
    }

    /// From now on a peer's machine has time for it only once in each `span`; what comes meanwhile waits, wake-ups too. Zero: always.
    pub fn set_stalls(&mut self, who: PeerIndex, span: Duration) {
        self.peers[who.0].stall = Some(span).filter(|span| !span.is_zero());
    }

    /// What a peer's application says when asked to admit somebody.
    pub fn set_admits(&mut self, who: PeerIndex, admits: bool) {
        self.peers[who.0].admits = admits;
    }

    /// Lets the next thing happen; `false` when there is nothing.
    pub fn step(&mut self) -> bool {
        let Some((at, happening)) = self.queue.pop() else { return false };
        debug_assert!(at >= self.now, "time does not run backwards");
        self.now = at;
        self.happened += 1;
        match happening {
            Happening::Arrival(arrival) => self.arrive(arrival),
            Happening::Datagram { from, to, queues, datagram } => self.datagram_arrives(from, to, queues, datagram),
            Happening::Turnover(turnover) => self.turn_over(turnover),
            Happening::Told { who, start, input } if self.is_started(who, start) => self.give(who, *input),
            Happening::Turn { who, start } if self.is_started(who, start) => self.take_turn(who),
            Happening::Held { who, start, link, frame } if self.is_started(who, start) => self.send_frame(who, link, *frame),
            Happening::Rejoin { who, start } if self.is_started(who, start) => self.rejoin(who),
            Happening::Wake { who, start } if self.is_started(who, start) => self.wake(who),
            Happening::Clock { who, start } if self.is_started(who, start) => {
                if !self.is_paused(who) {
                    self.give(who, Input::Clock(self.clock()));
                }
                self.queue.push(self.now + CLOCK_EVERY, who.class(), Happening::Clock { who, start });
            }
            Happening::Told { .. }
            | Happening::Turn { .. }
            | Happening::Held { .. }
            | Happening::Rejoin { .. }
            | Happening::Wake { .. }
            | Happening::Clock { .. } => {}
        }
        self.run_check();
        true
    }

    fn run_check(&mut self) {
        let Some(mut check) = self.check.take() else { return };
        if let Err(wrong) = check(self) {
            let lines: Vec<_> = self.trace.text().lines().collect();
            let end = lines[lines.len().saturating_sub(40)..].join("\n");
            panic!("at {:?} with seed {}: {wrong}\n{end}", self.now, self.seed);
        }
        self.check = Some(check);
    }

    /// Lets everything happen that happens within `span`.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.queue.due().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = end;
    }

    /// Runs until `condition` holds, at most for `span`; says whether it holds. The condition is asked after each step.
    pub fn run_until(&mut self, span: Duration, mut condition: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + span;
        loop {
            if condition(self) {
                return true;
            }
            if self.queue.due().is_none_or(|at| at > end) {
                self.now = end;
                return condition(self);
            }
            self.step();
        }
    }

    /// Runs until `condition` holds, asked only every `pause`, for conditions that cost much; says after how long it held.
    pub fn run_until_every(&mut self, pause: Duration, span: Duration, mut condition: impl FnMut(&mut Self) -> bool) -> Option<Duration> {
        let start = self.now;
        loop {
            if condition(self) {
                return Some(self.now.since(start));
            }
            if self.now >= start + span {
                return None;
            }
            self.run_for(pause);
        }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The wall time that peers are told.
    #[must_use]
    pub fn clock(&self) -> UnixTime {
        UnixTime(EPOCH_MS + self.now.0 / 1000)
    }

    /// How many things have happened: a measure of the work, not of time.
    #[must_use]
    pub fn happened(&self) -> u64 {
        self.happened
    }

    /// How many peers were added, alive or not: their numbers are below this.
    #[must_use]
    pub fn count(&self) -> usize {
        self.peers.len()
    }

    /// How many things are still to happen.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    /// How many links stand, are being made, or have something under way.
    #[must_use]
    pub fn link_count(&self) -> usize {
        self.links.len()
    }

    /// The trace.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The trace, to be taken or turned down.
    pub fn trace_mut(&mut self) -> &mut Trace {
        &mut self.trace
    }

    pub(crate) fn is_started(&self, who: PeerIndex, start: u32) -> bool {
        let peer = &self.peers[who.0];
        peer.node.is_some() && peer.start == start
    }

    pub(crate) fn tell_trace(&mut self, who: PeerIndex, what: &str) {
        if self.trace.wants(TraceLevel::Events) {
            let line = format!("{}: {what}", self.peers[who.0].name);
            self.trace.line(self.now, &line);
        }
    }

    pub(crate) fn trace_passing(&mut self, from: PeerIndex, to: PeerIndex, how: &str, what: &str) {
        let line = format!("{} {how} {}: {what}", self.peers[from.0].name, self.peers[to.0].name);
        self.trace.line(self.now, &line);
    }

    pub(crate) fn trace_world(&mut self, what: &str) {
        if self.trace.wants(TraceLevel::Events) {
            let line = format!("-- {what}");
            self.trace.line(self.now, &line);
        }
    }

    /// A peer's name.
    #[must_use]
    pub fn name(&self, who: PeerIndex) -> &str {
        &self.peers[who.0].name
    }

    /// A peer's record.
    #[must_use]
    pub fn record(&self, who: PeerIndex) -> &SignedRecord {
        &self.peers[who.0].record
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "world of {} peers at {:?}, seed {}", self.peers.len(), self.now, self.seed)
    }
}

/// One address for each number, all in 10.0.0.0/8.
fn private_address(number: usize) -> SocketAddr {
    let [_, x, y, z] = u32::try_from(number + 1).expect("a world has fewer than 2^24 peers").to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, x, y, z)), 7000)
}

/// The number that [`private_address`] has made an address of, if it has.
fn numbered_at(socket: SocketAddr) -> Option<PeerIndex> {
    match socket.ip() {
        IpAddr::V4(ip) => {
            let [_, x, y, z] = ip.octets();
            usize::try_from(u32::from_be_bytes([0, x, y, z])).ok()?.checked_sub(1).map(PeerIndex)
        }
        IpAddr::V6(_) => None,
    }
}

const CLOCK_EVERY: Duration = Duration::from_secs(10);
const EPOCH_MS: u64 = 1_800_000_000_000; // January 2027: any time after the first release will do
