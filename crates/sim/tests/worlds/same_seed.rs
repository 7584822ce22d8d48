//! The same seed gives the same world.

use crate::helpers::world;
use cicada_proto::SendOptions;
use cicada_sim::{Adversary, Bursts, ChurnPlan, Distribution, Latency, Line, Memory, Network, Packet, Reordering, TraceLevel, Verdict};
use cicada_wire::{Frame, OverlayKind};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A minute with everything that can go wrong in a world.
fn a_bad_minute(overlay: OverlayKind, seed: u64) -> String {
    let mut world = world(overlay, seed);
    world.trace_mut().set_level(TraceLevel::Packets);
    let latency = Latency::Uniform(Duration::from_millis(5), Duration::from_millis(200));
    let line = Some(Line { bytes_per_s: 500_000, buffer_bytes: 50_000 });
    let bursts = Bursts { good: SECOND * 5, bad: SECOND / 5, lost_when_good_per_million: 1000, lost_when_bad_per_million: 500_000 };
    world.set_network(Network {
        latency,
        jitter: Some(Distribution::Exponential { median: Duration::from_millis(2) }),
        lost_per_million: 30_000,
        bursts: Some(bursts),
        reordering: Some(Reordering { per_million: 10_000, by: Distribution::Fixed(SECOND / 10) }),
        duplicated_per_million: 10_000,
        uplink: line,
        downlink: line,
    });
    let peers = world.add_peers(24);
    world.assemble(&peers[..16], Duration::from_millis(100));
    world.run_for(SECOND * 5);
    let mut passed = 0u32;
    world.add_rule(move |passing| {
        passed += 1;
        match passing.packet {
            Packet::Frame(Frame::Task(..)) if passed.is_multiple_of(3) => Verdict::Vanish,
            Packet::Frame(_) | Packet::Dial if passed.is_multiple_of(17) => Verdict::Delay(SECOND / 2),
            Packet::Frame(_) | Packet::Datagram(_) | Packet::Dial => Verdict::Pass,
        }
    });
    world.set_adversary(peers[9], &[Adversary::Drop, Adversary::LieAboutNeighbours, Adversary::HostileCandidates { victim: None }]);
    world.set_adversary(peers[10], &[Adversary::Misroute, Adversary::TakeTasksAndDrop, Adversary::Delay(SECOND / 10)]);
    world.pause(peers[11]);
    let sessions = Distribution::Pareto { median: SECOND * 30, shape: 1.5 };
    world.start_churn(&peers[12..16], ChurnPlan { sessions, ..ChurnPlan::default() }).expect("a possible plan");
    world.broadcast(peers[3], "to all");
    world.crash(peers[5]);
    world.crash(peers[6]);
    for late in 16..24 {
        world.connect(peers[late], peers[late - 16]);
    }
    let target = world.id(peers[9]);
    world.begin_send(peers[2], target, "to one", SendOptions::default());
    world.run_for(SECOND * 10);
    world.partition(&[&peers[..8], &peers[8..20]]);
    for who in [1, 10, 21] {
        let key = world.random_key();
        world.begin_lookup(peers[who], key);
        world.broadcast(peers[who], "to the island");
    }
    world.resume(peers[11]);
    world.restart_with(peers[5], Memory::Members);
    world.restart_with(peers[6], Memory::Nothing);
    world.run_for(SECOND * 15);
    world.heal();
    world.clear_rules();
    world.connect(peers[5], peers[12]);
    world.run_for(SECOND * 10);
    world.leave(peers[1]);
    world.run_for(SECOND * 10);
    world.trace().text().to_owned()
}

fn same_seed_same_trace(overlay: OverlayKind) {
    let first = a_bad_minute(overlay, 1);
    assert!(first.lines().count() > 5000, "a minute of 24 peers is not as quiet as {} lines", first.lines().count());
    let second = a_bad_minute(overlay, 1);
    if let Some((place, (a, b))) = first.lines().zip(second.lines()).enumerate().find(|(_, (a, b))| a != b) {
        panic!("line {place} differs:\n{a}\n{b}");
    }
    assert_eq!(first.len(), second.len());
    assert_ne!(first, a_bad_minute(overlay, 2), "the control: another seed gives another trace");
}

#[test]
fn on_the_ring_the_same_seed_gives_the_same_trace_with_every_fault_on() {
    same_seed_same_trace(OverlayKind::Ring);
}

#[test]
fn on_the_tree_the_same_seed_gives_the_same_trace_with_every_fault_on() {
    same_seed_same_trace(OverlayKind::Tree);
}
