//! The tree in a world: buckets, lookups, links, crashes, merging, attached clients.

mod attachments;
mod buckets;
mod lookups;
mod swarm;

use cicada_sim::{Cost, Kind};
use std::time::Duration;
use swarm::{crash_some, enter, lookups_are_right, members, tree, walk};

const LOOPBACK: Duration = Duration::from_micros(200);
const INTERNET: Duration = Duration::from_millis(20);

#[test]
fn sixty_four_peers_that_enter_at_once_by_one_peer_settle_and_no_route_over_links_gets_stuck() {
    for seed in 0..12 {
        let mut world = tree(seed, 16, LOOPBACK);
        let peers = members(&mut world, 64);
        enter(&mut world, &peers, Duration::from_millis(20));
        let settled = world.settle(&peers, Duration::from_secs(3));
        assert!(settled.is_ok(), "seed {seed}: {settled:?}");
        // Where all look for links at once the last ones stand a little later than the tables: one of twelve worlds needs 5 s.
        world.run_for(Duration::from_secs(6));
        let paths = walk(&world, &peers);
        assert_eq!(paths.stuck, 0, "seed {seed}: {paths:?} {:?}", swarm::unlinked_cells(&world, &peers));
        assert!(paths.mean_hops <= 2.4, "seed {seed}: {paths:?}");
        assert!(paths.most_links <= 16, "seed {seed}: {paths:?}");
        lookups_are_right(&mut world, &peers);
    }
}

#[test]
fn at_rest_the_twenty_closest_of_everybody_are_known_next_to_it() {
    let mut world = tree(5, 48, INTERNET);
    let peers = members(&mut world, 150);
    enter(&mut world, &peers, Duration::from_millis(50));
    world.settle(&peers, Duration::from_secs(20)).expect("it settles");
    world.run_for(Duration::from_secs(30));
    world.closest_are_findable(&peers).expect("at rest");
    let with_a_stranger = [peers, members(&mut world, 1)].concat();
    let hidden = world.closest_are_findable(&with_a_stranger);
    assert!(hidden.is_err_and(|what| what.contains("one of its closest")), "the control: who has not joined is known to nobody");
}

#[test]
fn with_fewer_links_than_cells_some_route_gets_stuck() {
    // The control of the test above: its walk notices when links are missing.
    let mut world = tree(1, 5, LOOPBACK);
    let peers = members(&mut world, 64);
    enter(&mut world, &peers, Duration::from_millis(20));
    world.run_for(Duration::from_secs(3));
    assert!(walk(&world, &peers).stuck > 0);
}

#[test]
fn where_all_fit_into_a_bucket_everybody_knows_everybody() {
    for count in [2, 3, 20] {
        let mut world = tree(count as u64, 16, LOOPBACK);
        let peers = members(&mut world, count);
        enter(&mut world, &peers, Duration::from_millis(10));
        world.run_for(Duration::from_secs(3));
        for who in &peers {
            let known = world.node(*who).expect("alive").overlay().members().len();
            assert_eq!(known, count - 1, "{} of {count}", world.name(*who));
        }
        lookups_are_right(&mut world, &peers);
    }
}

#[test]
fn the_links_of_a_settled_swarm_stay_and_cost_little() {
    let mut world = tree(5, 16, LOOPBACK);
    let peers = members(&mut world, 64);
    enter(&mut world, &peers, Duration::from_millis(20));
    world.run_for(Duration::from_secs(90));
    let before = world.cost_of(&peers);
    world.run_for(Duration::from_secs(120));
    let idle = world.cost_of(&peers).since(&before);
    let per_second = idle.total().bytes / 120 / 64;
    assert!(per_second < 700, "{per_second} B/s a peer: {idle:?}");
    let dials = idle.of(Kind::Dial).messages;
    assert!(dials < 64 * 3, "{dials} dials in two quiet minutes");
    assert_eq!(walk(&world, &peers).stuck, 0);
}

