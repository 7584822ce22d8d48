//! Joining: by which entry points, when they come late or refuse, and what is said when it fails.

use cicada_proto::{Command, Config, ConnectError, Event, Operation};
use cicada_sim::{Kind, Packet, PeerIndex, PeerOptions, Swarm, Verdict, World, WorldConfig};
use cicada_wire::{Datagram, Frame, OverlayKind, Query, Refusal};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);
const AT_ONCE: Duration = Duration::from_millis(500);

#[test]
fn a_peer_that_joins_itself_is_told_so_at_once() {
    let mut world = World::new(WorldConfig::default());
    let peer = world.add_named("peer");
    let join = connect(&mut world, peer, &[peer]);
    assert_eq!(failure(&mut world, join, AT_ONCE), ConnectError::SelfJoin(world.address(peer)));
}

#[test]
fn the_order_in_which_peers_start_does_not_matter() {
    let mut world = World::new(WorldConfig::default());
    let entry = world.add_named("entry");
    let joiner = world.add_named("joiner");
    world.crash(entry);
    let join = connect(&mut world, joiner, &[entry]);
    world.run_for(Duration::from_secs(4));
    assert!(world.outcome(join).is_none(), "it still knocks");
    world.restart(entry);
    assert!(is_connected(&mut world, join, Duration::from_secs(4)));
    assert_eq!(world.tables_are_right(&[entry, joiner]), Ok(()));
}

#[test]
fn a_silent_entry_point_fails_at_the_timeout_and_not_later() {
    let mut world = World::new(WorldConfig::default());
    let (entry, joiner) = (world.add_named("entry"), world.add_named("joiner"));
    world.crash(entry);
    let join = connect(&mut world, joiner, &[entry]);
    let addresses = vec![world.address(entry)];
    assert_eq!(failure(&mut world, join, TIMEOUT + AT_ONCE), ConnectError::TimedOut { addresses, within: TIMEOUT });
    assert!(world.now().since(cicada_proto::Instant(0)) <= TIMEOUT + AT_ONCE);
}

#[test]
fn one_entry_point_that_answers_is_enough() {
    let mut world = World::new(WorldConfig::default());
    let (silent, other, entry) = (world.add_named("silent"), foreign(&mut world), world.add_named("entry"));
    let joiner = world.add_named("joiner");
    world.crash(silent);
    let join = connect(&mut world, joiner, &[silent, other, joiner, entry]);
    assert!(is_connected(&mut world, join, Duration::from_secs(1)));
    assert_eq!(world.tables_are_right(&[entry, joiner]), Ok(()));
}

#[test]
fn a_peer_of_another_swarm_is_named_at_once() {
    let mut world = World::new(WorldConfig::default());
    let (other, joiner) = (foreign(&mut world), world.add_named("joiner"));
    let join = connect(&mut world, joiner, &[other]);
    let address = world.address(other);
    assert_eq!(failure(&mut world, join, AT_ONCE), ConnectError::Refused { address, reason: Refusal::OtherSwarm });
}

#[test]
fn a_peer_of_another_overlay_is_named_at_once() {
    let mut world = World::new(WorldConfig::default());
    let mut config = Config::default();
    config.overlay = OverlayKind::Tree;
    let other = world.add(PeerOptions { config: Some(config), ..PeerOptions::named("other") });
    let joiner = world.add_named("joiner");
    let join = connect(&mut world, joiner, &[other]);
    let address = world.address(other);
    assert_eq!(failure(&mut world, join, AT_ONCE), ConnectError::Refused { address, reason: Refusal::OtherOverlay });
}

#[test]
fn who_leaves_joins_nothing_any_more() {
    let mut world = World::new(WorldConfig::default());
    let (entry, joiner) = (world.add_named("entry"), world.add_named("joiner"));
    world.crash(entry);
    let join = connect(&mut world, joiner, &[entry]);
    world.run_for(AT_ONCE);
    assert!(world.leave(joiner));
    assert_eq!(failure(&mut world, join, AT_ONCE), ConnectError::Closing);
}

