//! One to all.

use crate::swarm::{OVERLAYS, config, swarm, world};
use cicada_proto::Event;
use cicada_sim::{Packet, PeerIndex, Verdict, World};
use cicada_wire::{Frame, OverlayKind};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

/// Bodies by their senders and by their receivers.
#[derive(Default)]
struct Bodies {
    sent: BTreeMap<PeerIndex, usize>,
    received: BTreeMap<PeerIndex, usize>,
}

fn count_bodies(world: &mut World) -> Rc<RefCell<Bodies>> {
    let bodies = Rc::new(RefCell::new(Bodies::default()));
    let counted = Rc::clone(&bodies);
    world.add_rule(move |passing| {
        if let Packet::Frame(Frame::Task(task, _)) = passing.packet
            && !task.extend
        {
            let mut bodies = counted.borrow_mut();
            *bodies.sent.entry(passing.from).or_default() += 1;
            *bodies.received.entry(passing.to).or_default() += 1;
        }
        Verdict::Pass
    });
    bodies
}

#[test]
fn everybody_gets_a_broadcast_once_by_one_copy() {
    for overlay in OVERLAYS {
        for count in [2, 3, 9, 64] {
            let (mut world, peers) = swarm(count as u64, config(overlay, 16), count);
            let bodies = count_bodies(&mut world);
            let start = world.now();
            let operation = world.broadcast(peers[0], vec![7; 1024]);
            let told = world.wait(operation, Duration::from_secs(11));
            assert!(matches!(told, Some(Event::BroadcastSent { delegates, .. }) if delegates > 0), "{told:?}");
            world.run_for(Duration::from_secs(2));
            assert_eq!(world.reached(&peers[1..], &[7; 1024]), (count - 1, 0), "{overlay:?} of {count}");
            assert!(world.deliveries(peers[0]).is_empty(), "the origin knows it already");
            let bodies = bodies.borrow();
            let last = peers.iter().filter_map(|peer| world.deliveries(*peer).last()).count();
            println!("{overlay:?} {count}: {last} reached since {start:?}, most sent {:?}", bodies.sent.values().max());
            assert!(bodies.received.values().all(|copies| *copies == 1), "one copy each: {:?}", bodies.received);
            assert!(bodies.sent.values().all(|copies| *copies <= 8), "at most 8 from one: {:?}", bodies.sent);
        }
    }
}

#[test]
fn eight_at_once_arrive_everywhere() {
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(21, config(overlay, 16), 64);
        for (number, from) in peers[..8].iter().enumerate() {
            world.broadcast(*from, vec![number as u8; 1024]);
        }
        world.run_for(Duration::from_secs(3));
        for (number, from) in peers[..8].iter().enumerate() {
            let others: Vec<_> = peers.iter().copied().filter(|peer| peer != from).collect();
            assert_eq!(world.reached(&others, &vec![number as u8; 1024]), (63, 0));
        }
    }
}

#[test]
fn relays_whose_applications_do_not_read_still_forward() {
    for overlay in OVERLAYS {
        let mut config = config(overlay, 16);
        config.limits.deliveries = 1;
        let (mut world, peers) = swarm(22, config, 64);
        for peer in &peers[..60] {
            world.set_reads(*peer, false);
        }
        for text in ["one", "two", "three"] {
            world.broadcast(peers[0], text);
            world.run_for(Duration::from_secs(1));
        }
        for text in ["one", "two", "three"] {
            assert_eq!(world.reached(&peers[60..], text.as_bytes()), (4, 0));
        }
        assert_eq!(world.reached(&peers[1..60], b"two"), (0, 0));
        world.command(peers[5], cicada_proto::Command::Consumed { deliveries: 1 });
        assert_eq!(world.lagged(peers[5]), 2, "the application is told how many it missed");
    }
}

#[test]
fn the_excluded_do_not_get_it_and_all_others_do() {
    for overlay in OVERLAYS {
        for seed in 0..4 {
            let (mut world, peers) = swarm(30 + seed, config(overlay, 16), 32);
            let bodies = count_bodies(&mut world);
            world.broadcast_except(peers[0], "not you", &peers[1..11]);
            world.run_for(Duration::from_secs(3));
            assert_eq!(world.reached(&peers[1..11], b"not you"), (0, 0));
            assert!(peers[1..11].iter().all(|peer| !bodies.borrow().received.contains_key(peer)), "nor are they handed it");
            assert_eq!(world.reached(&peers[11..], b"not you"), (21, 0), "{overlay:?} seed {seed}");
        }
    }
}

/// Peers that drop each task before they acknowledge it.
type Mute = Rc<RefCell<BTreeSet<PeerIndex>>>;

