//! What lookups find, on both overlays.

use crate::{
    INTERNET,
    swarm::{enter, members, tree, tree_with},
};
use cicada_proto::{LookupError, event::Lookup};
use cicada_sim::{PeerIndex, World};
use cicada_wire::{OverlayKind, SignedRecord};
use std::time::Duration;

fn owner(lookup: &Lookup) -> Option<cicada_wire::Hash> {
    lookup.responsible.first().map(SignedRecord::id)
}

fn swarm(overlay: OverlayKind, count: usize) -> (World, Vec<PeerIndex>) {
    let mut world = tree_with(21, INTERNET, |config| config.overlay = overlay);
    let peers = members(&mut world, count);
    enter(&mut world, &peers, Duration::from_millis(50));
    world.settle(&peers, Duration::from_secs(20)).expect("it settles");
    world.run_for(Duration::from_secs(2));
    (world, peers)
}

#[test]
fn a_lookup_of_a_members_id_finds_the_member_and_one_of_a_free_id_says_so() {
    for overlay in [OverlayKind::Ring, OverlayKind::Tree] {
        let (mut world, peers) = swarm(overlay, 32);
        let target = world.id(peers[20]);
        let found = world.lookup(peers[3], target).expect("found");
        assert_eq!(owner(&found), Some(target), "{overlay:?}");
        assert_eq!(found.exact.map(|record| record.id()), Some(target));

        let key = world.random_key();
        let found = world.lookup(peers[3], key).expect("found");
        let expected = world.owner(&peers, key).map(|who| world.id(who));
        assert_eq!(owner(&found), expected, "{overlay:?}");
        assert_eq!(found.exact, None);
        assert!(found.responsible.len() >= 3, "{overlay:?} names those beside the owner as well: {found:?}");
    }
}

#[test]
fn the_owner_itself_finds_itself() {
    for overlay in [OverlayKind::Ring, OverlayKind::Tree] {
        let (mut world, peers) = swarm(overlay, 12);
        let me = world.id(peers[5]);
        let found = world.lookup(peers[5], me).expect("found");
        assert_eq!(owner(&found), Some(me), "{overlay:?}");
        assert_eq!(found.exact.map(|record| record.id()), Some(me));
    }
}

#[test]
fn the_id_of_a_peer_that_just_crashed_belongs_to_the_next_one() {
    for overlay in [OverlayKind::Ring, OverlayKind::Tree] {
        let (mut world, peers) = swarm(overlay, 24);
        let target = world.id(peers[7]);
        world.crash(peers[7]);
        let living: Vec<_> = peers.iter().copied().filter(|who| *who != peers[7]).collect();
        let found = world.lookup(peers[0], target);
        let expected = world.owner(&living, target).map(|who| world.id(who));
        assert_eq!(found.as_ref().ok().and_then(owner), expected, "{overlay:?}: {found:?}");
        assert_eq!(found.expect("found").exact, None);
    }
}

#[test]
fn disjoint_paths_find_the_same_owner() {
    let mut world = tree_with(22, INTERNET, |config| config.upkeep.disjoint_paths = 3);
    let peers = members(&mut world, 64);
    enter(&mut world, &peers, Duration::from_millis(20));
    world.settle(&peers, Duration::from_secs(10)).expect("it settles");
    crate::lookups_are_right(&mut world, &peers);
}

#[test]
fn who_is_alone_has_nobody_to_ask() {
    let mut world = tree(23, 16, INTERNET);
    let peers = members(&mut world, 1);
    let key = world.random_key();
    assert_eq!(world.lookup(peers[0], key), Err(LookupError::Alone));
}

#[test]
fn too_many_lookups_at_once_are_refused_and_those_under_way_end() {
    let mut world = tree_with(24, INTERNET, |config| config.limits.lookups = 4);
    let peers = members(&mut world, 8);
    enter(&mut world, &peers, Duration::from_millis(50));
    world.run_for(Duration::from_secs(3));
    let lookups: Vec<_> = (0..6)
        .map(|_| {
            let key = world.random_key();
            world.begin_lookup(peers[0], key)
        })
        .collect();
    assert!(world.wait_all(&lookups, Duration::from_secs(11)));
    let full = lookups.iter().filter(|lookup| world.looked_up(**lookup) == Some(&Err(LookupError::Full))).count();
    let found = lookups.iter().filter(|lookup| matches!(world.looked_up(**lookup), Some(Ok(_)))).count();
    assert_eq!((found, full), (4, 2));
}

#[test]
fn lookups_are_right_although_datagrams_get_lost() {
    for overlay in [OverlayKind::Ring, OverlayKind::Tree] {
        let (mut world, peers) = swarm(overlay, 48);
        let latency = cicada_sim::Latency::Fixed(INTERNET);
        world.set_network(cicada_sim::Network { latency, lost_per_million: 50_000, ..cicada_sim::Network::default() });
        let right = world.right_lookups(&peers, 200, Duration::from_secs(11));
        // A peer whose answer is lost twice in a row counts as dead for that lookup: 1 % at 5 % loss each way.
        assert!(right >= 190, "{overlay:?}: {right} of 200");
    }
}
