//! Records end; swarms do not.

use cicada_proto::Config;
use cicada_sim::{Latency, Network, TraceLevel, World, WorldConfig};
use cicada_wire::OverlayKind;
use std::time::Duration;

#[test]
fn a_swarm_outlives_the_records_that_it_began_with() {
    for overlay in [OverlayKind::Ring, OverlayKind::Tree] {
        let mut config = Config::default();
        config.overlay = overlay;
        config.upkeep.record_lifetime = Duration::from_secs(120);
        let network = Network { latency: Latency::Fixed(Duration::from_millis(5)), lost_per_million: 0, ..Network::default() };
        let mut world = World::new(WorldConfig { seed: 1, network, trace: TraceLevel::Off, config, ..WorldConfig::default() });
        let peers = world.add_peers(8);
        world.assemble(&peers, Duration::from_millis(50));
        world.run_for(Duration::from_secs(600));
        let now = world.clock();
        for who in &peers {
            let table = world.node(*who).expect("nobody crashed").table();
            assert!(!table.entries.is_empty());
            for entry in table.entries {
                assert!(entry.record.is_current(now), "{overlay}: {:?} holds an expired record of {:?}", who, entry.record);
                assert!(entry.record.record().sequence > 1, "{overlay}: a record was never renewed");
            }
        }
        // Whoever comes now learns of everybody, which only current records allow.
        let late = world.add_peers(1);
        world.join(late[0], peers[3]).expect("the swarm takes newcomers");
        let all: Vec<_> = peers.iter().chain(&late).copied().collect();
        world.settle(&all, Duration::from_secs(10)).expect("all tables are right");
    }
}
