//! Swarms of the tree, and what is asked of them.

use cicada_proto::{Config, Geometry};
use cicada_sim::{Latency, Network, PeerIndex, PeerOptions, World, WorldConfig};
use cicada_wire::{Hash, OverlayKind};
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

pub(crate) fn tree(seed: u64, links: usize, latency: Duration) -> World {
    tree_with(seed, latency, |config| config.limits.links = links)
}

pub(crate) fn tree_with(seed: u64, latency: Duration, change: impl FnOnce(&mut Config)) -> World {
    let mut config = Config::default();
    config.overlay = OverlayKind::Tree;
    change(&mut config);
    let network = Network { latency: Latency::Fixed(latency), lost_per_million: 0, ..Network::default() };
    World::new(WorldConfig { seed, network, config, ..WorldConfig::default() })
}

/// Members at addresses of the world's own: another seed has other ids.
pub(crate) fn members(world: &mut World, count: usize) -> Vec<PeerIndex> {
    let [.., a, b] = world.random_key().to_bytes();
    let socket = |number: usize| SocketAddr::new(IpAddr::from([10, a, b, 1]), 2000 + u16::try_from(number).expect("few"));
    (0..count).map(|number| world.add(PeerOptions { socket: Some(socket(number)), ..PeerOptions::default() })).collect()
}

/// All enter by the first, one every `pause`.
pub(crate) fn enter(world: &mut World, peers: &[PeerIndex], pause: Duration) {
    let mut joins = Vec::new();
    for who in &peers[1..] {
        joins.push(world.connect(*who, peers[0]));
        world.run_for(pause);
    }
    assert!(world.wait_all(&joins, Duration::from_secs(11)), "all joins end");
}

/// Crashes every n-th peer, `count` in all; returns the others.
pub(crate) fn crash_some(world: &mut World, peers: &[PeerIndex], count: usize) -> Vec<PeerIndex> {
    let every = peers.len() / count;
    let (dead, alive): (Vec<_>, Vec<_>) = peers.iter().enumerate().partition(|(at, _)| at % every == every - 1);
    for (_, who) in dead {
        world.crash(*who);
    }
    alive.into_iter().map(|(_, who)| *who).collect()
}

pub(crate) fn lookups_are_right(world: &mut World, members: &[PeerIndex]) {
    // Few enough at once that no peer has too many of its own.
    for _ in 0..4 {
        let right = world.right_lookups(members, 50, Duration::from_secs(11));
        assert_eq!(right, 50, "of 50");
    }
}

/// What came of walking between all pairs.
#[derive(Debug)]
pub(crate) struct Paths {
    pub(crate) stuck: usize,
    pub(crate) mean_hops: f64,
    pub(crate) most_links: usize,
}

/// Walks greedily over live links between all pairs of these members.
pub(crate) fn walk(world: &World, members: &[PeerIndex]) -> Paths {
    let linked = |who: PeerIndex| -> Vec<Hash> {
        let node = world.node(who).expect("alive");
        node.links().members().map(cicada_proto::links::Link::peer).collect()
    };
    let links: BTreeMap<Hash, Vec<Hash>> = members.iter().map(|who| (world.id(*who), linked(*who))).collect();
    let (mut stuck, mut hops, mut arrived) = (0, 0, 0);
    for from in links.keys() {
        for to in links.keys().filter(|to| *to != from) {
            match hops_between(&links, *from, *to) {
                Some(walked) => {
                    hops += walked;
                    arrived += 1;
                }
                None => stuck += 1,
            }
        }
    }
    let most_links = links.values().map(Vec::len).max().unwrap_or(0);
    Paths { stuck, mean_hops: f64::from(hops) / f64::from(arrived.max(1)), most_links }
}

fn hops_between(links: &BTreeMap<Hash, Vec<Hash>>, from: Hash, to: Hash) -> Option<u32> {
    let offset = |id: Hash| Geometry::Tree.offset(id, to);
    let (mut at, mut hops) = (from, 0);
    while at != to {
        // A link to a dead peer leads nowhere: it is in no list of its own.
        let next = links.get(&at)?.iter().copied().min_by_key(|id| offset(*id))?;
        if offset(next) >= offset(at) {
            return None;
        }
        at = next;
        hops += 1;
    }
    Some(hops)
}

/// The cells into which a member should have a link and has none, and how many members stand there.
pub(crate) fn unlinked_cells(world: &World, members: &[PeerIndex]) -> Vec<String> {
    let mut lacking = Vec::new();
    for who in members {
        let me = world.id(*who);
        let linked: Vec<Hash> = world
            .node(*who)
            .expect("alive")
            .links()
            .members()
            .map(cicada_proto::links::Link::peer)
            .filter(|id| members.iter().any(|who| world.id(*who) == *id))
            .collect();
        for cell in 0..256 {
            let there: Vec<PeerIndex> =
                members.iter().copied().filter(|other| Geometry::Tree.cell(me, world.id(*other)) == Some(cell)).collect();
            if !there.is_empty() && !linked.iter().any(|id| Geometry::Tree.cell(me, *id) == Some(cell)) {
                let links = |who: &PeerIndex| world.node(*who).expect("alive").links().members().count();
                let theirs: Vec<_> = there.iter().map(links).collect();
                lacking.push(format!("{} with {} links lacks one into {cell}, to those with {theirs:?}", world.name(*who), linked.len()));
            }
        }
    }
    lacking
}