fn mute_some(world: &mut World) -> Mute {
    let mute = Mute::default();
    let muted = Rc::clone(&mute);
    world.add_rule(move |passing| match passing.packet {
        Packet::Frame(Frame::Task(..)) if muted.borrow().contains(&passing.to) => Verdict::Vanish,
        Packet::Frame(_) | Packet::Datagram(_) | Packet::Dial => Verdict::Pass,
    });
    mute
}

/// A tenth of the peers dead, another tenth alive and dropping tasks: how many of the others are reached, and how many there are.
fn a_fifth_fails(seed: u64, overlay: OverlayKind, count: usize) -> (usize, usize) {
    let (mut world, peers) = swarm(seed, config(overlay, 16), count);
    let failing: Vec<PeerIndex> = peers[1..].iter().copied().filter(|peer| peer.0 % 5 == seed as usize % 5).collect();
    let (dead, dropping): (Vec<PeerIndex>, Vec<PeerIndex>) = failing.iter().partition(|peer| peer.0 % 2 == 0);
    for peer in dead {
        world.crash(peer);
    }
    mute_some(&mut world).borrow_mut().extend(dropping);
    world.broadcast(peers[0], "through");
    world.run_for(Duration::from_secs(15));
    let live: Vec<PeerIndex> = peers[1..].iter().copied().filter(|peer| !failing.contains(peer)).collect();
    let (reached, twice) = world.reached(&live, b"through");
    assert_eq!(twice, 0, "nobody's application gets it twice");
    (reached, live.len())
}

#[test]
fn with_a_tenth_dead_and_a_tenth_dropping_all_others_are_reached() {
    for overlay in OVERLAYS {
        for seed in 0..5 {
            let (reached, live) = a_fifth_fails(seed, overlay, 64);
            assert_eq!(reached, live, "{overlay:?}, seed {seed}");
        }
    }
}

/// In how many of 25 rounds, each with another fifth that drops tasks, all others are reached; and the copies for each of them.
fn rounds_with_a_fifth_dropping(world: &mut World, peers: &[PeerIndex]) -> (usize, f64) {
    let bodies = count_bodies(world);
    let mute = mute_some(world);
    let (mut complete, mut live_in_all) = (0, 0);
    for round in 0..25 {
        let from = world.choose(peers);
        let mut others: Vec<PeerIndex> = peers.iter().copied().filter(|peer| *peer != from).collect();
        let mut dropping = BTreeSet::new();
        while dropping.len() < peers.len() / 5 {
            dropping.insert(world.choose(&others));
        }
        others.retain(|peer| !dropping.contains(peer));
        *mute.borrow_mut() = dropping;
        let text = format!("round {round}");
        world.broadcast(from, text.clone());
        world.run_for(Duration::from_secs(8));
        complete += usize::from(world.reached(&others, text.as_bytes()) == (others.len(), 0));
        live_in_all += others.len();
        for peer in peers {
            world.take_deliveries(*peer);
        }
    }
    let copies: usize = bodies.borrow().received.values().sum();
    (complete, copies as f64 / live_in_all as f64)
}

/// With 1000 it would take minutes; `repair` has such.
const LARGE: usize = 200;

fn a_large_swarm(overlay: OverlayKind) {
    let mut world = world(1000, config(overlay, 32));
    let peers = world.add_peers(LARGE);
    assert!(world.assemble(&peers, Duration::from_millis(5)).is_empty());
    let settled = world.run_until_every(Duration::from_secs(2), Duration::from_secs(60), |world| world.tables_are_right(&peers).is_ok());
    assert!(settled.is_some(), "{:?}", world.tables_are_right(&peers));
    world.run_for(Duration::from_secs(20));
    let bodies = count_bodies(&mut world);
    world.broadcast(peers[0], "all");
    world.run_for(Duration::from_secs(3));
    assert_eq!(world.reached(&peers[1..], b"all"), (LARGE - 1, 0));
    assert!(bodies.borrow().received.values().all(|copies| *copies == 1), "one copy each");
    assert!(bodies.borrow().sent.values().all(|copies| *copies <= 8), "at most 8 from one");
    world.clear_rules();
    let (complete, copies) = rounds_with_a_fifth_dropping(&mut world, &peers);
    println!("{overlay}: complete in {complete} of 25 rounds, {copies:.2} copies a peer");
    assert_eq!(complete, 25, "{overlay}");
}

#[test]
fn a_large_ring_reaches_all_by_one_copy_each_and_all_others_of_a_dropping_fifth() {
    a_large_swarm(OverlayKind::Ring);
}

#[test]
fn a_large_tree_reaches_all_by_one_copy_each_and_all_others_of_a_dropping_fifth() {
    a_large_swarm(OverlayKind::Tree);
}
