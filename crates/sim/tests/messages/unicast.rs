//! One to one.

use crate::swarm::{OVERLAYS, config, over_the_overlay, swarm, world};
use cicada_proto::{Ack, HopOutcome, Route, SendError, SendOptions};
use cicada_sim::{PeerIndex, Verdict, World};
use cicada_wire::{Hash, OverlayKind, U256};
use std::time::Duration;

/// Sends between `count` random pairs, all at once. Yields how many were acknowledged, and the hops of each.
fn random_pairs(world: &mut World, peers: &[PeerIndex], count: usize, options: &SendOptions) -> (usize, Vec<usize>) {
    let mut operations = Vec::new();
    for number in 0..count {
        let from = world.choose(peers);
        let to = loop {
            let to = world.choose(peers);
            if to != from {
                break to;
            }
        };
        let target = world.id(to);
        operations.push((world.begin_send(from, target, format!("{number}"), options.clone()), to));
    }
    let numbers: Vec<_> = operations.iter().map(|(operation, _)| *operation).collect();
    world.wait_all(&numbers, Duration::from_secs(15));
    let mut hops = Vec::new();
    for (number, (operation, to)) in operations.iter().enumerate() {
        if let Some(Ok(receipt)) = world.sent(*operation) {
            hops.extend(receipt.hops());
        } else {
            println!("{:?} -> {} failed: {:?}", number, world.name(*to), world.sent(*operation));
        }
        let payload = format!("{number}");
        let got = |who: &&PeerIndex| world.deliveries(**who).iter().any(|delivery| delivery.payload == payload.as_bytes());
        let receivers: Vec<_> = peers.iter().filter(got).collect();
        assert_eq!(receivers, [to], "message {number} is for {} alone", world.name(*to));
        assert_eq!(world.reached(&[*to], payload.as_bytes()).1, 0, "message {number} came more than once");
    }
    for peer in peers {
        world.take_deliveries(*peer);
    }
    (hops.len(), hops)
}

fn mean(hops: &[usize]) -> f64 {
    hops.iter().sum::<usize>() as f64 / hops.len() as f64
}

#[test]
fn every_pair_of_64_reaches_the_right_peer_over_at_most_16_links() {
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(1, config(overlay, 16), 64);
        let (acked, hops) = random_pairs(&mut world, &peers, 500, &over_the_overlay());
        println!("{overlay:?}: {acked} of 500, mean hops {:.2}, most {:?}", mean(&hops), hops.iter().max());
        assert_eq!(acked, 500);
        assert!(mean(&hops) <= if overlay == OverlayKind::Ring { 2.8 } else { 2.4 }, "{overlay:?}: {:.2}", mean(&hops));
        assert!(hops.iter().any(|hops| *hops > 1), "relays are used");
    }
}

#[test]
fn after_a_quarter_dies_all_others_reach_each_other_within_5_seconds() {
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(2, config(overlay, 16), 64);
        for dead in &peers[..16] {
            world.crash(*dead);
        }
        let mut options = over_the_overlay();
        options.timeout = Duration::from_secs(5);
        let (acked, hops) = random_pairs(&mut world, &peers[16..], 300, &options);
        println!("{overlay:?}: {acked} of 300 at once, mean hops {:.2}", mean(&hops));
        assert_eq!(acked, 300);
    }
}

#[test]
fn further_copies_leave_by_other_first_hops_and_one_message_is_delivered() {
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(3, config(overlay, 16), 32);
        let mut options = over_the_overlay();
        options.duplicates = 3;
        for to in &peers[1..20] {
            let receipt = world.send(peers[0], *to, "hello", options.clone()).expect("it arrives");
            let mut first: Vec<_> = receipt.paths.iter().map(|path| path.first_hop).collect();
            first.sort_unstable();
            first.dedup();
            assert_eq!((receipt.paths.len(), first.len()), (4, 4), "four copies by four first hops: {receipt:?}");
            let acked = receipt.paths.iter().filter(|path| path.outcome == HopOutcome::Acked).count();
            println!("{overlay:?}: {acked} of 4 copies acknowledged");
            let me = world.id(peers[0]);
            assert!(receipt.paths.iter().all(|path| !path.relays.contains(&me)), "no copy returns through its origin");
            assert_eq!(world.reached(&[*to], b"hello"), (1, 0));
            world.take_deliveries(*to);
        }
    }
}