#[test]
fn after_a_quarter_crashed_the_others_reach_each_other_within_five_seconds() {
    for seed in 0..6 {
        let mut world = tree(seed, 16, LOOPBACK);
        let peers = members(&mut world, 64);
        enter(&mut world, &peers, Duration::from_millis(20));
        world.run_for(Duration::from_secs(2 + 5 * seed));
        let alive = crash_some(&mut world, &peers, 16);
        assert!(walk(&world, &alive).stuck > 0, "the crash is felt");
        let span = world.run_until_every(Duration::from_millis(250), Duration::from_secs(5), |world| walk(world, &alive).stuck == 0);
        assert!(span.is_some(), "seed {seed}: {:?} {:?}", walk(&world, &alive), swarm::unlinked_cells(&world, &alive));
        lookups_are_right(&mut world, &alive);
    }
}

#[test]
fn two_trees_joined_by_one_connect_become_one_at_a_bounded_price() {
    for seed in 3..7 {
        two_trees_become_one(seed);
    }
}

fn two_trees_become_one(seed: u64) {
    let mut world = tree(seed, 48, INTERNET);
    let peers = members(&mut world, 200);
    let (ours, theirs) = peers.split_at(100);
    enter(&mut world, ours, Duration::from_millis(5));
    enter(&mut world, theirs, Duration::from_millis(5));
    for side in [ours, theirs] {
        world.settle(side, Duration::from_secs(10)).expect("each side settles");
    }
    world.run_for(Duration::from_secs(30));
    let messages = |cost: &Cost| cost.total().messages - cost.of(Kind::Ping).messages - cost.of(Kind::Pong).messages;
    let span = Duration::from_secs(10);
    let before = world.cost_of(&peers);
    world.run_for(span);
    let upkeep = messages(&world.cost_of(&peers).since(&before)) as f64 / span.as_secs_f64();
    let before = world.cost_of(&peers);
    world.connect(ours[1], theirs[1]);
    let merged = world.settle(&peers, span).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
    let cost = world.cost_of(&peers).since(&before);
    let price = (messages(&cost) as f64 - upkeep * merged.as_secs_f64()) / 200.0;
    println!("seed {seed}: one after {merged:?} for {price:.1} messages a peer beyond the upkeep of {upkeep:.0} a second");
    assert!(price <= 40.0, "seed {seed}: {price} messages a peer: {cost:?}");
    lookups_are_right(&mut world, &peers);
}

#[test]
fn two_halves_that_were_split_find_each_other_again() {
    let mut world = tree(4, 16, INTERNET);
    let peers = members(&mut world, 40);
    enter(&mut world, &peers, Duration::from_millis(20));
    world.settle(&peers, Duration::from_secs(5)).expect("it settles");
    let (left, right) = peers.split_at(20);
    world.partition(&[left, right]);
    for side in [left, right] {
        let forgotten = world.run_until_every(Duration::from_millis(500), Duration::from_secs(120), |world| {
            let others: Vec<_> = peers.iter().filter(|who| !side.contains(who)).map(|who| world.id(*who)).collect();
            side.iter().all(|who| others.iter().all(|other| world.node(*who).expect("alive").overlay().member(*other).is_none()))
        });
        assert!(forgotten.is_some(), "each half forgets the other");
    }
    world.heal();
    let settled = world.settle(&peers, Duration::from_secs(60));
    assert!(settled.is_ok(), "{settled:?}");
    lookups_are_right(&mut world, &peers);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let run = || {
        let mut world = tree(7, 16, INTERNET);
        world.trace_mut().set_level(cicada_sim::TraceLevel::Packets);
        let peers = members(&mut world, 24);
        enter(&mut world, &peers, Duration::from_millis(20));
        crash_some(&mut world, &peers, 4);
        world.run_for(Duration::from_secs(10));
        world.trace().digest()
    };
    assert_eq!(run(), run());
}
