//! Peers on machines that have no time for them: late, but not dead. And peers that take no more of what they are handed.

use crate::swarm::{OVERLAYS, config, over_the_overlay, swarm};
use cicada_proto::SendError;
use cicada_sim::{Packet, PeerIndex, TraceLevel, Verdict, World};
use cicada_wire::Frame;
use std::{cell::Cell, rc::Rc, time::Duration};

/// How often somebody was taken for dead within a minute in which these peers have time only once in each `span`.
fn losses(world: &mut World, slow: &[PeerIndex], span: Duration) -> usize {
    world.trace_mut().set_level(TraceLevel::Events);
    let _ = world.trace_mut().take();
    for peer in slow {
        world.set_stalls(*peer, span);
    }
    world.run_for(Duration::from_secs(60));
    world.trace().text().lines().filter(|line| line.contains("has lost")).count()
}

#[test]
fn who_is_late_by_less_than_three_quarters_of_a_second_is_not_taken_for_dead_and_takes_nobody_for_dead() {
    for overlay in OVERLAYS {
        for (seed, late) in [(50, 200), (51, 300), (52, 500), (53, 700)] {
            let (mut world, peers) = swarm(seed, config(overlay, 16), 32);
            let lost = losses(&mut world, &peers[3..5], Duration::from_millis(late));
            assert_eq!(lost, 0, "{overlay}, late by {late} ms:\n{}", world.trace().text());
        }
    }
}

#[test]
fn who_is_late_by_ten_seconds_or_dead_is_noticed() {
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(54, config(overlay, 16), 32);
        assert!(losses(&mut world, &peers[3..5], Duration::from_secs(10)) > 0, "{overlay}");
        let (mut world, peers) = swarm(55, config(overlay, 16), 32);
        world.crash(peers[3]);
        assert!(losses(&mut world, &[], Duration::ZERO) > 0, "{overlay}");
    }
}

#[test]
fn among_late_peers_messages_and_broadcasts_still_arrive() {
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(56, config(overlay, 16), 32);
        for peer in &peers {
            world.set_stalls(*peer, Duration::from_millis(300 + 20 * peer.0 as u64));
        }
        world.run_for(Duration::from_secs(30));
        for from in &peers[..8] {
            let text = format!("from {}", world.name(*from));
            world.broadcast(*from, text.clone());
            world.run_for(Duration::from_secs(20));
            let others: Vec<_> = peers.iter().copied().filter(|peer| peer != from).collect();
            assert_eq!(world.reached(&others, text.as_bytes()), (31, 0), "{overlay}, {text}");
            let mut options = over_the_overlay();
            options.timeout = Duration::from_secs(60);
            let sent: Result<_, SendError> = world.send(*from, peers[31 - from.0], "one", options);
            assert!(sent.is_ok(), "{overlay}, {sent:?}");
        }
    }
}

/// Whether a broadcast had to wait for one who takes no bodies until all others had it.
fn waits(world: &mut World, peers: &[PeerIndex], deaf: PeerIndex, text: &str) -> bool {
    let (origin, others) = (peers[0], peers[1..].iter().copied().filter(|peer| *peer != deaf).collect::<Vec<_>>());
    let sent = world.now();
    world.broadcast(origin, text.to_owned());
    let all = world.run_until(Duration::from_secs(20), |world| world.reached(&others, text.as_bytes()).0 == others.len());
    assert!(all, "{text}");
    let took = world.now().since(sent);
    world.run_for(Duration::from_millis(100));
    // Acknowledgements are waited for 250 ms at the least; without waiting a broadcast takes 20 ms.
    took > Duration::from_millis(250)
}

#[test]
fn who_takes_no_more_bodies_is_not_waited_for_with_each_broadcast() {
    const TIMES: usize = 40;
    for overlay in OVERLAYS {
        let (mut world, peers) = swarm(57, config(overlay, 16), 32);
        let deaf = Rc::new(Cell::new(None));
        let who = Rc::clone(&deaf);
        world.add_rule(move |passing| match passing.packet {
            Packet::Frame(Frame::Task(..)) if Some(passing.to) == who.get() => Verdict::Vanish,
            _ => Verdict::Pass,
        });
        let mut waited = [0; 2];
        for peer in &peers[1..9] {
            deaf.set(Some(*peer));
            let name = world.name(*peer).to_owned();
            for (half, waited) in waited.iter_mut().enumerate() {
                let texts = (0..TIMES / 2).map(|number| format!("{name} is deaf, {half}, {number}"));
                *waited += texts.filter(|text| waits(&mut world, &peers, *peer, text)).count();
            }
            // It hears again, and is told what it missed.
            deaf.set(None);
            world.run_for(Duration::from_secs(20));
            assert_eq!(world.reached(&[*peer], format!("{name} is deaf, 1, 19").as_bytes()), (1, 0), "{overlay}: {name} catches up");
        }
        println!("{overlay}: {waited:?} of {} broadcasts waited for somebody deaf", TIMES / 2 * 8);
        assert!(waited[0] > 0, "{overlay}: the control: there are some whom others wait for");
        // On the tree delegates are chosen anew each time, and whoever chooses it for the first time waits.
        assert!(waited[1] <= 8, "{overlay}");
    }
}
