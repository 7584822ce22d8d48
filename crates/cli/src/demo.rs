//! `cicada demo`: a whole swarm in one process, over real sockets, and a table of what was promised
//! and what was kept. It measures, and claims nothing that it did not see.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cicada::{BroadcastOptions, Limits, Route, SwarmPeer};
use tokio::task::JoinSet;

use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::peer::kind;
use crate::settings::flags::Demo;
use ledger::Ledger;
use report::Report;

mod ledger;
mod report;

/// Runs the demo; success is that every promise was kept.
pub(crate) async fn perform(demo: &Demo, as_json: bool) -> Result<(), Failure> {
    let mut interrupt = Interrupt::new()?;
    let mut report = Report::new(as_json);
    report.title(&format!("{} peers on loopback, overlay {:?}, seed {}", demo.peers, demo.overlay, demo.seed).to_lowercase())?;
    tokio::select! {
        played = play(demo, &mut report) => played?,
        () = interrupt.asked() => return Err(Failure::interrupted()),
    }
    report.end()
}

async fn play(demo: &Demo, report: &mut Report) -> Result<(), Failure> {
    let mut chance = Chance(demo.seed);
    let peers = start(demo, report).await?;
    join(&peers, &mut chance, report).await?;
    settle(&peers, &mut chance, report).await?;
    let ledger = Ledger::listen(&peers);
    exchange(&peers, demo.pairs, &ledger, &mut chance, report).await?;
    broadcast(&peers, &ledger, &mut chance, report).await?;
    count_links(&peers, report).await?;
    leave(peers, report).await?;
    let strays = ledger.strays();
    report.row("texts at a wrong peer, or twice", 0, strays, strays == 0, Duration::ZERO, "")
}

async fn start(demo: &Demo, report: &mut Report) -> Result<Vec<SwarmPeer>, Failure> {
    let begun = Instant::now();
    let mut peers = Vec::new();
    for _ in 0..demo.peers {
        let mut limits = Limits::default();
        limits.links = LINKS;
        let builder = SwarmPeer::builder().overlay(kind(demo.overlay)).limits(limits).route(Route::Overlay);
        let bound = builder.bind((LOOPBACK, 0)).await;
        peers.push(bound.map_err(|error| Failure::failed(format!("cannot bind on loopback: {error}")))?);
    }
    let asked = usize::from(demo.peers);
    report.row("start", asked, peers.len(), true, begun.elapsed(), "ports chosen by the system")?;
    Ok(peers)
}

