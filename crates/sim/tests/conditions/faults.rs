//! Pauses, and restarts with and without memory.

use super::*;
use cicada_proto::{Ack, Event, Node, SendOptions};
use cicada_sim::{Memory, TraceLevel};

fn is_joined(world: &World, who: PeerIndex) -> bool {
    world.node(who).is_some_and(Node::is_joined)
}

/// Sends without waiting for the answer, so that it is tried only once.
fn unacknowledged() -> SendOptions {
    let mut options = SendOptions::default();
    options.ack = Ack::None;
    options
}

#[test]
fn what_is_sent_to_a_paused_peer_waits_until_it_goes_on() {
    let (mut world, peers) = settled(OverlayKind::Ring, 1, 2);
    let (a, b) = (peers[0], peers[1]);
    world.send(a, b, "they know each other", SendOptions::default()).expect("it arrives");
    world.take_deliveries(b);
    world.pause(b);
    let to = world.id(b);
    world.begin_send(a, to, "later", unacknowledged());
    world.run_for(SECOND / 2);
    assert_eq!(world.deliveries(b).len(), 0);
    world.resume(b);
    assert_eq!(world.deliveries(b).len(), 1);
    let to = world.id(b);
    world.begin_send(a, to, "at once", unacknowledged());
    world.run_for(SECOND / 2);
    assert_eq!(world.deliveries(b).len(), 2, "the control");
}

#[test]
fn a_short_pause_costs_no_link_and_a_long_one_is_healed() {
    for overlay in OVERLAYS {
        let (mut world, peers) = settled(overlay, 3, 12);
        world.trace_mut().set_level(TraceLevel::Events);
        world.pause(peers[4]);
        world.run_for(SECOND / 4);
        world.resume(peers[4]);
        world.run_for(SECOND * 5);
        assert!(!world.trace().text().contains("has lost p4"), "{overlay:?}\n{}", world.trace());
        world.pause(peers[4]);
        let rest: Vec<_> = peers.iter().copied().filter(|who| *who != peers[4]).collect();
        world.run_for(SECOND * 30);
        assert!(world.trace().text().contains("has lost p4"), "the control");
        assert_eq!(world.tables_are_right(&rest), Ok(()), "{overlay:?}");
        assert_eq!(world.right_lookups(&rest, 50, SECOND * 10), 50);
        world.resume(peers[4]);
        world.settle(&peers, SECOND * 60).unwrap_or_else(|what| panic!("{overlay:?}: {what}"));
    }
}

#[test]
fn a_dial_to_a_paused_peer_waits_for_it_as_long_as_the_dialler_is_patient() {
    let mut world = world(OverlayKind::Ring, 4);
    let (a, b) = (world.add_named("a"), world.add_named("b"));
    world.pause(b);
    let join = world.connect(a, b);
    world.run_for(SECOND * 2);
    assert!(world.outcome(join).is_none());
    world.resume(b);
    world.run_for(SECOND * 2);
    assert!(matches!(world.outcome(join), Some((_, Event::Connected { .. }))), "{:?}", world.outcome(join));
}

#[test]
fn a_peer_that_restarts_with_its_state_comes_back_by_itself_and_one_without_does_not() {
    for overlay in OVERLAYS {
        let (mut world, peers) = settled(overlay, 5, 12);
        for (who, memory, comes_back) in
            [(peers[3], Memory::Members, true), (peers[5], Memory::Identity, false), (peers[7], Memory::Nothing, false)]
        {
            let (id, key) = (world.id(who), world.record(who).key());
            world.crash(who);
            world.run_for(SECOND * 5);
            world.trace_mut().take();
            world.trace_mut().set_level(TraceLevel::Events);
            world.restart_with(who, memory);
            world.run_for(SECOND * 10);
            // Those who have lost it may find it again by themselves.
            let knocks = world.trace().text().contains(&format!("{}: shall connect", world.name(who)));
            assert_eq!(knocks, comes_back, "{overlay:?} {memory:?}\n{}", world.trace());
            assert!(!comes_back || is_joined(&world, who), "{memory:?}");
            assert_eq!(world.id(who), id, "its id is that of its address");
            assert_eq!(world.record(who).key() == key, memory != Memory::Nothing, "{memory:?}");
            if !is_joined(&world, who) {
                world.join(who, peers[0]).expect("it is let in");
            }
        }
        world.settle(&peers, SECOND * 60).unwrap_or_else(|what| panic!("{overlay:?}: {what}"));
    }
}

#[test]
fn a_peer_whose_known_members_are_all_away_comes_back_when_they_do() {
    let (mut world, peers) = settled(OverlayKind::Ring, 6, 3);
    for who in &peers {
        world.crash(*who);
    }
    world.restart_with(peers[0], Memory::Members);
    world.run_for(SECOND * 20);
    assert!(world.node(peers[0]).is_some_and(|node| node.links().is_empty()), "the control: nobody is there");
    world.restart(peers[1]);
    world.run_for(SECOND * 60);
    assert!(world.node(peers[0]).is_some_and(|node| !node.links().is_empty()), "it goes on trying");
}
