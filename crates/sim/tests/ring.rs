//! The ring: joins, crashes, merges, and what they cost.

use cicada_proto::{Config, Geometry};
use cicada_sim::{Latency, Network, PeerIndex, TraceLevel, World, WorldConfig};
use cicada_wire::Hash;
use std::{collections::BTreeMap, time::Duration};

fn world(seed: u64, latency: Duration, links: usize) -> World {
    let mut config = Config::default();
    config.limits.links = links;
    World::new(WorldConfig {
        seed,
        network: Network { latency: Latency::Fixed(latency), lost_per_million: 0 },
        trace: TraceLevel::Events,
        config,
    })
}

/// Members that join one after the other by the first, `pause` apart.
fn join_all(world: &mut World, count: usize, pause: Duration) -> Vec<PeerIndex> {
    let peers = world.add_peers(count);
    for peer in &peers[1..] {
        world.connect(*peer, peers[0]);
        world.run_for(pause);
    }
    peers
}

#[test]
fn small_rings() {
    for count in [2, 3, 8] {
        let mut world = world(count as u64, Duration::from_micros(500), 48);
        let peers = join_all(&mut world, count, Duration::from_millis(10));
        let settled = world.settle(&peers, Duration::from_secs(3));
        if count < 4 {
            println!("{}", world.trace().text());
        }
        println!("{count}: {settled:?}");
        assert!(settled.is_ok());
    }
}

#[test]
fn sixty_four() {
    for seed in 0..3 {
        let mut world = world(seed, Duration::from_micros(500), 16);
        let peers = join_all(&mut world, 64, Duration::from_millis(20));
        let settled = world.settle(&peers, Duration::from_secs(10));
        println!("{settled:?}");
        let right = world.right_lookups(&peers, 200, Duration::from_secs(10));
        println!("{right} of 200; {:?}", world.cost_of(&peers));
        println!("{:?}", greedy(&world, &peers));
        let before = world.cost_of(&peers);
        world.run_for(Duration::from_secs(10));
        println!("10 s idle {:?}", world.cost_of(&peers).since(&before));
        println!("{:?}", greedy(&world, &peers));
        let before = world.cost_of(&peers);
        world.run_for(Duration::from_secs(100));
        println!("{:?}", greedy(&world, &peers));
        world.run_for(Duration::from_secs(500));
        let before = world.cost_of(&peers);
        world.run_for(Duration::from_secs(100));
        println!("100 s idle {:?}", world.cost_of(&peers).since(&before));
        println!("{:?}", greedy(&world, &peers));
        assert!(settled.is_ok());
    }
}

/// Greedy routes over the links that stand, between all pairs: mean hops, how many got stuck, and the most links of a peer.
fn greedy(world: &World, peers: &[PeerIndex]) -> (f64, usize, usize) {
    let links: BTreeMap<Hash, Vec<Hash>> = peers
        .iter()
        .map(|who| (world.id(*who), world.node(*who).expect("it lives").links().members().map(|link| link.peer()).collect()))
        .collect();
    let (mut hops, mut routes, mut stuck) = (0, 0, 0);
    for from in links.keys() {
        for to in links.keys().filter(|to| *to != from) {
            let mut at = *from;
            let mut travelled = 0;
            while at != *to {
                let left = |peer: &Hash| Geometry::Ring.offset(*peer, *to);
                let next = links[&at].iter().copied().filter(|peer| links.contains_key(peer) && left(peer) < left(&at)).min_by_key(left);
                let Some(next) = next else { break };
                at = next;
                travelled += 1;
            }
            if at == *to {
                hops += travelled;
                routes += 1;
            } else {
                stuck += 1;
            }
        }
    }
    (hops as f64 / routes as f64, stuck, links.values().map(Vec::len).max().unwrap_or(0))
}

#[test]
fn progress() {
    let mut world = world(0, Duration::from_micros(500), 16);
    let peers = join_all(&mut world, 64, Duration::from_millis(20));
    for _ in 0..20 {
        let wrong = world.tables_are_right(&peers).err();
        println!("{:?} {wrong:?}", world.now());
        if wrong.is_none() {
            break;
        }
        world.run_for(Duration::from_millis(100));
    }
    let mut asked = Vec::new();
    for _ in 0..50 {
        let key = world.random_key();
        let who = world.choose(&peers);
        asked.push(world.lookup(who, key).map(|lookup| lookup.asked));
    }
    println!("{asked:?}");
    println!(
        "{}",
        world
            .trace()
            .text()
            .lines()
            .filter(|line| ["p8", "p45", "p40"]
                .iter()
                .filter(|name| line.contains(&format!("{name}:")) || line.contains(&format!("{name} ")) || line.ends_with(*name))
                .count()
                > 1
                && !line.contains("neighb"))
            .collect::<Vec<_>>()
            .join("\n")
    );
}

