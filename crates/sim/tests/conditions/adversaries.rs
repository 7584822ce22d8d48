//! Members that mean ill, and what the honest ones still get done.

use super::*;
use cicada_proto::{Route, SendOptions};
use cicada_sim::{Adversary, Kind};

const MEMBERS: usize = 40;

/// A settled swarm of which every fifth member turns bad; the honest ones.
fn infiltrated(overlay: OverlayKind, seed: u64, kinds: &[Adversary]) -> (World, Vec<PeerIndex>, Vec<PeerIndex>) {
    let (mut world, peers) = settled(overlay, seed, MEMBERS);
    let (mut honest, mut bad) = (Vec::new(), Vec::new());
    for (place, who) in peers.into_iter().enumerate() {
        if place % 5 == 4 {
            world.set_adversary(who, kinds);
            bad.push(who);
        } else {
            honest.push(who);
        }
    }
    (world, honest, bad)
}

fn over_the_overlay() -> SendOptions {
    let mut options = SendOptions::default();
    options.route = Route::Overlay;
    options
}

/// Sends between random honest pairs; how many were acknowledged, and after how long in the mean.
fn unicasts(world: &mut World, honest: &[PeerIndex], count: usize) -> (usize, Duration) {
    let mut options = over_the_overlay();
    options.timeout = SECOND * 10;
    let began = world.now();
    let sent: Vec<_> = (0..count)
        .map(|_| {
            let (from, to) = (world.choose(honest), world.choose(honest));
            let to = world.id(to);
            world.begin_send(from, to, "text", options.clone())
        })
        .collect();
    world.wait_all(&sent, SECOND * 11);
    let took: Vec<_> = sent.iter().filter(|operation| matches!(world.sent(**operation), Some(Ok(_)))).collect();
    let spans = took.iter().filter_map(|operation| world.outcome(**operation)).map(|(at, _)| at.since(began));
    (took.len(), spans.sum::<Duration>() / u32::try_from(took.len().max(1)).expect("few"))
}

#[test]
fn unicasts_get_past_those_who_drop_misroute_or_delay_them_but_not_for_nothing() {
    for overlay in OVERLAYS {
        let (mut world, honest, _) = infiltrated(overlay, 1, &[]);
        let (all, quick) = unicasts(&mut world, &honest, 200);
        assert_eq!(all, 200, "the control");
        for kind in [Adversary::Drop, Adversary::Misroute, Adversary::Delay(SECOND / 2)] {
            let (mut world, honest, _) = infiltrated(overlay, 1, &[kind]);
            let (acknowledged, took) = unicasts(&mut world, &honest, 200);
            assert!(acknowledged >= 190, "{overlay:?} {kind}: {acknowledged}");
            assert!(took > quick, "{overlay:?} {kind}: {took:?} against {quick:?}");
        }
    }
}

#[test]
fn broadcasts_reach_the_honest_although_some_take_their_tasks_and_drop_them() {
    for overlay in OVERLAYS {
        for kinds in [&[][..], &[Adversary::TakeTasksAndDrop], &[Adversary::Delay(SECOND)]] {
            let (mut world, honest, bad) = infiltrated(overlay, 2, kinds);
            // Of some origins nobody bad is on the way to anybody.
            let (origins, others) = honest.split_at(4);
            let texts: Vec<String> = (0..origins.len()).map(|number| format!("{number} to all")).collect();
            for (origin, text) in origins.iter().zip(&texts) {
                world.broadcast(*origin, text.clone());
            }
            let reached =
                |world: &World, peers: &[PeerIndex]| texts.iter().map(|text| world.reached(peers, text.as_bytes())).collect::<Vec<_>>();
            world.run_for(SECOND);
            let all = vec![(others.len(), 0); texts.len()];
            let at_once = reached(&world, others) == all;
            world.run_for(SECOND * 14);
            assert_eq!(reached(&world, others), all, "{overlay:?} {kinds:?}");
            let drops = kinds.contains(&Adversary::TakeTasksAndDrop);
            let of_bad = reached(&world, &bad);
            assert_eq!(of_bad.iter().all(|(reached, _)| *reached == 0), drops, "who drops has nothing for its application either");
            assert_eq!(at_once, kinds.is_empty(), "{overlay:?} {kinds:?}: it takes a repair");
        }
    }
}

