//! The tree in a world: buckets, lookups, links, crashes, merging.

use cicada_proto::{Config, Geometry};
use cicada_sim::{Kind, Latency, Network, PeerIndex, World, WorldConfig};
use cicada_wire::{Hash, OverlayKind};
use std::{collections::BTreeSet, time::Duration};

const LOOPBACK: Duration = Duration::from_micros(200);

fn tree_world(seed: u64, links: usize, latency: Duration) -> World {
    let mut config = Config::default();
    config.overlay = OverlayKind::Tree;
    config.limits.links = links;
    let network = Network { latency: Latency::Fixed(latency), lost_per_million: 0 };
    World::new(WorldConfig { seed, network, config, ..WorldConfig::default() })
}

/// All enter by the first, one every `pause`.
fn enter(world: &mut World, peers: &[PeerIndex], pause: Duration) {
    let mut joins = Vec::new();
    for who in &peers[1..] {
        joins.push(world.connect(*who, peers[0]));
        world.run_for(pause);
    }
    assert!(world.wait_all(&joins, Duration::from_secs(11)));
}

struct Paths {
    stuck: usize,
    mean_hops: f64,
    most_links: usize,
    links: f64,
}

/// Walks greedily over live links between all pairs.
fn walk(world: &World, members: &[PeerIndex]) -> Paths {
    let links = |who: PeerIndex| -> Vec<Hash> { world.node(who).expect("alive").links().members().map(|link| link.peer()).collect() };
    let links: std::collections::BTreeMap<Hash, Vec<Hash>> = members.iter().map(|who| (world.id(*who), links(*who))).collect();
    let (mut stuck, mut hops, mut arrived) = (0, 0, 0);
    for (from, _) in &links {
        for (to, _) in links.iter().filter(|(to, _)| *to != from) {
            let mut at = *from;
            let mut travelled = 0;
            while at != *to {
                let next = links.get(&at).and_then(|linked| linked.iter().min_by_key(|id| Geometry::Tree.offset(**id, *to)));
                match next {
                    Some(next) if Geometry::Tree.offset(*next, *to) < Geometry::Tree.offset(at, *to) => at = *next,
                    Some(_) | None => break,
                }
                travelled += 1;
            }
            if at == *to {
                hops += travelled;
                arrived += 1;
            } else {
                stuck += 1;
            }
        }
    }
    let all: usize = links.values().map(Vec::len).sum();
    Paths {
        stuck,
        mean_hops: f64::from(hops) / f64::from(arrived.max(1)),
        most_links: links.values().map(Vec::len).max().unwrap_or(0),
        links: all as f64 / members.len() as f64,
    }
}

#[test]
fn figures() {
    let count: usize = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(64);
    let links: usize = std::env::var("LINKS").ok().and_then(|n| n.parse().ok()).unwrap_or(16);
    let seeds: u64 = std::env::var("SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    for seed in 0..seeds {
        let mut world = tree_world(seed, links, LOOPBACK);
        let peers = world.add_peers(count);
        enter(&mut world, &peers, Duration::from_millis(1500) / count as u32);
        let joined = world.now();
        let settled = world.settle(&peers, Duration::from_secs(20));
        println!("seed {seed}: settled {settled:?}; {:?} messages a peer", world.cost_of(&peers).total().messages / count as u64);
        for _ in 0..6 {
            let paths = walk(&world, &peers);
            println!(
                "  {:?} after the last join: stuck {} hops {:.2} links {:.1} most {}",
                world.now().since(joined),
                paths.stuck,
                paths.mean_hops,
                paths.links,
                paths.most_links
            );
            world.run_for(Duration::from_millis(500));
        }
        let right = world.right_lookups(&peers, 500, Duration::from_secs(11));
        println!("  lookups right {right}/500");
        world.run_for(Duration::from_secs(60));
        world.trace_mut().set_level(cicada_sim::TraceLevel::Events);
        let before = world.cost_of(&peers);
        world.run_for(Duration::from_secs(120));
        let idle = world.cost_of(&peers).since(&before);
        println!("  idle: {} B/s a peer", idle.total().bytes / 120 / count as u64);
        for kind in Kind::ALL {
            let tally = idle.of(*kind);
            if tally.messages > 0 {
                println!("    {kind:?}: {:.2}/s {} B/s", tally.messages as f64 / 120.0 / count as f64, tally.bytes / 120 / count as u64);
            }
        }
        std::fs::write(format!("/tmp/tree_trace_{seed}"), world.trace_mut().take()).unwrap();
        world.trace_mut().set_level(cicada_sim::TraceLevel::Off);
        let paths = walk(&world, &peers);
        println!("  later: stuck {} hops {:.2} links {:.1} most {}", paths.stuck, paths.mean_hops, paths.links, paths.most_links);
        println!("  {:?}", peers.iter().flat_map(|who| world.refused(*who).keys().copied()).collect::<BTreeSet<_>>());
    }
}

