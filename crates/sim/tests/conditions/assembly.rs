//! Many join at once.

use super::*;

#[test]
fn two_hundred_members_join_at_once_and_settle() {
    for overlay in OVERLAYS {
        let mut world = world(overlay, 1);
        let peers = world.add_peers(200);
        let assembly = world.join_all(&peers, 200);
        assert_eq!((assembly.joined.len(), assembly.failed.len()), (200, 0));
        assert!(assembly.span < SECOND * 20, "they overlap: {:?}", assembly.span);
        world.settle(&peers, SECOND * 60).unwrap_or_else(|what| panic!("{what}"));
        assert_eq!(world.right_lookups(&peers, 200, SECOND * 10), 200);
    }
}

#[test]
fn links_that_have_ended_are_forgotten() {
    let (mut world, peers) = settled(OverlayKind::Ring, 2, 12);
    let before = world.link_count();
    for round in 0..20 {
        world.crash(peers[1 + round % 4]);
        world.run_for(SECOND);
        world.restart(peers[1 + round % 4]);
        world.join(peers[1 + round % 4], peers[0]).expect("it is let in");
    }
    world.run_for(SECOND * 30);
    let stand: usize = peers.iter().filter_map(|who| world.node(*who)).map(|node| node.links().len()).sum();
    assert_eq!(world.link_count(), stand / 2, "each link has two ends, and nothing else is kept");
    assert!(before > 0 && world.link_count() < before * 2);
    for who in &peers {
        world.crash(*who);
    }
    world.run_for(SECOND * 30);
    assert_eq!(world.link_count(), 0);
}
