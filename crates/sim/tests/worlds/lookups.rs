//! Lookups in large swarms at rest.

use crate::helpers::{swarm, world};
use cicada_wire::OverlayKind;
use std::time::Duration;

const PEERS: usize = 1000;
const LOOKUPS: usize = 2000;
const PATIENCE: Duration = Duration::from_secs(20);

fn lookups_are_right(overlay: OverlayKind) {
    let (mut world, peers) = swarm(overlay, 1, PEERS);
    println!("{overlay}: settled at {:?}, {} steps", world.now(), world.happened());
    let before = world.cost_of(&peers);
    world.run_for(Duration::from_secs(20));
    println!("{overlay}: 20 s of upkeep of {PEERS} peers:\n{}", world.cost_of(&peers).since(&before));
    // In portions: a peer has only so many lookups under way at once.
    let wrong: Vec<_> = (0..4).flat_map(|_| world.wrong_lookups(&peers, LOOKUPS / 4, PATIENCE)).collect();
    assert_eq!(wrong, Vec::<String>::new());
    for _ in 0..20 {
        let key = world.random_key();
        world.one_owner(&peers, key).expect("one member claims a key, and it is the owner");
    }
    // The control: an oracle that does not know of every tenth member sees wrong answers.
    let known: Vec<_> = peers.iter().copied().filter(|who| who.0 % 10 != 0).collect();
    let wrong = world.wrong_lookups(&known, LOOKUPS / 4, PATIENCE).len();
    assert!((LOOKUPS / 80..LOOKUPS / 20).contains(&wrong), "{wrong}");
}

#[test]
fn on_a_ring_of_1000_every_lookup_names_the_owner() {
    lookups_are_right(OverlayKind::Ring);
}

#[test]
fn on_a_tree_of_1000_every_lookup_names_the_owner() {
    lookups_are_right(OverlayKind::Tree);
}

#[test]
fn the_check_of_successor_lists_sees_a_member_that_lost_all_of_its_successors() {
    let (mut world, peers) = swarm(OverlayKind::Ring, 1, 40);
    let order = world.in_order(&peers);
    world.zave_holds(&peers).expect("at rest the invariant holds");
    let length = cicada_proto::Config::default().upkeep.successors;
    for who in &order[1..=length] {
        world.crash(*who);
    }
    world.zave_holds(&world.live_members()).expect_err("as many crashes at once as the list is long are beyond what it can bear");
}

#[test]
fn the_oracle_sees_tables_that_are_not_right_yet() {
    for overlay in [OverlayKind::Ring, OverlayKind::Tree] {
        let mut world = world(overlay, 1);
        let peers = world.add_peers(30);
        world.tables_are_right(&peers).expect_err("nobody knows anybody");
    }
}
