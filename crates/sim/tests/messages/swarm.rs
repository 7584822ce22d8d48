//! Swarms to send messages in.

use cicada_proto::{Config, Route, SendOptions};
use cicada_sim::{Latency, Network, PeerIndex, World, WorldConfig};
use cicada_wire::OverlayKind;
use std::time::Duration;

pub(crate) const OVERLAYS: [OverlayKind; 2] = [OverlayKind::Ring, OverlayKind::Tree];

pub(crate) fn config(overlay: OverlayKind, links: usize) -> Config {
    let mut config = Config::default();
    config.overlay = overlay;
    config.limits.links = links;
    config
}

pub(crate) fn world(seed: u64, config: Config) -> World {
    let network = Network { latency: Latency::Fixed(Duration::from_millis(5)), lost_per_million: 0, ..Network::default() };
    World::new(WorldConfig { seed, network, config, ..WorldConfig::default() })
}

/// A swarm of `count` members that has settled.
pub(crate) fn swarm(seed: u64, config: Config, count: usize) -> (World, Vec<PeerIndex>) {
    let mut world = world(seed, config);
    let peers = world.add_peers(count);
    let failed = world.assemble(&peers, Duration::from_millis(20));
    assert!(failed.is_empty(), "{failed:?} did not join");
    world.settle(&peers, Duration::from_secs(30)).expect("the swarm settles");
    world.run_for(Duration::from_secs(3));
    (world, peers)
}

pub(crate) fn over_the_overlay() -> SendOptions {
    let mut options = SendOptions::default();
    options.route = Route::Overlay;
    options
}