/// Each peer joins by one that is in already, chosen by chance.
async fn join(peers: &[SwarmPeer], chance: &mut Chance, report: &mut Report) -> Result<(), Failure> {
    let begun = Instant::now();
    let asked = peers.len() - 1;
    let progress = report.progress("join", asked);
    let mut joined = 0;
    let mut trouble = String::new();
    for (index, peer) in peers.iter().enumerate().skip(1) {
        let entry = &peers[chance.below(index)];
        match peer.connect(entry.listener()).await {
            Ok(_) => joined += 1,
            Err(error) => trouble = error.to_string(),
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    report.row("join by a random member", asked, joined, joined == asked, begun.elapsed(), &trouble)
}

/// A swarm is settled when lookups are right: here, of members' ids from everywhere.
async fn settle(peers: &[SwarmPeer], chance: &mut Chance, report: &mut Report) -> Result<(), Failure> {
    let begun = Instant::now();
    let asked = LOOKUPS.min(peers.len() * (peers.len() - 1));
    let progress = report.progress("look up", asked);
    let mut wrong: Vec<(usize, usize)> = (0..asked).map(|_| chance.pair(peers.len())).collect();
    while !wrong.is_empty() && begun.elapsed() < PATIENCE {
        let mut still_wrong = Vec::new();
        for (from, to) in wrong {
            let found = peers[from].lookup(peers[to].id()).await;
            if found.is_ok_and(|found| found.exact.is_some_and(|peer| peer.id() == peers[to].id())) {
                progress.inc(1);
            } else {
                still_wrong.push((from, to));
            }
        }
        wrong = still_wrong;
        tokio::time::sleep(PAUSE).await;
    }
    progress.finish_and_clear();
    let right = asked - wrong.len();
    report.row("look up members", asked, right, right == asked, begun.elapsed(), "until every answer was right")
}

/// One message there and one back between peers chosen by chance, over the overlay's links only.
async fn exchange(peers: &[SwarmPeer], pairs: u32, ledger: &Arc<Ledger>, chance: &mut Chance, report: &mut Report) -> Result<(), Failure> {
    let begun = Instant::now();
    let asked = pairs as usize;
    let progress = report.progress("exchange", asked);
    let mut under_way = JoinSet::new();
    let mut ended = Vec::new();
    for number in 0..asked {
        let (from, to) = chance.pair(peers.len());
        if under_way.len() == AT_ONCE {
            ended.extend(under_way.join_next().await);
            progress.inc(1);
        }
        let (from, to, ledger) = ((from, peers[from].clone()), (to, peers[to].clone()), ledger.clone());
        under_way.spawn(async move { there_and_back(number, from, to, &ledger).await });
    }
    while let Some(one) = under_way.join_next().await {
        ended.push(one);
        progress.inc(1);
    }
    progress.finish_and_clear();
    let done: Vec<[usize; 2]> = ended.into_iter().filter_map(|one| one.ok().flatten()).collect();
    let hops = done.as_flattened();
    let mean = hops.iter().sum::<usize>() as f64 / hops.len().max(1) as f64;
    let most = hops.iter().max().copied().unwrap_or(0);
    let detail = format!("{mean:.2} hops on average, {most} at most");
    report.row("message and answer, random pairs", asked, done.len(), done.len() == asked, begun.elapsed(), &detail)
}

/// The hops of both ways, if both texts arrived and both receipts came back.
async fn there_and_back(number: usize, from: (usize, SwarmPeer), to: (usize, SwarmPeer), ledger: &Ledger) -> Option<[usize; 2]> {
    let there = one_way(format!("question {number}"), &from.1, &to, ledger).await?;
    let back = one_way(format!("answer {number}"), &to.1, &from, ledger).await?;
    Some([there, back])
}

async fn one_way(text: String, from: &SwarmPeer, to: &(usize, SwarmPeer), ledger: &Ledger) -> Option<usize> {
    let data = Bytes::from(text);
    ledger.expect(data.clone(), [to.0]);
    let receipt = from.send(to.1.id(), data.clone()).await.ok()?;
    ledger.arrived(&data, PATIENCE).await.then_some(())?;
    receipt.hops().filter(|_| receipt.acked)
}

async fn broadcast(peers: &[SwarmPeer], ledger: &Ledger, chance: &mut Chance, report: &mut Report) -> Result<(), Failure> {
    let begun = Instant::now();
    let origin = chance.below(peers.len());
    let data = Bytes::from(vec![b'*'; BROADCAST_BYTES]);
    ledger.expect(data.clone(), (0..peers.len()).filter(|peer| *peer != origin));
    let sent = peers[origin].broadcast(data.clone(), &BroadcastOptions::default()).await;
    let complete = sent.is_ok() && ledger.arrived(&data, PATIENCE).await;
    let asked = peers.len() - 1;
    report.row("broadcast of 1 KiB", asked, ledger.count(&data), complete, begun.elapsed(), "peers that have it")
}

/// The links that the tables tell of; those of the busiest peer count.
async fn count_links(peers: &[SwarmPeer], report: &mut Report) -> Result<(), Failure> {
    let mut most = 0;
    for peer in peers {
        let table = peer.table().await.map_err(|error| Failure::failed(error.to_string()))?;
        // A small ring lists a peer as successor and predecessor at once.
        let linked: BTreeSet<_> = table.entries.iter().filter(|entry| entry.linked).map(|entry| entry.record.id()).collect();
        most = most.max(linked.len());
    }
    report.row("links of a peer, at most", LINKS, most, (1..=LINKS).contains(&most), Duration::ZERO, "")
}

/// Everybody leaves at once; a peer has left when its port can be bound again.
async fn leave(peers: Vec<SwarmPeer>, report: &mut Report) -> Result<(), Failure> {
    let begun = Instant::now();
    let asked = peers.len();
    let ports: Vec<SocketAddr> = peers.iter().map(SwarmPeer::listener).collect();
    let mut leaving: JoinSet<()> = peers.into_iter().map(|peer| async move { peer.close().await }).collect();
    while leaving.join_next().await.is_some() {}
    let free = ports.iter().filter(|port| UdpSocket::bind(port).is_ok()).count();
    report.row("leave, and give the port back", asked, free, free == asked, begun.elapsed(), "")
}

/// Small, seeded choices: SplitMix64 (Steele, Lea, Flood, 2014). Nothing here is secret.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Two different numbers below `bound`.
    fn pair(&mut self, bound: usize) -> (usize, usize) {
        let first = self.below(bound);
        let second = (first + 1 + self.below(bound - 1)) % bound;
        (first, second)
    }
}

const LOOPBACK: &str = "127.0.0.1";

/// Links a peer may hold, both directions counted: what is enough at N = 64.
const LINKS: usize = 16;

/// Exchanges under way at once. Guess: busy, and far from every queue's limit.
const AT_ONCE: usize = 16;

/// Lookups that say whether the swarm is settled. Guess: every member is asked for many times.
const LOOKUPS: usize = 500;

const BROADCAST_BYTES: usize = 1024;

/// How long a promise may take to come true before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two rounds of lookups.
const PAUSE: Duration = Duration::from_millis(50);
