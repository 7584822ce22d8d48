//! Budgets and queues: what is done in somebody's name, or by one link, takes nothing from others.

use crate::{
    neighbours, rig,
    rig::{Rig, START, Somebody, share, somebody},
    sealed::{talk, talk_from},
};
use cicada_proto::config::Rate;
use cicada_wire::*;
use std::time::Duration;

/// Broadcasts of one origin that the node takes at once; hardly any after that.
const BROADCASTS: usize = 5;

fn frugal() -> Rig {
    let change = |config: &mut cicada_proto::Config| config.limits.broadcasts_per_origin = Rate::new(1, BROADCASTS as u64);
    Rig::new(change, &neighbours().iter().collect::<Vec<_>>())
}

#[test]
fn what_is_forged_in_an_origins_name_or_repeated_costs_it_nothing() {
    let (mut rig, [origin, forger, parrot, honest]) = (frugal(), neighbours());
    rig.hear(&parrot, origin.broadcast(1, b"true"));
    for number in 100..150 {
        if !rig.is_linked(&forger) {
            rig.link(&forger);
        }
        let fixed = Immutable::from(origin.statement(number, None, b"false"));
        let signature = fixed.hash().sign(&forger.identity);
        rig.hear(&forger, share(fixed.signed(signature), b"false"));
        rig.hear(&parrot, origin.broadcast(1, b"true"));
    }
    assert_eq!((rig.refusals(Refusal::BadSignature), rig.refusals(Refusal::OverBudget)), (50, 0));
    for number in 2..=BROADCASTS as u64 {
        rig.hear(&honest, origin.broadcast(number, b"true"));
    }
    assert_eq!(rig.delivered.len(), BROADCASTS);
    // Its own cost.
    rig.hear(&honest, origin.broadcast(99, b"true"));
    assert_eq!((rig.delivered.len(), rig.refusals(Refusal::OverBudget)), (BROADCASTS, 1));
}

#[test]
fn relays_do_not_let_one_neighbour_spend_what_an_origin_may_send_by_others() {
    let change = |config: &mut cicada_proto::Config| config.limits.messages_per_origin = Rate::new(1, 5);
    let near = neighbours();
    let mut rig = Rig::new(change, &near.iter().collect::<Vec<_>>());
    let [origin, forger, honest, _] = &near;
    let me = somebody(7000);
    let opened = talk(origin, &me);
    for number in 100..110 {
        // In the name of the first; whether it is by it only the target knows.
        let false_one = talk(forger, &me).message(origin, &me, number, true);
        rig.hear(forger, false_one);
    }
    assert_eq!(rig.refusals(Refusal::OverBudget), 5, "control: by that link there is an end");
    for number in 1..=5 {
        rig.hear(honest, opened.message(origin, &me, number, true));
    }
    assert_eq!(rig.delivered.len(), 5);
}

#[test]
fn a_link_that_hands_over_invented_origins_leaves_room_for_those_of_others() {
    let near = neighbours();
    let mut rig = rig(&near);
    for port in 8000..8300 {
        rig.hear(&near[1], somebody(port).broadcast(1, b"invented"));
    }
    let refused = rig.refusals(Refusal::OverBudget);
    assert!(refused > 200, "{refused}");
    let far = somebody(7100);
    rig.hear(&near[0], far.broadcast(1, b"true"));
    assert!(rig.answer_challenge(&far), "it is looked into");
    assert_eq!(rig.delivered.len(), 1);
}

#[test]
fn of_many_sessions_with_one_peer_the_last_stand() {
    let near = neighbours();
    let mut rig = rig(&near);
    let me = somebody(7000);
    let talks: Vec<_> = (0..20).map(|seed| talk_from(&near[0], &me, seed)).collect();
    for (number, talk) in talks.iter().enumerate() {
        rig.hear(&near[0], talk.message(&near[0], &me, number as u64 + 1, true));
        rig.pass(Duration::from_millis(1));
    }
    assert_eq!(rig.delivered.len(), 20);
    rig.hear(&near[0], talks[19].message(&near[0], &me, 101, false));
    assert_eq!(rig.delivered.len(), 21);
    rig.hear(&near[0], talks[0].message(&near[0], &me, 102, false));
    assert_eq!((rig.delivered.len(), rig.refusals(Refusal::NoSession)), (21, 1));
}

