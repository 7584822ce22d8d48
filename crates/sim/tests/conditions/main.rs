//! Worlds in which something is wrong: faults, churn, adversaries; and how large ones are assembled.

mod adversaries;
mod assembly;
mod churn;
mod faults;

use cicada_proto::Config;
use cicada_sim::{Latency, Network, PeerIndex, World, WorldConfig};
use cicada_wire::OverlayKind;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const OVERLAYS: [OverlayKind; 2] = [OverlayKind::Ring, OverlayKind::Tree];

fn world(overlay: OverlayKind, seed: u64) -> World {
    let mut config = Config::default();
    config.overlay = overlay;
    let latency = Latency::Uniform(Duration::from_millis(10), Duration::from_millis(50));
    World::new(WorldConfig { seed, config, network: Network { latency, ..Network::default() }, ..WorldConfig::default() })
}

/// A swarm whose tables are right.
fn settled(overlay: OverlayKind, seed: u64, members: usize) -> (World, Vec<PeerIndex>) {
    let mut world = world(overlay, seed);
    let peers = world.add_peers(members);
    let assembly = world.join_all(&peers, 100);
    assert_eq!(assembly.failed, []);
    world.settle(&peers, SECOND * 60).unwrap_or_else(|what| panic!("{what}"));
    (world, peers)
}
