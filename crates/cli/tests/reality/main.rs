//! The simulator against reality: 64 peers with at most 16 links each send and broadcast in the simulated world, and over real sockets on
//! loopback. What follows from the protocol, and not from the speed of the machine, must agree: links travelled, frames sent, who is reached.

use bytes::Bytes;
use cicada::{BroadcastOptions, Limits, OverlayKind, Route, SendOptions, SwarmPeer};
use cicada_sim::{
    Kind, Latency, Network,
    experiment::{Experiment, Outcome, Plan, Workload},
};
use std::time::Duration;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

/// What was measured of one swarm.
#[derive(Debug, Default)]
struct Figures {
    /// Messages that a receipt came for, of all.
    receipts: f64,
    /// Links that such a message travelled, in the mean.
    hops: f64,
    /// Frames with messages, receipts and their acknowledgements that all peers sent for a message, relays included.
    frames: f64,
    /// Members that a broadcast reached, of all others.
    coverage: f64,
    /// Links that it travelled to a member.
    depth: f64,
    /// Frames with its copies, or acknowledgements of them, that were sent for each member.
    copies: f64,
}

#[test]
fn a_ring_of_64_measures_in_the_simulator_what_it_measures_on_loopback() {
    compare(OverlayKind::Ring);
}

#[test]
fn a_tree_of_64_measures_in_the_simulator_what_it_measures_on_loopback() {
    compare(OverlayKind::Tree);
}

fn compare(overlay: OverlayKind) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let (simulated, real) = (simulated(overlay, LINKS), runtime.block_on(real(overlay)));
    println!("{overlay}: simulated {simulated:.3?}\n{overlay}: real      {real:.3?}");
    let pairs = |a: &Figures, b: &Figures| {
        [
            ("receipts", a.receipts, b.receipts),
            ("hops", a.hops, b.hops),
            ("frames", a.frames, b.frames),
            ("coverage", a.coverage, b.coverage),
            ("depth", a.depth, b.depth),
            ("copies", a.copies, b.copies),
        ]
    };
    let differs = |(_, a, b): &(&str, f64, f64)| (a - b).abs() > TOLERANCE * b;
    let apart: Vec<_> = pairs(&simulated, &real).into_iter().filter(differs).collect();
    assert_eq!(apart, [], "simulated and real differ by more than {TOLERANCE}");
    // The control: of a swarm with other links the figures are others.
    let other = self::simulated(overlay, 8);
    assert!(pairs(&other, &real).iter().any(differs), "{other:?} could be mistaken for {real:?}");
}

// --- In the simulator

fn simulated(overlay: OverlayKind, links: usize) -> Figures {
    let plan = |workload, count| {
        let network = Network { latency: Latency::Fixed(Duration::from_micros(200)), ..Network::default() };
        let over = Duration::from_secs(4);
        Plan { peers: PEERS, overlay, network, links: Some(links), workload, count, over, ..Plan::default() }
    };
    let (messages, broadcasts) = (done(plan(Workload::Messages, MESSAGES)), done(plan(Workload::Broadcasts, BROADCASTS)));
    let sent = |outcome: &Outcome, kinds: [Kind; 2]| kinds.map(|kind| outcome.cost.of(kind).messages).iter().sum::<u64>() as f64;
    let (reached, audience) = broadcasts.reached();
    Figures {
        receipts: messages.right().0 as f64 / MESSAGES as f64,
        hops: messages.hops().mean().unwrap_or_default(),
        frames: sent(&messages, [Kind::Data, Kind::HopVerdict]) / MESSAGES as f64,
        coverage: reached as f64 / audience as f64,
        depth: broadcasts.hops().mean().unwrap_or_default(),
        copies: sent(&broadcasts, [Kind::Task, Kind::TaskVerdict]) / reached as f64,
    }
}

fn done(plan: Plan) -> Outcome {
    let mut experiment = Experiment::new(plan).expect("a possible plan");
    while experiment.step() {}
    let outcome = experiment.outcome();
    assert!(outcome.settled.as_ref().is_some_and(Result::is_ok), "{:?}", outcome.settled);
    outcome
}

// --- On loopback

async fn real(overlay: OverlayKind) -> Figures {
    let peers = swarm(overlay).await;
    let mut figures = Figures::default();
    let before = sent(&peers, &["unicast", "receipt", "hop_verdict"]).await;
    send_all(&peers, &mut figures).await;
    figures.frames = (sent(&peers, &["unicast", "receipt", "hop_verdict"]).await - before) / MESSAGES as f64;
    let before = sent(&peers, &["broadcast", "task_verdict"]).await;
    let reached = broadcast_all(&peers, &mut figures).await;
    figures.copies = (sent(&peers, &["broadcast", "task_verdict"]).await - before) / reached.max(1.0);
    let mut closing = JoinSet::new();
    peers.into_iter().for_each(|peer| drop(closing.spawn(async move { peer.close().await })));
    closing.join_all().await;
    figures
}

