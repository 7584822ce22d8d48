//! The world: virtual time, the peers in it, and what is still to happen to them.

use crate::{
    cost::Cost,
    network::{Network, Passing, Rules, Verdict},
    peer::{self, PeerIndex, PeerOptions, SimPeer},
    queue::Queue,
    trace::{Trace, TraceLevel},
    transport::{Arrival, Links},
};
use cicada_proto::{
    Body, Command, Config, Event, Input, Instant, Job, JobResult, Node, Operation, Outbox, StreamId, Transmit, config::Families,
    event::Delivery,
};
use cicada_wire::{Address, Datagram, Refusal, SignedRecord, UnixTime};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, Ipv4Addr, SocketAddr},
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
    /// How peers behave unless their own options say otherwise.
    pub config: Config,
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self { seed: 0, network: Network::default(), trace: TraceLevel::Off, config: Config::default() }
    }
}

/// What is to happen.
#[derive(Debug)]
pub(crate) enum Happening {
    /// Something arrives over a link.
    Arrival(Arrival),
    /// A datagram arrives.
    Datagram { from: PeerIndex, to: Address, datagram: Datagram },
    /// A peer is told of something by its own shell.
    Told { who: PeerIndex, start: u32, input: Box<Input> },
    /// A peer wanted to be woken.
    Wake { who: PeerIndex, start: u32 },
    /// A peer's shell tells it the wall time.
    Clock { who: PeerIndex, start: u32 },
}

type Check = Box<dyn FnMut(&World) -> Result<(), String>>;