#[test]
fn a_join_may_be_repeated_and_several_may_run_at_once() {
    let mut world = World::new(WorldConfig::default());
    let members = world.add_peers(4);
    assert_eq!(world.assemble(&members[..3], Duration::from_millis(100)), []);
    let joins = [connect(&mut world, members[3], &members[..1]), connect(&mut world, members[3], &members[1..3])];
    for join in joins {
        assert!(is_connected(&mut world, join, Duration::from_secs(1)));
    }
    let again = connect(&mut world, members[3], &members[2..3]);
    assert!(is_connected(&mut world, again, Duration::from_secs(1)));
    assert_eq!(world.settle(&members, Duration::from_secs(2)).map(|_| ()), Ok(()));
}

/// Who joins finds its place only when it can ask: so long is every join under way.
fn three_of_a_tree_that_find_nothing() -> (World, [PeerIndex; 3]) {
    let mut world = World::new(WorldConfig::default());
    let mut config = Config::default();
    config.overlay = OverlayKind::Tree;
    let peers =
        ["entry", "other", "joiner"].map(|name| world.add(PeerOptions { config: Some(config.clone()), ..PeerOptions::named(name) }));
    let joiner = peers[2];
    world.add_rule(move |passing| match passing.packet {
        Packet::Frame(Frame::Query(_, Query::Find(_))) | Packet::Datagram(Datagram::Query(_, _, Query::Find(_), _))
            if passing.from == joiner =>
        {
            Verdict::Vanish
        }
        Packet::Frame(_) | Packet::Datagram(_) | Packet::Dial => Verdict::Pass,
    });
    (world, peers)
}

fn knows(world: &World, who: PeerIndex, whom: PeerIndex) -> bool {
    world.node(who).is_some_and(|node| node.overlay().member(world.id(whom)).is_some())
}

#[test]
fn an_entry_point_whose_link_is_lost_and_made_again_is_no_other_swarm() {
    let (mut world, [entry, other, joiner]) = three_of_a_tree_that_find_nothing();
    let join = connect(&mut world, joiner, &[entry]);
    world.run_for(AT_ONCE);
    connect(&mut world, other, &[joiner]);
    world.run_for(AT_ONCE);
    assert!(knows(&world, joiner, entry) && knows(&world, joiner, other));
    world.crash(entry);
    assert!(world.run_until(Duration::from_secs(5), |world| !knows(world, joiner, entry)));
    world.restart(entry);
    assert!(world.run_until(Duration::from_secs(3), |world| knows(world, joiner, entry)));
    world.run_for(Duration::from_secs(1));
    assert!(world.outcome(join).is_none(), "the join is still under way");
    assert_eq!(world.cost(joiner).of(Kind::Unify).messages, 0, "nobody is told of another swarm");

    // The control: a swarm that is met by a later join is told of.
    let (mut world, [entry, other, joiner]) = three_of_a_tree_that_find_nothing();
    connect(&mut world, joiner, &[other]);
    world.run_for(AT_ONCE);
    connect(&mut world, joiner, &[entry]);
    world.run_for(Duration::from_secs(5));
    assert!(world.cost(joiner).of(Kind::Unify).messages > 0);
}

fn foreign(world: &mut World) -> PeerIndex {
    let swarm = Swarm { name: "another".into(), secret: None };
    world.add(PeerOptions { swarm, ..PeerOptions::named("foreign") })
}

fn connect(world: &mut World, who: PeerIndex, entries: &[PeerIndex]) -> Operation {
    let operation = world.operation();
    let addresses = entries.iter().map(|entry| world.address(*entry)).collect();
    world.command(who, Command::Connect { operation, addresses, timeout: TIMEOUT });
    operation
}

fn is_connected(world: &mut World, join: Operation, span: Duration) -> bool {
    matches!(world.wait(join, span), Some(Event::Connected { .. }))
}

fn failure(world: &mut World, join: Operation, span: Duration) -> ConnectError {
    match world.wait(join, span) {
        Some(Event::ConnectFailed { error, .. }) => error,
        other => panic!("the join should have failed: {other:?}"),
    }
}
