//! `cicada demo`: a whole swarm in one process, over real sockets, and a table of what was promised
//! and what was kept. It measures, and claims nothing that it did not see.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use cicada::{Limits, Route, SwarmPeer};
use tokio::task::JoinSet;

use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::peer::kind;
use crate::settings::flags::Demo;
use ledger::Ledger;
use loss::Doomed;
use report::Report;

mod ledger;
mod loss;
mod report;
mod traffic;

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
    let doomed = Doomed::new()?;
    let mut peers = start(demo, &doomed, report).await?;
    join(&peers, &mut chance, report).await?;
    settle(&peers, &mut chance, report).await?;
    let ledger = Ledger::listen(&peers);
    traffic::exchange(&peers, demo.pairs, &ledger, &mut chance, report).await?;
    traffic::broadcast(&peers, "1 KiB", 1024, &ledger, &mut chance, report).await?;
    traffic::broadcast(&peers, "1 MiB", 1024 * 1024, &ledger, &mut chance, report).await?;
    traffic::count_links(&peers, report).await?;
    peers.truncate(survivors(demo));
    loss::kill(doomed, &peers, usize::from(demo.peers), &ledger, &mut chance, report).await?;
    leave(peers, report).await?;
    let strays = ledger.strays();
    report.row("texts at a wrong peer, or twice", 0, strays, strays == 0, Duration::ZERO, "")
}

/// A quarter of the peers is killed later.
fn survivors(demo: &Demo) -> usize {
    usize::from(demo.peers) - usize::from(demo.peers) / 4
}

async fn start(demo: &Demo, doomed: &Doomed, report: &mut Report) -> Result<Vec<SwarmPeer>, Failure> {
    let begun = Instant::now();
    let mut peers = Vec::new();
    for number in 0..usize::from(demo.peers) {
        let mut limits = Limits::default();
        limits.links = LINKS;
        // Another demo beside this one may get the port of a peer that was killed here.
        let name = format!("demo {}", std::process::id());
        let builder = SwarmPeer::builder().swarm(name).overlay(kind(demo.overlay)).limits(limits).route(Route::Overlay);
        let bound = if number < survivors(demo) { builder.bind((LOOPBACK, 0)).await } else { doomed.bind(builder).await? };
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

/// Everybody leaves at once; a peer has left when its port can be bound again.
async fn leave(peers: Vec<SwarmPeer>, report: &mut Report) -> Result<(), Failure> {
    let begun = Instant::now();
    let asked = peers.len();
    let leave = |peer: SwarmPeer| async move {
        let port = peer.listener();
        peer.close().await;
        // At once: a moment later the port may be somebody else's.
        UdpSocket::bind(port).is_ok()
    };
    let leaving: JoinSet<bool> = peers.into_iter().map(leave).collect();
    let free = leaving.join_all().await.into_iter().filter(|free| *free).count();
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

/// Lookups that say whether the swarm is settled. Guess: every member is asked for many times.
const LOOKUPS: usize = 500;

/// How long a promise may take to come true before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two rounds of lookups.
const PAUSE: Duration = Duration::from_millis(50);
