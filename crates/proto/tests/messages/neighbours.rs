//! What a ring's members say of their neighbours.

use crate::desk::Desk;
use cicada_proto::Config;
use cicada_wire::*;
use std::time::Duration;

/// With a member behind us and one ahead.
fn between() -> Desk {
    let mut config = Config::default();
    (config.overlay, config.upkeep.successors) = (OverlayKind::Ring, 4);
    let mut desk = Desk::linked_to(config, &[0x10, 0x40]);
    desk.answers = true;
    desk.pass(Duration::from_secs(1));
    desk
}

/// As many ids as there are places, other ones each time, none of which anybody has.
fn nobodies(round: u8) -> [Hash; 4] {
    std::array::from_fn(|at| {
        let mut bytes = [0; 32];
        (bytes[0], bytes[1], bytes[2]) = (0x50, round, at as u8);
        Hash::from_bytes(bytes)
    })
}

#[test]
fn where_many_go_those_whom_the_successor_names_come_first() {
    let mut desk = between();
    desk.hear_neighbours(0x40, &nobodies(0), &[0x90], Churn::Heavy);
    desk.pass(Duration::from_secs(1));
    assert!(!desk.has_knocked_at(0x90), "their records may be on their way");

    let mut desk = between();
    desk.hear_neighbours(0x40, &nobodies(0), &[0x90], Churn::Some);
    desk.pass(Duration::from_secs(1));
    assert!(desk.has_knocked_at(0x90));
}

#[test]
fn whoever_goes_on_naming_members_that_do_not_exist_keeps_nobody_out() {
    let mut desk = between();
    for round in 0..20 {
        desk.hear_neighbours(0x40, &nobodies(round), &[0x90], Churn::Heavy);
        desk.pass(Duration::from_millis(500));
    }
    assert!(desk.has_knocked_at(0x90));
}

/// It would claim to be responsible for half of the ring.
#[test]
fn whoever_has_only_been_let_in_has_no_place_yet() {
    let mut config = Config::default();
    config.overlay = OverlayKind::Ring;
    let mut desk = Desk::linked_to(config, &[0x80]);
    desk.answers = true;
    desk.pass(Duration::from_secs(3));
    assert!(!desk.is_joined(), "it has answered, and somebody else is before it");
    desk.hear_neighbours(0x80, &[], &[], Churn::Calm);
    assert!(desk.is_joined());
}
