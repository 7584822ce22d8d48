//! One to all.

use crate::swarm::{OVERLAYS, config, swarm};
use cicada_proto::Event;
use cicada_sim::{Kind, Packet, PeerIndex, Verdict, World};
use cicada_wire::{Frame, OverlayKind};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

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

/// A fifth of the peers dead, or alive and dropping each task before they acknowledge it.
fn a_fifth_fails(seed: u64, overlay: OverlayKind, count: usize) -> (usize, usize, f64) {
    let (mut world, peers) = swarm(seed, config(overlay, 32), count);
    let failing: Vec<PeerIndex> = peers[1..].iter().copied().filter(|peer| peer.0 % 5 == seed as usize % 5).collect();
    let dropping: Vec<PeerIndex> = failing.iter().copied().filter(|peer| peer.0 % 2 == 0).collect();
    for peer in &failing {
        if !dropping.contains(peer) {
            world.crash(*peer);
        }
    }
    let mute = dropping.clone();
    world.add_rule(move |passing| match passing.packet {
        Packet::Frame(Frame::Task(..)) if mute.contains(&passing.to) => Verdict::Vanish,
        Packet::Frame(_) | Packet::Datagram(_) | Packet::Dial => Verdict::Pass,
    });
    let before = world.cost_of(&peers);
    world.broadcast(peers[0], "through");
    world.run_for(Duration::from_secs(20));
    let live: Vec<PeerIndex> = peers[1..].iter().copied().filter(|peer| !failing.contains(peer)).collect();
    let (reached, twice) = world.reached(&live, b"through");
    assert_eq!(twice, 0, "nobody's application gets it twice");
    let copies = world.cost_of(&peers).since(&before).of(Kind::Task).messages;
    (reached, live.len(), copies as f64 / live.len() as f64)
}

#[test]
fn with_a_fifth_failing_the_ring_reaches_all_and_the_tree_most() {
    for (overlay, needed) in [(OverlayKind::Ring, 25), (OverlayKind::Tree, 17)] {
        let mut complete = 0;
        let mut copies = 0.0;
        for seed in 0..25 {
            let (reached, live, each) = a_fifth_fails(seed, overlay, 64);
            println!("{overlay:?} seed {seed}: {reached} of {live}, {each:.2} copies a peer");
            complete += usize::from(reached == live);
            copies += each / 25.0;
        }
        println!("{overlay:?}: complete in {complete} of 25, {copies:.2} copies a peer");
        assert!(complete >= needed, "{overlay:?}: {complete} of 25");
    }
}
