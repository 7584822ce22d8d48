//! Swarms that meet become one.

use crate::helpers::{grow, world};
use cicada_sim::{Cost, Kind, Packet, Verdict, World};
use cicada_wire::{Frame, OverlayKind};
use std::time::Duration;

const HALF: usize = 500;
const WITHIN: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_secs(20);

/// For the merge, beyond the upkeep that goes on anyway.
const MESSAGES: f64 = 40.0;

/// Frames and datagrams. Dials are none, and liveness is checked as before, merge or not.
fn messages(cost: &Cost) -> f64 {
    let others = [Kind::Dial, Kind::Ping, Kind::Pong].map(|kind| cost.of(kind).messages);
    (cost.total().messages - others.iter().sum::<u64>()) as f64
}

/// Two swarms of [`HALF`] members that have come to rest are joined by one connect. The ring's own tests do the same with rings.
#[test]
fn two_trees_of_500_joined_by_one_connect_become_one() {
    let mut world = world(OverlayKind::Tree, 1);
    let (first, second) = (grow(&mut world, HALF), grow(&mut world, HALF));
    let all: Vec<_> = first.iter().chain(&second).copied().collect();
    world.run_for(REST);
    let before = world.cost_of(&all);
    world.run_for(WITHIN);
    let upkeep = messages(&world.cost_of(&all).since(&before)) / WITHIN.as_secs_f64();

    let before = world.cost_of(&all);
    world.connect(first[0], second[0]);
    // Lookups lead to every owner once nearly all members know their closest ones; the last are found by the refreshes.
    let is_one = |world: &mut World| world.incomplete_trees(&all).len() * 100 <= all.len();
    let after = world.run_until_every(Duration::from_millis(250), WITHIN, is_one);
    let cost = world.cost_of(&all).since(&before);
    let span = after.unwrap_or(WITHIN).as_secs_f64();
    let [total, upkeep] = [messages(&cost), upkeep * span].map(|messages| messages / all.len() as f64);
    println!("one after {after:?}; {total:.1} messages a peer, of which {upkeep:.1} of upkeep as before:\n{cost}");
    assert!(after.is_some(), "{:?}", world.tables_are_right(&all));
    assert!(total - upkeep <= MESSAGES, "{total:.1} messages a peer, {upkeep:.1} of them of upkeep");
    assert_eq!(world.wrong_lookups(&all, 300, WITHIN), [""; 0]);
    world.settle(&all, REST).expect("nobody is forgotten for long");
}

#[test]
fn without_unification_two_rings_do_not_become_one_in_time() {
    let mut world = world(OverlayKind::Ring, 1);
    let (first, second) = (grow(&mut world, 100), grow(&mut world, 100));
    let all: Vec<_> = first.iter().chain(&second).copied().collect();
    world.add_rule(|passing| match passing.packet {
        Packet::Frame(Frame::Unify(_)) => Verdict::Vanish,
        Packet::Frame(_) | Packet::Datagram(_) | Packet::Dial => Verdict::Pass,
    });
    world.connect(first[0], second[0]);
    world.run_for(WITHIN);
    world.tables_are_right(&all).expect_err("the control: what unifies is off");
}
