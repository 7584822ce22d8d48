//! Worlds that several tests begin with.

use cicada_proto::Config;
use cicada_sim::{Latency, Network, PeerIndex, World, WorldConfig};
use cicada_wire::OverlayKind;
use std::time::Duration;

/// A world of this overlay with latencies between 10 and 50 ms and nothing lost.
pub(crate) fn world(overlay: OverlayKind, seed: u64) -> World {
    let mut config = Config::default();
    config.overlay = overlay;
    let latency = Latency::Uniform(Duration::from_millis(10), Duration::from_millis(50));
    World::new(WorldConfig {
        seed,
        config,
        network: Network { latency, lost_per_million: 0, ..Network::default() },
        ..WorldConfig::default()
    })
}

/// A swarm of `count` members, joined overlapping at random entries, its tables right.
pub(crate) fn swarm(overlay: OverlayKind, seed: u64, count: usize) -> (World, Vec<PeerIndex>) {
    let mut world = world(overlay, seed);
    let peers = grow(&mut world, count);
    (world, peers)
}

/// The same in a world that exists.
pub(crate) fn grow(world: &mut World, count: usize) -> Vec<PeerIndex> {
    let peers = world.add_peers(count);
    let out = world.assemble(&peers, JOIN_EVERY);
    assert!(out.is_empty(), "{} of {count} did not get in", out.len());
    if let Err(wrong) = world.settle(&peers, SETTLE) {
        panic!("after {SETTLE:?}: {wrong}");
    }
    peers
}

/// The time from one join to the next: shorter than a join takes, so that many are under way at once.
const JOIN_EVERY: Duration = Duration::from_millis(20);
const SETTLE: Duration = Duration::from_secs(120);