/// Lookups by the honest, one after the other: how many are right, and how many messages everybody spent on them.
fn lookups(world: &mut World, honest: &[PeerIndex], members: &[PeerIndex], count: usize) -> (usize, u64) {
    let before = world.cost_of(members);
    let mut right = 0;
    for _ in 0..count {
        let (from, key) = (world.choose(honest), world.random_key());
        let owner = world.owner(members, key).map(|owner| world.id(owner));
        let found = world.lookup(from, key);
        right += usize::from(found.is_ok_and(|found| found.responsible.first().map(cicada_wire::SignedRecord::id) == owner));
    }
    (right, world.cost_of(members).since(&before).total().messages)
}

#[test]
fn liars_make_lookups_dearer_and_bring_nobody_into_honest_tables_who_does_not_exist() {
    for overlay in OVERLAYS {
        let mut spent = Vec::new();
        for kinds in [&[][..], &[Adversary::LieAboutNeighbours]] {
            let (mut world, honest, bad) = infiltrated(overlay, 3, kinds);
            let members: Vec<_> = honest.iter().chain(&bad).copied().collect();
            let (right, messages) = lookups(&mut world, &honest, &members, 100);
            assert!(right >= if kinds.is_empty() { 100 } else { 60 }, "{overlay:?} {kinds:?}: {right}");
            spent.push(messages);
            world.run_for(SECOND * 30);
            for who in &honest {
                let table = world.node(*who).expect("it lives").table();
                for entry in &table.entries {
                    assert!(world.by_id(entry.record.id()).is_some(), "{} knows somebody who does not exist", world.name(*who));
                }
            }
        }
        assert!(spent[1] > spent[0], "{overlay:?}: {spent:?}");
    }
}

#[test]
fn hostile_candidates_cost_their_victim_no_more_than_some_challenges() {
    for overlay in OVERLAYS {
        let mut world = world(overlay, 4);
        let victim = world.add_named("victim");
        let peers = world.add_peers(30);
        assert_eq!(world.join_all(&peers, 100).failed, []);
        let kind = Adversary::HostileCandidates { victim: Some(victim) };
        for who in peers.iter().step_by(5) {
            world.set_adversary(*who, &[kind]);
        }
        let before = world.cost_of(&peers);
        world.run_for(SECOND * 60);
        let spent = world.cost_of(&peers).since(&before);
        assert!(spent.of(Kind::Introduce).messages > 100, "they do introduce: {spent}");
        let honest: Vec<_> = peers.iter().enumerate().filter(|(place, _)| place % 5 != 0).map(|(_, who)| *who).collect();
        let members: Vec<_> = peers.iter().copied().chain([victim]).collect();
        assert_eq!(world.right_lookups(&members, 50, SECOND * 10), 50, "{overlay:?}");
        for who in &honest {
            let known = world.node(*who).expect("it lives").table();
            let there = known.entries.iter().filter(|entry| entry.record.announced() == Some(world.address(victim)));
            assert!(there.into_iter().all(|entry| entry.record.key() == world.record(victim).key()), "{overlay:?}");
        }
    }
}

#[test]
fn adversaries_are_named_and_read_back() {
    for name in Adversary::NAMES {
        let kind: Adversary = name.parse().expect("a name of the list");
        assert_eq!(kind.to_string().split('=').next(), Some(*name));
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    assert!("nice".parse::<Adversary>().is_err_and(|what| what.contains("misroute")));
    assert!("delay=soon".parse::<Adversary>().is_err());
}
