//! How peers are found and kept.

use crate::desk::*;
use cicada_proto::kadcast::{Event, Input, Removal, Settings};
use cicada_wire::{Refusal, kadcast::*};
use std::net::SocketAddr;

fn finds(desk: &Desk, to: SocketAddr) -> usize {
    desk.datagrams.iter().filter(|(other, message)| *other == to && matches!(message.body, Body::FindNodes { .. })).count()
}

fn pings(desk: &Desk, to: SocketAddr) -> usize {
    desk.datagrams.iter().filter(|(other, message)| *other == to && matches!(message.body, Body::Ping { .. })).count()
}

/// Rows 10 and 20.
#[test]
fn a_bootstrap_peer_whose_answer_is_lost_is_asked_again_from_half_a_second_on() {
    let entry = Other::new(at("10.0.0.2:9000"));
    let mut desk = Desk::new(Settings::default(), &[entry.address]);
    assert_eq!(finds(&desk, entry.address), 1);
    desk.pass(ms(600));
    assert_eq!(finds(&desk, entry.address), 2);
    let version = entry.version;
    let third = Other::new(at("10.0.0.3:9000"));
    desk.hear(&entry, Body::Nodes { version, entries: vec![Entry::of(third.address)] });
    assert!(desk.knows(&entry));
    assert_eq!(finds(&desk, third.address) + pings(&desk, third.address), 1, "whom it tells of is looked for at once");
}

#[test]
fn a_bootstrap_peer_that_comes_late_is_found_and_asked_ever_more_seldom_until_then() {
    let entry = Other::new(at("10.0.0.2:9000"));
    let mut desk = Desk::new(Settings::default(), &[entry.address]);
    desk.pass(seconds(600));
    let asked = finds(&desk, entry.address);
    assert!((20..120).contains(&asked), "{asked} questions in ten minutes");
    assert!(desk.resolves > 10, "its name is looked up again");
    assert!(!desk.knows(&entry));
    desk.pass_among(seconds(31), &[&entry]);
    assert!(desk.knows(&entry));
}

/// Row 11.
#[test]
fn who_was_asked_or_has_not_answered_is_not_asked_again_for_every_peer_that_tells_of_it() {
    let friends: Vec<Other> = (0..8).map(|number| Other::in_bucket(127, number)).collect();
    let friends: Vec<&Other> = friends.iter().collect();
    let mut desk = Desk::new(Settings::default(), &[friends[0].address]);
    desk.answer(&friends);
    desk.befriend(&friends[1..]);
    let dead = Other::in_bucket(126, 0);
    desk.datagrams.clear();
    // All of them tell of it, again and again.
    for _ in 0..10 {
        for friend in &friends {
            desk.hear(friend, Body::Nodes { version: friend.version, entries: vec![Entry::of(dead.address)] });
        }
    }
    assert!(finds(&desk, dead.address) + pings(&desk, dead.address) <= 1);
    desk.pass(seconds(5));
    assert!(finds(&desk, dead.address) + pings(&desk, dead.address) <= 4);
}

/// Row 9.
#[test]
fn a_silent_peer_is_asked_for_seconds_before_it_goes_and_an_answer_keeps_it() {
    let (dead, alive) = (Other::in_bucket(127, 0), Other::in_bucket(127, 1));
    let mut desk = Desk::new(Settings::default(), &[]);
    desk.befriend(&[&dead, &alive]);
    desk.events.clear();
    let asked = |desk: &Desk| finds(desk, dead.address) + pings(desk, dead.address);
    let mut first_asked = None;
    let mut times = 0;
    while desk.knows(&dead) {
        desk.datagrams.clear();
        desk.pass(ms(10));
        times += asked(&desk);
        first_asked = first_asked.or((times > 0).then_some(desk.now));
        desk.answer(&[&alive]);
    }
    let waited = desk.now.since(first_asked.expect("nobody goes for being silent"));
    assert!(waited >= seconds(5) && waited < seconds(10), "{waited:?}");
    assert!((3..=8).contains(&times), "asked {times} times");
    assert_eq!(desk.events, [Event::PeerRemoved { address: dead.address, reason: Removal::Silent }]);
    desk.pass_among(seconds(3600), &[&alive]);
    assert!(desk.knows(&alive), "the control");
    assert_eq!(desk.machine.figures().peers, 1);
}

