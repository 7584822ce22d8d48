//! Broadcasts among peers of which some are dead or drop what they should pass on.

use crate::helpers::swarm;
use cicada_sim::{Kind, Packet, PeerIndex, Verdict, World};
use cicada_wire::{Frame, OverlayKind};
use std::{collections::BTreeSet, time::Duration};

const PEERS: usize = 64;
const SEEDS: u64 = 25;
const WITHIN: Duration = Duration::from_secs(6);

/// What came of one broadcast.
#[derive(Debug)]
struct Outcome {
    reached_all: bool,
    doubled: usize,
    copies_a_peer: f64,
}

/// Tasks to these peers vanish: they drop before they acknowledge. With `first_only`, so do all tasks that come after the first
/// wave: those that replace what was not acknowledged.
fn drop_tasks(world: &mut World, faulty: BTreeSet<PeerIndex>, first_only: bool) {
    // Acknowledgements are waited for at least 250 ms: until then only the first wave is on its way.
    let wave = world.now() + Duration::from_millis(240);
    world.add_rule(move |passing| match passing.packet {
        Packet::Frame(Frame::Task(..)) if faulty.contains(&passing.to) => Verdict::Vanish,
        Packet::Frame(Frame::Task(..)) if first_only && passing.now > wave => Verdict::Vanish,
        Packet::Frame(_) | Packet::Datagram(_) | Packet::Dial => Verdict::Pass,
    });
}

/// One broadcast in a swarm of which a fifth is faulty: half of those crash when it begins, half drop.
fn with_a_fifth_faulty(overlay: OverlayKind, seed: u64, first_only: bool) -> Outcome {
    let (mut world, peers) = swarm(overlay, seed, PEERS);
    let mut faulty = BTreeSet::new();
    while faulty.len() < PEERS / 5 {
        let who = world.choose(&peers[1..]);
        faulty.insert(who);
    }
    let (dead, dropping): (Vec<_>, Vec<_>) = faulty.iter().partition(|who| who.0 % 2 == 0);
    for who in &dead {
        world.crash(*who);
    }
    drop_tasks(&mut world, dropping.into_iter().collect(), first_only);
    let honest: Vec<_> = peers[1..].iter().copied().filter(|who| !faulty.contains(who)).collect();
    let before = world.cost_of(&peers);
    world.broadcast(peers[0], "to all");
    world.run_for(WITHIN);
    let (reached, doubled) = world.reached(&honest, b"to all");
    let copies = world.cost_of(&peers).since(&before).of(Kind::Task).messages;
    Outcome { reached_all: reached == honest.len(), doubled, copies_a_peer: copies as f64 / honest.len() as f64 }
}

fn complete_of_all_seeds(overlay: OverlayKind, first_only: bool) -> u64 {
    let outcomes: Vec<_> = (0..SEEDS).map(|seed| with_a_fifth_faulty(overlay, seed, first_only)).collect();
    assert!(outcomes.iter().all(|outcome| outcome.doubled == 0), "an application got a broadcast twice");
    let copies = outcomes.iter().map(|outcome| outcome.copies_a_peer).sum::<f64>() / SEEDS as f64;
    let complete = outcomes.iter().filter(|outcome| outcome.reached_all).count() as u64;
    println!("{overlay}: a fifth of {PEERS} faulty: complete in {complete} of {SEEDS}, {copies:.2} copies sent for each honest peer");
    complete
}

#[test]
fn on_the_ring_a_broadcast_reaches_every_live_peer_though_a_fifth_is_faulty() {
    assert_eq!(complete_of_all_seeds(OverlayKind::Ring, false), SEEDS);
}

#[test]
fn on_the_tree_a_broadcast_reaches_every_live_peer_though_a_fifth_is_faulty() {
    assert_eq!(complete_of_all_seeds(OverlayKind::Tree, false), SEEDS);
}

#[test]
fn on_the_ring_broadcasts_have_gaps_when_no_region_is_handed_on() {
    let complete = (0..5).filter(|seed| with_a_fifth_faulty(OverlayKind::Ring, *seed, true).reached_all).count();
    assert!(complete < 5, "the control: nothing is handed on, so the regions of the faulty stay uncovered");
}

#[test]
fn without_faults_each_peer_gets_a_broadcast_once() {
    for overlay in [OverlayKind::Ring, OverlayKind::Tree] {
        let (mut world, peers) = swarm(overlay, 3, PEERS);
        let before = world.cost_of(&peers);
        world.broadcast(peers[7], "to all");
        world.run_for(WITHIN);
        let others: Vec<_> = peers.iter().copied().filter(|who| *who != peers[7]).collect();
        assert_eq!(world.reached(&others, b"to all"), (PEERS - 1, 0));
        let copies = world.cost_of(&peers).since(&before).of(Kind::Task).messages;
        println!("{overlay}: {copies} copies for {} peers", PEERS - 1);
        assert!(copies <= PEERS as u64 + PEERS as u64 / 10, "{overlay}: {copies} copies");
    }
}
