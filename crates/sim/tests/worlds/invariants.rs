//! Zave's invariant, checked after everything that happens in small rings with random fates.

use crate::helpers::world;
use cicada_proto::Config;
use cicada_sim::{Latency, Network, PeerIndex, PeerOptions, World};
use cicada_wire::OverlayKind;
use std::time::Duration;

const SEEDS: u64 = 20;
const LENGTH: usize = 4;
const SECOND: Duration = Duration::from_secs(1);

fn short_lists() -> Config {
    let mut config = Config::default();
    config.upkeep.successors = LENGTH;
    config
}

/// A peer that may vanish without breaking Zave's assumption: some successor that each list has must live on.
fn may_vanish(world: &World, who: PeerIndex) -> bool {
    let members: Vec<_> = world.live_members().into_iter().filter(|member| *member != who).collect();
    members.len() > LENGTH && world.successors_live(&members).is_ok()
}

fn add(world: &mut World) -> PeerIndex {
    world.add(PeerOptions { config: Some(short_lists()), ..PeerOptions::default() })
}

fn random_fates(seed: u64) {
    let mut world = world(OverlayKind::Ring, seed);
    let latency = Latency::Uniform(Duration::from_millis(5), Duration::from_millis(100));
    world.set_network(Network { latency, lost_per_million: 10_000, ..Network::default() });
    let peers: Vec<_> = (0..8).map(|_| add(&mut world)).collect();
    assert!(world.assemble(&peers, SECOND / 4).is_empty());
    world.settle(&peers, SECOND * 60).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    world.check_always(|world| world.swarms().iter().try_for_each(|members| world.zave_holds(members)));
    for turn in 0..24 {
        let live: Vec<_> = world.swarms().concat();
        let who = world.choose(&live);
        match (turn + seed) % 3 {
            0 if may_vanish(&world, who) => world.crash(who),
            1 if live.len() > LENGTH + 2 && turn % 2 == 0 => _ = world.leave(who),
            _ => {
                let newcomer = add(&mut world);
                world.connect(newcomer, who);
            }
        }
        world.run_for(SECOND * 2);
    }
    // Whoever failed to enter because its entry vanished stays out; the others are one ring.
    let members = world.swarms().concat();
    world.settle(&members, SECOND * 60).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    assert_eq!(world.wrong_lookups(&members, 50, SECOND * 20), [""; 0], "seed {seed}");
}

#[test]
fn small_rings_keep_the_invariant_whatever_befalls_them() {
    for seed in 0..SEEDS {
        random_fates(seed);
    }
}
