//! A swarm at rest: who is still there is asked seldom, by one end of a link, and found out in time all the same.

use cicada_proto::{Config, links::Link};
use cicada_sim::{Kind, Latency, Network, Packet, PeerIndex, TraceLevel, Verdict, World, WorldConfig};
use cicada_wire::{Frame, Hash, OverlayKind};
use std::time::Duration;

const OVERLAYS: [OverlayKind; 2] = [OverlayKind::Ring, OverlayKind::Tree];

/// A swarm that has been quiet for a while.
fn quiet(overlay: OverlayKind, count: usize, lost_per_million: u32) -> (World, Vec<PeerIndex>) {
    let mut config = Config::default();
    config.overlay = overlay;
    config.limits.links = 16;
    let latency = Latency::Uniform(Duration::from_millis(10), Duration::from_millis(20));
    let network = Network { latency: latency.clone(), ..Network::default() };
    let mut world = World::new(WorldConfig { seed: 3, config, network, trace: TraceLevel::Events, ..WorldConfig::default() });
    let peers = world.add_peers(count);
    assert_eq!(world.assemble(&peers, Duration::from_millis(50)), []);
    world.settle(&peers, Duration::from_secs(10)).expect("it settles");
    world.set_network(Network { latency, lost_per_million, ..Network::default() });
    world.run_for(Duration::from_secs(60));
    (world, peers)
}

/// The links of a member.
fn links(world: &World, who: PeerIndex) -> Vec<Hash> {
    world.node(who).expect("alive").links().members().map(Link::peer).collect()
}

/// How many links of these members lead to peers that are dead.
fn dead_links(world: &World, live: &[PeerIndex]) -> usize {
    let ids: Vec<Hash> = live.iter().map(|who| world.id(*who)).collect();
    live.iter().flat_map(|who| links(world, *who)).filter(|peer| !ids.contains(peer)).count()
}

#[test]
fn one_end_of_a_quiet_link_asks_and_the_other_only_answers() {
    for overlay in OVERLAYS {
        let (mut world, peers) = quiet(overlay, 2, 0);
        let asked = |world: &World| [peers[0], peers[1]].map(|who| world.cost(who).of(Kind::Ping).messages);
        let before = asked(&world);
        world.run_for(Duration::from_secs(400));
        let after = asked(&world);
        let [listener, dialler] = [0, 1].map(|who| after[who] - before[who]);
        assert_eq!(listener, 0, "{overlay:?}: the second has dialled the first");
        // Each is the other's only neighbour: every four seconds, unless something else was said.
        assert!((75..=100).contains(&dialler), "{overlay:?}: {dialler}");
    }
}

/// Looks for links are a tenth of a second apart, since many come at once in a large swarm; who has no place yet is not held up by that.
#[test]
fn a_newcomer_to_a_swarm_nearby_is_in_within_a_tenth_of_a_second() {
    for overlay in OVERLAYS {
        let (mut world, peers) = quiet(overlay, 32, 0);
        let latency = Latency::Uniform(Duration::from_micros(500), Duration::from_millis(1));
        world.set_network(Network { latency, ..Network::default() });
        for newcomer in world.add_peers(8) {
            let began = world.now();
            world.join(newcomer, peers[0]).expect("it joins");
            let took = world.now().since(began);
            assert!(took < Duration::from_millis(100), "{overlay:?}: {took:?}");
        }
    }
}

/// Every eight seconds, as where many die, it would be 15 000 questions on the ring and 16 000 on the tree.
#[test]
fn while_nobody_dies_links_that_routes_can_do_without_are_seldom_looked_at() {
    for (overlay, most) in [(OverlayKind::Ring, 13_000), (OverlayKind::Tree, 13_000)] {
        let (mut world, peers) = quiet(overlay, 48, 0);
        let asked = |world: &World| world.cost_of(&peers).of(Kind::Ping).messages;
        let before = asked(&world);
        world.run_for(Duration::from_secs(320));
        let asked = asked(&world) - before;
        let all = peers.iter().map(|who| links(&world, *who).len()).sum::<usize>() / 2;
        println!("{overlay:?}: {asked} questions over {all} links");
        assert!(asked <= most, "{overlay:?}: {asked} questions");
    }
}

#[test]
fn either_end_of_a_quiet_link_finds_out_that_the_other_has_died() {
    for overlay in OVERLAYS {
        for (dead, left) in [(0, 1), (1, 0)] {
            let (mut world, peers) = quiet(overlay, 2, 0);
            world.crash(peers[dead]);
            assert_eq!(links(&world, peers[left]).len(), 1);
            let found_out = world.run_until(Duration::from_secs(8), |world| links(world, peers[left]).is_empty());
            assert!(found_out, "{overlay:?}: {dead} has died");
        }
    }
}