/// Virtual time, peers, and the network between them.
pub struct World {
    pub(crate) now: Instant,
    pub(crate) seed: u64,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) queue: Queue<Happening>,
    pub(crate) peers: Vec<SimPeer>,
    pub(crate) by_address: BTreeMap<SocketAddr, PeerIndex>,
    pub(crate) links: Links,
    pub(crate) network: Network,
    pub(crate) rules: Rules,
    pub(crate) trace: Trace,
    pub(crate) outcomes: BTreeMap<Operation, (Instant, Event)>,
    pub(crate) operations: u64,
    config: Config,
    outbox: Outbox,
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
            queue: Queue::default(),
            peers: Vec::new(),
            by_address: BTreeMap::new(),
            links: Links::default(),
            network: config.network,
            rules: Rules::default(),
            trace: Trace::new(config.trace),
            outcomes: BTreeMap::new(),
            operations: 0,
            config: config.config,
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
        let mut config = options.config.clone().unwrap_or_else(|| self.config.clone());
        let sockets = [Some(socket), options.other].into_iter().flatten();
        config.families = sockets.clone().fold(Families::NONE, |families, socket| families.and(Families::of_ip(socket.ip())));
        let record = peer::record_of(&options, &name, socket, &config, self.clock());
        for socket in sockets {
            assert!(self.by_address.insert(socket, who).is_none(), "{socket} is taken");
        }
        self.trace.name(record.id(), &name);
        if let Some(address) = record.announced() {
            self.trace.name(address.id(), &name);
        }
        self.peers.push(SimPeer {
            name,
            socket,
            other: options.other,
            swarm: options.swarm,
            config,
            record,
            start: 0,
            node: None,
            wake: None,
            spins: 0,
            island: 0,
            stall: None,
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

    fn start(&mut self, who: PeerIndex) {
        let (clock, seed) = (self.clock(), self.seed);
        let peer = &mut self.peers[who.0];
        peer.start += 1;
        peer.wake = None;
        let start = peer.start;
        let node = Node::new(peer.me(seed), peer.config.clone(), peer.node_seed(seed), clock);
        peer.node = Some(node.expect("the test's configuration agrees with itself"));
        self.tell_trace(who, "starts");
        self.queue.push(self.now, Happening::Clock { who, start });
    }

    /// A peer vanishes without a word.
    pub fn crash(&mut self, who: PeerIndex) {
        if self.peers[who.0].node.take().is_some() {
            self.tell_trace(who, "crashes");
            self.abandon_links(who);
        }
    }

    /// A crashed or departed peer starts again at its address with its key: it remembers nothing, its record is newer and its
    /// boot number another.
    pub fn restart(&mut self, who: PeerIndex) {
        self.crash(who);
        let peer = &mut self.peers[who.0];
        peer.record = peer::renewed(&peer.record, &peer.name);
        peer.deliveries.clear();
        self.start(who);
    }

    /// From now on only peers of the same set hear each other; those named nowhere are a set of their own.
    pub fn partition(&mut self, islands: &[&[PeerIndex]]) {
        for peer in &mut self.peers {
            peer.island = 0;
        }
        for (number, island) in islands.iter().enumerate() {
            for who in *island {
                self.peers[who.0].island = number + 1;
            }
        }
        self.trace_world("partition");
        self.cut_links();
    }

    /// Everybody hears everybody again.
    pub fn heal(&mut self) {
        for peer in &mut self.peers {
            peer.island = 0;
        }
        self.trace_world("heal");
        self.cut_links();
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
            Happening::Datagram { from, to, datagram } => self.datagram_arrives(from, to, datagram),
            Happening::Told { who, start, input } if self.is_started(who, start) => self.give(who, *input),
            Happening::Wake { who, start } if self.is_started(who, start) => self.wake(who),
            Happening::Clock { who, start } if self.is_started(who, start) => {
                self.give(who, Input::Clock(self.clock()));
                self.queue.push(self.now + CLOCK_EVERY, Happening::Clock { who, start });
            }
            Happening::Told { .. } | Happening::Wake { .. } | Happening::Clock { .. } => {}
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

    /// How many things are still to happen.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.queue.len()
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

    /// Tells a peer something, now.
    pub(crate) fn give(&mut self, who: PeerIndex, input: Input) {
        if let Some(later) = self.next_turn(who) {
            let start = self.peers[who.0].start;
            return self.queue.push(later, Happening::Told { who, start, input: Box::new(input) });
        }
        let Some(node) = self.peers[who.0].node.as_mut() else { return };
        let mut out = std::mem::take(&mut self.outbox);
        node.handle(self.now, input, &mut out);
        self.drain(who, &mut out);
        self.outbox = out;
        self.arrange_wake(who);
    }

    /// When a peer's machine has time for it, if that is not now.
    fn next_turn(&self, who: PeerIndex) -> Option<Instant> {
        let span = u64::try_from(self.peers[who.0].stall?.as_micros()).ok()?;
        let turn = self.now.0.next_multiple_of(span);
        (turn > self.now.0).then_some(Instant(turn))
    }

    fn drain(&mut self, who: PeerIndex, out: &mut Outbox) {
        let mut streamed = VecDeque::new();
        loop {
            while let Some(transmit) = out.transmits.pop_front() {
                streamed.extend(self.transmit(who, transmit));
            }
            let reply = if let Some(stream) = streamed.pop_front() {
                Some(Input::Streamed { stream, complete: true })
            } else if let Some(event) = out.events.pop_front() {
                self.observe(who, event)
            } else if let Some((job, work)) = out.jobs.pop_front() {
                Some(Input::JobDone { job, result: self.work(who, work) })
            } else {
                return;
            };
            if let (Some(input), Some(node)) = (reply, self.peers[who.0].node.as_mut()) {
                node.handle(self.now, input, out);
            }
        }
    }

    fn work(&mut self, who: PeerIndex, job: Job) -> JobResult {
        match job {
            Job::Answer { challenge, record } => JobResult::Answered(peer::answer(challenge, record)),
            Job::VerifyAnswer(answer) => {
                let announced = answer.record.announced().and_then(|address| self.by_address.get(&address.socket()));
                let expected = announced.map(|peer| &self.peers[peer.0].record);
                JobResult::Verified(peer::answer_holds(&answer, expected))
            }
            Job::Renew(record) => {
                let renewed = peer::sign(self.name(who), record);
                self.peers[who.0].record = renewed.clone();
                JobResult::Renewed(renewed)
            }
            Job::Admit(_) => JobResult::Admitted(self.peers[who.0].admits),
        }
    }

    /// Returns what has left as a stream: here payloads travel in one piece, however long.
    fn transmit(&mut self, who: PeerIndex, transmit: Transmit) -> Option<StreamId> {
        match transmit {
            Transmit::Stream { stream, link, head, body, offset } => {
                if let Body::Whole(payload) = body {
                    self.send_frame(who, link, head.with_payload(payload.slice(offset..)));
                }
                return Some(stream);
            }
            Transmit::Abandon { .. } | Transmit::Collect { .. } | Transmit::Append { .. } | Transmit::Discard { .. } => {}
            Transmit::Frame { link, frame } => self.send_frame(who, link, frame),
            Transmit::Datagram { to, datagram } => self.send_datagram(who, to, datagram),
            Transmit::Dial { dial, to, expected } => self.dial(who, dial, to, expected),
            Transmit::Close { link, reason } => self.close(who, link, reason),
        }
        None
    }

    /// Takes note of what a peer tells; returns what its shell says to that.
    fn observe(&mut self, who: PeerIndex, event: Event) -> Option<Input> {
        if self.trace.wants(TraceLevel::Events) {
            let words = self.trace.words().event(&event);
            self.tell_trace(who, &words);
        }
        match event {
            Event::Delivered(delivery) => return self.deliver(who, delivery),
            Event::Refused { reason, .. } => *self.peers[who.0].refused.entry(reason).or_default() += 1,
            Event::Lagged { dropped } => self.peers[who.0].lagged += dropped,
            Event::Left { operation } => {
                self.close_all(who, Refusal::Closing);
                self.peers[who.0].node = None;
                self.outcomes.insert(operation, (self.now, event));
            }
            Event::Connected { operation, .. }
            | Event::ConnectFailed { operation, .. }
            | Event::Sent { operation, .. }
            | Event::SendFailed { operation, .. }
            | Event::BroadcastSent { operation, .. }
            | Event::BroadcastFailed { operation, .. }
            | Event::LookedUp { operation, .. } => {
                self.outcomes.insert(operation, (self.now, event));
            }
            Event::LinkUp { .. }
            | Event::LinkDown { .. }
            | Event::PeerJoined(_)
            | Event::PeerLeft { .. }
            | Event::NeighboursChanged { .. }
            | Event::Opaque { .. } => {}
        }
        None
    }

    fn deliver(&mut self, who: PeerIndex, delivery: Delivery) -> Option<Input> {
        let peer = &mut self.peers[who.0];
        peer.deliveries.push(delivery);
        peer.reads.then_some(Input::Command(Command::Consumed { deliveries: 1 }))
    }

    fn arrange_wake(&mut self, who: PeerIndex) {
        let peer = &mut self.peers[who.0];
        let Some((at, _)) = peer.node.as_ref().and_then(Node::next_timeout) else { return };
        let at = at.max(self.now);
        // A wake-up that comes too early arranges the right one when it is there.
        if peer.wake.is_none_or(|arranged| at < arranged) {
            peer.wake = Some(at);
            self.queue.push(at, Happening::Wake { who, start: peer.start });
        }
    }

    fn wake(&mut self, who: PeerIndex) {
        let peer = &mut self.peers[who.0];
        if peer.wake != Some(self.now) {
            return;
        }
        peer.wake = None;
        let Some((at, reason)) = peer.node.as_ref().and_then(Node::next_timeout) else { return };
        if at > self.now {
            return self.arrange_wake(who);
        }
        self.give(who, Input::Wake);
        let peer = &mut self.peers[who.0];
        peer.spins = if peer.wake == Some(self.now) { peer.spins + 1 } else { 0 };
        assert!(peer.spins < MAX_SPINS, "{} wakes for {reason:?} at {:?} again and again", peer.name, self.now);
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

const CLOCK_EVERY: Duration = Duration::from_secs(10);
const EPOCH_MS: u64 = 1_800_000_000_000; // January 2027: any time after the first release will do
const MAX_SPINS: u32 = 1000; // far more than anything that ends
