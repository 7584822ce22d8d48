//! A swarm is split in halves for long, and healed.

use crate::{OVERLAYS, SECOND, cities, sized};
use cicada_proto::Config;
use cicada_sim::{OverlayKind, PeerIndex, World, WorldConfig};

/// A swarm at rest, split in halves by chance for five minutes.
fn split(overlay: OverlayKind, count: usize) -> (World, Vec<PeerIndex>) {
    let mut config = Config::default();
    config.overlay = overlay;
    let mut world = World::new(WorldConfig { seed: 5, config, network: cities(), ..WorldConfig::default() });
    let peers = world.add_peers(count);
    assert_eq!(world.join_all(&peers, 100).failed, []);
    world.settle(&peers, SECOND * 120).expect("it settles");
    let halves = peers.split_at(count / 2);
    world.partition(&[halves.0, halves.1]);
    world.run_for(SECOND * 300);
    for half in [halves.0, halves.1] {
        world.tables_are_right(half).unwrap_or_else(|wrong| panic!("{overlay:?}: each half is a swarm of its own: {wrong}"));
    }
    (world, peers)
}

#[test]
fn halves_cut_off_for_five_minutes_are_one_swarm_within_a_minute() {
    for overlay in OVERLAYS {
        for count in sized(&[60][..], &[200, 1000]) {
            let (mut world, peers) = split(overlay, *count);
            // The control: each knows its own half only.
            world.tables_are_right(&peers).expect_err("they are two");
            world.heal();
            let healed = world.settle(&peers, SECOND * 60);
            println!("{overlay:?}, {count}: {healed:?}");
            healed.unwrap_or_else(|wrong| panic!("{overlay:?}, {count}: {wrong}"));
            assert_eq!(world.wrong_lookups(&peers, 100, SECOND * 10), [""; 0], "{overlay:?}, {count}");
        }
    }
}