#[test]
fn who_answers_in_a_peers_name_from_another_port_keeps_it_no_longer_than_it_is_there() {
    let (dead, alive) = (Other::in_bucket(127, 0), Other::in_bucket(127, 1));
    let elsewhere = SocketAddr::new(alive.address.ip(), 40_000);
    let mut desk = Desk::new(Settings { accepts: "0.0.1".parse().expect("a requirement"), ..Settings::default() }, &[]);
    desk.befriend(&[&dead, &alive]);
    let told = desk.machine.table(desk.now);
    for other in [&dead, &alive] {
        let version = Version { major: 9, ..other.version };
        desk.datagram(elsewhere_of(other, elsewhere), other.says(Body::Ping { version }));
        desk.datagram(elsewhere_of(other, elsewhere), other.says(Body::Pong { version: other.version }));
    }
    assert_eq!(desk.machine.table(desk.now).len(), told.len(), "a version told in its name does not put it out");
    assert_eq!((desk.refused(Refusal::OtherApplication), desk.refused(Refusal::UnprovenAddress)), (2, 2));
    desk.pass_among(seconds(60), &[&alive]);
    assert!(desk.knows(&alive) && !desk.knows(&dead));
}

fn elsewhere_of(other: &Other, elsewhere: SocketAddr) -> SocketAddr {
    SocketAddr::new(other.address.ip(), elsewhere.port())
}

/// The crate's peers send from a port that is another one after each start.
#[test]
fn a_peer_that_was_started_again_and_sends_from_another_port_is_known_again_within_seconds() {
    let other = Other::in_bucket(127, 0);
    let mut desk = Desk::new(Settings::default(), &[]);
    desk.befriend(&[&other]);
    let elsewhere = SocketAddr::new(other.address.ip(), 40_000);
    desk.datagrams.clear();
    let question = Body::FindNodes { version: other.version, target: other.header.id };
    desk.datagram(elsewhere, other.says(question.clone()));
    let small = |desk: &Desk| desk.bytes_to(other.address) < 3 * 47;
    assert!(small(&desk), "who is not proven to be there gets little");
    for _ in 0..30 {
        desk.pass(ms(100));
        for (to, message) in std::mem::take(&mut desk.datagrams) {
            let version = other.version;
            match message.body {
                _ if to != other.address => {}
                Body::Ping { .. } => desk.datagram(elsewhere, other.says(Body::Pong { version })),
                Body::FindNodes { .. } => desk.datagram(elsewhere, other.says(Body::Nodes { version, entries: Vec::new() })),
                Body::Pong { .. } | Body::Nodes { .. } | Body::Broadcast(_) | Body::Pull(_) => {}
            }
        }
    }
    let encoded = encoded(&payload(1000), 0);
    let pull = Pull { ray: encoded.ray, coding: encoded.coding, block: 0, wanted: 1, first: 0, held: Default::default() };
    desk.datagram(elsewhere, other.says(Body::Pull(pull.clone())));
    assert_eq!(desk.refused(Refusal::Unexpected), 0, "it may ask for what known peers may");
    desk.datagram(other.address, other.says(Body::Pull(pull)));
    assert_eq!(desk.refused(Refusal::Unexpected), 1, "the control: nobody else");
}

#[test]
fn one_lost_ping_does_not_put_a_peer_out() {
    let other = Other::in_bucket(127, 0);
    let mut desk = Desk::new(Settings::default(), &[]);
    desk.befriend(&[&other]);
    desk.datagrams.clear();
    while pings(&desk, other.address) + finds(&desk, other.address) < 2 {
        desk.pass(ms(100));
    }
    desk.datagrams.drain(..1);
    desk.answer(&[&other]);
    desk.pass_among(seconds(10), &[&other]);
    assert!(desk.knows(&other));
}

/// Row 12.
#[test]
fn invented_peers_cost_a_victim_no_more_datagrams_than_its_budget() {
    let liar = Other::new(at("203.0.113.1:9000"));
    let mut desk = Desk::new(Settings::default(), &[liar.address]);
    let version = liar.version;
    let lies: Vec<Entry> = (0..40).map(|port| Entry { address: ([198, 51, 100, 1], 2000 + port).into(), id: Id([1; 16]) }).collect();
    desk.datagrams.clear();
    desk.hear(&liar, Body::Nodes { version, entries: lies });
    assert!(desk.datagrams.iter().all(|(to, _)| to.ip() != at("198.51.100.1:1").ip()), "ids that are not those of the addresses");
    assert_eq!(desk.refused(Refusal::OtherId), 40);
    let mut desk = Desk::new(Settings::default(), &[liar.address]);
    let genuine: Vec<Entry> = (0..40).map(|port| Entry::of(([198, 51, 100, 1], 2000 + port).into())).collect();
    desk.hear(&liar, Body::Nodes { version, entries: genuine });
    desk.pass(seconds(1));
    let to_victim = desk.datagrams.iter().filter(|(to, _)| to.ip() == at("198.51.100.1:1").ip()).count();
    assert!((1..=17).contains(&to_victim), "{to_victim} datagrams");
}

