//! What a swarm of 64 promises in time and hops, at most 16 links a peer and every message over the overlay:
//! right answers after the last join, hops between random pairs, all pairs in reach after a quarter was killed, and broadcasts
//! that reach everybody although a fifth of the peers take their shares over and drop them.

#[path = "measure/report.rs"]
#[expect(dead_code, reason = "shared with the other benches, which need more of it")]
mod report;
#[path = "measure/swarm.rs"]
#[expect(dead_code, reason = "shared with the other benches, which need more of it")]
mod swarm;

use cicada::{BroadcastOptions, Faults, Hash, Limits, OverlayKind, RemoteNode, Route, SwarmPeer};
use cicada_proto::Geometry;
use report::{Promise, Report, median};
use std::{
    collections::BTreeSet,
    error::Error,
    time::{Duration, Instant},
};
use swarm::{Plan, Random, Swarm, payload};
use tokio::{runtime::Runtime, task::JoinSet, time};

const SIZE: usize = 64;
const LINKS: usize = 16;
const PAIRS: usize = 500;
const VICTIMS: usize = 16;

/// How many broadcasts are made among peers of which a fifth drop their shares.
const BROADCASTS: usize = 10;

/// What is waited for at most, ten times what is promised.
const PATIENCE: Duration = Duration::from_secs(50);

const REPORT: Report = Report { bench: "swarm" };

fn main() -> Result<(), Box<dyn Error>> {
    let living = Runtime::new()?;
    for (overlay, most_hops) in [(OverlayKind::Ring, 2.8), (OverlayKind::Tree, 2.4)] {
        // Victims live in a runtime of their own, which takes them along without a last packet when it ends.
        living.block_on(measure(overlay, most_hops, Runtime::new()?))?;
    }
    for overlay in [OverlayKind::Ring, OverlayKind::Tree] {
        living.block_on(with_a_fifth_that_drop(overlay))?;
    }
    Ok(())
}

async fn measure(overlay: OverlayKind, most_hops: f64, doomed: Runtime) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let mut peers: Vec<SwarmPeer> = Vec::new();
    for index in 0..SIZE {
        let entry = (index > 0).then(|| peers[index * 7 % index].listener());
        peers.push(if index < SIZE - VICTIMS {
            join(overlay, entry).await.map_err(|error| error.to_string())?
        } else {
            doomed.spawn(async move { join(overlay, entry).await.map_err(|error| error.to_string()) }).await??
        });
    }
    REPORT.figure(&format!("{overlay}: 64 joins, one after the other"), begun.elapsed().as_secs_f64(), "s", Promise::Nothing);
    let settled = until_right(&peers, overlay).await?;
    REPORT.figure(&format!("{overlay}: all lookups right after the last join"), settled.as_secs_f64(), "s", Promise::AtMost(3.0));
    REPORT.figure(&format!("{overlay}: mean hops of random pairs"), mean_hops(&peers).await?, "hops", Promise::AtMost(most_hops));
    peers.truncate(SIZE - VICTIMS);
    doomed.shutdown_background();
    let healed = until_all_reach_each_other(&peers).await?;
    let name = format!("{overlay}: all pairs reach each other after {VICTIMS} of {SIZE} were killed");
    REPORT.figure(&name, healed.as_secs_f64(), "s", Promise::AtMost(5.0));
    let mut closing = JoinSet::new();
    for peer in peers {
        closing.spawn(async move { peer.close().await });
    }
    closing.join_all().await;
    Ok(())
}

async fn join(overlay: OverlayKind, entry: Option<std::net::SocketAddr>) -> Result<SwarmPeer, Box<dyn Error + Send + Sync>> {
    let mut limits = Limits::default();
    limits.links = LINKS;
    let peer = SwarmPeer::builder().overlay(overlay).limits(limits).route(Route::Overlay).bind(("127.0.0.1", 0)).await?;
    if let Some(entry) = entry {
        peer.connect(entry).await?;
    }
    // What arrives is taken, so that nobody is busy.
    let reader = peer.clone();
    tokio::spawn(async move { while reader.recv().await.is_ok() {} });
    Ok(peer)
}

/// From now until every lookup of a round is right, in two rounds; the second one's time is not counted.
async fn until_right(peers: &[SwarmPeer], overlay: OverlayKind) -> Result<Duration, Box<dyn Error>> {
    let (begun, mut since) = (Instant::now(), None);
    loop {
        let round = Instant::now();
        if wrong_lookups(peers, overlay).await == 0 {
            if let Some(since) = since {
                return Ok(since);
            }
            since = Some(begun.elapsed());
        } else {
            since = None;
        }
        if begun.elapsed() > PATIENCE {
            return Err("lookups stay wrong".into());
        }
        time::sleep(Duration::from_millis(20).saturating_sub(round.elapsed())).await;
    }
}