/// How many messages the node remembers here.
const REMEMBERED: u64 = 4;

fn forgetful() -> Rig {
    Rig::new(|config| config.limits.seen = REMEMBERED as usize, &neighbours().iter().collect::<Vec<_>>())
}

fn later(number: u64) -> UnixTime {
    UnixTime(START.0 + number)
}

#[test]
fn what_had_to_be_forgotten_early_is_not_delivered_again() {
    for length in [5, 20] {
        let (mut rig, [origin, other, parrot, _]) = (forgetful(), neighbours());
        let said = |from: &Somebody, number| {
            let fixed = Immutable::from(Statement { made_at: later(number), ..from.statement(number, None, b"hello") });
            let signature = fixed.hash().sign(&from.identity);
            share(fixed.signed(signature), b"hello")
        };
        for number in 1..=length {
            rig.hear(&origin, said(&origin, number));
        }
        assert_eq!(rig.delivered.len() as u64, length);
        for number in (1..=length).rev() {
            rig.hear(&parrot, said(&origin, number));
        }
        assert_eq!((rig.delivered.len() as u64, rig.refusals(Refusal::WrongTime) as u64), (length, length - REMEMBERED));
        // Nobody else's are taken for old, nor what the same origin says from now on.
        rig.hear(&parrot, said(&other, 1));
        rig.hear(&parrot, said(&origin, length + 1));
        assert_eq!(rig.delivered.len() as u64, length + 2);
    }
}

#[test]
fn nor_is_a_unicast() {
    let (mut rig, [origin, other, ..]) = (forgetful(), neighbours());
    let me = somebody(7000);
    let (opened, of_other) = (talk(&origin, &me), talk(&other, &me));
    for number in 1..=10 {
        rig.hear(&origin, opened.message_at(later(number), &origin, &me, number));
    }
    assert_eq!(rig.delivered.len(), 10);
    for number in 1..=10 {
        // Another copy: the same is answered by what is remembered of it.
        let Frame::Data(mut header, payload) = opened.message_at(later(number), &origin, &me, number) else { panic!("a unicast") };
        header.hop.copy = 1;
        rig.hear(&origin, Frame::Data(header, payload));
    }
    assert_eq!((rig.delivered.len(), rig.refusals(Refusal::WrongTime)), (10, 10 - REMEMBERED as usize));
    rig.hear(&other, of_other.message_at(later(1), &other, &me, 1));
    rig.hear(&origin, opened.message_at(later(11), &origin, &me, 11));
    assert_eq!(rig.delivered.len(), 12);
}

#[test]
fn whoever_says_much_in_a_short_time_loses_nothing_when_the_wall_time_is_told() {
    let (mut rig, [origin, ..]) = (forgetful(), neighbours());
    for number in 1..=100 {
        rig.pass(Duration::from_millis(100));
        let made_at = UnixTime(START.0 + number * 100);
        if number % 50 == 0 {
            rig.tell_time(made_at);
        }
        let fixed = Immutable::from(Statement { made_at, ..origin.statement(number, None, b"hello") });
        let signature = fixed.hash().sign(&origin.identity);
        rig.hear(&origin, share(fixed.signed(signature), b"hello"));
    }
    assert_eq!((rig.delivered.len(), rig.refusals(Refusal::WrongTime)), (100, 0));
}

#[test]
fn the_wall_time_goes_on_between_two_tellings() {
    let (mut rig, [target, ..]) = (forgetful(), neighbours());
    let said_at = |rig: &mut Rig| {
        rig.said.clear();
        rig.send(&target, "hello");
        rig.data().first().map(|(_, header, _)| header.fixed.made_at.0 - START.0)
    };
    let first = said_at(&mut rig).expect("it asks for a credential at least");
    rig.pass(Duration::from_millis(700));
    assert_eq!(said_at(&mut rig), Some(first + 700));
    rig.tell_time(UnixTime(START.0 + 5000));
    assert_eq!(said_at(&mut rig), Some(5000));
}
