//! What is in the buckets, and who may displace whom.

use crate::{
    INTERNET, LOOPBACK,
    swarm::{enter, members, tree_with},
};
use cicada_proto::Geometry;
use cicada_sim::{PeerIndex, World};
use cicada_wire::Hash;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A member's table: each id once, in its own cell, no cell over the bucket's size.
fn is_well_formed(world: &World, who: PeerIndex, size: usize) {
    let me = world.id(who);
    let entries = world.node(who).expect("alive").table().entries;
    let mut cells: BTreeMap<u32, BTreeSet<Hash>> = BTreeMap::new();
    for entry in &entries {
        let id = entry.record.id();
        assert_eq!(Geometry::Tree.cell(me, id), Some(entry.cell));
        assert!(cells.entry(entry.cell).or_default().insert(id), "{id} is there twice");
    }
    for (cell, ids) in cells {
        assert!(ids.len() <= size, "{} holds {} in cell {cell}", world.name(who), ids.len());
    }
}

#[test]
fn no_bucket_grows_over_its_size_and_the_nearest_are_known_nevertheless() {
    let size = 6;
    let mut world = tree_with(11, LOOPBACK, |config| config.upkeep.bucket = size);
    let peers = members(&mut world, 96);
    enter(&mut world, &peers, Duration::from_millis(10));
    // The settled tables hold the nearest, as many as a bucket has places.
    let settled = world.settle(&peers, Duration::from_secs(10));
    assert!(settled.is_ok(), "{settled:?}");
    for who in &peers {
        is_well_formed(&world, *who, size);
    }
}

#[test]
fn a_newcomer_does_not_displace_members_that_live_and_takes_the_place_of_one_that_died() {
    let size = 4;
    let mut world = tree_with(12, INTERNET, |config| config.upkeep.bucket = size);
    let peers = members(&mut world, 40);
    let (first, late) = peers.split_at(30);
    enter(&mut world, first, Duration::from_millis(50));
    world.run_for(Duration::from_secs(5));
    let me = first[0];
    let far = |world: &World| -> BTreeSet<Hash> {
        let entries = world.node(me).expect("alive").table().entries;
        entries.iter().filter(|entry| entry.cell == 255).map(|entry| entry.record.id()).collect()
    };
    let before = far(&world);
    assert_eq!(before.len(), size, "the bucket is full");
    for who in late {
        world.join(*who, me).expect("they join");
    }
    world.run_for(Duration::from_secs(5));
    assert_eq!(far(&world), before, "nobody who lives gives way");

    let dead = world.by_id(*before.first().expect("four")).expect("a peer");
    world.crash(dead);
    world.run_for(Duration::from_secs(90));
    let after = far(&world);
    assert!(!after.contains(&world.id(dead)));
    assert_eq!(after.len(), size, "another took the place");
    assert_eq!(after.intersection(&before).count(), size - 1);
}
