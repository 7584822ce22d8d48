//! Swarms that meet become one.

use crate::helpers::{grow, world};
use cicada_sim::{Packet, Verdict};
use cicada_wire::{Frame, OverlayKind};
use std::time::Duration;

const HALF: usize = 500;
const WITHIN: Duration = Duration::from_secs(10);
const MESSAGES: u64 = 40;

/// Two swarms of [`HALF`] members that were joined by one connect.
fn two_become_one(overlay: OverlayKind) {
    let mut world = world(overlay, 1);
    let (first, second) = (grow(&mut world, HALF), grow(&mut world, HALF));
    let all: Vec<_> = first.iter().chain(&second).copied().collect();
    let before = world.cost_of(&all);
    world.run_for(WITHIN);
    let upkeep = world.cost_of(&all).since(&before);

    let before = world.cost_of(&all);
    world.connect(first[0], second[0]);
    let after = world.run_until_every(Duration::from_millis(250), WITHIN, |world| world.tables_are_right(&all).is_ok());
    let cost = world.cost_of(&all).since(&before);
    println!("{overlay}: one after {after:?}; {WITHIN:?} of upkeep before:\n{upkeep}the merge, upkeep included:\n{cost}");
    assert!(after.is_some(), "{:?}", world.tables_are_right(&all));
    assert!(cost.total().messages <= MESSAGES * all.len() as u64);
    assert_eq!(world.wrong_lookups(&all, 300, WITHIN), [""; 0]);
}

#[test]
fn two_rings_of_500_joined_by_one_connect_become_one() {
    two_become_one(OverlayKind::Ring);
}

#[test]
fn two_trees_of_500_joined_by_one_connect_become_one() {
    two_become_one(OverlayKind::Tree);
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