async fn wrong_lookups(peers: &[SwarmPeer], overlay: OverlayKind) -> usize {
    let geometry = Geometry::from(overlay);
    let mut lookups = JoinSet::new();
    for (index, peer) in peers.iter().enumerate() {
        for key in [Hash::of(format!("key {index}")), peers[(index * 5 + 1) % peers.len()].id()] {
            let owner = peers.iter().map(SwarmPeer::id).min_by_key(|id| geometry.offset(key, *id));
            let peer = peer.clone();
            lookups.spawn(async move { peer.lookup(key).await.is_ok_and(|found| found.responsible.first().map(RemoteNode::id) == owner) });
        }
    }
    lookups.join_all().await.into_iter().filter(|right| !right).count()
}

async fn mean_hops(peers: &[SwarmPeer]) -> Result<f64, Box<dyn Error>> {
    let mut hops = 0;
    for pair in 0..PAIRS {
        let from = pair * 31 % peers.len();
        let to = (from + 1 + pair * 17 % (peers.len() - 1)) % peers.len();
        let receipt = peers[from].send(&peers[to], format!("pair {pair}")).await?;
        hops += receipt.hops().ok_or("acknowledged without a path")?;
    }
    Ok(hops as f64 / PAIRS as f64)
}

/// From now until every pair has been tried in one round and every message was acknowledged.
async fn until_all_reach_each_other(peers: &[SwarmPeer]) -> Result<Duration, Box<dyn Error>> {
    let begun = Instant::now();
    loop {
        // All at once: one after the other they would wait for each other's detours.
        let mut sending = JoinSet::new();
        for step in 1..peers.len() {
            for (index, from) in peers.iter().enumerate() {
                let (from, to) = (from.clone(), peers[(index + step) % peers.len()].clone());
                sending.spawn(async move { from.send(&to, "alive?").await.is_ok() });
            }
        }
        let failed = sending.join_all().await.into_iter().filter(|sent| !sent).count();
        if failed == 0 {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("{failed} pairs do not reach each other").into());
        }
    }
}

/// Every fifth acknowledges its share of a broadcast and forgets it. It neither delivers nor hands on, so that those behind it
/// and those who were to have it from it learn of the broadcast only afterwards, and fetch it.
async fn with_a_fifth_that_drop(overlay: OverlayKind) -> Result<(), Box<dyn Error>> {
    let mut limits = Limits::default();
    limits.links = LINKS;
    let build =
        |index, builder: cicada::Builder| builder.route(Route::Overlay).faults(Faults { drops_tasks: drops(index), ..Faults::default() });
    let plan = Plan { peers: SIZE, overlay, limits, count_frames: false, build };
    let mut swarm = Swarm::join(&plan, &mut Random(3)).await?;
    swarm.settle().await;
    let mut took = Vec::new();
    for number in 0..BROADCASTS {
        // Those who drop may be origins too: their own broadcasts they hand out.
        let origin = number * 13 % SIZE;
        let payload = payload(number as u64, 1 << 10);
        let sent = Instant::now();
        swarm.peers[origin].broadcast(payload.clone(), &BroadcastOptions::default()).await?;
        let mut missing: BTreeSet<usize> = (0..SIZE).filter(|index| *index != origin && !drops(*index)).collect();
        while !missing.is_empty() {
            let arrival = time::timeout(PATIENCE, swarm.arrivals.recv()).await?.ok_or("the readers have ended")?;
            if arrival.message.data == payload && missing.remove(&arrival.peer) && missing.is_empty() {
                took.push((arrival.at - sent).as_secs_f64());
            }
        }
    }
    let others = "the broadcast is at all others although a fifth acknowledge it and drop it";
    REPORT.figure(&format!("{overlay}: {others}, median"), median(&took), "s", Promise::Nothing);
    let worst = took.into_iter().fold(0.0, f64::max);
    REPORT.figure(&format!("{overlay}: {others}, worst of {BROADCASTS}"), worst, "s", Promise::AtMost(10.0));
    let mut sending = JoinSet::new();
    for pair in 0..PAIRS {
        let from = pair * 31 % SIZE;
        let (from, to) = (swarm.peers[from].clone(), swarm.peers[(from + 1 + pair * 17 % (SIZE - 1)) % SIZE].clone());
        sending.spawn(async move { from.send(&to, "unicasts go on").await.is_ok() });
    }
    let acknowledged = sending.join_all().await.into_iter().filter(|acknowledged| *acknowledged).count();
    let name = format!("{overlay}: unicasts acknowledged beside that fifth");
    REPORT.figure(&name, acknowledged as f64 / PAIRS as f64, "of all", Promise::AtLeast(1.0));
    swarm.close().await;
    Ok(())
}

fn drops(index: usize) -> bool {
    index % 5 == 3
}
