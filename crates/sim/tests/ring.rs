//! The ring: joins, crashes, merges, and what they cost.

use cicada_proto::Config;
use cicada_sim::{Latency, Network, PeerIndex, TraceLevel, World, WorldConfig};
use std::time::Duration;

fn world(seed: u64, latency: Duration, links: usize) -> World {
    let mut config = Config::default();
    config.limits.links = links;
    World::new(WorldConfig {
        seed,
        network: Network { latency: Latency::Fixed(latency), lost_per_million: 0 },
        trace: TraceLevel::Events,
        config,
    })
}

/// Members that join one after the other by the first, `pause` apart.
fn join_all(world: &mut World, count: usize, pause: Duration) -> Vec<PeerIndex> {
    let peers = world.add_peers(count);
    for peer in &peers[1..] {
        world.connect(*peer, peers[0]);
        world.run_for(pause);
    }
    peers
}

#[test]
fn small_rings() {
    for count in [2, 3, 8] {
        let mut world = world(count as u64, Duration::from_micros(500), 48);
        let peers = join_all(&mut world, count, Duration::from_millis(10));
        let settled = world.settle(&peers, Duration::from_secs(3));
        if count < 4 {
            println!("{}", world.trace().text());
        }
        println!("{count}: {settled:?}");
        assert!(settled.is_ok());
    }
}

#[test]
fn sixty_four() {
    for seed in 0..3 {
        let mut world = world(seed, Duration::from_micros(500), 16);
        let peers = join_all(&mut world, 64, Duration::from_millis(20));
        let settled = world.settle(&peers, Duration::from_secs(10));
        println!("{settled:?}");
        let right = world.right_lookups(&peers, 200, Duration::from_secs(10));
        println!("{right} of 200; {:?}", world.cost_of(&peers));
        assert!(settled.is_ok());
    }
}
