//! Swarms in which some see IPv4 alone, some IPv6 alone, and some both: who cannot dial each other speaks over the last.

use crate::swarm::{OVERLAYS, config, over_the_overlay, world};
use cicada_proto::SendError;
use cicada_sim::{PeerIndex, PeerOptions, World};
use cicada_wire::OverlayKind;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

/// What a peer sees, the family of the address that it announces first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sees {
    Four,
    Six,
    FourAndSix,
    SixAndFour,
}

fn options(number: usize, sees: Sees) -> PeerOptions {
    let number = u16::try_from(number + 1).expect("a small world");
    let [high, low] = number.to_be_bytes();
    let four = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 9, high, low)), 7000);
    let six = SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number)), 7000);
    let (socket, other) = match sees {
        Sees::Four => (four, None),
        Sees::Six => (six, None),
        Sees::FourAndSix => (four, Some(six)),
        Sees::SixAndFour => (six, Some(four)),
    };
    PeerOptions { socket: Some(socket), other, ..PeerOptions::default() }
}

/// A swarm of such peers, each of which joined by one of the first `bridges`, which see both.
fn mixed(seed: u64, overlay: OverlayKind, bridges: &[Sees], rest: &[Sees], times: usize) -> (World, Vec<PeerIndex>) {
    let mut world = world(seed, config(overlay, 16));
    let mut peers = Vec::new();
    let rest = std::iter::repeat_n(rest, times).flatten();
    for (number, sees) in bridges.iter().chain(rest).enumerate() {
        let peer = world.add(options(number + 100 * seed as usize, *sees));
        if number > 0 {
            let entry = peers[number % number.min(bridges.len())];
            world.join(peer, entry).unwrap_or_else(|error| panic!("{overlay}, seed {seed}, {number} {sees:?}: {error:?}"));
        }
        peers.push(peer);
    }
    world.run_for(Duration::from_secs(20));
    (world, peers)
}

/// How many of all pairs do not reach each other.
fn failures(world: &mut World, peers: &[PeerIndex]) -> Vec<String> {
    let mut failed = Vec::new();
    for from in peers {
        let sends: Vec<_> = peers.iter().filter(|to| *to != from).map(|to| (*to, world.id(*to))).collect();
        let sends: Vec<_> = sends.into_iter().map(|(to, id)| (to, world.begin_send(*from, id, "x", over_the_overlay()))).collect();
        let operations: Vec<_> = sends.iter().map(|(_, operation)| *operation).collect();
        world.wait_all(&operations, Duration::from_secs(15));
        for (to, operation) in sends {
            if !matches!(world.sent(operation), Some(Ok(receipt)) if receipt.acked) {
                failed.push(format!("{} to {}: {:?}", world.name(*from), world.name(to), world.sent(operation)));
            }
        }
    }
    failed
}

const BRIDGES: [Sees; 2] = [Sees::FourAndSix, Sees::SixAndFour];

#[test]
fn who_cannot_dial_each_other_reach_each_other_over_those_that_see_both() {
    for overlay in OVERLAYS {
        for seed in 0..8 {
            let rest = [Sees::Four, Sees::Six, Sees::FourAndSix, Sees::Four, Sees::Six, Sees::SixAndFour];
            let (mut world, peers) = mixed(seed, overlay, &BRIDGES, &rest, 5);
            let failed = failures(&mut world, &peers);
            assert!(failed.is_empty(), "{overlay}, seed {seed}, {} failed:\n{}", failed.len(), failed.join("\n"));
        }
    }
}

#[test]
fn few_that_see_both_hold_many_together() {
    for overlay in OVERLAYS {
        for seed in 8..12 {
            let (mut world, peers) = mixed(seed, overlay, &BRIDGES, &[Sees::Four, Sees::Six, Sees::Four], 10);
            let failed = failures(&mut world, &peers);
            assert!(failed.is_empty(), "{overlay}, seed {seed}, {} failed:\n{}", failed.len(), failed.join("\n"));
        }
    }
}

#[test]
fn without_one_that_sees_both_there_is_no_such_peer() {
    for overlay in OVERLAYS {
        let (mut world, peers) = mixed(20, overlay, &BRIDGES, &[Sees::Four, Sees::Six], 6);
        for bridge in &peers[..2] {
            world.crash(*bridge);
        }
        world.run_for(Duration::from_secs(30));
        let (four, six, target) = (peers[2], peers[3], world.id(peers[3]));
        assert_eq!(world.send(four, six, "x", over_the_overlay()), Err(SendError::NoSuchPeer { target }), "{overlay}");
        assert!(world.send(four, peers[4], "x", over_the_overlay()).is_ok(), "{overlay}: those of its own family are there");
    }
}

#[test]
fn who_is_not_there_is_not_there_for_either_family() {
    for overlay in OVERLAYS {
        let (mut world, peers) = mixed(21, overlay, &BRIDGES, &[Sees::Four, Sees::Six], 10);
        for from in &peers {
            let target = world.random_key();
            let operation = world.begin_send(*from, target, "x", over_the_overlay());
            world.wait(operation, Duration::from_secs(11));
            assert_eq!(world.sent(operation), Some(Err(&SendError::NoSuchPeer { target })), "{overlay}");
        }
    }
}

#[test]
fn a_broadcast_reaches_all_of_either_family() {
    for overlay in OVERLAYS {
        for seed in 30..34 {
            let (mut world, peers) = mixed(seed, overlay, &BRIDGES, &[Sees::Four, Sees::Six, Sees::FourAndSix, Sees::Six], 8);
            for from in &peers {
                let text = format!("from {}", world.name(*from));
                world.broadcast(*from, text.clone());
                world.run_for(Duration::from_secs(5));
                let others: Vec<_> = peers.iter().copied().filter(|peer| peer != from).collect();
                assert_eq!(world.reached(&others, text.as_bytes()), (others.len(), 0), "{overlay}, seed {seed}, {text}");
            }
        }
    }
}