/// A swarm whose members find each other.
async fn swarm(overlay: OverlayKind) -> Vec<SwarmPeer> {
    let mut peers: Vec<SwarmPeer> = Vec::new();
    for index in 0..PEERS {
        let mut limits = Limits::default();
        limits.links = LINKS;
        let builder = SwarmPeer::builder().overlay(overlay).limits(limits).route(Route::Overlay);
        let peer = builder.bind(("127.0.0.1", 0)).await.expect("loopback has a free port");
        if index > 0 {
            peer.connect(&peers[index * 7 % index]).await.expect("a member");
        }
        peers.push(peer);
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut asking = JoinSet::new();
        for (index, peer) in peers.iter().enumerate() {
            let (peer, other) = (peer.clone(), peers[(index * 5 + 1) % PEERS].id());
            asking.spawn(async move { peer.lookup(other).await.is_ok_and(|found| found.exact.is_some_and(|found| found.id() == other)) });
        }
        if asking.join_all().await.into_iter().all(|right| right) {
            return peers;
        }
        assert!(Instant::now() < deadline, "the swarm has not settled");
    }
}

/// How many frames of these kinds all peers have sent, as their figures for operators tell.
async fn sent(peers: &[SwarmPeer], kinds: &[&str]) -> f64 {
    let mut sum = 0.0;
    for peer in peers {
        let text = peer.metrics().await.expect("open").text;
        let lines = text.lines().filter(|line| line.starts_with("cicada_messages_total{direction=\"sent\""));
        let wanted = lines.filter(|line| kinds.iter().any(|kind| line.contains(&format!("kind=\"{kind}\""))));
        sum += wanted.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>();
    }
    sum
}

/// Messages between random members, few at a time: nobody is to be in want of CPU.
async fn send_all(peers: &[SwarmPeer], figures: &mut Figures) {
    let mut chance = Chance(1);
    let (mut receipts, mut hops) = (0, Vec::new());
    for _ in 0..MESSAGES / AT_ONCE {
        let mut sending = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (from, to) = chance.pair();
            let (peer, to) = (peers[from].clone(), peers[to].id());
            sending.spawn(async move { peer.send_with(to, payload(), &SendOptions::default()).await });
        }
        for receipt in sending.join_all().await.into_iter().flatten() {
            receipts += 1;
            hops.extend(receipt.hops());
        }
    }
    figures.receipts = f64::from(receipts) / MESSAGES as f64;
    figures.hops = hops.iter().sum::<usize>() as f64 / hops.len().max(1) as f64;
    for peer in peers {
        while let Ok(Ok(_)) = timeout(Duration::ZERO, peer.recv()).await {}
    }
}

/// Broadcasts one after the other; returns how many arrivals there were.
async fn broadcast_all(peers: &[SwarmPeer], figures: &mut Figures) -> f64 {
    let mut chance = Chance(2);
    let (mut reached, mut depth) = (0_u32, 0.0);
    for _ in 0..BROADCASTS {
        let (origin, _) = chance.pair();
        peers[origin].broadcast(payload(), &BroadcastOptions::default()).await.expect("not too large");
        let mut receiving = JoinSet::new();
        for (_, peer) in peers.iter().enumerate().filter(|(index, _)| *index != origin) {
            let peer = peer.clone();
            receiving.spawn(async move { timeout(PATIENCE, peer.recv()).await.ok()?.ok() });
        }
        for message in receiving.join_all().await.into_iter().flatten() {
            reached += 1;
            depth += message.hops as f64;
        }
    }
    figures.coverage = f64::from(reached) / (BROADCASTS * (PEERS - 1)) as f64;
    figures.depth = depth / f64::from(reached);
    f64::from(reached)
}

/// As long as in the simulator.
fn payload() -> Bytes {
    vec![7; Plan::default().payload_bytes].into()
}

/// A sequence without pattern, the same in every run.
struct Chance(u64);

impl Chance {
    /// Two members.
    fn pair(&mut self) -> (usize, usize) {
        let from = self.below(PEERS);
        (from, (from + 1 + self.below(PEERS - 1)) % PEERS)
    }

    fn below(&mut self, bound: usize) -> usize {
        // Knuth's MMIX generator; its high bits are good enough here.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

const PEERS: usize = 64;
const LINKS: usize = 16;
const MESSAGES: usize = 600;
const BROADCASTS: usize = 12;
const AT_ONCE: usize = 4;

/// How far apart the two may be.
const TOLERANCE: f64 = 0.15;

/// How long a swarm may take for what it should do in 3 s, on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(30);