#[test]
fn crowds() {
    for (count, pause, latency) in [(64, 0, 500), (64, 15, 300), (64, 30, 20_000), (64, 0, 20_000), (200, 5, 20_000), (500, 2, 20_000)] {
        for seed in 0..3 {
            let mut world = world(seed, Duration::from_micros(latency), if count == 64 { 16 } else { 32 });
            let peers = world.add_peers(count);
            let start = std::time::Instant::now();
            let failed = world.assemble(&peers, Duration::from_millis(pause));
            let joined = world.now();
            let settled = world.settle(&peers, Duration::from_secs(20));
            let right = world.right_lookups(&peers, 200, Duration::from_secs(10));
            println!(
                "{count} every {pause} ms at {latency} us: failed {failed:?}, joined {joined:?}, settled {settled:?}, {right} of 200, {:?}, {:?}; {} messages a peer",
                greedy(&world, &peers),
                start.elapsed(),
                world.cost_of(&peers).total().messages / count as u64
            );
        }
    }
}

#[test]
fn crashes() {
    for latency in [500, 20_000] {
        for seed in 0..3 {
            let mut world = world(seed, Duration::from_micros(latency), 16);
            let peers = world.add_peers(64);
            let _ = world.assemble(&peers, Duration::from_millis(15));
            world.run_for(Duration::from_secs(20));
            let (dead, live) = peers.split_at(16);
            for who in dead {
                world.crash(*who);
            }
            let before = world.cost_of(live);
            let mut at = Vec::new();
            for _ in 0..8 {
                world.run_for(Duration::from_millis(1000));
                at.push((world.ring_is_ordered(live).is_ok(), world.successor_lists_are_right(live).is_ok(), greedy(&world, live).1));
            }
            let settled = world.settle(live, Duration::from_secs(20));
            let right = world.right_lookups(live, 200, Duration::from_secs(10));
            println!(
                "crash at {latency} us: {at:?} {settled:?}, {right} of 200, {:?}; {} messages a peer",
                greedy(&world, live),
                world.cost_of(live).since(&before).total().messages / 48
            );
        }
    }
}

#[test]
fn merges() {
    for (count, latency) in [(2, 20), (8, 20), (32, 20), (500, 10), (500, 50)] {
        for seed in 0..2 {
            let mut world = world(seed, Duration::from_millis(latency), 32);
            let peers = world.add_peers(2 * count);
            let (one, other) = peers.split_at(count);
            let _ = world.assemble(one, Duration::from_millis(5));
            let _ = world.assemble(other, Duration::from_millis(5));
            world.run_for(Duration::from_secs(60));
            println!("{:?} {:?}", world.tables_are_right(one), world.tables_are_right(other));
            let before = world.cost_of(&peers);
            let start = world.now();
            let operation = world.connect(one[count / 2], other[count / 2]);
            let mut at = Vec::new();
            for _ in 0..30 {
                world.run_for(Duration::from_millis(500));
                let order = world.in_order(&peers);
                let right = (0..order.len())
                    .filter(|place| world.ring_neighbours(order[*place]).1.first() == Some(&world.id(order[(place + 1) % order.len()])))
                    .count();
                at.push(right);
                if world.tables_are_right(&peers).is_ok() {
                    break;
                }
            }
            let cost = world.cost_of(&peers).since(&before);
            println!(
                "merge {count} at {latency} ms: {:?} {at:?} {:?} {:?}; {} messages a peer\n{cost:?}",
                world.outcome(operation).is_some(),
                world.now().since(start),
                world.tables_are_right(&peers),
                cost.total().messages / (2 * count as u64)
            );
            println!("{:?}", greedy(&world, &peers));
        }
    }
}

#[test]
fn stuck() {
    let mut world = world(0, Duration::from_micros(500), 16);
    let peers = world.add_peers(64);
    let _ = world.assemble(&peers, Duration::from_millis(15));
    world.run_for(Duration::from_secs(20));
    let (dead, live) = peers.split_at(16);
    world.trace_mut().take();
    for who in dead {
        world.crash(*who);
    }
    for _ in 0..14 {
        world.run_for(Duration::from_secs(1));
        let order = world.in_order(live);
        let mut stale = std::collections::BTreeMap::<String, Vec<String>>::new();
        for who in &order {
            for id in world.ring_neighbours(*who).1 {
                let entry = world.by_id(id).unwrap();
                if !world.lives_still(entry) {
                    stale.entry(world.name(entry).to_owned()).or_default().push(world.name(*who).to_owned());
                }
            }
        }
        println!("{:?} {:?} {stale:?}", world.now(), world.successor_lists_are_right(live).err());
    }
    let names: Vec<_> = world.in_order(live).iter().map(|who| world.name(*who).to_owned()).collect();
    println!("{names:?}");
}