#[test]
fn two_peers_have_one_first_hop_whatever_is_asked_for() {
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(4, config(overlay, 16), 2);
        let mut options = SendOptions::default();
        options.duplicates = 3;
        let receipt = world.send(peers[0], peers[1], "hello", options).expect("it arrives");
        assert_eq!(receipt.paths.len(), 1);
        assert_eq!(receipt.hops(), Some(1));
        assert_eq!(world.reached(&[peers[1]], b"hello"), (1, 0));
    }
}

#[test]
fn a_message_to_oneself_is_delivered_without_relays() {
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(5, config(overlay, 16), 3);
        let receipt = world.send(peers[0], peers[0], "note", SendOptions::default()).expect("it arrives");
        assert!(receipt.acked);
        assert!(receipt.paths[0].relays.is_empty());
        assert_eq!(world.reached(&[peers[0]], b"note"), (1, 0));
    }
}

#[test]
fn an_id_that_nobody_has_is_told_after_asking_for_a_moment() {
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(6, config(overlay, 16), 16);
        let start = world.now();
        let operation = world.begin_send(peers[0], Hash::of("nobody"), "hello", SendOptions::default());
        world.wait(operation, Duration::from_secs(11));
        let target = Hash::of("nobody");
        assert_eq!(world.sent(operation), Some(Err(&SendError::NoSuchPeer { target })));
        let took = world.outcome(operation).expect("it ended").0.since(start);
        assert!(took >= Duration::from_secs(2) && took <= Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn a_message_to_a_peer_that_is_joining_arrives() {
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(7, config(overlay, 16), 16);
        let late = world.add_named("late");
        let operation = world.begin_send(peers[3], world.id(late), "welcome", SendOptions::default());
        world.run_for(Duration::from_millis(600));
        world.join(late, peers[0]).expect("it joins");
        world.wait(operation, Duration::from_secs(11));
        assert!(matches!(world.sent(operation), Some(Ok(receipt)) if receipt.acked), "{:?}", world.sent(operation));
    }
}

#[test]
fn a_peer_that_is_alone_has_no_route_until_its_timeout() {
    for overlay in OVERLAYS {
        let mut world = crate::swarm::world(8, config(overlay, 16));
        let peers = world.add_peers(2);
        let mut options = SendOptions::default();
        options.timeout = Duration::from_secs(2);
        let target = world.id(peers[1]);
        assert_eq!(world.send(peers[0], peers[1], "hello", options.clone()), Err(SendError::NoRoute { target }));
        let operation = world.begin_send(peers[0], target, "hello", options);
        world.join(peers[0], peers[1]).expect("it joins");
        world.wait(operation, Duration::from_secs(3));
        assert!(matches!(world.sent(operation), Some(Ok(receipt)) if receipt.acked), "{:?}", world.sent(operation));
    }
}

#[test]
fn a_message_over_the_limit_is_refused_before_it_is_queued() {
    let (mut world, peers) = swarm(9, config(OverlayKind::Ring, 16), 2);
    let limit = cicada_proto::Config::default().limits.message_bytes;
    let error = world.send(peers[0], peers[1], vec![0; limit + 1], SendOptions::default());
    assert_eq!(error, Err(SendError::TooLarge { length: limit + 1, limit }));
    assert!(world.send(peers[0], peers[1], vec![0; limit], SendOptions::default()).is_ok());
}

#[test]
fn a_target_that_does_not_read_is_busy_and_gets_it_when_it_reads_again() {
    for overlay in OVERLAYS {
        let mut config = config(overlay, 16);
        config.limits.deliveries = 2;
        let (mut world, peers) = swarm(10, config, 8);
        let target = world.id(peers[1]);
        world.set_reads(peers[1], false);
        let mut options = over_the_overlay();
        options.timeout = Duration::from_secs(3);
        for text in ["one", "two"] {
            world.send(peers[0], peers[1], text, options.clone()).expect("there is room");
        }
        assert_eq!(world.send(peers[0], peers[1], "three", options.clone()), Err(SendError::Busy { target }));
        let operation = world.begin_send(peers[0], target, "four", options);
        world.run_for(Duration::from_secs(1));
        world.command(peers[1], cicada_proto::Command::Consumed { deliveries: 2 });
        world.wait(operation, Duration::from_secs(4));
        assert!(matches!(world.sent(operation), Some(Ok(receipt)) if receipt.acked), "{:?}", world.sent(operation));
    }
}

#[test]
fn too_many_messages_under_way_are_full_and_room_comes_back() {
    let mut config = config(OverlayKind::Ring, 16);
    config.limits.in_flight = 4;
    let (mut world, peers) = swarm(11, config, 3);
    let target = world.id(peers[1]);
    let operations: Vec<_> = (0..6).map(|_| world.begin_send(peers[0], target, "hello", over_the_overlay())).collect();
    world.wait_all(&operations, Duration::from_secs(11));
    let full = operations.iter().filter(|operation| world.sent(**operation) == Some(Err(&SendError::Full))).count();
    assert_eq!(full, 2);
    world.send(peers[0], peers[1], "again", over_the_overlay()).expect("there is room again");
}

#[test]
fn bytes_under_way_are_bounded_too() {
    let mut config = config(OverlayKind::Ring, 16);
    config.limits.message_bytes = 1000;
    config.limits.in_flight_bytes = 1000;
    let (mut world, peers) = swarm(12, config, 3);
    let target = world.id(peers[1]);
    let operations: Vec<_> = (0..3).map(|_| world.begin_send(peers[0], target, vec![0; 400], over_the_overlay())).collect();
    world.wait_all(&operations, Duration::from_secs(11));
    let full = operations.iter().filter(|operation| world.sent(**operation) == Some(Err(&SendError::Full))).count();
    assert_eq!(full, 1);
}

#[test]
fn a_direct_message_has_its_link_made_and_travels_over_it() {
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(13, config(overlay, 48), 32);
        let mut options = SendOptions::default();
        options.route = Route::Direct;
        for to in &peers[1..10] {
            let receipt = world.send(peers[0], *to, "straight", options.clone()).expect("it arrives");
            assert_eq!(receipt.hops(), Some(1));
        }
        world.crash(peers[20]);
        world.run_for(Duration::from_secs(15));
        let target = world.id(peers[20]);
        assert_eq!(world.send(peers[0], peers[20], "straight", options), Err(SendError::NoLink { target }));
    }
}