#[test]
fn peers_nobody_asked_for_and_addresses_that_make_no_sense_are_refused() {
    let (stranger, friend) = (Other::new(at("10.0.0.2:9000")), Other::in_bucket(127, 0));
    let mut desk = Desk::new(Settings::default(), &[]);
    let entries = vec![Entry::of(at("10.0.0.9:9000"))];
    desk.hear(&stranger, Body::Nodes { version: stranger.version, entries: entries.clone() });
    assert_eq!(desk.refused(Refusal::Unasked), 1);
    assert!(desk.datagrams.is_empty() && !desk.knows(&stranger));
    desk.hear(&stranger, Body::Pong { version: stranger.version });
    assert_eq!(desk.refused(Refusal::Unasked), 2);
    assert!(!desk.knows(&stranger), "an answer that nobody asked for proves nothing");
    let mut desk = Desk::new(Settings::default(), &[friend.address]);
    let entries = ["127.0.0.1:9000", "224.0.0.1:9000", "10.0.0.9:53"].map(|address| Entry::of(at(address))).to_vec();
    desk.hear(&friend, Body::Nodes { version: friend.version, entries });
    assert_eq!(desk.refused(Refusal::ForbiddenAddress), 3);
}

/// Row 12.
#[test]
fn an_unproven_address_gets_less_than_three_times_what_came_from_it() {
    let friends: Vec<Other> = (0..20).map(|number| Other::in_bucket(127, number)).collect();
    let mut desk = Desk::new(Settings::default(), &[]);
    let friends: Vec<&Other> = friends.iter().collect();
    desk.befriend(&friends);
    let spoofed = Other::in_bucket(126, 0);
    let version = spoofed.version;
    for asked in [Body::FindNodes { version, target: spoofed.header.id }, Body::Ping { version }] {
        desk.datagrams.clear();
        let came = spoofed.says(asked.clone()).len();
        desk.hear(&spoofed, asked);
        let mut went = 0;
        for _ in 0..100 {
            went += desk.bytes_to(spoofed.address);
            desk.answer(&friends);
            desk.datagrams.clear();
            desk.pass(ms(100));
        }
        assert!(went <= 3 * came, "{went} bytes for {came}");
        assert!(!desk.knows(&spoofed));
    }
    // The control: whoever answers the ping gets the whole list.
    let asker = Other::in_bucket(126, 1);
    desk.datagrams.clear();
    desk.hear(&asker, Body::FindNodes { version, target: asker.header.id });
    desk.answer(&[&asker]);
    let listed = desk.datagrams.iter().find_map(|(to, message)| match &message.body {
        Body::Nodes { entries, .. } if *to == asker.address => Some(entries.len()),
        _ => None,
    });
    assert_eq!(listed, Some(20));
}

#[test]
fn questions_of_one_address_beyond_its_budget_are_not_answered() {
    let other = Other::new(at("203.0.113.1:9000"));
    let mut desk = Desk::new(Settings::default(), &[]);
    for _ in 0..1000 {
        desk.hear(&other, Body::Ping { version: other.version });
    }
    let pongs = desk.datagrams.iter().filter(|(_, message)| matches!(message.body, Body::Pong { .. })).count();
    assert_eq!(pongs, 200);
    assert_eq!(desk.refused(Refusal::OverBudget), 800);
}

/// Row 17.
#[test]
fn answers_to_a_full_bucket_with_a_silent_head_set_off_nothing() {
    let settings = Settings { bucket_size: 3, ..Settings::default() };
    let members: Vec<Other> = (0..3).map(|number| Other::in_bucket(127, number)).collect();
    let mut desk = Desk::new(settings, &[]);
    desk.befriend(&members.iter().collect::<Vec<_>>());
    desk.pass(seconds(29));
    desk.datagrams.clear();
    let newcomer = Other::in_bucket(127, 9);
    for _ in 0..100 {
        for other in members[1..].iter().chain([&newcomer]) {
            desk.hear(other, Body::Pong { version: other.version });
        }
    }
    assert!(desk.datagrams.is_empty(), "{:?}", desk.datagrams);
    for _ in 0..100 {
        desk.hear(&members[1], Body::Ping { version: members[1].version });
    }
    assert_eq!(pings(&desk, members[0].address), 0, "nor do pings");
    // The control: time does, once.
    desk.pass(seconds(10));
    assert!((1..=5).contains(&pings(&desk, members[0].address)));
}