#[test]
fn lost_questions_make_nobody_look_dead() {
    for overlay in OVERLAYS {
        for (lost_per_million, most) in [(0, 0), (120_000, 4), (300_000, 20)] {
            let (mut world, peers) = quiet(overlay, 16, lost_per_million);
            let silent = |world: &World| world.trace().text().lines().filter(|line| line.ends_with("silent for too long")).count();
            let before = (silent(&world), world.cost_of(&peers));
            world.run_for(Duration::from_secs(300));
            let (ends, cost) = (silent(&world) - before.0, world.cost_of(&peers).since(&before.1));
            let asked = cost.of(Kind::Ping).messages;
            println!("{overlay:?}, {lost_per_million} of a million lost: {ends} ends of links silent, {asked} questions");
            assert!(ends <= most, "{overlay:?}, {lost_per_million}: {ends}");
            assert!(cost.of(Kind::Alarm).messages == 0 || ends > 0, "{overlay:?}: nothing to be alarmed about");
            // The control: so it is said when somebody is.
            world.crash(peers[0]);
            world.run_for(Duration::from_secs(60));
            assert!(silent(&world) > before.0 + ends, "{overlay:?}");
        }
    }
}

#[test]
fn many_deaths_at_once_are_found_out_by_all_within_five_seconds() {
    for overlay in OVERLAYS {
        let (mut world, peers) = quiet(overlay, 64, 0);
        let (dead, live) = peers.split_at(16);
        dead.iter().for_each(|who| world.crash(*who));
        assert!(dead_links(&world, live) > 0, "the crash is felt");
        world.run_for(Duration::from_secs(5));
        assert_eq!(dead_links(&world, live), 0, "{overlay:?}");
        assert!(world.cost_of(live).of(Kind::Alarm).messages > 0, "{overlay:?}: some have told the others");
    }
}

#[test]
fn without_the_alarm_some_would_find_out_later() {
    let late = |overlay: &OverlayKind| {
        let (mut world, peers) = quiet(*overlay, 64, 0);
        world.add_rule(|passing| match passing.packet {
            Packet::Frame(Frame::Alarm) => Verdict::Vanish,
            Packet::Frame(_) | Packet::Datagram(_) | Packet::Dial => Verdict::Pass,
        });
        let (dead, live) = peers.split_at(16);
        dead.iter().for_each(|who| world.crash(*who));
        world.run_for(Duration::from_secs(4));
        dead_links(&world, live) > 0
    };
    // The control of the test above.
    assert!(OVERLAYS.iter().any(late));
}

#[test]
fn one_death_alarms_nobody() {
    for overlay in OVERLAYS {
        let (mut world, peers) = quiet(overlay, 64, 0);
        world.crash(peers[7]);
        world.run_for(Duration::from_secs(60));
        let live: Vec<_> = world.live().collect();
        assert_eq!(dead_links(&world, &live), 0, "{overlay:?}");
        assert_eq!(world.cost_of(&live).of(Kind::Alarm).messages, 0, "{overlay:?}");
    }
}

/// By three challenges each time, as newcomers are, it would be three times as many.
#[test]
fn who_was_lost_is_challenged_once_when_its_turn_comes() {
    for overlay in OVERLAYS {
        let (mut world, peers) = quiet(overlay, 2, 0);
        let challenges = |world: &World| world.cost(peers[0]).of(Kind::Challenge).messages;
        let before = challenges(&world);
        world.crash(peers[1]);
        world.run_for(Duration::from_secs(200));
        let after = challenges(&world) - before;
        println!("{overlay:?}: {after}");
        assert!((4..=10).contains(&after), "{overlay:?}: {after}");
    }
}

/// Who has seen nobody go would look for many far members whom it could not keep.
#[test]
fn a_newcomer_is_told_whether_members_come_and_go() {
    let [calm, restless] = [false, true].map(|some_leave| {
        let (mut world, peers) = quiet(OverlayKind::Ring, 64, 0);
        if some_leave {
            for who in &peers[60..] {
                world.leave(*who);
            }
            world.run_for(Duration::from_secs(5));
        }
        let newcomer = world.add_peers(1)[0];
        world.join(newcomer, peers[0]).expect("it joins");
        world.run_for(Duration::from_secs(20));
        world.cost(newcomer).of(Kind::Find).messages
    });
    assert!(restless * 3 < calm, "questions of lookups: {restless} against {calm} while all is calm");
}