#[test]
fn who_waits_for_less_is_told_earlier() {
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(14, config(overlay, 16), 32);
        let mut options = over_the_overlay();
        world.send(peers[0], peers[9], "they know each other", options.clone()).expect("it arrives");
        options.ack = Ack::None;
        let start = world.now();
        let receipt = world.send(peers[0], peers[9], "a", options.clone()).expect("it leaves");
        assert!(!receipt.acked && world.now() == start);
        options.ack = Ack::FirstHop;
        let receipt = world.send(peers[0], peers[9], "b", options).expect("the first hop takes it");
        assert_eq!(world.now().since(start), Duration::from_millis(10));
        // Of a target that is the first hop itself, the receipt is what says so.
        assert!(!receipt.acked || receipt.hops() == Some(1));
        world.run_for(Duration::from_secs(1));
        assert_eq!(world.reached(&[peers[9]], b"a"), (1, 0));
        assert_eq!(world.reached(&[peers[9]], b"b"), (1, 0));
    }
}

/// Two neighbours between whom nothing passes: the one takes itself for responsible for the other.
#[test]
fn who_cannot_reach_its_neighbour_has_others_hand_it_the_message() {
    for overlay in OVERLAYS {
        for seed in 20..24 {
            let mut world = world(seed, config(overlay, 16));
            let peers = world.add_peers(24);
            let target = peers[5];
            let others: Vec<PeerIndex> = peers.iter().copied().filter(|peer| *peer != target).collect();
            let neighbour = world.owner(&others, world.id(target)).expect("there are others");
            world.add_rule(move |passing| {
                let between = [passing.from, passing.to].iter().all(|end| [target, neighbour].contains(end));
                if between { Verdict::Vanish } else { Verdict::Pass }
            });
            assert_eq!(world.assemble(&peers, Duration::from_millis(20)), [], "{overlay}, seed {seed}");
            world.run_for(Duration::from_secs(30));
            let receipt = world.send(neighbour, target, "hello", over_the_overlay());
            assert!(receipt.is_ok(), "{overlay}, seed {seed}: {receipt:?}");
            assert_eq!(world.reached(&[target], b"hello"), (1, 0), "{overlay}, seed {seed}");
            // Whoever is not there is still said not to be, and no later than before.
            let (nobody, sent) = (Hash(world.id(target).0.wrapping_sub(U256::ONE)), world.now());
            let operation = world.begin_send(neighbour, nobody, "hello", over_the_overlay());
            world.wait_all(&[operation], Duration::from_secs(11));
            assert_eq!(world.sent(operation), Some(Err(&SendError::NoSuchPeer { target: nobody })), "{overlay}, seed {seed}");
            assert!(world.now().since(sent) < Duration::from_secs(4), "{overlay}, seed {seed}");
        }
    }
}
