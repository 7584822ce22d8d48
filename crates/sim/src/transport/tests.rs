//! What the transport promises and what it does not, seen by bare nodes that say opaque things to each other.

use super::*;
use crate::{Latency, Network, PeerOptions, Swarm, WorldConfig};
use cicada_proto::{Command, Config};
use cicada_wire::{OverlayKind, Purpose};

const LATENCY: Duration = Duration::from_millis(20);

fn world() -> World {
    let mut config = Config::default();
    config.purpose = Purpose::Bare;
    World::new(WorldConfig { seed: 1, trace: TraceLevel::Packets, config, ..WorldConfig::default() })
}

/// Two peers and a link that the first has dialled.
fn linked() -> (World, PeerIndex, PeerIndex) {
    let mut world = world();
    let (a, b) = (world.add_named("a"), world.add_named("b"));
    dial(&mut world, a, b, None);
    world.run_for(LATENCY * 5);
    assert!(says(&world, "a: link to b is up"), "{}", world.trace());
    (world, a, b)
}

fn dial(world: &mut World, from: PeerIndex, to: PeerIndex, expected: Option<PublicKey>) {
    let address = world.address(to);
    world.dial(from, DialId(u64::MAX), address, expected);
}

fn says(world: &World, line: &str) -> bool {
    world.trace().text().lines().any(|traced| traced.ends_with(line))
}

fn when(world: &World, line: &str) -> f64 {
    let traced = world.trace().text().lines().find(|traced| traced.ends_with(line)).unwrap_or_else(|| panic!("{line}\n{}", world.trace()));
    traced.trim_start_matches("t=").split(' ').next().and_then(|time| time.parse().ok()).expect("a line begins with its time")
}

/// Whether the dialler's end of the first link is up.
fn first_end_is_up(world: &World) -> bool {
    world.links.find(LinkId(0).into()).is_some_and(|link| link.ends[0].up)
}

/// Sends numbers from `a` to `b` over the link between them.
fn count_to(world: &mut World, a: PeerIndex, b: PeerIndex, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let to = world.id(b);
        world.command(a, Command::Opaque { to, payload: number.to_string().into() });
    }
}

/// The numbers that `b` received from `a`, in the order of their arrival.
fn counted(world: &World) -> Vec<u32> {
    let lines =
        world.trace().text().lines().filter_map(|line| line.split_once(" b: receives opaque \"")?.1.split('"').next()?.parse().ok());
    lines.collect()
}

#[test]
fn a_dial_takes_two_round_trips() {
    let (world, ..) = linked();
    assert_eq!((when(&world, "b: link to a is up"), when(&world, "a: link to b is up")), (0.06, 0.08));
}

#[test]
fn what_is_lost_on_a_link_arrives_late_and_in_order() {
    let (mut world, a, b) = linked();
    // Not so bad that the nodes take each other for dead.
    let latency = Latency::Uniform(LATENCY, LATENCY * 2);
    world.set_network(Network { latency, lost_per_million: 100_000, ..Network::default() });
    count_to(&mut world, a, b, 0..100);
    world.run_for(LATENCY * 2);
    assert!(counted(&world).len() < 100, "the control: something is late");
    world.run_for(Duration::from_secs(2));
    assert_eq!(counted(&world), (0..100).collect::<Vec<_>>());
}

#[test]
fn what_was_sent_into_a_short_partition_arrives_after_it_in_order() {
    let (mut world, a, b) = linked();
    count_to(&mut world, a, b, 0..3);
    world.partition(&[&[a], &[b]]);
    count_to(&mut world, a, b, 3..6);
    world.run_for(LATENCY * 10);
    count_to(&mut world, a, b, 6..9);
    assert_eq!(counted(&world), [0; 0]);
    world.heal();
    count_to(&mut world, a, b, 9..12);
    world.run_for(LATENCY * 10);
    assert_eq!(counted(&world), (0..12).collect::<Vec<_>>());
}

#[test]
fn a_vanished_peer_is_noticed_by_the_transport_only_after_its_idle_time() {
    let (mut world, _, b) = linked();
    world.crash(b);
    world.run_for(IDLE_TIMEOUT);
    assert!(!first_end_is_up(&world));
    // The node's own liveness may have closed the link earlier; the transport says the same, and no earlier than this.
    assert!(says(&world, "a: link to b is down: silent for too long"), "{}", world.trace());
}