/// Row 13.
#[test]
fn an_ipv4_peer_is_known_through_a_socket_for_both_families() {
    let other = Other::new(at("10.0.0.2:9000"));
    let mut desk = Desk::new(Settings::default(), &[]);
    let mapped = at("[::ffff:10.0.0.2]:40000");
    desk.datagram(mapped, other.says(Body::Ping { version: other.version }));
    desk.datagram(mapped, other.says(Body::Pong { version: other.version }));
    assert!(desk.knows(&other));
    assert!(desk.datagrams.iter().all(|(to, _)| *to == other.address), "answers go to the address it announces");
    let six = Other::new(at("[2001:db8::2]:9000"));
    desk.hear(&six, Body::Ping { version: six.version });
    desk.hear(&six, Body::Pong { version: six.version });
    assert!(desk.knows(&six));
}

#[test]
fn other_networks_versions_ids_and_short_work_are_refused() {
    let settings = Settings { accepts: ">=1.2".parse().unwrap(), ..Settings::default() };
    let mut desk = Desk::new(settings, &[]);
    let mut other = Other::new(at("10.0.0.2:9000"));
    desk.hear(&other, Body::Ping { version: other.version });
    assert_eq!(desk.refused(Refusal::OtherApplication), 1);
    other.version = Version { major: 1, minor: 2, patch: 0 };
    desk.datagram(at("10.0.0.3:9000"), other.says(Body::Ping { version: other.version }));
    assert_eq!(desk.refused(Refusal::OtherId), 1);
    other.header.network = 1;
    desk.hear(&other, Body::Ping { version: other.version });
    assert_eq!(desk.refused(Refusal::OtherNetwork), 1);
    assert!(desk.datagrams.is_empty(), "none of them is answered");
    other.header.network = 0;
    desk.hear(&other, Body::Ping { version: other.version });
    assert!(!desk.datagrams.is_empty(), "the control");
}

/// Row 7.
#[test]
fn the_blocked_are_put_out_at_once_and_let_in_again() {
    use cicada_proto::kadcast::Blocked;
    let (one, two) = (Other::in_bucket(127, 0), Other::in_bucket(127, 1));
    let mut desk = Desk::new(Settings::default(), &[]);
    desk.befriend(&[&one, &two]);
    // By the address it announces, though it sends from another port.
    desk.give(Input::Block(Blocked::Peer(one.address)));
    assert!(!desk.knows(&one) && desk.knows(&two));
    let elsewhere = SocketAddr::new(one.address.ip(), 40_000);
    desk.datagram(elsewhere, one.says(Body::Ping { version: one.version }));
    assert_eq!(desk.refused(Refusal::Denied), 1);
    assert!(desk.datagrams.iter().all(|(to, _)| *to != one.address));
    desk.give(Input::Unblock(Blocked::Peer(one.address)));
    desk.befriend(&[&one]);
    desk.give(Input::Block(Blocked::Ip(two.address.ip())));
    assert!(!desk.knows(&two));
    desk.hear(&two, Body::Ping { version: two.version });
    assert_eq!(desk.refused(Refusal::Denied), 2);
    desk.give(Input::Unblock(Blocked::Ip(two.address.ip())));
    desk.befriend(&[&two]);
}

/// Row 16, the machine's part.
#[test]
fn the_size_of_buckets_is_a_setting_and_can_change() {
    let mut desk = Desk::new(Settings { bucket_size: 20, ..Settings::default() }, &[]);
    let others: Vec<Other> = (0..120).map(|number| Other::in_bucket(127, number)).collect();
    let meet_all = |desk: &mut Desk| {
        for other in &others {
            desk.hear(other, Body::Ping { version: other.version });
            desk.answer(&[other]);
        }
        desk.machine.figures().peers
    };
    assert_eq!(meet_all(&mut desk), 20);
    desk.give(Input::Configure(Box::new(Settings { bucket_size: 100, ..Settings::default() })));
    assert_eq!(meet_all(&mut desk), 100);
    desk.give(Input::Configure(Box::new(Settings { bucket_size: 101, ..Settings::default() })));
    assert_eq!(desk.machine.settings().bucket_size, 100, "what cannot be is not taken");
}

#[test]
fn one_public_address_gets_no_more_places_than_its_share() {
    let mut desk = Desk::new(Settings::default(), &[]);
    for port in 2000..2100 {
        let other = Other::new(([203, 0, 113, 9], port).into());
        desk.hear(&other, Body::Ping { version: other.version });
        desk.answer(&[&other]);
        desk.now = desk.now + seconds(2);
    }
    assert_eq!(desk.machine.figures().peers, Settings::default().limits.peers_per_ip);
}