#[test]
fn merging_figures() {
    let half: usize = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let seeds: u64 = std::env::var("SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(2);
    for seed in 0..seeds {
        let mut world = tree_world(seed, 48, Duration::from_millis(20));
        let peers = world.add_peers(2 * half);
        let (ours, theirs) = peers.split_at(half);
        enter(&mut world, ours, Duration::from_millis(5));
        enter(&mut world, theirs, Duration::from_millis(5));
        println!("settled {:?} {:?}", world.settle(ours, Duration::from_secs(20)), world.settle(theirs, Duration::from_secs(20)));
        world.run_for(Duration::from_secs(30));
        let before = world.cost_of(&peers);
        let _join = world.connect(ours[1], theirs[1]);
        for second in 1..=12 {
            world.run_for(Duration::from_secs(1));
            let cost = world.cost_of(&peers).since(&before);
            println!(
                "  {second} s: {:?}, {} incomplete, {} messages a peer",
                world.tables_are_right(&peers),
                incomplete(&world, &peers),
                cost.total().messages / peers.len() as u64
            );
        }
        let cost = world.cost_of(&peers).since(&before);
        for kind in Kind::ALL {
            let tally = cost.of(*kind);
            if tally.messages > 0 {
                println!("    {kind:?}: {:.2} a peer", tally.messages as f64 / peers.len() as f64);
            }
        }
        println!("  lookups right {}/500", world.right_lookups(&peers, 500, Duration::from_secs(11)));
    }
}

#[test]
fn crash_figures() {
    let seeds: u64 = std::env::var("SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    for seed in 0..seeds {
        let mut world = tree_world(seed, 16, LOOPBACK);
        let peers = world.add_peers(64);
        enter(&mut world, &peers, Duration::from_millis(25));
        world.run_for(Duration::from_secs(3 + seed));
        let (dead, alive) = peers.split_at(16);
        for who in dead {
            world.crash(*who);
        }
        for _ in 0..14 {
            world.run_for(Duration::from_millis(500));
            let paths = walk(&world, alive);
            println!(
                "  {:?}: stuck {} hops {:.2} links {:.1}, {:?}",
                world.now(),
                paths.stuck,
                paths.mean_hops,
                paths.links,
                world.tables_are_right(alive)
            );
        }
        println!("  lookups right {}/500", world.right_lookups(alive, 500, Duration::from_secs(11)));
    }
}

fn incomplete(world: &World, members: &[PeerIndex]) -> usize {
    let ids: Vec<Hash> = members.iter().map(|who| world.id(*who)).collect();
    let lacks = |who: &&PeerIndex| {
        let me = world.id(**who);
        let mut others: Vec<Hash> = ids.iter().copied().filter(|id| *id != me).collect();
        others.sort_by_key(|id| Geometry::Tree.offset(me, *id));
        let known = world.node(**who).expect("alive").overlay();
        others[..8.min(others.len())].iter().any(|id| known.member(*id).is_none())
    };
    members.iter().filter(lacks).count()
}