#[test]
fn a_crash_makes_no_noise() {
    let (mut world, _, b) = linked();
    world.crash(b);
    world.run_for(LATENCY * 3);
    assert!(first_end_is_up(&world), "{}", world.trace());
}

#[test]
fn a_close_arrives_after_what_was_sent_before_it_and_tells_its_reason() {
    let (mut world, a, b) = linked();
    count_to(&mut world, a, b, 0..5);
    world.close(a, LinkId(0), Refusal::Closing); // the first link
    world.run_for(LATENCY * 2);
    assert_eq!(counted(&world), (0..5).collect::<Vec<_>>());
    assert!(says(&world, "b: link to a is down: closing") && says(&world, "a: link to b is down: closing"), "{}", world.trace());
}

#[test]
fn a_dial_to_nobody_fails_at_once_and_one_to_the_dead_after_three_seconds() {
    let mut world = world();
    let (a, b) = (world.add_named("a"), world.add_named("b"));
    world.dial(a, DialId(u64::MAX), "10.9.9.9:7000".parse().expect("an address"), None);
    world.crash(b);
    dial(&mut world, a, b, None);
    world.run_for(DIAL_TIMEOUT);
    assert!(says(&world, "a: will not be linked: nobody is there") && says(&world, "a: will not be linked: nobody answers"));
}

#[test]
fn a_handshake_refuses_what_the_real_one_refuses() {
    let swarm = |name: &str, secret: Option<&str>| Swarm { name: name.into(), secret: secret.map(Into::into) };
    let other = |change: &dyn Fn(&mut Config)| {
        let mut config = Config::default();
        config.purpose = Purpose::Bare;
        change(&mut config);
        Some(config)
    };
    let cases = [
        (PeerOptions { swarm: swarm("others", None), ..PeerOptions::default() }, Refusal::OtherSwarm),
        (PeerOptions { swarm: swarm("cicada", Some("secret")), ..PeerOptions::default() }, Refusal::OtherSecret),
        (PeerOptions { config: other(&|config| config.overlay = OverlayKind::Tree), ..PeerOptions::default() }, Refusal::OtherOverlay),
        (PeerOptions { config: other(&|config| config.purpose = Purpose::Swarm), ..PeerOptions::default() }, Refusal::OtherOverlay),
    ];
    for (options, refusal) in cases {
        let mut world = world();
        let (a, b) = (world.add_named("a"), world.add(options));
        dial(&mut world, a, b, None);
        world.run_for(LATENCY * 5);
        assert!(says(&world, &format!("a: will not be linked: refused: {refusal}")), "{}", world.trace());
        assert!(!says(&world, "is up"));
    }
}

#[test]
fn a_peer_is_not_linked_to_itself_nor_to_another_key_than_expected() {
    let mut world = world();
    let (a, b) = (world.add_named("a"), world.add_named("b"));
    dial(&mut world, a, a, None);
    let wrong = world.record(a).key();
    dial(&mut world, b, a, Some(PublicKey([7; 32])));
    let right = Some(wrong);
    dial(&mut world, b, a, right);
    world.run_for(LATENCY * 5);
    assert!(says(&world, &format!("a: will not be linked: refused: {}", Refusal::SelfDial)));
    assert!(says(&world, &format!("b: will not be linked: refused: {}", Refusal::OtherKey)));
    assert!(says(&world, "b: link to a is up"), "the control: the right key is linked");
}

#[test]
fn datagrams_are_lost_as_often_as_the_network_says() {
    let mut world = world();
    let (a, b) = (world.add_named("a"), world.add_named("b"));
    world.set_network(Network { lost_per_million: 250_000, ..Network::default() });
    for _ in 0..1000 {
        let to = world.address(b);
        world.send_datagram(a, to, Datagram::Reply(cicada_wire::Ticket(0), cicada_wire::Reply::Pong));
    }
    world.run_for(LATENCY * 2);
    let arrived = world.trace().text().matches("a ~> b: pong").count();
    assert!((700..800).contains(&arrived), "{arrived}");
}
